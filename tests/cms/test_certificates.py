"""Which certificate may be used for what, and when."""

from __future__ import annotations

import datetime as dt
import warnings

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from kpr_sender.cms.certificates import CertificateUse, check, load_certificate
from kpr_sender.errors import AccessRefused
from tests.helpers import pki
from tests.helpers.pki import NOW, Kind
from tests.helpers.shared import SHARED

SIGNING, DIGITAL_SIGNATURE, ENCRYPTION = (
    CertificateUse.SIGNING_NON_REPUDIATION,
    CertificateUse.SIGNING_DIGITAL_SIGNATURE,
    CertificateUse.ENCRYPTION,
)


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        (Kind.SIGNER, SIGNING),
        (Kind.DIGITAL_SIGNATURE_SIGNER, DIGITAL_SIGNATURE),
        (Kind.ENCRYPTION, ENCRYPTION),
        (Kind.RSA_3072, SIGNING),
    ],
)
def test_a_certificate_that_is_meant_for_it_passes(kind: Kind, use: CertificateUse) -> None:
    check(pki.certificate(kind), use, at=NOW, name="keys.signing")


@pytest.mark.parametrize(
    ("kind", "use", "text"),
    [
        (Kind.SIGNER, DIGITAL_SIGNATURE, "does not include digitalSignature"),
        (Kind.SIGNER, ENCRYPTION, "does not include keyEncipherment"),
        (Kind.DIGITAL_SIGNATURE_SIGNER, SIGNING, "does not include nonRepudiation"),
        (Kind.ENCRYPTION, SIGNING, "does not include nonRepudiation"),
        (Kind.NO_USAGE, SIGNING, "has no key usage; nonRepudiation is needed"),
        (Kind.NO_USAGE, ENCRYPTION, "has no key usage; keyEncipherment is needed"),
        (Kind.EXPIRED_SIGNER, SIGNING, "expired on"),
        (Kind.EXPIRED_ENCRYPTION, ENCRYPTION, "expired on"),
        (Kind.NOT_YET_VALID_SIGNER, SIGNING, "not valid before"),
        (Kind.RSA_1024, SIGNING, "1024 bits; at least 2048"),
        (Kind.EC, SIGNING, "only RSA can be used"),
    ],
)
def test_any_other_is_refused_with_the_reason_and_the_place(kind: Kind, use: CertificateUse, text: str) -> None:
    with pytest.raises(AccessRefused, match=text) as refused:
        check(pki.certificate(kind), use, at=NOW, name="keys.signing")
    assert refused.value.where == "keys.signing"


def test_the_first_and_the_last_second_count() -> None:
    certificate = pki.certificate(Kind.SIGNER)
    second = dt.timedelta(seconds=1)
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    for at in (first, last):
        check(certificate, SIGNING, at=at, name="keys.signing")
    for at in (first - second, last + second):
        with pytest.raises(AccessRefused):
            check(certificate, SIGNING, at=at, name="keys.signing")


def peer(name: str) -> Certificate:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one of them has a negative serial number
        return load_certificate((SHARED / "vectors/peer" / name).read_bytes(), name)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("Helsenorge_Signature.cer", SIGNING),
        ("Helsenorge_Encryption.cer", ENCRYPTION),
        ("Counterparty_Signature.cer", SIGNING),
        ("Counterparty_Encryption.cer", ENCRYPTION),
    ],
)
def test_buypass_certificates_pass_in_their_time_and_only_for_their_use(name: str, use: CertificateUse) -> None:
    in_its_time = dt.datetime(2016, 1, 1, tzinfo=dt.UTC)
    check(peer(name), use, at=in_its_time, name=name)
    with pytest.raises(AccessRefused, match="expired on 2017"):
        check(peer(name), use, at=NOW, name=name)
    other = ENCRYPTION if use is SIGNING else SIGNING
    with pytest.raises(AccessRefused, match="does not include"):
        check(peer(name), other, at=in_its_time, name=name)


@pytest.mark.parametrize(
    ("name", "at", "text"),
    [
        ("Counterparty_SignatureInvalidEnd.cer", 2016, "expired on"),
        ("Counterparty_SignatureInvalidEnd.cer", 2008, "has no key usage"),
        ("Counterparty_SignatureInvalidStart.cer", 2016, "not valid before"),
        ("Counterparty_SignatureInvalidStart.cer", 2024, "has no key usage"),
        ("Helsenorge_InvalidEncryption.cer", 2024, "expired on"),
    ],
)
def test_peers_bad_certificates_are_refused(name: str, at: int, text: str) -> None:
    for use in (SIGNING, ENCRYPTION):
        with pytest.raises(AccessRefused, match=text):
            check(peer(name), use, at=dt.datetime(at, 6, 1, tzinfo=dt.UTC), name=name)


def test_a_certificate_whose_owner_or_version_cannot_be_read_is_refused() -> None:
    """The library reads a subject only when it is asked for, which every message about a certificate does."""
    made = pki.certificate(Kind.SIGNER).public_bytes(Encoding.DER)
    odd_version = made.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09", 1)
    odd_name = made.replace(b"\x0c\x0bTest signer", b"\x00\x0bTest signer")
    for spoilt in (odd_version, odd_name):
        assert spoilt != made
        with pytest.raises(AccessRefused, match="one is damaged"):
            load_certificate(spoilt, "receiver.pem")


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_certificate_loads_from_pem_and_der(encoding: Encoding) -> None:
    certificate = pki.certificate(Kind.SIGNER)
    assert load_certificate(certificate.public_bytes(encoding), "receiver.pem") == certificate


@pytest.mark.parametrize(
    "data",
    [b"", b"nothing", pki.key_pem(Kind.SIGNER), pki.certificate_pem(Kind.SIGNER)[:200], pki.p12(Kind.SIGNER)],
    ids=["empty", "text", "a key", "cut off", "PKCS#12"],
)
def test_a_file_without_a_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(AccessRefused, match="no certificate") as refused:
        load_certificate(data, "receiver.pem")
    assert refused.value.where == "receiver.pem"

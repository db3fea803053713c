"""Keys from PKCS#12 and PEM: the right ones load, the others are refused with a reason and without a secret."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from kpr_sender.cms.certificates import named
from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.keys.configured import ConfiguredKeys
from kpr_sender.keys.files import KeyPair, WantedKey, load_pem, load_pkcs12
from kpr_sender.sandbox.pki import ensure_pki
from tests.helpers import pki, seid_pki
from tests.helpers.municipality import municipality
from tests.helpers.pki import PASSPHRASE, Kind
from tests.helpers.shared import SHARED

SIGNER = Kind.SIGNER


def numbers(pair: KeyPair) -> rsa.RSAPrivateNumbers:
    return pair.private_key.private_numbers()


@pytest.mark.parametrize("passphrase", [PASSPHRASE, None, "passord med æøå"])
def test_pkcs12_gives_key_certificate_and_the_chain_without_the_root(passphrase: str | None) -> None:
    pair = load_pkcs12(pki.p12(SIGNER, passphrase), passphrase, name="keys.signing")
    assert (pair.certificate, pair.chain) == (pki.certificate(SIGNER), (pki.issuing_ca(),))
    assert numbers(pair) == numbers(pki.key_pair(SIGNER))


@pytest.mark.parametrize("passphrase", [PASSPHRASE, None])
def test_pem_gives_key_certificate_and_the_chain_without_the_root(passphrase: str | None) -> None:
    certificates = pki.certificate_pem(SIGNER, pki.root(), pki.issuing_ca())
    pair = load_pem(certificates, pki.key_pem(SIGNER, passphrase), passphrase, name="keys.signing")
    assert (pair.certificate, pair.chain) == (pki.certificate(SIGNER), (pki.issuing_ca(),))
    assert numbers(pair) == numbers(pki.key_pair(SIGNER))


def test_a_byte_order_mark_is_no_part_of_a_pem_file() -> None:
    mark = b"\xef\xbb\xbf"  # as Notepad writes it
    pair = load_pem(mark + pki.certificate_pem(SIGNER), mark + pki.key_pem(SIGNER, PASSPHRASE), PASSPHRASE, name="keys")
    assert pair.certificate == pki.certificate(SIGNER)


def test_a_stranger_in_the_file_is_not_taken_for_an_intermediate() -> None:
    certificates = pki.certificate_pem(SIGNER, pki.certificate(Kind.STRANGER))
    assert load_pem(certificates, pki.key_pem(SIGNER), None, name="keys.signing").chain == ()


def p12_without(what: str) -> bytes:
    key, certificate = pki.private_key(SIGNER), pki.certificate(SIGNER)
    parts = {
        "private key": (None, certificate, None),
        "certificate": (key, None, None),
    }
    return pkcs12.serialize_key_and_certificates(b"test", *parts[what], NoEncryption())


@pytest.mark.parametrize(
    ("data", "passphrase", "text"),
    [
        pytest.param(pki.p12(SIGNER), "wrong", "passphrase is wrong", id="wrong passphrase"),
        pytest.param(pki.p12(SIGNER), None, "passphrase is wrong", id="no passphrase"),
        pytest.param(b"", PASSPHRASE, "not PKCS#12", id="empty"),
        pytest.param(pki.key_pem(SIGNER), PASSPHRASE, "not PKCS#12", id="PEM"),
        pytest.param(pki.p12(SIGNER)[:-100], PASSPHRASE, "damaged", id="cut off"),
        pytest.param(p12_without("private key"), None, "no private key", id="no private key"),
        pytest.param(p12_without("certificate"), None, "no certificate", id="no certificate"),
        pytest.param(pki.p12(Kind.EC), PASSPHRASE, "RSA", id="EC"),
        pytest.param(pki.p12(Kind.RSA_1024), PASSPHRASE, "1024 bits; at least 2048", id="RSA 1024"),
    ],
)
def test_pkcs12_that_cannot_be_used_is_refused(data: bytes, passphrase: str | None, text: str) -> None:
    with pytest.raises(AccessRefused, match=text) as refused:
        load_pkcs12(data, passphrase, name="keys.signing")
    assert refused.value.where == "keys.signing"


@pytest.mark.parametrize(
    ("certificate", "key", "passphrase", "text"),
    [
        pytest.param(SIGNER, pki.key_pem(SIGNER, PASSPHRASE), "wrong", "passphrase is wrong", id="wrong passphrase"),
        pytest.param(SIGNER, pki.key_pem(SIGNER, PASSPHRASE), None, "no passphrase is configured", id="no passphrase"),
        pytest.param(SIGNER, pki.key_pem(SIGNER), PASSPHRASE, "not encrypted", id="needless passphrase"),
        pytest.param(SIGNER, b"", None, "not PEM", id="no key"),
        pytest.param(SIGNER, pki.certificate_pem(SIGNER), None, "not PEM", id="certificate for key"),
        pytest.param(SIGNER, pki.key_pem(Kind.STRANGER), None, "does not belong", id="another's key"),
        pytest.param(Kind.EC, pki.key_pem(Kind.EC), None, "RSA", id="EC"),
        pytest.param(Kind.RSA_1024, pki.key_pem(Kind.RSA_1024), None, "1024 bits", id="RSA 1024"),
    ],
)
def test_pem_that_cannot_be_used_is_refused(certificate: Kind, key: bytes, passphrase: str | None, text: str) -> None:
    with pytest.raises(AccessRefused, match=text) as refused:
        load_pem(pki.certificate_pem(certificate), key, passphrase, name="keys.signing")
    assert refused.value.where == "keys.signing"


def test_g6_no_secret_is_in_a_refusal_or_a_repr() -> None:
    secret = "hemmelig-passord"
    with pytest.raises(AccessRefused) as refused:
        load_pkcs12(pki.p12(SIGNER), secret, name="keys.signing")
    shown = "".join(traceback.format_exception(refused.value))
    assert secret not in shown
    assert "private" not in repr(pki.key_pair(SIGNER)).lower()


def test_pkcs12_in_ber_as_buypass_and_windows_write_it_loads_without_a_warning(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    data = (SHARED / "vectors/peer/Counterparty_Signature.p12").read_bytes()
    with caplog.at_level(logging.DEBUG):
        pair = load_pkcs12(data, "XVNQ2QEL1PrREwVD", name="peer")
    assert len(pair.chain) == 1
    assert not recwarn.list


def test_a_key_in_the_traditional_form_loads() -> None:
    key = pki.key_pair(SIGNER).private_key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert load_pem(pki.certificate_pem(SIGNER), key, None, name="keys.signing").certificate == pki.certificate(SIGNER)


@pytest.fixture(scope="module")
def of_keytool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a municipality's keys, and both pairs in one file, as Java's keytool makes it in seconds."""
    tmp_path = tmp_path_factory.mktemp("keytool")
    if (keytool := shutil.which("keytool")) is None:
        pytest.skip("no keytool here: apt-get install default-jre-headless")
    made = ensure_pki(tmp_path, now=datetime.now(UTC))
    secret, target = made.passphrase(), tmp_path / "both.p12"
    options = ["-srcstoretype", "PKCS12", "-srcstorepass", secret, "-deststoretype", "PKCS12", "-deststorepass", secret]
    for use in ("signing", "encryption"):
        source = tmp_path / f"{use}.p12"
        pair = load_pkcs12(made.pkcs12(f"kommune-{use}"), secret, name=use)
        protection = BestAvailableEncryption(secret.encode())
        source.write_bytes(
            pkcs12.serialize_key_and_certificates(use.encode(), pair.private_key, pair.certificate, None, protection)
        )
        command = [
            keytool,
            "-importkeystore",
            "-srckeystore",
            str(source),
            "-destkeystore",
            str(target),
            "-noprompt",
            *options,
        ]
        subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "passphrase").write_text(secret)
    return tmp_path


@pytest.fixture
def two_pairs(of_keytool: Path, tmp_path: Path) -> bytes:
    """One file with both pairs, the signing pair first."""
    shutil.copytree(of_keytool, tmp_path, dirs_exist_ok=True)
    return (tmp_path / "both.p12").read_bytes()


def test_of_several_pairs_the_key_usage_says_which_one_is_meant(two_pairs: bytes, tmp_path: Path) -> None:
    secret, made = (tmp_path / "passphrase").read_text(), ensure_pki(tmp_path, now=datetime.now(UTC))
    for use, decrypts in (("signing", False), ("encryption", True)):
        pair = load_pkcs12(two_pairs, secret, name="keys", wanted=WantedKey(for_decryption=decrypts))
        assert pair.certificate == made.certificate(f"kommune-{use}")
    with pytest.raises(AccessRefused, match="has 2 key pairs, and 2 of them may be meant"):
        load_pkcs12(two_pairs, secret, name="keys")


def test_of_several_pairs_the_one_that_is_named_is_meant_and_what_there_is_is_shown(
    two_pairs: bytes, tmp_path: Path
) -> None:
    secret, made = (tmp_path / "passphrase").read_text(), ensure_pki(tmp_path, now=datetime.now(UTC))
    with pytest.raises(AccessRefused) as refused:
        load_pkcs12(two_pairs, secret, name="keys", wanted=WantedKey("no such"))
    said = str(refused.value)
    assert "has 2 key pairs, and none of them may be meant" in said
    assert "key_label or key_id beside pkcs12" in said
    for use in ("signing", "encryption"):
        certificate = made.certificate(f"kommune-{use}")
        shown = re.search(rf'key_label = "{use}", key_id = "(\w+)" \([^)]* {named(certificate).sha1}\)', said)
        assert shown is not None, said
        for wanted in (WantedKey(use.upper()), WantedKey(use, for_decryption=use == "signing")):
            assert load_pkcs12(two_pairs, secret, name="keys", wanted=wanted).certificate == certificate
        by_id = WantedKey(key_id=bytes.fromhex(shown[1]))
        assert load_pkcs12(two_pairs, secret, name="keys", wanted=by_id).certificate == certificate
        with pytest.raises(AccessRefused, match="none of them may be meant"):
            load_pkcs12(two_pairs, secret, name="keys", wanted=WantedKey("other", bytes.fromhex(shown[1])))
    assert secret not in said


def test_a_name_that_does_not_fit_the_only_pair_is_refused() -> None:
    data = pki.p12(SIGNER)
    with pytest.raises(AccessRefused, match="has 1 key pairs, and none of them may be meant"):
        load_pkcs12(data, PASSPHRASE, name="keys", wanted=WantedKey("another"))


def test_g5_the_configuration_names_the_pair(two_pairs: bytes, tmp_path: Path) -> None:
    """Both sections name one file, as a person has it who exported all of a keystore."""
    made = municipality(tmp_path / "kommune")
    (made.folder / "both.p12").write_bytes(two_pairs)
    both = {"pkcs12": "both.p12", "passphrase_file": str(tmp_path / "passphrase")}
    for name in ({}, {"key_label": "signing"}):
        settings = made.configure({"keys.signing": both | name, "keys.decryption": both})
        keys = ConfiguredKeys(settings)
        assert keys.signer(at=datetime.now(UTC)).certificate != keys.decrypters()[0].certificate
    wrong = made.configure({"keys.signing": both | {"key_label": "encryption"}, "keys.decryption": both})
    with pytest.raises(AccessRefused, match="key usage"):
        ConfiguredKeys(wrong).signer(at=datetime.now(UTC))
    pem = {"pkcs12": None, "certificate": "a.pem", "key": "a.key", "key_label": "signing"}
    with pytest.raises(ConfigInvalid, match="needs pkcs11_module or pkcs12 beside it"):
        made.configure({"keys.signing": pem})


def test_the_decryption_keys_are_read_once_however_often_a_run_asks(tmp_path: Path) -> None:
    made = municipality(tmp_path / "kommune")
    keys = ConfiguredKeys(made.configure())
    first = keys.decrypters()
    for file in made.folder.rglob("*.p12"):
        file.unlink()
    assert keys.decrypters() is first


def test_what_looks_like_a_key_over_and_over_is_no_key_and_costs_little() -> None:
    """Each beginning was read by itself and copied with whatever stands behind it: 0.8 MB took 7 GB."""
    begins = bytes.fromhex("060b2a864886f70d010c0a0102 3083060000 308305fffb")
    oid = x509.ObjectIdentifier("2.5.29.99")
    bulky = x509.Extension(oid, False, x509.UnrecognizedExtension(oid, begins * 35_000))
    data = pkcs12.serialize_key_and_certificates(
        b"x",
        pki.private_key(Kind.SIGNER),
        pki.certificate(Kind.SIGNER),
        [seid_pki.new_root().issue(more=[bulky])],
        NoEncryption(),
    )
    start = time.process_time()
    with pytest.raises(AccessRefused, match="none of them may be meant"):
        load_pkcs12(data, None, name="key.p12")
    assert time.process_time() - start < 2

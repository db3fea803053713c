"""What a refusal says is bounded, whatever the message is made of."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.cms import asn1
from kpr_sender.cms.certificates import CertificateIdentity
from kpr_sender.cms.port import NotForUs, ProtectionRefused, SignatureRefused
from kpr_sender.cms.read import Policy
from kpr_sender.cms.read_signed import verify
from tests.helpers import cms, pki
from tests.helpers.pki import Kind

XML = b"<MsgHead/>"
SIGNER = pki.key_pair(Kind.SIGNER)
STRANGER = pki.key_pair(Kind.STRANGER)


class _Renumbered:
    """A stranger's certificate with another serial number: its signature is of no interest to whoever embeds it."""

    def __init__(self, serial: bytes) -> None:
        encoded = memoryview(STRANGER.certificate.public_bytes(Encoding.DER))
        body, *rest = asn1.read(encoded, max_elements=1000, max_depth=10).children()
        fields = [bytes(field.raw) for field in body.children()]
        fields[1] = asn1.wrap(asn1.INTEGER, serial)
        self.encoded = asn1.wrap(
            asn1.SEQUENCE, asn1.wrap(asn1.SEQUENCE, *fields), *(bytes(field.raw) for field in rest)
        )
        self.identifier = asn1.wrap(asn1.SEQUENCE, CertificateIdentity.of(STRANGER.certificate).issuer, fields[1])

    def public_bytes(self, _encoding: Encoding) -> bytes:
        return self.encoded


def test_a_serial_number_of_two_megabytes_is_shown_as_far_as_one_may_be_long() -> None:
    renumbered = _Renumbered(b"\x11" * 2_000_000)
    info = cms.signer_info(XML, STRANGER, sid=renumbered.identifier)
    signed = cms.signed_data(XML, [info], [renumbered])  # type: ignore[list-item]  # no library makes it

    with pytest.raises(SignatureRefused) as refused:
        verify(signed, signers=[SIGNER.certificate], policy=Policy())

    assert str(refused.value).endswith(f"(serial number {'11' * 21})")
    assert refused.value.claimed == XML


@pytest.mark.parametrize("kind", [ProtectionRefused, SignatureRefused])
def test_no_refusal_is_longer_than_a_line(kind: type[ProtectionRefused]) -> None:
    assert len(str(kind("x " * 1_000_000))) <= 300
    assert len(str(NotForUs(("serial number 1",) * 1_000_000))) <= 300

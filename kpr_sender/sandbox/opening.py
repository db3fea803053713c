"""Opens a sealed message as strictly as a receiver must, and still reads what a refusal has to be addressed to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.x509 import Certificate

from kpr_sender.cms import asn1
from kpr_sender.cms.algorithms import ID_SIGNED_DATA, Policy
from kpr_sender.cms.asn1 import content_info
from kpr_sender.cms.certificates import CertificateUse, check
from kpr_sender.cms.errors import Malformed, ProtectionRefused, SignatureRefused
from kpr_sender.cms.port import Decrypter
from kpr_sender.cms.read import open_envelope
from kpr_sender.cms.read_signed import verify
from kpr_sender.errors import AccessRefused
from kpr_sender.sandbox.codes import S01, S02, Refusal


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What was inside.

    Attributes:
        content: Verified only where ``refusal`` is None; otherwise good for nothing but addressing the refusal.
        refusal: What is wrong with signature or certificate.
    """

    content: bytes = field(repr=False)
    refusal: Refusal | None


def unseal(
    sealed: bytes, *, decrypters: Sequence[Decrypter], signers: Sequence[Certificate], policy: Policy, at: datetime
) -> Unsealed:
    """Decipher and verify.

    Args:
        sealed: The message.
        decrypters: The receiver's keys.
        signers: The certificates held for the sender.
        policy: The bounds.
        at: When the signer's certificate must be valid; aware.

    Raises:
        ProtectionRefused: It cannot even be deciphered.
    """
    if len(sealed) > policy.max_bytes:
        raise Malformed(f"it is larger than {policy.max_bytes} bytes")
    try:
        plain = open_envelope(memoryview(sealed), decrypters, policy)
    except asn1.BerError as error:
        raise Malformed("it is not a sealed message") from error
    try:
        opened = verify(plain, signers=signers, policy=policy)
    except SignatureRefused as refused:
        return Unsealed(_unverified(plain, policy), Refusal(S02, str(refused)))
    except ProtectionRefused as refused:
        return Unsealed(_unverified(plain, policy), Refusal(S01, str(refused)))
    try:
        check(opened.signer, CertificateUse.SIGNING_NON_REPUDIATION, at=at, name="the sender's certificate")
    except AccessRefused as refused:
        return Unsealed(opened.content, Refusal(S02, refused.what))
    return Unsealed(opened.content, None)


def _unverified(signed: memoryview, policy: Policy) -> bytes:
    """Return the content of a SignedData whose signature nobody vouches for; empty where there is none."""
    try:
        fields = asn1.Fields(content_info(signed, ID_SIGNED_DATA, policy))
        fields.take(asn1.INTEGER)
        fields.take(asn1.SET)
        encapsulated = asn1.Fields(fields.take(asn1.SEQUENCE))
        encapsulated.take(asn1.OID)
        explicit = encapsulated.optional(asn1.CONTEXT_0_CONSTRUCTED)
        return b"".join(explicit.only_child().octets()) if explicit else b""
    except (asn1.BerError, ProtectionRefused):
        return b""

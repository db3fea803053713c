"""Verifies SignedData (RFC 5652 5), whoever wrote it, and says who signed it.

The rules:

1. The signer is the certificate **we** hold for the sender that the SignerInfo's sid names; the signature must hold
   with that certificate's key. Embedded certificates are never trust. (The reference client checks that the expected
   certificate is embedded, then verifies with whichever certificate the SignerInfo names: a hole, promise G4.)
2. Exactly one signer; no signer is not *signed*.
3. Whatever an altered message may look like is ``CannotOpen``. A reason is given only where a signature holds, ours or
   the embedded signer's own, or where the form is one that no chance alteration makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kpr_sender.errors import AccessRefused
from kpr_sender.protection import ber, der, signer_info
from kpr_sender.protection.algorithms import ID_DATA, ID_SIGNED_DATA
from kpr_sender.protection.certificates import rsa_public_key
from kpr_sender.protection.identity import CertificateIdentity, names
from kpr_sender.protection.policy import Policy
from kpr_sender.protection.refused import CannotOpen, ProtectionRefused, SignatureRefused
from kpr_sender.protection.signer_info import SignerInfo
from kpr_sender.protection.structure import content_info

_CRLS: Final = 0xA1
_MAX_EMBEDDED_TRIED: Final = 20


@dataclass(frozen=True, slots=True)
class Opened:
    """What a message holds, and who signed it.

    Attributes:
        content: Verified; does not print (promise G6).
        signer: The one of the expected certificates that signed it. Its dates and key usage are not checked here:
            that is ``certificates.check``'s matter.
    """

    content: bytes = field(repr=False)
    signer: x509.Certificate


def verify(signed: bytes | memoryview, *, signers: Sequence[x509.Certificate], policy: Policy) -> Opened:
    """Verify a SignedData with its content inside.

    Args:
        signed: The SignedData.
        signers: The certificates we hold for the sender: the current one and, at a roll-over, earlier ones.
        policy: The bounds.

    Raises:
        CannotOpen: It is not whole: not SignedData, or the signature does not hold.
        AlgorithmRefused: It is hashed or signed with an algorithm that we know and do not accept.
        SignatureRefused: Not exactly one signer; a signer that we do not hold for this sender; or content or
            attributes that could mean two things.
    """
    try:
        return _verify(memoryview(signed), signers, policy)
    except ber.BerError:
        raise CannotOpen from None


def _verify(signed: memoryview, signers: Sequence[x509.Certificate], policy: Policy) -> Opened:
    fields = ber.Fields(content_info(signed, ID_SIGNED_DATA, policy))
    fields.take(der.INTEGER)
    fields.take(der.SET)
    segments = _content(fields.take(der.SEQUENCE))
    embedded = fields.optional(der.CONTEXT_0_CONSTRUCTED)
    fields.optional(_CRLS)
    infos = fields.take(der.SET).children()
    fields.end()
    if len(infos) != 1:
        raise SignatureRefused(f"it has {len(infos)} signers; exactly one is expected")
    info = signer_info.read(infos[0])
    digest = signer_info.hashed(info.digest, segments)
    signer = next((certificate for certificate in signers if names(info.identifier, certificate)), None)
    if signer is None:
        raise _unknown_signer(info, digest, embedded)
    if not info.holds(digest, _public_key(signer)):
        raise CannotOpen
    if info.attributes is not None:
        info.check_attributes()
    elif next((segment[0] for segment in segments if len(segment)), None) == der.SET:
        # Without attributes such content could be another message's signed attributes (EUF-CMA attack on CMS,
        # draft-ietf-lamps-cms-euf-cma-signeddata).
        raise SignatureRefused("it has no signed attributes and content that looks like such")
    return Opened(b"".join(segments), signer)


def _content(encapsulated: ber.Element) -> list[memoryview]:
    fields = ber.Fields(encapsulated)
    if fields.take(der.OID).oid() != ID_DATA:
        raise ber.BerError("the signed content is not id-data")
    explicit = fields.optional(der.CONTEXT_0_CONSTRUCTED)
    fields.end()
    if explicit is None:
        raise SignatureRefused("its signature is detached; the content must be inside")
    return explicit.only_child().octets()


def _public_key(signer: x509.Certificate) -> RSAPublicKey:
    try:
        return rsa_public_key(signer, name="the sender's signing certificate")
    except AccessRefused as error:
        raise SignatureRefused(f"it is signed with a certificate that cannot be used: {error.what}") from None


def _unknown_signer(info: SignerInfo, digest: bytes, embedded: ber.Element | None) -> ProtectionRefused:
    """Tell a signer that we do not hold from an altered identifier: his own embedded certificate confirms him.

    Nothing is trusted by this; it only decides which refusal it is, so that a person learns of a roll-over.
    """
    for element in [] if embedded is None else embedded.children()[:_MAX_EMBEDDED_TRIED]:
        identity = CertificateIdentity.read(element)
        if not identity.is_named_by(info.identifier):
            continue
        try:
            key = load_der_public_key(identity.public_key)
        except (ValueError, UnsupportedAlgorithm):
            continue
        if isinstance(key, RSAPublicKey) and info.holds(digest, key):
            return SignatureRefused(
                "it is signed with a certificate that we do not hold for its sender "
                f"(serial number {identity.serial_number})"
            )
    return CannotOpen()

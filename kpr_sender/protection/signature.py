"""Verifies SignedData (RFC 5652 5.4), whoever wrote it, and says who signed it.

The rules:

1. The signer is the certificate **we** hold for the sender that the SignerInfo's sid names; the signature must hold
   with that certificate's key. Embedded certificates are never trust. (The reference client checks that the expected
   certificate is embedded, then verifies with whichever certificate the SignerInfo names: a hole, promise G4.)
2. Exactly one signer; no signer is not *signed*.
3. Whatever an altered message may look like is ``CannotOpen``. A reason is given only where a signature holds, ours or
   the embedded signer's own, or where an algorithm is refused by name.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import Hash, HashAlgorithm

from kpr_sender.errors import AccessRefused
from kpr_sender.protection import ber, der
from kpr_sender.protection.algorithms import (
    ATTRIBUTE_CONTENT_TYPE,
    ATTRIBUTE_MESSAGE_DIGEST,
    DIGESTS,
    ID_DATA,
    ID_SIGNED_DATA,
    MGF1,
    REFUSED,
    RSA_SIGNATURES,
    RSASSA_PSS,
)
from kpr_sender.protection.certificates import rsa_public_key
from kpr_sender.protection.identity import names
from kpr_sender.protection.policy import Policy
from kpr_sender.protection.refused import AlgorithmRefused, CannotOpen, SignatureRefused
from kpr_sender.protection.structure import algorithm, content_info

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


@dataclass(frozen=True, slots=True)
class _SignerInfo:
    """The one SignerInfo, its algorithms accepted."""

    identifier: ber.Element
    digest_oid: str
    digest: HashAlgorithm
    attributes: ber.Element | None
    padding: rsa_padding.AsymmetricPadding
    signature: bytes


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
    signer_infos = fields.take(der.SET).children()
    fields.end()
    if len(signer_infos) != 1:
        raise SignatureRefused(f"it has {len(signer_infos)} signers; exactly one is expected")
    info = _signer_info(signer_infos[0])
    digest = _hash(info.digest, segments)
    signer = next((certificate for certificate in signers if names(info.identifier, certificate)), None)
    if signer is None:
        raise _unknown_signer(info, digest, embedded)
    if not _holds(info, digest, _public_key(signer)):
        raise CannotOpen
    if info.attributes is not None:
        _check_attributes(info.attributes, digest)
    elif next((segment[0] for segment in segments if len(segment)), None) == der.SET:
        # Without attributes such content could be another message's signed attributes (CMS EUF-CMA attack,
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


def _signer_info(element: ber.Element) -> _SignerInfo:
    fields = ber.Fields(element)
    fields.take(der.INTEGER)
    identifier = fields.take(der.SEQUENCE, der.CONTEXT_0)
    digest_oid, digest = _digest(fields.take(der.SEQUENCE))
    attributes = fields.optional(der.CONTEXT_0_CONSTRUCTED)
    padding = _padding(fields.take(der.SEQUENCE), digest_oid, digest)
    signature = b"".join(fields.take(der.OCTET_STRING, 0x24).octets())
    fields.optional(_CRLS)
    fields.end()
    return _SignerInfo(identifier, digest_oid, digest, attributes, padding, signature)


def _digest(identifier: ber.Element) -> tuple[str, HashAlgorithm]:
    oid, parameters = algorithm(identifier)
    if oid not in DIGESTS:
        raise _not_accepted(oid)
    if parameters is not None:
        raise ber.BerError("a digest with parameters")
    return oid, DIGESTS[oid]()


def _padding(identifier: ber.Element, digest_oid: str, digest: HashAlgorithm) -> rsa_padding.AsymmetricPadding:
    oid, parameters = algorithm(identifier)
    if oid == RSASSA_PSS:
        return _pss(parameters, digest_oid, digest)
    if oid not in RSA_SIGNATURES:
        raise _not_accepted(oid)
    if parameters is not None or RSA_SIGNATURES[oid] not in (None, digest_oid):
        raise ber.BerError("a signature algorithm that does not go with the digest")
    return rsa_padding.PKCS1v15()


def _pss(parameters: ber.Element | None, digest_oid: str, digest: HashAlgorithm) -> rsa_padding.PSS:
    """Read RSASSA-PSS-params (RFC 8017 A.2.3). Their defaults are SHA-1, so all of the digests must be stated."""
    if parameters is None:
        raise AlgorithmRefused("RSASSA-PSS with SHA-1")
    fields = ber.Fields(parameters)
    hash_field, mgf_field = fields.optional(0xA0), fields.optional(0xA1)
    salt_field, trailer_field = fields.optional(0xA2), fields.optional(0xA3)
    fields.end()
    if hash_field is None or mgf_field is None:
        raise AlgorithmRefused("RSASSA-PSS with SHA-1")
    mgf_oid, mgf_digest = algorithm(mgf_field.only_child())
    stated = (algorithm(hash_field.only_child())[0], mgf_oid, mgf_digest and algorithm(mgf_digest)[0])
    if stated != (digest_oid, MGF1, digest_oid):
        raise ber.BerError("RSASSA-PSS with another digest than the content's")
    salt_length = 20 if salt_field is None else salt_field.only_child().integer()
    trailer = 1 if trailer_field is None else trailer_field.only_child().integer()
    if not 0 <= salt_length <= digest.digest_size or trailer != 1:
        raise AlgorithmRefused("RSASSA-PSS with a salt longer than the digest or another trailer")
    return rsa_padding.PSS(rsa_padding.MGF1(digest), salt_length)


def _not_accepted(oid: str) -> Exception:
    """Name what we know; anything else may as well be an altered message."""
    return AlgorithmRefused(REFUSED[oid]) if oid in REFUSED else ber.BerError("an unknown algorithm")


def _hash(algorithm: HashAlgorithm, segments: Sequence[bytes | memoryview]) -> bytes:
    digest = Hash(algorithm)
    for segment in segments:
        digest.update(segment)
    return digest.finalize()


def _holds(info: _SignerInfo, content_digest: bytes, key: RSAPublicKey) -> bool:
    """Whether the signature is the key's, over the attributes where there are any, and these over the content."""
    digest = content_digest
    if info.attributes is not None:
        if not info.attributes.is_definite:
            return False
        # RFC 5652 5.4: signed is the SET itself, not its implicit [0].
        digest = _hash(info.digest, [bytes((der.SET,)), info.attributes.raw[1:]])
        if not hmac.compare_digest(_stated_digest(info.attributes), content_digest):
            return False
    try:
        key.verify(info.signature, digest, info.padding, Prehashed(info.digest))
    except InvalidSignature:
        return False
    return True


def _attributes(attributes: ber.Element) -> list[tuple[str, list[ber.Element]]]:
    found = []
    for attribute in attributes.children():
        fields = ber.Fields(attribute)
        found.append((fields.take(der.OID).oid(), fields.take(der.SET).children()))
        fields.end()
    return found


def _stated_digest(attributes: ber.Element) -> bytes:
    for oid, values in _attributes(attributes):
        if oid == ATTRIBUTE_MESSAGE_DIGEST and len(values) == 1:
            return bytes(values[0].expect(der.OCTET_STRING).content)
    return b""


def _check_attributes(attributes: ber.Element, digest: bytes) -> None:
    """Demand one contentType (id-data), one messageDigest and no attribute twice (RFC 5652 5.3, 11.1, 11.2)."""
    found = _attributes(attributes)
    by_oid = dict(found)
    content_type = by_oid.get(ATTRIBUTE_CONTENT_TYPE, [])
    if len(by_oid) != len(found):
        raise SignatureRefused("it has a signed attribute twice")
    if len(content_type) != 1 or content_type[0].oid() != ID_DATA:
        raise SignatureRefused("its signed attributes do not say that the content is data")


def _public_key(signer: x509.Certificate) -> RSAPublicKey:
    try:
        return rsa_public_key(signer, name="the sender's signing certificate")
    except AccessRefused as error:
        raise SignatureRefused(f"it is signed with a certificate that cannot be used: {error.what}") from None


def _unknown_signer(info: _SignerInfo, digest: bytes, embedded: ber.Element | None) -> Exception:
    """Tell a signer that we do not hold from an altered identifier: his own embedded certificate confirms him.

    Nothing is trusted by this; it only decides which refusal it is, so that a person learns of a roll-over.
    """
    for element in [] if embedded is None else embedded.children()[:_MAX_EMBEDDED_TRIED]:
        try:
            certificate = x509.load_der_x509_certificate(bytes(element.raw))
            key = certificate.public_key()
        except (ValueError, UnsupportedAlgorithm):
            continue
        if names(info.identifier, certificate) and isinstance(key, RSAPublicKey) and _holds(info, digest, key):
            return SignatureRefused(
                f"it is signed with a certificate that we do not hold for its sender (serial number {certificate.serial_number:x})"
            )
    return CannotOpen()

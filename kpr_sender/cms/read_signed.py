"""Verifies SignedData (RFC 5652 5), whoever wrote it, and says who signed it.

The rules:

1. The signer is the certificate **we** hold for the sender that the SignerInfo's sid names; the signature must be
   valid with that certificate's key. Embedded certificates are never trust. (The reference client checks that the
   expected certificate is embedded, then verifies with whichever the SignerInfo names: a hole, promise G4.)
2. Exactly one signer; no signer is not *signed*.
3. Whatever an altered message may look like is ``CannotOpen``. A reason is given only where a signature is valid, ours
   or the embedded signer's own, or where the form is one that no chance alteration makes.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kpr_sender.cms import asn1
from kpr_sender.cms.algorithms import (
    ATTRIBUTE_CONTENT_TYPE,
    ATTRIBUTE_MESSAGE_DIGEST,
    ATTRIBUTE_SIGNING_TIME,
    DIGESTS,
    ID_DATA,
    ID_SIGNED_DATA,
    MGF1,
    REFUSED,
    RSA_SIGNATURES,
    RSASSA_PSS,
    Policy,
)
from kpr_sender.cms.asn1 import BerError, algorithm, content_info
from kpr_sender.cms.certificates import CertificateIdentity, names, read_der, rsa_public_key
from kpr_sender.cms.port import AlgorithmRefused, CannotOpen, ProtectionRefused, SignatureRefused
from kpr_sender.errors import AccessRefused, foreign_bytes
from kpr_sender.texts import Text

_CONTEXT_1: Final = 0xA1
_MAX_EMBEDDED_TRIED: Final = 20
_MAX_SIGNERS_READ: Final = 100
_MAX_ATTRIBUTES: Final = 100
_MAX_KEY_BYTES: Final = 4_000
"""Of an embedded certificate's key that is tried; with RSA of 16,384 bits it has 2,100."""
_PSS_DEFAULT_SALT: Final = 20
_PSS_TRAILER: Final = 1


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """The content of a message, and who signed it.

    Attributes:
        content: Verified; does not print (promise G6).
        signer: Which of the expected certificates signed it; dates and key usage are ``certificates.check``'s matter.
    """

    content: bytes = field(repr=False)
    signer: x509.Certificate


def verify(signed: bytes | memoryview, *, signers: Sequence[x509.Certificate], policy: Policy) -> OpenedMessage:
    """Verify a SignedData with its content inside.

    Raises:
        CannotOpen: It is not SignedData, or the signature is not valid.
        AlgorithmRefused: It is hashed or signed with an algorithm that we know and do not accept.
        SignatureRefused: Not exactly one signer; a signer whose certificate we do not hold for this sender; or
            content or attributes that could mean two things.
    """
    try:
        return _verify(memoryview(signed), signers, policy)
    except BerError:
        raise CannotOpen from None


@dataclass(frozen=True, slots=True)
class DetachedSignature:
    """Who signed what lies beside a signature, as the signature itself says.

    Attributes:
        signer: The certificate whose key signed it. Nothing says yet whether it is trusted.
        embedded: All certificates that came with it.
        signed_at: When, as the signer says.
    """

    signer: x509.Certificate
    embedded: tuple[x509.Certificate, ...]
    signed_at: datetime


def verify_detached(signature: bytes, content: bytes, *, policy: Policy) -> DetachedSignature:
    """Verify a SignedData over content that is beside it, with the certificate that comes with it.

    The opposite of ``verify``: it answers who signed, and the caller must decide whether that may be.

    Raises:
        CannotOpen: It is no such SignedData, or the signature is not valid.
        AlgorithmRefused: It is hashed or signed with an algorithm that we know and do not accept.
        SignatureRefused: Not exactly one signer, no signed attributes, or attributes that could mean two things.
    """
    try:
        encapsulated, embedded, info = _parsed(memoryview(signature), policy)
        fields = asn1.Fields(encapsulated)
        if fields.take(asn1.OID).oid() != ID_DATA:
            raise CannotOpen
        fields.end()  # content inside would be what others verify
        elements = [] if embedded is None else embedded.children()[:_MAX_EMBEDDED_TRIED]
        certificates = tuple(read_der(bytes(each.raw)) for each in elements)
        signer = next((each for each in certificates if names(info.identifier, each)), None)
        if signer is None or info.attributes is None:
            raise SignatureRefused(Text("it does not hold its signer's certificate, or no signed attributes"))
        if not info.is_valid(_hashed(info.digest, [content]), _public_key(signer)):
            raise CannotOpen
        info.check_attributes()
        return DetachedSignature(signer, certificates, info.signed_at())
    except (BerError, ValueError) as error:
        raise error if isinstance(error, ProtectionRefused) else CannotOpen from None


def _parsed(signed: memoryview, policy: Policy) -> tuple[asn1.BerElement, asn1.BerElement | None, _SignerInfo]:
    """Return the encapsulated content, the embedded certificates and the one SignerInfo."""
    fields = asn1.Fields(content_info(signed, ID_SIGNED_DATA, policy))
    fields.take(asn1.INTEGER)
    fields.take(asn1.SET)
    encapsulated = fields.take(asn1.SEQUENCE)
    embedded = fields.optional(asn1.CONTEXT_0_CONSTRUCTED)
    fields.optional(_CONTEXT_1)  # CRLs
    # All are read before they are counted: what an altered block makes of the set is no count of signers.
    infos = [_signer_info(each) for each in _at_most(_MAX_SIGNERS_READ, fields.take(asn1.SET))]
    fields.end()
    if len(infos) != 1:
        raise SignatureRefused(Text("it has {infos} signers; exactly one is expected", infos=len(infos)))
    return encapsulated, embedded, infos[0]


def _verify(signed: memoryview, signers: Sequence[x509.Certificate], policy: Policy) -> OpenedMessage:
    encapsulated, embedded, info = _parsed(signed, policy)
    segments = _content(encapsulated)
    digest = _hashed(info.digest, segments)
    signer = next((certificate for certificate in signers if names(info.identifier, certificate)), None)
    if signer is None:
        raise _unknown_signer(info, digest, embedded, segments)
    if not info.is_valid(digest, _public_key(signer)):
        raise CannotOpen
    if info.attributes is not None:
        info.check_attributes()
    elif next((segment[0] for segment in segments if len(segment)), None) == asn1.SET:
        # Without attributes such content could be another message's signed attributes (EUF-CMA attack on CMS,
        # draft-ietf-lamps-cms-euf-cma-signeddata).
        raise SignatureRefused(Text("it has no signed attributes and content that looks like such"))
    return OpenedMessage(b"".join(segments), signer)


def _content(encapsulated: asn1.BerElement) -> list[memoryview]:
    fields = asn1.Fields(encapsulated)
    if fields.take(asn1.OID).oid() != ID_DATA:
        raise BerError(Text("the signed content is not id-data"))
    explicit = fields.optional(asn1.CONTEXT_0_CONSTRUCTED)
    fields.end()
    if explicit is None:
        raise SignatureRefused(Text("its signature is detached; the content must be inside"))
    return explicit.only_child().octets()


def _public_key(signer: x509.Certificate) -> RSAPublicKey:
    try:
        return rsa_public_key(signer, name=Text("the sender's signing certificate"))
    except AccessRefused as error:
        raise SignatureRefused(
            Text("it is signed with a certificate that cannot be used: {what}", what=error.what)
        ) from None


def _unknown_signer(
    info: _SignerInfo, digest: bytes, embedded: asn1.BerElement | None, segments: Sequence[memoryview]
) -> ProtectionRefused:
    """Distinguish a signer unknown to us, whom his own embedded certificate confirms, from an altered identifier.

    Nothing is trusted by this; it only decides which refusal it is, so that a person learns of a roll-over.
    """
    for element in [] if embedded is None else embedded.children()[:_MAX_EMBEDDED_TRIED]:
        identity = CertificateIdentity.read(element)
        if not identity.is_named_by(info.identifier) or len(identity.public_key) > _MAX_KEY_BYTES:
            continue
        try:
            with foreign_bytes(ValueError()):
                key = load_der_public_key(identity.public_key)
        except ValueError:
            continue
        if isinstance(key, RSAPublicKey) and info.is_valid(digest, key):
            return SignatureRefused(
                Text(
                    "it is signed with a certificate that we do not hold for its sender (serial number "
                    "{serial_number})",
                    serial_number=identity.serial_number,
                ),
                b"".join(segments),
            )
    return CannotOpen()


@dataclass(frozen=True, slots=True)
class _SignerInfo:
    """A SignerInfo (RFC 5652 5.3): who signed and how; all algorithms are accepted ones.

    Attributes:
        identifier: The sid: issuer and serial number, or subject key identifier.
        digest: What content and attributes are hashed with.
        attributes: The signed attributes, None where the signature is over the content itself.
    """

    identifier: asn1.BerElement
    digest: HashAlgorithm
    attributes: asn1.BerElement | None
    padding: rsa_padding.AsymmetricPadding
    signature: bytes

    def is_valid(self, content_digest: bytes, key: RSAPublicKey) -> bool:
        """Whether the signature is the key's, over the attributes where there are any, and theirs over the content."""
        digest = content_digest
        if self.attributes is not None:
            if not self.attributes.is_definite or not hmac.compare_digest(self._stated_digest(), content_digest):
                return False
            # RFC 5652 5.4: signed is the SET itself, not its implicit [0].
            digest = _hashed(self.digest, [bytes((asn1.SET,)), self.attributes.raw[1:]])
        try:
            key.verify(self.signature, digest, self.padding, Prehashed(self.digest))
        except InvalidSignature:
            return False
        return True

    def check_attributes(self) -> None:
        """Require each signed attribute once, and a contentType of id-data (RFC 5652 5.3, 11.1).

        Raises:
            SignatureRefused: They are otherwise; .NET accepts that.
        """
        found = self._attributes()
        by_oid = dict(found)
        if len(by_oid) != len(found):
            raise SignatureRefused(Text("it has a signed attribute twice"))
        content_type = by_oid.get(ATTRIBUTE_CONTENT_TYPE, [])
        if len(content_type) != 1 or content_type[0].oid() != ID_DATA:
            raise SignatureRefused(Text("its signed attributes do not say that the content is data"))

    def signed_at(self) -> datetime:
        """Return the signing time (RFC 5652 11.3), which the signer says.

        Raises:
            BerError: There is none, or it is none.
        """
        for oid, values in self._attributes():
            if oid == ATTRIBUTE_SIGNING_TIME and len(values) == 1:
                return _utc_time(bytes(values[0].expect(asn1.UTC_TIME).content))
        raise BerError("no signing time")

    def _attributes(self) -> list[tuple[str, list[asn1.BerElement]]]:
        found = []
        for attribute in [] if self.attributes is None else _at_most(_MAX_ATTRIBUTES, self.attributes):
            fields = asn1.Fields(attribute)
            found.append((fields.take(asn1.OID).oid(), fields.take(asn1.SET).children()))
            fields.end()
        return found

    def _stated_digest(self) -> bytes:
        for oid, values in self._attributes():
            if oid == ATTRIBUTE_MESSAGE_DIGEST and len(values) == 1:
                return bytes(values[0].expect(asn1.OCTET_STRING).content)
        return b""


def _signer_info(element: asn1.BerElement) -> _SignerInfo:
    """Read a SignerInfo.

    Raises:
        BerError: It is not one, or has an algorithm that we do not know: an altered message may look so.
        AlgorithmRefused: It has an algorithm that we know and do not accept.
    """
    fields = asn1.Fields(element)
    fields.take(asn1.INTEGER)
    identifier = fields.take(asn1.SEQUENCE, asn1.CONTEXT_0)
    digest_oid, digest = _digest(fields.take(asn1.SEQUENCE))
    attributes = fields.optional(asn1.CONTEXT_0_CONSTRUCTED)
    padding = _padding(fields.take(asn1.SEQUENCE), digest_oid, digest)
    signature = b"".join(fields.take(*asn1.OCTET_STRINGS).octets())
    fields.optional(_CONTEXT_1)  # unsigned attributes
    fields.end()
    return _SignerInfo(identifier, digest, attributes, padding, signature)


def _utc_time(written: bytes) -> datetime:
    try:
        return datetime.strptime(written.decode("ascii"), "%y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise BerError("a time that is none") from None


def _at_most(most: int, constructed: asn1.BerElement) -> list[asn1.BerElement]:
    """Return the elements of one that has only so many: each costs more than to be found."""
    children = constructed.children()
    if len(children) > most:
        raise BerError(Text("too many elements of a kind"))
    return children


def _hashed(digest: HashAlgorithm, parts: Sequence[bytes | memoryview]) -> bytes:
    """Return the digest of the parts one after the other."""
    running = Hash(digest)
    for part in parts:
        running.update(part)
    return running.finalize()


def _digest(identifier: asn1.BerElement) -> tuple[str, HashAlgorithm]:
    oid, parameters = algorithm(identifier)
    if oid not in DIGESTS:
        raise _not_accepted(oid)
    if parameters is not None:
        raise BerError(Text("a digest with parameters"))
    return oid, DIGESTS[oid]()


def _padding(identifier: asn1.BerElement, digest_oid: str, digest: HashAlgorithm) -> rsa_padding.AsymmetricPadding:
    oid, parameters = algorithm(identifier)
    if oid == RSASSA_PSS:
        return _pss(parameters, digest_oid, digest)
    if oid not in RSA_SIGNATURES:
        raise _not_accepted(oid)
    if parameters is not None or RSA_SIGNATURES[oid] not in (None, digest_oid):
        raise BerError(Text("a signature algorithm that does not go with the digest"))
    return rsa_padding.PKCS1v15()


def _pss(parameters: asn1.BerElement | None, digest_oid: str, digest: HashAlgorithm) -> rsa_padding.PSS:
    """Read RSASSA-PSS-params (RFC 8017 A.2.3). Their defaults are SHA-1, so all of the digests must be stated."""
    if parameters is None:
        raise AlgorithmRefused(Text("RSASSA-PSS with SHA-1"))
    fields = asn1.Fields(parameters)
    hash_field, mgf_field = fields.optional(0xA0), fields.optional(0xA1)
    salt_field, trailer_field = fields.optional(0xA2), fields.optional(0xA3)
    fields.end()
    if hash_field is None or mgf_field is None:
        raise AlgorithmRefused(Text("RSASSA-PSS with SHA-1"))
    mgf_oid, mgf_digest = algorithm(mgf_field.only_child())
    stated = (algorithm(hash_field.only_child())[0], mgf_oid, mgf_digest and algorithm(mgf_digest)[0])
    if stated != (digest_oid, MGF1, digest_oid):
        raise BerError(Text("RSASSA-PSS with another digest than the content's"))
    salt_length = _PSS_DEFAULT_SALT if salt_field is None else salt_field.only_child().integer()
    trailer = _PSS_TRAILER if trailer_field is None else trailer_field.only_child().integer()
    if salt_length != digest.digest_size or trailer != _PSS_TRAILER:
        # .NET writes and takes only a salt as long as the digest; openssl's longest salt is no peer's.
        raise AlgorithmRefused(
            Text(
                "RSASSA-PSS with a salt of {salt_length} bytes and trailer {trailer}",
                salt_length=salt_length,
                trailer=trailer,
            )
        )
    return rsa_padding.PSS(rsa_padding.MGF1(digest), salt_length)


def _not_accepted(oid: str) -> ProtectionRefused | BerError:
    """Name what we know; anything else may as well be an altered message."""
    return AlgorithmRefused(REFUSED[oid]) if oid in REFUSED else BerError(Text("an unknown algorithm"))

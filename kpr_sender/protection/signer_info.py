"""Reads the SignerInfo of a SignedData and says whether its signature holds (RFC 5652 5.3, 5.4)."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import Hash, HashAlgorithm

from kpr_sender.protection import ber, der
from kpr_sender.protection.algorithms import (
    ATTRIBUTE_CONTENT_TYPE,
    ATTRIBUTE_MESSAGE_DIGEST,
    DIGESTS,
    ID_DATA,
    MGF1,
    REFUSED,
    RSA_SIGNATURES,
    RSASSA_PSS,
)
from kpr_sender.protection.refused import AlgorithmRefused, ProtectionRefused, SignatureRefused
from kpr_sender.protection.structure import algorithm

_UNSIGNED_ATTRIBUTES: Final = 0xA1
_SIGNATURE: Final = (der.OCTET_STRING, 0x24)
_PSS_DEFAULT_SALT: Final = 20
_PSS_TRAILER: Final = 1


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """Who signed and how; all algorithms are accepted ones.

    Attributes:
        identifier: The sid: issuer and serial number, or subject key identifier.
        digest: What content and attributes are hashed with.
        attributes: The signed attributes, None where the signature is over the content itself.
    """

    identifier: ber.Element
    digest: HashAlgorithm
    attributes: ber.Element | None
    padding: rsa_padding.AsymmetricPadding
    signature: bytes

    def holds(self, content_digest: bytes, key: RSAPublicKey) -> bool:
        """Whether the signature is the key's, over the attributes where there are any, and these over the content."""
        digest = content_digest
        if self.attributes is not None:
            if not self.attributes.is_definite or not hmac.compare_digest(self._stated_digest(), content_digest):
                return False
            # RFC 5652 5.4: signed is the SET itself, not its implicit [0].
            digest = hashed(self.digest, [bytes((der.SET,)), self.attributes.raw[1:]])
        try:
            key.verify(self.signature, digest, self.padding, Prehashed(self.digest))
        except InvalidSignature:
            return False
        return True

    def check_attributes(self) -> None:
        """Demand no signed attribute twice, and a contentType of id-data (RFC 5652 5.3, 11.1).

        Raises:
            SignatureRefused: They are otherwise; .NET lets that pass.
        """
        found = self._attributes()
        by_oid = dict(found)
        if len(by_oid) != len(found):
            raise SignatureRefused("it has a signed attribute twice")
        content_type = by_oid.get(ATTRIBUTE_CONTENT_TYPE, [])
        if len(content_type) != 1 or content_type[0].oid() != ID_DATA:
            raise SignatureRefused("its signed attributes do not say that the content is data")

    def _attributes(self) -> list[tuple[str, list[ber.Element]]]:
        found = []
        for attribute in [] if self.attributes is None else self.attributes.children():
            fields = ber.Fields(attribute)
            found.append((fields.take(der.OID).oid(), fields.take(der.SET).children()))
            fields.end()
        return found

    def _stated_digest(self) -> bytes:
        for oid, values in self._attributes():
            if oid == ATTRIBUTE_MESSAGE_DIGEST and len(values) == 1:
                return bytes(values[0].expect(der.OCTET_STRING).content)
        return b""


def read(element: ber.Element) -> SignerInfo:
    """Read a SignerInfo.

    Raises:
        BerError: It is none, or has an algorithm that we do not know: an altered message may look so.
        AlgorithmRefused: It has an algorithm that we know and do not accept.
    """
    fields = ber.Fields(element)
    fields.take(der.INTEGER)
    identifier = fields.take(der.SEQUENCE, der.CONTEXT_0)
    digest_oid, digest = _digest(fields.take(der.SEQUENCE))
    attributes = fields.optional(der.CONTEXT_0_CONSTRUCTED)
    padding = _padding(fields.take(der.SEQUENCE), digest_oid, digest)
    signature = b"".join(fields.take(*_SIGNATURE).octets())
    fields.optional(_UNSIGNED_ATTRIBUTES)
    fields.end()
    return SignerInfo(identifier, digest, attributes, padding, signature)


def hashed(digest: HashAlgorithm, parts: Sequence[bytes | memoryview]) -> bytes:
    """Return the digest of the parts one after the other."""
    running = Hash(digest)
    for part in parts:
        running.update(part)
    return running.finalize()


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
    salt_length = _PSS_DEFAULT_SALT if salt_field is None else salt_field.only_child().integer()
    trailer = _PSS_TRAILER if trailer_field is None else trailer_field.only_child().integer()
    if salt_length != digest.digest_size or trailer != _PSS_TRAILER:
        # .NET writes and takes only a salt as long as the digest; openssl's longest salt is no peer's.
        raise AlgorithmRefused(f"RSASSA-PSS with a salt of {salt_length} bytes and trailer {trailer}")
    return rsa_padding.PSS(rsa_padding.MGF1(digest), salt_length)


def _not_accepted(oid: str) -> ProtectionRefused | ber.BerError:
    """Name what we know; anything else may as well be an altered message."""
    return AlgorithmRefused(REFUSED[oid]) if oid in REFUSED else ber.BerError("an unknown algorithm")

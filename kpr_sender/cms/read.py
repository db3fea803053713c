"""Opens a sealed message: decrypts EnvelopedData (RFC 5652 6), whoever wrote it, verifies, then gives out the content.

What can be seen without a key is refused by name. What comes after the private key was used gives ``CannotOpen``.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.x509 import Certificate

from kpr_sender.cms import asn1
from kpr_sender.cms.algorithms import (
    CONTENT_CIPHERS,
    ID_DATA,
    ID_ENVELOPED_DATA,
    MGF1,
    OAEP_DIGESTS,
    P_SPECIFIED,
    REFUSED,
    RSA_ENCRYPTION,
    RSAES_OAEP,
    SHA_1,
    TRIPLE_DES,
    TRIPLE_DES_CBC,
    ContentCipher,
    Policy,
)
from kpr_sender.cms.asn1 import BerError, algorithm, content_info
from kpr_sender.cms.certificates import names
from kpr_sender.cms.port import (
    AlgorithmRefused,
    CannotOpen,
    Decrypter,
    KeyTransport,
    Malformed,
    NotForUs,
    Oaep,
    Pkcs1v15,
)
from kpr_sender.cms.read_signed import OpenedMessage, verify
from kpr_sender.texts import Text

__all__ = ["OpenedMessage", "Policy", "decrypt", "open_envelope", "open_sealed"]

_MAX_RECIPIENTS_NAMED: Final = 3
_HEX_SHOWN: Final = 40
_MAX_RECIPIENTS: Final = 500
"""Each is compared with each of our certificates. A message to a municipality has one, seldom a few."""
_CHUNK_BYTES: Final = 1024 * 1024


def open_sealed(
    sealed: bytes | memoryview,
    *,
    decrypters: Sequence[Decrypter],
    signers: Sequence[Certificate],
    policy: Policy,
) -> OpenedMessage:
    """Open a message, DER or BER, that is sealed for us and signed by a sender whose certificates we hold.

    Memory: the message is decrypted into one buffer and its content copied once; nothing else grows with it.

    Raises:
        ProtectionRefused: One of its subclasses: ``Malformed`` (the outer structure), ``NotForUs``,
            ``AlgorithmRefused``, ``CannotOpen`` (one text for all that depends on secret keys) or ``SignatureRefused``.
    """
    return verify(decrypt(sealed, decrypters=decrypters, policy=policy), signers=signers, policy=policy)


def decrypt(sealed: bytes | memoryview, *, decrypters: Sequence[Decrypter], policy: Policy) -> memoryview:
    """Decrypt a message, DER or BER, that is sealed for us, and was verified as it is: EDI's signature is outside.

    Raises:
        ProtectionRefused: One of its subclasses: ``Malformed``, ``NotForUs``, ``AlgorithmRefused`` or ``CannotOpen``.
    """
    view = memoryview(sealed)
    if len(view) > policy.max_bytes:
        raise Malformed(
            Text("it is {view:,} bytes; at most {max_bytes:,} are opened", view=len(view), max_bytes=policy.max_bytes)
        )
    try:
        return open_envelope(view, decrypters, policy)
    except BerError as error:
        raise Malformed(Text("it is not a sealed message (CMS EnvelopedData): {error}", error=error)) from None


def open_envelope(sealed: memoryview, decrypters: Sequence[Decrypter], policy: Policy) -> memoryview:
    """Decrypt the content with the first of our keys that a recipientInfo names.

    Returns:
        What was sealed, not yet verified: it must not be read before its signature is.

    Raises:
        BerError: The outer structure is not valid.
        NotForUs: No recipientInfo names one of our certificates.
        AlgorithmRefused: It uses an algorithm that we do not accept.
        CannotOpen: Anything that depends on the private key.
    """
    fields = asn1.Fields(content_info(sealed, ID_ENVELOPED_DATA, policy))
    fields.take(asn1.INTEGER)
    fields.optional(asn1.CONTEXT_0_CONSTRUCTED)  # originatorInfo
    recipient_infos = fields.take(asn1.SET)
    content = asn1.Fields(fields.take(asn1.SEQUENCE))
    if content.take(asn1.OID).oid() != ID_DATA:
        raise BerError(Text("the enveloped content is not id-data"))
    # Whose it is comes first: what is sealed for others is theirs, whatever it is sealed with.
    decrypter, padding, encrypted_key = _recipient(recipient_infos, decrypters)
    cipher, iv = _content_cipher(content.take(asn1.SEQUENCE), policy)
    segments = content.take(asn1.CONTEXT_0, asn1.CONTEXT_0_CONSTRUCTED).octets(asn1.CONTEXT_0)
    key = _content_key(decrypter, padding, encrypted_key, cipher.key_bytes)
    return _unwrapped(_decrypted(segments, cipher, key, iv), policy)


def _recipient(infos: asn1.BerElement, decrypters: Sequence[Decrypter]) -> tuple[Decrypter, KeyTransport, bytes]:
    """Find the KeyTransRecipientInfo (the only kind that is an untagged SEQUENCE) that names one of our keys."""
    others: list[asn1.BerElement] = []
    if len(infos.children()) > _MAX_RECIPIENTS:
        raise BerError(Text("too many recipients"))
    for info in infos.children():
        if info.tag != asn1.SEQUENCE:
            continue
        fields = asn1.Fields(info)
        fields.take(asn1.INTEGER)
        identifier = fields.take(asn1.SEQUENCE, asn1.CONTEXT_0)
        for decrypter in decrypters:
            if names(identifier, decrypter.certificate):
                padding = _key_transport(fields.take(asn1.SEQUENCE))
                return decrypter, padding, b"".join(fields.take(*asn1.OCTET_STRINGS).octets())
        others.append(identifier)
    raise NotForUs(
        tuple(map(_recipient_text, others[:_MAX_RECIPIENTS_NAMED])),
        lambda certificate: any(names(one, certificate) for one in others),
    )


def _recipient_text(identifier: asn1.BerElement) -> str:
    """Return how a RecipientIdentifier (RFC 5652 6.2.1) names a certificate, without anybody's name."""
    if identifier.tag == asn1.CONTEXT_0:
        return Text("key identifier {number}", number=bytes(identifier.content[:_HEX_SHOWN]).hex()[:_HEX_SHOWN])
    if not identifier.children():
        raise BerError(Text("a recipient that is nobody"))
    return Text(
        "serial number {number}",
        number=bytes(identifier.children()[-1].content[:_HEX_SHOWN]).hex().lstrip("0")[:_HEX_SHOWN],
    )


def _key_transport(identifier: asn1.BerElement) -> KeyTransport:
    oid, parameters = algorithm(identifier)
    if oid == RSA_ENCRYPTION:
        return Pkcs1v15()
    if oid == RSAES_OAEP:
        return _oaep(parameters)
    raise AlgorithmRefused(REFUSED.get(oid, oid))


def _oaep(parameters: asn1.BerElement | None) -> Oaep:
    """Read RSAES-OAEP-params (RFC 8017 A.2.1); every field has a default."""
    digest = mgf1_digest = OAEP_DIGESTS[SHA_1]()
    if parameters is None:
        return Oaep(digest, mgf1_digest)
    fields = asn1.Fields(parameters)
    if (field := fields.optional(0xA0)) is not None:
        digest = _oaep_digest(field.only_child())
    if (field := fields.optional(0xA1)) is not None:
        oid, inner = algorithm(field.only_child())
        if oid != MGF1 or inner is None:
            raise AlgorithmRefused(Text("RSAES-OAEP with mask generation {oid}", oid=oid))
        mgf1_digest = _oaep_digest(inner)
    if (field := fields.optional(0xA2)) is not None:
        oid, inner = algorithm(field.only_child())
        if oid != P_SPECIFIED or inner is None or len(inner.expect(asn1.OCTET_STRING).content):
            raise AlgorithmRefused(Text("RSAES-OAEP with a label"))
    fields.end()
    return Oaep(digest, mgf1_digest)


def _oaep_digest(identifier: asn1.BerElement) -> HashAlgorithm:
    oid, _ = algorithm(identifier)
    if oid not in OAEP_DIGESTS:
        raise AlgorithmRefused(Text("RSAES-OAEP with {oid}", oid=REFUSED.get(oid, oid)))
    return OAEP_DIGESTS[oid]()


def _content_cipher(identifier: asn1.BerElement, policy: Policy) -> tuple[ContentCipher, bytes]:
    oid, parameters = algorithm(identifier)
    cipher = TRIPLE_DES if oid == TRIPLE_DES_CBC and policy.accept_3des else CONTENT_CIPHERS.get(oid)
    if cipher is None:
        why = Text("protection.accept_3des lets it in") if oid == TRIPLE_DES_CBC else ""
        raise AlgorithmRefused(REFUSED.get(oid, oid), why=why)
    if parameters is None:
        raise BerError(Text("no initialisation vector"))
    iv = bytes(parameters.expect(asn1.OCTET_STRING).content)
    if len(iv) != cipher.block_bytes:
        raise BerError(Text("an initialisation vector of the wrong length"))
    return cipher, iv


def _content_key(decrypter: Decrypter, padding: KeyTransport, encrypted_key: bytes, length: int) -> bytes:
    """Decrypt the content key; where that fails go on with a random one, and fail later like all others (RFC 3218)."""
    instead = secrets.token_bytes(length)
    try:
        key = decrypter.decrypt_key(encrypted_key, padding)
    except AlgorithmRefused:
        raise  # a token that does not support the padding: visible in the message, revealed by no key
    except ValueError:
        return instead
    return key if len(key) == length else instead


def _decrypted(segments: list[memoryview], cipher: ContentCipher, key: bytes, iv: bytes) -> memoryview:
    """Decrypt into one buffer and remove the padding, with one error for both."""
    length = sum(len(segment) for segment in segments)
    block = cipher.block_bytes
    if length == 0 or length % block:
        raise CannotOpen
    plain = memoryview(bytearray(length + block))
    decryptor = Cipher(cipher.cipher(key), modes.CBC(iv)).decryptor()
    end = 0
    for segment in segments:
        for start in range(0, len(segment), _CHUNK_BYTES):
            end += decryptor.update_into(segment[start : start + _CHUNK_BYTES], plain[end:])
    count = plain[length - 1]
    if not 1 <= count <= block or plain[length - count : length] != bytes((count,)) * count:
        raise CannotOpen
    return plain[: length - count].toreadonly()


def _unwrapped(plain: memoryview, policy: Policy) -> memoryview:
    """Remove the OCTET STRING that .NET Core before 3.0 and Mono put round the content (dotnet/corefx#32978)."""
    if not len(plain) or plain[0] != asn1.OCTET_STRING:
        return plain
    try:
        return asn1.read(plain, max_elements=policy.max_nodes, max_depth=policy.max_depth).content
    except BerError:
        raise CannotOpen from None

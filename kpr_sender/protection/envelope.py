"""Opens the outer layer: EnvelopedData (RFC 5652 6), whoever wrote it.

What can be seen without a key is refused by name. What comes after the private key was used gives ``CannotOpen``.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.hashes import HashAlgorithm

from kpr_sender.protection import ber, der
from kpr_sender.protection.algorithms import (
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
)
from kpr_sender.protection.identity import names
from kpr_sender.protection.policy import Policy
from kpr_sender.protection.port import Decrypter, KeyTransport, Oaep, Pkcs1v15
from kpr_sender.protection.refused import AlgorithmRefused, CannotOpen, NotForUs
from kpr_sender.protection.structure import algorithm, content_info

_ORIGINATOR_INFO: Final = der.CONTEXT_0_CONSTRUCTED
_ENCRYPTED: Final = (der.CONTEXT_0, der.CONTEXT_0_CONSTRUCTED)
_PIECE_BYTES: Final = 1024 * 1024


def open_envelope(sealed: memoryview, decrypters: Sequence[Decrypter], policy: Policy) -> memoryview:
    """Decipher the content for the first of our keys that a recipientInfo names.

    Args:
        sealed: The EnvelopedData.
        decrypters: Our keys: at a roll-over the current and the earlier one.
        policy: What is accepted.

    Returns:
        What was sealed, not yet verified: nobody may read it before its signature holds.

    Raises:
        BerError: The outer structure is wrong.
        NotForUs: No recipientInfo names one of our certificates.
        AlgorithmRefused: It uses an algorithm that we do not accept.
        CannotOpen: Anything that depends on the private key.
    """
    fields = ber.Fields(content_info(sealed, ID_ENVELOPED_DATA, policy))
    fields.take(der.INTEGER)
    fields.optional(_ORIGINATOR_INFO)
    recipient_infos = fields.take(der.SET)
    content = ber.Fields(fields.take(der.SEQUENCE))
    if content.take(der.OID).oid() != ID_DATA:
        raise ber.BerError("the enveloped content is not id-data")
    # Whose it is comes first: what is sealed for others is theirs, whatever it is sealed with.
    decrypter, padding, encrypted_key = _recipient(recipient_infos, decrypters)
    cipher, iv = _content_cipher(content.take(der.SEQUENCE), policy)
    segments = content.take(*_ENCRYPTED).octets(der.CONTEXT_0)
    key = _content_key(decrypter, padding, encrypted_key, cipher.key_bytes)
    return _unwrapped(_decipher(segments, cipher, key, iv), policy)


def _content_cipher(identifier: ber.Element, policy: Policy) -> tuple[ContentCipher, bytes]:
    oid, parameters = algorithm(identifier)
    if oid == TRIPLE_DES_CBC and policy.accept_3des:
        cipher = TRIPLE_DES
    elif oid in CONTENT_CIPHERS:
        cipher = CONTENT_CIPHERS[oid]
    else:
        why = "protection.accept_3des lets it in" if oid == TRIPLE_DES_CBC else ""
        raise AlgorithmRefused(REFUSED.get(oid, oid), why=why)
    if parameters is None:
        raise ber.BerError("no initialisation vector")
    iv = bytes(parameters.expect(der.OCTET_STRING).content)
    if len(iv) != cipher.block_bytes:
        raise ber.BerError("an initialisation vector of the wrong length")
    return cipher, iv


def _recipient(infos: ber.Element, decrypters: Sequence[Decrypter]) -> tuple[Decrypter, KeyTransport, bytes]:
    """Find the KeyTransRecipientInfo (the only kind that is an untagged SEQUENCE) that names one of our keys."""
    for info in infos.children():
        if info.tag != der.SEQUENCE:
            continue
        fields = ber.Fields(info)
        fields.take(der.INTEGER)
        identifier = fields.take(der.SEQUENCE, der.CONTEXT_0)
        for decrypter in decrypters:
            if names(identifier, decrypter.certificate):
                padding = _key_transport(fields.take(der.SEQUENCE))
                return decrypter, padding, b"".join(fields.take(der.OCTET_STRING, 0x24).octets())
    raise NotForUs


def _key_transport(identifier: ber.Element) -> KeyTransport:
    oid, parameters = algorithm(identifier)
    if oid == RSA_ENCRYPTION:
        return Pkcs1v15()
    if oid == RSAES_OAEP:
        return _oaep(parameters)
    raise AlgorithmRefused(REFUSED.get(oid, oid))


def _oaep(parameters: ber.Element | None) -> Oaep:
    """Read RSAES-OAEP-params (RFC 8017 A.2.1); every field has a default."""
    digest = mgf1_digest = OAEP_DIGESTS[SHA_1]()
    if parameters is None:
        return Oaep(digest, mgf1_digest)
    fields = ber.Fields(parameters)
    if (field := fields.optional(0xA0)) is not None:
        digest = _oaep_digest(field.only_child())
    if (field := fields.optional(0xA1)) is not None:
        oid, inner = algorithm(field.only_child())
        if oid != MGF1 or inner is None:
            raise AlgorithmRefused(f"RSAES-OAEP with mask generation {oid}")
        mgf1_digest = _oaep_digest(inner)
    if (field := fields.optional(0xA2)) is not None:
        oid, inner = algorithm(field.only_child())
        if oid != P_SPECIFIED or inner is None or len(inner.expect(der.OCTET_STRING).content):
            raise AlgorithmRefused("RSAES-OAEP with a label")
    fields.end()
    return Oaep(digest, mgf1_digest)


def _oaep_digest(identifier: ber.Element) -> HashAlgorithm:
    oid, _ = algorithm(identifier)
    if oid not in OAEP_DIGESTS:
        raise AlgorithmRefused(f"RSAES-OAEP with {REFUSED.get(oid, oid)}")
    return OAEP_DIGESTS[oid]()


def _content_key(decrypter: Decrypter, padding: KeyTransport, encrypted_key: bytes, length: int) -> bytes:
    """Decrypt the content key; where that fails go on with a random one, and fail later like all others (RFC 3218)."""
    instead = secrets.token_bytes(length)
    try:
        key = decrypter.decrypt_key(encrypted_key, padding)
    except AlgorithmRefused:
        raise  # A token that cannot undo the padding: seen in the message, told by no key.
    except ValueError:
        return instead
    return key if len(key) == length else instead


def _decipher(segments: list[memoryview], cipher: ContentCipher, key: bytes, iv: bytes) -> memoryview:
    """Decipher into one buffer and take the padding off, without a word on which of the two failed."""
    length = sum(len(segment) for segment in segments)
    block = cipher.block_bytes
    if length == 0 or length % block:
        raise CannotOpen
    plain = memoryview(bytearray(length + block))
    decryptor = Cipher(cipher.cipher(key), modes.CBC(iv)).decryptor()
    end = 0
    for segment in segments:
        for start in range(0, len(segment), _PIECE_BYTES):
            end += decryptor.update_into(segment[start : start + _PIECE_BYTES], plain[end:])
    count = plain[length - 1]
    if not 1 <= count <= block or plain[length - count : length] != bytes((count,)) * count:
        raise CannotOpen
    return plain[: length - count].toreadonly()


def _unwrapped(plain: memoryview, policy: Policy) -> memoryview:
    """Take off the OCTET STRING that .NET Core before 3.0 and Mono put round the content (dotnet/corefx#32978)."""
    if not len(plain) or plain[0] != der.OCTET_STRING:
        return plain
    try:
        return ber.read(plain, max_elements=policy.max_nodes, max_depth=policy.max_depth).content
    except ber.BerError:
        raise CannotOpen from None

"""Seals a message: SignedData inside EnvelopedData, pulled through in one pass, in flat memory whatever its length.

EDI's messages are signed outside, over the sealed bytes: ``encrypt`` makes the EnvelopedData alone.

Both layers are generators. All DER lengths follow from the content's length, so every byte can be yielded as soon as
its plaintext is known. SHA-256 runs on a helper thread beside AES, which is the slower of the two; both release the
interpreter lock. Chunks are passed on as they come: those of 128 KiB to 1 MiB are fastest. What is encrypted goes
through one buffer: a new one for each chunk made the allocator give memory back and ask for it 80,000 times in 200 MB.

What is written is, byte for byte, what .NET's SignedCms and EnvelopedCms write (RFC 5652 5.1, 6.1), as seen in their
output:

1. SignedData: SHA-256, no signed attributes (the signature is over the content itself), no NULL as algorithm
   parameters, rsaEncryption as signature algorithm, issuerAndSerialNumber, certificates in DER's SET OF order.
2. EnvelopedData: RSA PKCS #1 v1.5 with NULL parameters, AES-256-CBC, and one recipient, because the reference client
   decrypts the first recipientInfo only.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from kpr_sender.cms import asn1
from kpr_sender.cms.algorithms import (
    AES_256_CBC,
    ATTRIBUTE_CONTENT_TYPE,
    ATTRIBUTE_MESSAGE_DIGEST,
    ATTRIBUTE_SIGNING_TIME,
    ID_DATA,
    ID_ENVELOPED_DATA,
    ID_SIGNED_DATA,
    RSA_ENCRYPTION,
    SHA_256,
)
from kpr_sender.cms.certificates import CertificateIdentity, rsa_public_key
from kpr_sender.cms.port import Signer
from kpr_sender.errors import AccessRefused
from kpr_sender.texts import Text

_SIGNING: Final = Text("the signing certificate")
_ENCRYPTION: Final = Text("the receiver's encryption certificate")
_KEY_BYTES: Final = 32
_BLOCK_BYTES: Final = 16
_BUFFER_BYTES: Final = 512 * 1024
_CHUNKS_TO_HASH: Final = 4
"""How many chunks may wait to be hashed: bounds the memory where AES is the faster."""

_VERSION_0: Final = asn1.wrap(asn1.INTEGER, b"\x00")
_VERSION_1: Final = asn1.wrap(asn1.INTEGER, b"\x01")
_SHA_256: Final = asn1.wrap(asn1.SEQUENCE, asn1.oid(SHA_256))
_RSA: Final = asn1.wrap(asn1.SEQUENCE, asn1.oid(RSA_ENCRYPTION))
_RSA_WITH_NULL: Final = asn1.wrap(asn1.SEQUENCE, asn1.oid(RSA_ENCRYPTION), asn1.NULL)


def sealed_length(content_length: int, signer: Signer, recipient: Certificate) -> int:
    """Return how many bytes ``seal`` will yield, exactly.

    Raises:
        ValueError: The content is empty.
        AccessRefused: One of the keys is not RSA of at least 2048 bits.
    """
    _, _, signed_length = _signed_frame(content_length, signer)
    return encrypted_length(signed_length, recipient)


def encrypted_length(content_length: int, recipient: Certificate) -> int:
    """Return how many bytes ``encrypt`` will yield, exactly.

    Raises:
        AccessRefused: The key is not RSA of at least 2048 bits.
    """
    padded = _padded_length(content_length)
    encrypted_key = bytes(_key_bytes(rsa_public_key(recipient, name=_ENCRYPTION)))
    return len(_envelope_head(recipient, encrypted_key, bytes(_BLOCK_BYTES), padded)) + padded


def seal(
    chunks: Iterable[bytes],
    content_length: int,
    *,
    signer: Signer,
    recipient: Certificate,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Iterator[memoryview]:
    """Sign the content and encrypt it for the recipient, in one pass.

    Args:
        chunks: The content; its first byte must not be 0x31 (XML's never is), which openers refuse as ambiguous.
        content_length: Length of the content in bytes, at least one.
        signer: Who signs.
        recipient: The receiver's encryption certificate. Its dates and key usage are ``certificates.check``'s matter.
        random: Gives that many random bytes, for content key and initialisation vector.

    Yields:
        The sealed bytes. Each chunk is valid until the next is asked for, and using it after that raises: copy what
        must last. Where this raises, discard what it has yielded. A caller may stop anywhere.

    Raises:
        ValueError: The content is empty, or the chunks do not add up to ``content_length``.
        AccessRefused: One of the keys is not RSA of at least 2048 bits, or the signer's key is not its certificate's.
    """
    _, _, signed_length = _signed_frame(content_length, signer)
    signed = signed_data(chunks, content_length, signer)
    yield from encrypt(signed, signed_length, recipient=recipient, random=random)


def encrypt(
    chunks: Iterable[bytes],
    content_length: int,
    *,
    recipient: Certificate,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Iterator[memoryview]:
    """Encrypt the content for the recipient, unsigned: EnvelopedData alone. Arguments and what is yielded as ``seal``.

    Raises:
        ValueError: The chunks do not add up to ``content_length``.
        AccessRefused: The recipient's key is not RSA of at least 2048 bits.
    """
    key, iv = random(_KEY_BYTES), random(_BLOCK_BYTES)
    encrypted_key = rsa_public_key(recipient, name=_ENCRYPTION).encrypt(key, PKCS1v15())
    padded = _padded_length(content_length)
    yield memoryview(_envelope_head(recipient, encrypted_key, iv, padded))
    count = padded - content_length
    padding = bytes((count,)) * count
    yield from _encrypted(chain(_measured(chunks, content_length), [padding]), key, iv)


def _measured(chunks: Iterable[bytes], length: int) -> Iterator[bytes]:
    """Yield the chunks, whose length the head has announced.

    Raises:
        ValueError: They do not add up to it.
    """
    left = length
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise ValueError(f"the content is longer than the {length} bytes that were announced")
        yield chunk
    if left:
        raise ValueError(f"the content is {left} bytes shorter than the {length} bytes that were announced")


def signed_data(chunks: Iterable[bytes], content_length: int, signer: Signer) -> Iterator[bytes]:
    """Yield the SignedData, which ``seal`` encrypts; at least one byte of content, since .NET signs no empty one.

    Raises:
        ValueError: The content is empty, or the chunks do not add up to ``content_length``.
        AccessRefused: The signer's key is not RSA of at least 2048 bits, or not its certificate's.
    """
    head, tail, _ = _signed_frame(content_length, signer)
    yield head
    digest = hashlib.sha256()
    # A generator that is closed midway leaves this block, which ends the thread.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="kpr-seal") as helper:
        hashing: deque[Future[None]] = deque()
        for chunk in _measured(chunks, content_length):
            hashing.append(helper.submit(digest.update, chunk))
            yield chunk
            if len(hashing) == _CHUNKS_TO_HASH:
                hashing.popleft().result()
        for waiting in hashing:
            waiting.result()
    yield tail + sign(signer, digest.digest())


def detached_signature(content: bytes, signer: Signer, *, at: datetime) -> bytes:
    """Return a SignedData without the content it is over, which is kept beside it (RFC 5652 5.2).

    With signed attributes, so that the time is signed, too: what peers on the bus expect is no matter here.

    Args:
        content: What is signed.
        signer: Who signs.
        at: The time of signing; aware, before 2050.

    Raises:
        AccessRefused: The signer's key is not RSA of at least 2048 bits, or not its certificate's.
    """
    signing_time = asn1.wrap(asn1.UTC_TIME, f"{at.astimezone(UTC):%y%m%d%H%M%SZ}".encode("ascii"))
    values = {
        ATTRIBUTE_CONTENT_TYPE: asn1.oid(ID_DATA),
        ATTRIBUTE_SIGNING_TIME: signing_time,
        ATTRIBUTE_MESSAGE_DIGEST: asn1.wrap(asn1.OCTET_STRING, hashlib.sha256(content).digest()),
    }
    attributes = sorted(
        asn1.wrap(asn1.SEQUENCE, asn1.oid(name), asn1.wrap(asn1.SET, value)) for name, value in values.items()
    )
    # RFC 5652 5.4: signed is the SET itself, not its implicit [0].
    signature = sign(signer, hashlib.sha256(asn1.wrap(asn1.SET, *attributes)).digest())
    signer_info = asn1.wrap(
        asn1.SEQUENCE,
        _VERSION_1,
        CertificateIdentity.of(signer.certificate).issuer_and_serial,
        _SHA_256,
        asn1.wrap(asn1.CONTEXT_0_CONSTRUCTED, *attributes),
        _RSA,
        asn1.wrap(asn1.OCTET_STRING, signature),
    )
    body = asn1.wrap(
        asn1.SEQUENCE,
        _VERSION_1,
        asn1.wrap(asn1.SET, _SHA_256),
        asn1.wrap(asn1.SEQUENCE, asn1.oid(ID_DATA)),
        _certificates(signer),
        asn1.wrap(asn1.SET, signer_info),
    )
    return _content_info_head(ID_SIGNED_DATA, body, 0)


def sign(signer: Signer, digest: bytes) -> bytes:
    """Sign a SHA-256 digest, and make sure that it is the certificate's key that did: an HSM may hold another.

    Raises:
        AccessRefused: The signer's key is not RSA of at least 2048 bits, or not its certificate's.
    """
    signature = signer.sign_digest(digest)
    try:
        rsa_public_key(signer.certificate, name=_SIGNING).verify(signature, digest, PKCS1v15(), Prehashed(SHA256()))
    except InvalidSignature:
        raise AccessRefused(Text("The signing key does not belong to its certificate."), where=_SIGNING) from None
    return signature


def _signed_frame(content_length: int, signer: Signer) -> tuple[bytes, bytes, int]:
    """Return what of a SignedData is before the content, what is between it and the signature, its end; its length."""
    if content_length < 1:
        raise ValueError("empty content cannot be sealed")
    signature_bytes = _key_bytes(rsa_public_key(signer.certificate, name=_SIGNING))
    signer_info = (
        _VERSION_1
        + CertificateIdentity.of(signer.certificate).issuer_and_serial
        + _SHA_256
        + _RSA
        + asn1.header(asn1.OCTET_STRING, signature_bytes)
    )
    signer_infos = asn1.around(asn1.SET, asn1.around(asn1.SEQUENCE, signer_info, signature_bytes), signature_bytes)
    tail = _certificates(signer) + signer_infos
    explicit = asn1.around(asn1.CONTEXT_0_CONSTRUCTED, asn1.header(asn1.OCTET_STRING, content_length), content_length)
    content_info = asn1.around(asn1.SEQUENCE, asn1.oid(ID_DATA) + explicit, content_length)
    after = content_length + len(tail) + signature_bytes
    body = asn1.around(asn1.SEQUENCE, _VERSION_1 + asn1.wrap(asn1.SET, _SHA_256) + content_info, after)
    head = _content_info_head(ID_SIGNED_DATA, body, after)
    return head, tail, len(head) + after


def _certificates(signer: Signer) -> bytes:
    encoded = sorted(certificate.public_bytes(Encoding.DER) for certificate in (signer.certificate, *signer.chain))
    return asn1.wrap(asn1.CONTEXT_0_CONSTRUCTED, *encoded)


def _encrypted(chunks: Iterable[bytes], key: bytes, iv: bytes) -> Iterator[memoryview]:
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    buffer = memoryview(bytearray(_BUFFER_BYTES + _BLOCK_BYTES))
    for chunk in chunks:
        for start in range(0, len(chunk), _BUFFER_BYTES):
            written = encryptor.update_into(memoryview(chunk)[start : start + _BUFFER_BYTES], buffer)
            with buffer[:written] as encrypted:
                yield encrypted


def _envelope_head(recipient: Certificate, encrypted_key: bytes, iv: bytes, encrypted_length: int) -> bytes:
    """Return what of an EnvelopedData comes before the encrypted content, its end."""
    recipient_info = asn1.wrap(
        asn1.SEQUENCE,
        _VERSION_0,
        CertificateIdentity.of(recipient).issuer_and_serial,
        _RSA_WITH_NULL,
        asn1.wrap(asn1.OCTET_STRING, encrypted_key),
    )
    cipher = asn1.wrap(asn1.SEQUENCE, asn1.oid(AES_256_CBC), asn1.wrap(asn1.OCTET_STRING, iv))
    opening = asn1.oid(ID_DATA) + cipher + asn1.header(asn1.CONTEXT_0, encrypted_length)
    content = asn1.around(asn1.SEQUENCE, opening, encrypted_length)
    body = asn1.around(asn1.SEQUENCE, _VERSION_0 + asn1.wrap(asn1.SET, recipient_info) + content, encrypted_length)
    return _content_info_head(ID_ENVELOPED_DATA, body, encrypted_length)


def _content_info_head(content_type: str, body: bytes, after: int) -> bytes:
    """Return the ContentInfo (RFC 5652 3) round ``body``, of which ``after`` bytes come later."""
    explicit = asn1.around(asn1.CONTEXT_0_CONSTRUCTED, body, after)
    return asn1.around(asn1.SEQUENCE, asn1.oid(content_type) + explicit, after)


def _padded_length(length: int) -> int:
    """Return the length with CBC's padding (RFC 5652 6.3), which is 1 to 16 bytes."""
    return length + _BLOCK_BYTES - length % _BLOCK_BYTES


def _key_bytes(key: RSAPublicKey) -> int:
    return (key.key_size + 7) // 8

"""Seals: SignedData inside EnvelopedData, in one pass, with the same little memory for any length.

All DER lengths follow from the content's length, so every byte is written as soon as its plaintext is known. SHA-256
runs on a helper thread beside AES, which is the slower of the two; both release the interpreter lock.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
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
from kpr_sender.cms.algorithms import AES_256_CBC, ID_DATA, ID_ENVELOPED_DATA, ID_SIGNED_DATA, RSA_ENCRYPTION, SHA_256
from kpr_sender.cms.certificates import CertificateIdentity, rsa_public_key
from kpr_sender.cms.port import Signer
from kpr_sender.errors import AccessRefused

# The EnvelopedData that we write: one recipient, RSA PKCS #1 v1.5, AES-256-CBC, as .NET's EnvelopedCms (RFC 5652 6.1).
#
# One recipient, because the reference client decrypts the first recipientInfo only.

KEY_BYTES: Final = 32
BLOCK_BYTES: Final = 16

_VERSION_0: Final = asn1.wrap(asn1.INTEGER, b"\x00")
_RSA_WITH_NULL: Final = asn1.wrap(asn1.SEQUENCE, asn1.oid(RSA_ENCRYPTION), asn1.NULL)


@dataclass(frozen=True, slots=True)
class EnvelopedDataFrame:
    """All of an EnvelopedData but the enciphered content, which is last.

    Args:
        recipient: The certificate to seal for.
        content_length: Length of the content before it is padded and enciphered, in bytes.
    """

    recipient: Certificate
    content_length: int

    @property
    def padding(self) -> bytes:
        """What the content is padded with (RFC 5652 6.3): 1 to 16 bytes."""
        count = BLOCK_BYTES - self.content_length % BLOCK_BYTES
        return bytes((count,)) * count

    @property
    def length(self) -> int:
        """Length of the whole in bytes.

        Raises:
            AccessRefused: The recipient's key is not RSA of at least 2048 bits.
        """
        key_bytes = (self._public_key.key_size + 7) // 8
        return len(self._head(bytes(key_bytes), bytes(BLOCK_BYTES))) + self._enciphered_length

    def head(self, key: bytes, iv: bytes) -> bytes:
        """Write what comes before the enciphered content.

        Args:
            key: The content key, 32 bytes; it is encrypted for the recipient here.
            iv: The initialisation vector, 16 bytes.

        Raises:
            AccessRefused: The recipient's key is not RSA of at least 2048 bits.
        """
        return self._head(self._public_key.encrypt(key, PKCS1v15()), iv)

    @property
    def _public_key(self) -> RSAPublicKey:
        return rsa_public_key(self.recipient, name="the receiver's encryption certificate")

    @property
    def _enciphered_length(self) -> int:
        return self.content_length + len(self.padding)

    def _head(self, encrypted_key: bytes, iv: bytes) -> bytes:
        recipient_info = asn1.wrap(
            asn1.SEQUENCE,
            _VERSION_0,
            CertificateIdentity.of(self.recipient).issuer_and_serial,
            _RSA_WITH_NULL,
            asn1.wrap(asn1.OCTET_STRING, encrypted_key),
        )
        cipher = asn1.wrap(asn1.SEQUENCE, asn1.oid(AES_256_CBC), asn1.wrap(asn1.OCTET_STRING, iv))
        after = self._enciphered_length
        content = asn1.around(asn1.SEQUENCE, asn1.oid(ID_DATA) + cipher + asn1.header(asn1.CONTEXT_0, after), after)
        body = asn1.around(asn1.SEQUENCE, _VERSION_0 + asn1.wrap(asn1.SET, recipient_info) + content, after)
        return asn1.around(
            asn1.SEQUENCE, asn1.oid(ID_ENVELOPED_DATA) + asn1.around(asn1.CONTEXT_0_CONSTRUCTED, body, after), after
        )


# The SignedData that we write, byte for byte what .NET's SignedCms writes (RFC 5652 5.1).
#
# .NET's choices, seen in its output: SHA-256, no signed attributes (the signature is over the content itself), no NULL
# as algorithm parameters, rsaEncryption as signature algorithm, issuerAndSerialNumber, certificates in DER's SET OF
# order.

_VERSION_1: Final = asn1.wrap(asn1.INTEGER, b"\x01")
_SHA_256: Final = asn1.wrap(asn1.SEQUENCE, asn1.oid(SHA_256))
_RSA: Final = asn1.wrap(asn1.SEQUENCE, asn1.oid(RSA_ENCRYPTION))


@dataclass(frozen=True, slots=True)
class SignedDataFrame:
    """All of a SignedData but the content and the signature.

    Attributes:
        head: What comes before the content.
        tail: What comes between content and signature; the signature is last.
        length: Length of the whole in bytes.
    """

    head: bytes
    tail: bytes
    length: int


def frame(signer: Signer, content_length: int) -> SignedDataFrame:
    """Write the frame round a content whose length is known.

    Args:
        signer: Whose certificate and chain are embedded.
        content_length: In bytes; at least one, since .NET does not sign empty content.

    Raises:
        ValueError: The content is empty.
        AccessRefused: The signer's key is not RSA of at least 2048 bits.
    """
    if content_length < 1:
        raise ValueError("empty content cannot be sealed")
    signature_bytes = (rsa_public_key(signer.certificate, name="the signing certificate").key_size + 7) // 8
    signer_info = (
        _VERSION_1
        + CertificateIdentity.of(signer.certificate).issuer_and_serial
        + _SHA_256
        + _RSA
        + asn1.header(asn1.OCTET_STRING, signature_bytes)
    )
    certificates = sorted(certificate.public_bytes(Encoding.DER) for certificate in (signer.certificate, *signer.chain))
    signer_infos = asn1.around(asn1.SET, asn1.around(asn1.SEQUENCE, signer_info, signature_bytes), signature_bytes)
    tail = asn1.wrap(asn1.CONTEXT_0_CONSTRUCTED, *certificates) + signer_infos
    explicit = asn1.around(asn1.CONTEXT_0_CONSTRUCTED, asn1.header(asn1.OCTET_STRING, content_length), content_length)
    content_info = asn1.around(asn1.SEQUENCE, asn1.oid(ID_DATA) + explicit, content_length)
    after = content_length + len(tail) + signature_bytes
    body = asn1.around(asn1.SEQUENCE, _VERSION_1 + asn1.wrap(asn1.SET, _SHA_256) + content_info, after)
    head = asn1.around(
        asn1.SEQUENCE, asn1.oid(ID_SIGNED_DATA) + asn1.around(asn1.CONTEXT_0_CONSTRUCTED, body, after), after
    )
    return SignedDataFrame(head, tail, len(head) + after)


Write = Callable[[bytes | memoryview], object]

_SIGNING: Final = "the signing certificate"
_PIECE_BYTES: Final = 512 * 1024
_PIECES_AHEAD: Final = 4
"""How many pieces may wait to be hashed: bounds the memory when AES is the faster."""


def sealed_length(content_length: int, signer: Signer, recipient: Certificate) -> int:
    """Return how many bytes ``seal`` will write, exactly.

    Args:
        content_length: In bytes.
        signer: Who signs.
        recipient: The receiver's encryption certificate.

    Raises:
        ValueError: The content is empty.
        AccessRefused: One of the keys is not RSA of at least 2048 bits.
    """
    return EnvelopedDataFrame(recipient, frame(signer, content_length).length).length


def seal(
    chunks: Iterable[bytes],
    content_length: int,
    *,
    signer: Signer,
    recipient: Certificate,
    write: Write,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> None:
    """Sign the content and encrypt it for the recipient, in one pass.

    Args:
        chunks: The content; its first byte must not be 0x31 (XML's never is), which openers refuse as ambiguous.
        content_length: Length of the content in bytes, at least one.
        signer: Who signs.
        recipient: The receiver's encryption certificate. Its dates and key usage are ``certificates.check``'s matter.
        write: Takes the sealed bytes in pieces. A piece is valid only until ``write`` returns. When ``seal`` raises,
            what was written is to be thrown away.
        random: Gives that many random bytes, for content key and initialisation vector.

    Raises:
        ValueError: The content is empty, or the chunks do not add up to ``content_length``.
        AccessRefused: One of the keys is not RSA of at least 2048 bits, or the signer's key is not its certificate's.
    """
    inner = frame(signer, content_length)
    outer = EnvelopedDataFrame(recipient, inner.length)
    key, iv = random(KEY_BYTES), random(BLOCK_BYTES)
    write(outer.head(key, iv))
    encipher = _encipher(key, iv, write)
    encipher(memoryview(inner.head))
    digest = hashlib.sha256()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="kpr-seal") as helper:
        waiting: deque[Future[None]] = deque()
        for piece in _pieces(chunks, content_length):
            waiting.append(helper.submit(digest.update, piece))
            encipher(piece)
            if len(waiting) == _PIECES_AHEAD:
                waiting.popleft().result()
        while waiting:
            waiting.popleft().result()
    encipher(memoryview(inner.tail + sign(signer, digest.digest()) + outer.padding))


def signed_data(content: bytes, signer: Signer) -> bytes:
    """Return only the SignedData, the bytes that ``seal`` encrypts.

    Raises:
        ValueError: The content is empty.
        AccessRefused: The signer's key is not RSA of at least 2048 bits, or not its certificate's.
    """
    parts = frame(signer, len(content))
    signature = sign(signer, hashlib.sha256(content).digest())
    return b"".join((parts.head, content, parts.tail, signature))


def _pieces(chunks: Iterable[bytes], length: int) -> Iterator[memoryview]:
    """Cut and join the chunks to pieces worth a thread's while; stop as soon as they are too many bytes."""
    gathered: list[bytes] = []
    held = 0
    left = length
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise ValueError(f"the content is longer than the {length} bytes it was said to have")
        gathered.append(chunk)
        held += len(chunk)
        if held >= _PIECE_BYTES:
            yield from _cut(gathered)
            gathered, held = [], 0
    if left:
        raise ValueError(f"the content is {left} bytes shorter than the {length} bytes it was said to have")
    yield from _cut(gathered)


def _cut(chunks: list[bytes]) -> Iterator[memoryview]:
    joined = memoryview(chunks[0] if len(chunks) == 1 else b"".join(chunks))
    for start in range(0, len(joined), _PIECE_BYTES):
        yield joined[start : start + _PIECE_BYTES]


def _encipher(key: bytes, iv: bytes, write: Write) -> Callable[[memoryview], None]:
    """Return what enciphers a piece and writes it, always in the same buffer: fresh ones cost a third of the speed."""
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    buffer = memoryview(bytearray(_PIECE_BYTES + BLOCK_BYTES))

    def encipher(plain: memoryview) -> None:
        for start in range(0, len(plain), _PIECE_BYTES):
            written = encryptor.update_into(plain[start : start + _PIECE_BYTES], buffer)
            write(buffer[:written])

    return encipher


def sign(signer: Signer, digest: bytes) -> bytes:
    """Sign a SHA-256 digest, and make sure that it is the certificate's key that did: an HSM may hold another.

    Raises:
        AccessRefused: The signer's key is not RSA of at least 2048 bits, or not its certificate's.
    """
    signature = signer.sign_digest(digest)
    public_key = rsa_public_key(signer.certificate, name=_SIGNING)
    try:
        public_key.verify(signature, digest, PKCS1v15(), Prehashed(SHA256()))
    except InvalidSignature:
        raise AccessRefused("The signing key does not belong to its certificate.", where=_SIGNING) from None
    return signature

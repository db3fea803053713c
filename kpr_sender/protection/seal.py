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
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate

from kpr_sender.errors import AccessRefused
from kpr_sender.protection import signed_data as signed
from kpr_sender.protection.certificates import rsa_public_key
from kpr_sender.protection.enveloped_data import BLOCK_BYTES, KEY_BYTES, EnvelopedDataFrame
from kpr_sender.protection.port import Signer

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
    return EnvelopedDataFrame(recipient, signed.frame(signer, content_length).length).length


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
    inner = signed.frame(signer, content_length)
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
    parts = signed.frame(signer, len(content))
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

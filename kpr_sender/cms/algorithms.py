"""The algorithms: what we write, what we accept, and the names of what we refuse. Tables, and the bounds on reading.

Sources: RFC 5652 (CMS), RFC 8017 (PKCS #1), RFC 5754 (SHA-2 in CMS), RFC 3565 (AES in CMS).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, algorithms

ID_DATA: Final = "1.2.840.113549.1.7.1"
ID_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
ID_ENVELOPED_DATA: Final = "1.2.840.113549.1.7.3"
ATTRIBUTE_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
ATTRIBUTE_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
ATTRIBUTE_SIGNING_TIME: Final = "1.2.840.113549.1.9.5"

RSA_ENCRYPTION: Final = "1.2.840.113549.1.1.1"
RSAES_OAEP: Final = "1.2.840.113549.1.1.7"
MGF1: Final = "1.2.840.113549.1.1.8"
P_SPECIFIED: Final = "1.2.840.113549.1.1.9"
RSASSA_PSS: Final = "1.2.840.113549.1.1.10"
AES_256_CBC: Final = "2.16.840.1.101.3.4.1.42"
SHA_1: Final = "1.3.14.3.2.26"
SHA_256: Final = "2.16.840.1.101.3.4.2.1"
SHA_384: Final = "2.16.840.1.101.3.4.2.2"
SHA_512: Final = "2.16.840.1.101.3.4.2.3"


@dataclass(frozen=True, slots=True)
class ContentCipher:
    """A block cipher in CBC mode; sizes in bytes."""

    cipher: Callable[[bytes], BlockCipherAlgorithm]
    key_bytes: int
    block_bytes: int


CONTENT_CIPHERS: Final = {
    "2.16.840.1.101.3.4.1.2": ContentCipher(algorithms.AES, 16, 16),
    "2.16.840.1.101.3.4.1.22": ContentCipher(algorithms.AES, 24, 16),
    AES_256_CBC: ContentCipher(algorithms.AES, 32, 16),
}
TRIPLE_DES_CBC: Final = "1.2.840.113549.3.7"
TRIPLE_DES: Final = ContentCipher(TripleDES, 24, 8)

DIGESTS: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    SHA_256: hashes.SHA256,
    SHA_384: hashes.SHA384,
    SHA_512: hashes.SHA512,
}
"""What content may be hashed with."""

OAEP_DIGESTS: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {SHA_1: hashes.SHA1, **DIGESTS}
"""OAEP does not depend on collision resistance, so its default SHA-1 is no weakness (RFC 8017 B.1)."""

RSA_SIGNATURES: Final[dict[str, str | None]] = {
    RSA_ENCRYPTION: None,
    "1.2.840.113549.1.1.11": SHA_256,
    "1.2.840.113549.1.1.12": SHA_384,
    "1.2.840.113549.1.1.13": SHA_512,
}
"""PKCS #1 v1.5 signatures, and which digest each requires (None: any that we accept)."""

REFUSED: Final = {
    "1.2.840.113549.1.9.16.1.23": "authenticated encryption (AuthEnvelopedData, AES-GCM)",
    "1.3.14.3.2.7": "DES",
    "1.2.840.113549.3.2": "RC2",
    "1.2.840.113549.3.4": "RC4",
    TRIPLE_DES_CBC: "3DES",
    "2.16.840.1.101.3.4.1.6": "AES-128-GCM",
    "2.16.840.1.101.3.4.1.26": "AES-192-GCM",
    "2.16.840.1.101.3.4.1.46": "AES-256-GCM",
    "2.16.840.1.101.3.4.1.7": "AES-128-CCM",
    "2.16.840.1.101.3.4.1.27": "AES-192-CCM",
    "2.16.840.1.101.3.4.1.47": "AES-256-CCM",
    SHA_1: "SHA-1",
    "1.2.840.113549.2.2": "MD2",
    "1.2.840.113549.2.5": "MD5",
    "2.16.840.1.101.3.4.2.4": "SHA-224",
    "1.2.840.113549.1.1.2": "MD2 with RSA",
    "1.2.840.113549.1.1.4": "MD5 with RSA",
    "1.2.840.113549.1.1.5": "SHA-1 with RSA",
    "1.2.840.113549.1.1.14": "SHA-224 with RSA",
    "1.2.840.10040.4.3": "SHA-1 with DSA",
    "1.2.840.10045.4.1": "SHA-1 with ECDSA",
    "1.2.840.10045.4.3.2": "SHA-256 with ECDSA",
    "1.2.840.10045.4.3.3": "SHA-384 with ECDSA",
    "1.2.840.10045.4.3.4": "SHA-512 with ECDSA",
    "1.3.101.112": "Ed25519",
}
"""What we know and do not accept, by its common name."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds on what is opened, and the one weak cipher that a setting may accept.

    Attributes:
        accept_3des: Open what is sealed with 3DES; old peers only.
        max_bytes: Largest sealed message, in bytes.
        max_nodes: Most ASN.1 elements read in each of the two layers.
        max_depth: Deepest nesting of ASN.1 elements.
    """

    accept_3des: bool = False
    max_bytes: int = 50_000_000
    max_nodes: int = 200_000
    max_depth: int = 40

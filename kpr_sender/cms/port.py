"""The port: what sealing and opening ask of a key. A key in an HSM is one more implementation of these protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm
    from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True)
class Pkcs1v15:
    """RSAES-PKCS1-v1_5 (RFC 8017 7.2)."""


@dataclass(frozen=True, slots=True)
class Oaep:
    """RSAES-OAEP with an empty label (RFC 8017 7.1)."""

    digest: HashAlgorithm
    mgf1_digest: HashAlgorithm


KeyTransport = Pkcs1v15 | Oaep
"""How a content key is encrypted for its recipient."""


class Signer(Protocol):
    """Our signing key, wherever it is."""

    @property
    def certificate(self) -> Certificate:
        """The certificate registered for the sender; it is embedded, since .NET peers require it."""

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """The intermediates from the certificate upwards, without the root; embedded, too."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the RSASSA-PKCS1-v1_5 signature of a SHA-256 digest (32 bytes, without DigestInfo)."""


class Decrypter(Protocol):
    """One of our decryption keys, wherever it is."""

    @property
    def certificate(self) -> Certificate:
        """The certificate that senders seal for."""

    def decrypt_key(self, encrypted_key: bytes, padding: KeyTransport) -> bytes:
        """Return the content key.

        Raises:
            ValueError: The ciphertext is not valid. An HSM's *encrypted data invalid* must become this. Anything else,
                such as an HSM that does not answer, must be another exception: it reaches the caller, so that an
                outage never counts as a bad message.
        """

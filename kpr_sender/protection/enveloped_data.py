"""The EnvelopedData that we write: one recipient, RSA PKCS #1 v1.5, AES-256-CBC, as .NET's EnvelopedCms (RFC 5652 6.1).

One recipient, because the reference client decrypts the first recipientInfo only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import Certificate

from kpr_sender.protection import der
from kpr_sender.protection.algorithms import AES_256_CBC, ID_DATA, ID_ENVELOPED_DATA, RSA_ENCRYPTION
from kpr_sender.protection.certificates import rsa_public_key
from kpr_sender.protection.identity import CertificateIdentity

KEY_BYTES: Final = 32
BLOCK_BYTES: Final = 16

_VERSION_0: Final = der.wrap(der.INTEGER, b"\x00")
_RSA: Final = der.wrap(der.SEQUENCE, der.oid(RSA_ENCRYPTION), der.NULL)


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
        recipient_info = der.wrap(
            der.SEQUENCE,
            _VERSION_0,
            CertificateIdentity.of(self.recipient).issuer_and_serial,
            _RSA,
            der.wrap(der.OCTET_STRING, encrypted_key),
        )
        cipher = der.wrap(der.SEQUENCE, der.oid(AES_256_CBC), der.wrap(der.OCTET_STRING, iv))
        after = self._enciphered_length
        content = der.around(der.SEQUENCE, der.oid(ID_DATA) + cipher + der.header(der.CONTEXT_0, after), after)
        body = der.around(der.SEQUENCE, _VERSION_0 + der.wrap(der.SET, recipient_info) + content, after)
        return der.around(
            der.SEQUENCE, der.oid(ID_ENVELOPED_DATA) + der.around(der.CONTEXT_0_CONSTRUCTED, body, after), after
        )

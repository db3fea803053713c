"""Our own keys from PKCS#12 and PEM, and what signs and decrypts with them in this process.

No passphrase and no key material is ever in a message, a ``repr`` or an exception that is shown.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from cryptography.x509 import Certificate

from kpr_sender.cms.certificates import CertificateIdentity, load_certificates, rsa_public_key
from kpr_sender.cms.port import KeyTransport, Oaep
from kpr_sender.errors import AccessRefused


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its certificate.

    Attributes:
        certificate: The key's own.
        private_key: RSA; does not print.
        chain: The intermediates from the certificate upwards, without the root.
    """

    certificate: Certificate
    private_key: RSAPrivateKey = field(repr=False)
    chain: tuple[Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class SoftwareSigner:
    """A ``Signer`` whose key is in this process."""

    key_pair: KeyPair

    @property
    def certificate(self) -> Certificate:
        """The signer's certificate."""
        return self.key_pair.certificate

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """The intermediates."""
        return self.key_pair.chain

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the RSASSA-PKCS1-v1_5 signature of a SHA-256 digest."""
        return self.key_pair.private_key.sign(digest, rsa_padding.PKCS1v15(), Prehashed(SHA256()))


@dataclass(frozen=True, slots=True)
class SoftwareDecrypter:
    """A ``Decrypter`` whose key is in this process."""

    key_pair: KeyPair

    @property
    def certificate(self) -> Certificate:
        """The certificate that senders seal for."""
        return self.key_pair.certificate

    def decrypt_key(self, encrypted_key: bytes, padding: KeyTransport) -> bytes:
        """Return the content key.

        Raises:
            ValueError: The ciphertext is not valid.
        """
        return self.key_pair.private_key.decrypt(encrypted_key, _padding(padding))


def _padding(padding: KeyTransport) -> rsa_padding.AsymmetricPadding:
    if isinstance(padding, Oaep):
        return rsa_padding.OAEP(rsa_padding.MGF1(padding.mgf1_digest), padding.digest, label=None)
    return rsa_padding.PKCS1v15()


def load_pkcs12(data: bytes, passphrase: str | None, *, name: str) -> KeyPair:
    """Read a PKCS#12 file: key, certificate and whatever of the chain is in it.

    Args:
        data: The file's content.
        passphrase: None where the file has none.
        name: The file or configuration key, for messages.

    Raises:
        AccessRefused: Wrong passphrase, not PKCS#12, no key or certificate in it, not RSA of at least 2048 bits, or
            the key is not the certificate's.
    """
    secret = None if passphrase is None else passphrase.encode()
    with warnings.catch_warnings():
        # Buypass and Windows write BER, cryptography reads it and warns about it: nothing that our users can fix.
        warnings.filterwarnings("ignore", "PKCS#12 bundle could not be parsed as DER", UserWarning)
        try:
            bundle = pkcs12.load_pkcs12(data, secret)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise AccessRefused("The passphrase is wrong, or the file is damaged or not PKCS#12.", where=name) from None
    if bundle.key is None or bundle.cert is None:
        missing = "private key" if bundle.key is None else "certificate that belongs to its key"
        raise AccessRefused(f"The PKCS#12 file has no {missing}.", where=name)
    others = [extra.certificate for extra in bundle.additional_certs]
    return _key_pair(bundle.cert.certificate, bundle.key, others, name=name)


def load_pem(certificate_pem: bytes, key_pem: bytes, passphrase: str | None, *, name: str) -> KeyPair:
    """Read a PEM pair.

    Args:
        certificate_pem: The certificate first, then its intermediates.
        key_pem: The private key, PKCS#8 or PKCS#1, encrypted or not.
        passphrase: None where the key is not encrypted.
        name: The file or configuration key, for messages.

    Raises:
        AccessRefused: Wrong or missing passphrase, unreadable, not RSA of at least 2048 bits, or the key is not the
            certificate's.
    """
    certificate, *others = load_certificates(certificate_pem, name)
    secret = None if passphrase is None else passphrase.encode()
    try:
        key = load_pem_private_key(key_pem, secret)
    except TypeError:
        reason = (
            "The private key is encrypted, and no passphrase is configured."
            if passphrase is None
            else "The private key is not encrypted, yet a passphrase is configured."
        )
        raise AccessRefused(reason, where=name) from None
    except (ValueError, UnsupportedAlgorithm):
        raise AccessRefused("The passphrase is wrong, or the private key is damaged or not PEM.", where=name) from None
    return _key_pair(certificate, key, others, name=name)


def _key_pair(certificate: Certificate, key: object, others: Sequence[Certificate], *, name: str) -> KeyPair:
    if not isinstance(key, RSAPrivateKey):
        raise AccessRefused("The private key is not RSA; only RSA can be used.", where=name)
    if rsa_public_key(certificate, name=name).public_numbers() != key.public_key().public_numbers():
        raise AccessRefused("The private key does not belong to the certificate.", where=name)
    return KeyPair(certificate, key, intermediates(certificate, others))


def intermediates(certificate: Certificate, others: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """Return the path upwards, as far as it is there, without the root (.NET's X509IncludeOption.ExcludeRoot)."""
    by_subject = {CertificateIdentity.of(other).subject: other for other in others}
    chain: list[Certificate] = []
    issuer = CertificateIdentity.of(certificate).issuer
    while (above := by_subject.pop(issuer, None)) is not None:
        identity = CertificateIdentity.of(above)
        if identity.issuer == identity.subject:
            break
        chain.append(above)
        issuer = identity.issuer
    return tuple(chain)

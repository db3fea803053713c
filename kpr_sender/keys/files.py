"""Our own keys from PKCS#12 and PEM, and what signs and decrypts with them in this process.

No passphrase and no key material is ever in a message, a ``repr`` or an exception that is shown.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key, pkcs12
from cryptography.x509 import Certificate, ExtensionNotFound, KeyUsage

from kpr_sender.cms import asn1
from kpr_sender.cms.asn1 import BerError
from kpr_sender.cms.certificates import CertificateIdentity, load_certificates, rsa_public_key
from kpr_sender.cms.port import KeyTransport, Oaep
from kpr_sender.errors import AccessRefused

_SHROUDED_KEY_BAG: Final = re.compile(re.escape(bytes.fromhex("060b2a864886f70d010c0a0102")))
_MAX_ELEMENTS: Final = 50
_MAX_DEPTH: Final = 10


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


def load_pkcs12(data: bytes, passphrase: str | None, *, name: str, for_decryption: bool | None = None) -> KeyPair:
    """Read a PKCS#12 file: key, certificate and whatever of the chain is in it.

    A file may hold several key pairs, as Java's keytool, Windows and some issuers make it: the one that is meant is the
    only one whose certificate has the key usage (SEID: keyEncipherment to decrypt, contentCommitment or
    digitalSignature without it to sign).

    Args:
        data: The file's content.
        passphrase: None where the file has none.
        name: The file or configuration key, for messages.
        for_decryption: What the key is for: to decrypt or to sign; None where the file has one anyway.

    Raises:
        AccessRefused: Wrong passphrase, not PKCS#12, no key or certificate in it, not RSA of at least 2048 bits, the
            key is not the certificate's, or several pairs could be meant.
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
    bags = list(_shrouded_keys(data))
    if len(bags) > 1:
        present = [bundle.cert.certificate, *others]
        return _meant(bags, secret, present, name=name, for_decryption=for_decryption)
    return _key_pair(bundle.cert.certificate, bundle.key, others, name=name)


def _shrouded_keys(data: bytes) -> Iterator[bytes]:
    """Yield each EncryptedPrivateKeyInfo of a PKCS#12 file, DER (RFC 7292 4.2.2): key bags are encrypted one by one."""
    for match in _SHROUDED_KEY_BAG.finditer(data):
        with suppress(BerError):
            explicit = memoryview(data)[match.end() :]
            length = _der_bytes(explicit)
            value = asn1.read(explicit[:length], max_elements=_MAX_ELEMENTS, max_depth=_MAX_DEPTH)
            yield bytes(value.only_child().raw)


def _der_bytes(element: memoryview) -> int:
    """Return how long a DER element is, tag and length included; its tag is one byte."""
    first = element[1] if len(element) > 1 else 0
    following = first & 0x7F if first & 0x80 else 0
    length = int.from_bytes(element[2 : 2 + following], "big") if following else first
    return 2 + following + length


def _meant(
    bags: Sequence[bytes],
    secret: bytes | None,
    present: Sequence[Certificate],
    *,
    name: str,
    for_decryption: bool | None,
) -> KeyPair:
    """Return the one of several key pairs that is meant."""
    pairs = []
    for bag in bags:
        try:
            key = load_der_private_key(bag, secret)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        own = next((one for one in present if one.public_key() == key.public_key()), None)
        if own is not None and for_decryption in {None, _opens(own)}:
            pairs.append(_key_pair(own, key, [one for one in present if one != own], name=name))
    if len(pairs) == 1:
        return pairs[0]
    raise AccessRefused(
        f"The PKCS#12 file has {len(bags)} key pairs, and {len(pairs) or 'none'} of them may be meant.",
        where=name,
        next_step="Export the right pair into a file of its own, and name that one.",
    )


def _opens(certificate: Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(KeyUsage).value
    except ExtensionNotFound:
        return False
    return usage.key_encipherment and not usage.content_commitment


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

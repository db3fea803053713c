"""Our own keys from PKCS#12 and PEM, and what signs and decrypts with them in this process.

No passphrase and no key material is ever in a message, a ``repr`` or an exception that is shown.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key, pkcs12
from cryptography.x509 import Certificate, KeyUsage

from kpr_sender.cms import asn1
from kpr_sender.cms.asn1 import BerError
from kpr_sender.cms.certificates import CertificateIdentity, extension, load_certificates, named, rsa_public_key
from kpr_sender.cms.port import KeyTransport, Oaep
from kpr_sender.errors import AccessRefused
from kpr_sender.keys.kdf_rounds import require_few_rounds
from kpr_sender.keys.native import shielded
from kpr_sender.privacy import foreign_text
from kpr_sender.texts import Text, quoted

_SHROUDED_KEY_BAG: Final = re.compile(re.escape(bytes.fromhex("060b2a864886f70d010c0a0102")))
_FRIENDLY_NAME: Final = "1.2.840.113549.1.9.20"  # RFC 2985 5.5.1
_LOCAL_KEY_ID: Final = "1.2.840.113549.1.9.21"  # RFC 2985 5.5.2
_MAX_LABEL: Final = 64  # characters that are shown
_MAX_ELEMENTS: Final = 50
_MAX_DEPTH: Final = 10
_MAX_KEYS: Final = 50  # real files have a few; their beginning may stand in a file as often as its maker likes


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key in this process and its certificate: a ``Signer`` and a ``Decrypter``.

    Attributes:
        certificate: The key's own.
        private_key: RSA; does not print.
        chain: The intermediates from the certificate upwards, without the root.
    """

    certificate: Certificate
    private_key: RSAPrivateKey = field(repr=False)
    chain: tuple[Certificate, ...] = ()

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the RSASSA-PKCS1-v1_5 signature of a SHA-256 digest."""
        return self.private_key.sign(digest, rsa_padding.PKCS1v15(), Prehashed(SHA256()))

    def decrypt_key(self, encrypted_key: bytes, padding: KeyTransport) -> bytes:
        """Return the content key.

        Raises:
            ValueError: The ciphertext is not valid.
        """
        return self.private_key.decrypt(encrypted_key, _padding(padding))


def _padding(padding: KeyTransport) -> rsa_padding.AsymmetricPadding:
    if isinstance(padding, Oaep):
        return rsa_padding.OAEP(rsa_padding.MGF1(padding.mgf1_digest), padding.digest, label=None)
    return rsa_padding.PKCS1v15()


@dataclass(frozen=True, slots=True)
class WantedKey:
    """Which key of a PKCS#12 file is meant, where it has several.

    Attributes:
        label: The friendly name of the key or its certificate, in capitals or not; empty where any will do.
        key_id: Its localKeyID; empty likewise.
        for_decryption: What it is for where neither names it: to decrypt or to sign; None where that is not known.
    """

    label: str = ""
    key_id: bytes = b""
    for_decryption: bool | None = None


_ANY: Final = WantedKey()


@dataclass(frozen=True, slots=True)
class _KeyBag:
    """A private key as it lies in a PKCS#12 file, each encrypted by itself (RFC 7292 4.2.2), and its attributes."""

    encrypted: bytes
    label: str
    key_id: bytes


def load_pkcs12(data: bytes, passphrase: str | None, *, name: str, wanted: WantedKey = _ANY) -> KeyPair:
    """Read a PKCS#12 file: key, certificate and whatever of the chain is in it.

    A file may hold several key pairs, as Java's keytool, Windows and some issuers make it: the one that is meant is the
    one that is named, else the only one whose certificate has the key usage (SEID: keyEncipherment to decrypt,
    contentCommitment or digitalSignature without it to sign).

    Args:
        data: The file's content.
        passphrase: None where the file has none.
        name: The file or configuration key, for messages.
        wanted: Which key is meant.

    Raises:
        AccessRefused: Wrong passphrase, not PKCS#12, no key or certificate in it, not RSA of at least 2048 bits, the
            key is not the certificate's, none or several pairs could be meant, or it would take hours to open it.
    """
    require_few_rounds(data, name=name)
    secret = _encoded(passphrase, name)
    with warnings.catch_warnings():
        # Buypass and Windows write BER, cryptography reads it and warns about it: nothing that our users can fix.
        warnings.filterwarnings("ignore", "PKCS#12 bundle could not be parsed as DER", UserWarning)
        try:
            bundle = shielded(lambda: pkcs12.load_pkcs12(data, secret), name=name)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise AccessRefused(
                Text("The passphrase is wrong, or the file is damaged or not PKCS#12."), where=name
            ) from None
    if bundle.key is None or bundle.cert is None:
        missing = Text("private key") if bundle.key is None else Text("certificate that belongs to its key")
        raise AccessRefused(Text("The PKCS#12 file has no {missing}.", missing=missing), where=name)
    bags = list(_key_bags(data))
    if len(bags) > 1 or wanted.label or wanted.key_id:
        return _meant(bags, secret, [bundle.cert, *bundle.additional_certs], wanted, name=name)
    others = [extra.certificate for extra in bundle.additional_certs]
    return _key_pair(bundle.cert.certificate, bundle.key, others, name=name)


def _key_bags(data: bytes) -> Iterator[_KeyBag]:
    """Yield each encrypted key of a PKCS#12 file with its attributes, which follow it in its SafeBag; DER."""
    for match in islice(_SHROUDED_KEY_BAG.finditer(data), _MAX_KEYS):
        with suppress(BerError):
            rest = memoryview(data)[match.end() :]
            length = _der_bytes(rest)
            encrypted = _element(rest[:length]).only_child()
            attributes = dict(_attributes(rest[length:]))
            label = attributes.get(_FRIENDLY_NAME, b"").decode("utf-16-be", "replace")
            yield _KeyBag(bytes(encrypted.raw), label, attributes.get(_LOCAL_KEY_ID, b""))


def _attributes(rest: memoryview) -> Iterator[tuple[str, bytes]]:
    """Yield the first value of each attribute that follows; others write some that have none, or are no PKCS#12's."""
    if len(rest) and rest[0] == asn1.SET:
        with suppress(ValueError):
            for attribute in _element(rest[: _der_bytes(rest)]).children():
                kind, values = attribute.children()
                yield from ((kind.oid(), bytes(value.content)) for value in values.children()[:1])


def _element(view: memoryview) -> asn1.BerElement:
    return asn1.read(view, max_elements=_MAX_ELEMENTS, max_depth=_MAX_DEPTH)


def _der_bytes(element: memoryview) -> int:
    """Return how long a DER element is, tag and length included; its tag is one byte."""
    first = element[1] if len(element) > 1 else 0
    following = first & 0x7F if first & 0x80 else 0
    length = int.from_bytes(element[2 : 2 + following], "big") if following else first
    return 2 + following + length


_NONE: Final = Text("none")
_NONE_READ: Final = Text("none of the keys in it can be read")


def _meant(
    bags: Sequence[_KeyBag],
    secret: bytes | None,
    present: Sequence[pkcs12.PKCS12Certificate],
    wanted: WantedKey,
    *,
    name: str,
) -> KeyPair:
    """Return the one of several key pairs that is meant."""
    pairs: list[KeyPair] = []
    shown: list[str] = []
    for bag in bags:
        try:
            key = shielded(partial(load_der_private_key, bag.encrypted, secret), name=name)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        own = next((one for one in present if one.certificate.public_key() == key.public_key()), None)
        if own is None:
            continue
        labels = [bag.label, (own.friendly_name or b"").decode(errors="replace")]
        label = foreign_text(next(filter(None, labels), ""), _MAX_LABEL)
        key_id, thumbprint = bag.key_id.hex()[:_MAX_LABEL], named(own.certificate).sha1
        shown.append(
            Text(
                'key_label = "{label}", key_id = "{key_id}" (certificate with SHA-1 thumbprint {thumbprint})',
                label=label,
                key_id=key_id,
                thumbprint=thumbprint,
            )
        )
        if wanted.label or wanted.key_id:
            matches = wanted.label.casefold() in {"", *map(str.casefold, labels)} and wanted.key_id in {b"", bag.key_id}
        else:
            matches = wanted.for_decryption in {None, _opens(own.certificate)}
        if matches:
            others = [one.certificate for one in present if one != own]
            pairs.append(_key_pair(own.certificate, key, others, name=name))
    if len(pairs) == 1:
        return pairs[0]
    raise AccessRefused(
        Text(
            "The PKCS#12 file has {bags} key pairs, and {pairs} of them may be meant: {shown}.",
            bags=len(bags),
            pairs=len(pairs) or _NONE,
            shown=quoted(*shown) or _NONE_READ,
        ),
        where=name,
        next_step=Text("Name the right one by key_label or key_id beside pkcs12, or export it into a file of its own."),
    )


def _opens(certificate: Certificate) -> bool:
    usage = extension(certificate, KeyUsage)
    return usage is not None and usage.key_encipherment and not usage.content_commitment


def load_pem(certificate_pem: bytes, key_pem: bytes, passphrase: str | None, *, name: str) -> KeyPair:
    """Read a PEM pair.

    Args:
        certificate_pem: The certificate first, then its intermediates.
        key_pem: The private key, PKCS#8 or PKCS#1, encrypted or not.
        passphrase: None where the key is not encrypted.
        name: The file or configuration key, for messages.

    Raises:
        AccessRefused: Wrong or missing passphrase, unreadable, not RSA of at least 2048 bits, the key is not the
            certificate's, or it would take hours to open it.
    """
    require_few_rounds(key_pem, name=name)
    certificate, *others = load_certificates(certificate_pem, name)
    secret = _encoded(passphrase, name)
    try:
        key = shielded(lambda: load_pem_private_key(key_pem, secret), name=name)
    except TypeError:
        reason = (
            Text("The private key is encrypted, and no passphrase is configured.")
            if passphrase is None
            else Text("The private key is not encrypted, yet a passphrase is configured.")
        )
        raise AccessRefused(reason, where=name) from None
    except (ValueError, UnsupportedAlgorithm):
        raise AccessRefused(
            Text("The passphrase is wrong, or the private key is damaged or not PEM."), where=name
        ) from None
    return _key_pair(certificate, key, others, name=name)


def _encoded(passphrase: str | None, name: str) -> bytes | None:
    """Return a passphrase as libraries take it.

    Raises:
        AccessRefused: It is none that could be right: OpenSSL's are C strings, and with NUL inside it is cut or worse.
    """
    if passphrase is None:
        return None
    if "\0" in passphrase or any("\ud800" <= letter <= "\udfff" for letter in passphrase):
        raise AccessRefused(Text("The passphrase has NUL in it, or bytes that are no UTF-8 text."), where=name)
    return passphrase.encode()


def _key_pair(certificate: Certificate, key: object, others: Sequence[Certificate], *, name: str) -> KeyPair:
    if not isinstance(key, RSAPrivateKey):
        raise AccessRefused(Text("The private key is not RSA; only RSA can be used."), where=name)
    if rsa_public_key(certificate, name=name).public_numbers() != key.public_key().public_numbers():
        raise AccessRefused(Text("The private key does not belong to the certificate."), where=name)
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

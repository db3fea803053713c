"""Writes CMS messages of any shape, right and wrong, for tests to open."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.cms import asn1
from kpr_sender.cms.certificates import CertificateIdentity
from kpr_sender.cms.port import Signer
from kpr_sender.cms.write import signed_data as written
from kpr_sender.keys.files import KeyPair

ID_DATA: Final = "1.2.840.113549.1.7.1"
ID_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
ID_ENVELOPED_DATA: Final = "1.2.840.113549.1.7.3"
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
SHA_256: Final = "2.16.840.1.101.3.4.2.1"
RSA: Final = "1.2.840.113549.1.1.1"
AES_256_CBC: Final = "2.16.840.1.101.3.4.1.42"
KEY: Final = bytes(range(32))
IV: Final = bytes(16)


def algorithm(oid: str, parameters: bytes = b"") -> bytes:
    return asn1.wrap(asn1.SEQUENCE, asn1.oid(oid), parameters)


def content_info(content_type: str, content: bytes) -> bytes:
    return asn1.wrap(asn1.SEQUENCE, asn1.oid(content_type), asn1.wrap(0xA0, content))


def attribute(oid: str, *values: bytes) -> bytes:
    return asn1.wrap(asn1.SEQUENCE, asn1.oid(oid), asn1.wrap(asn1.SET, *values))


def usual_attributes(content: bytes) -> list[bytes]:
    digest = hashlib.sha256(content).digest()
    return [attribute(CONTENT_TYPE, asn1.oid(ID_DATA)), attribute(MESSAGE_DIGEST, asn1.wrap(asn1.OCTET_STRING, digest))]


def signer_info(
    content: bytes,
    signer: KeyPair,
    *,
    attributes: Sequence[bytes] = (),
    digest_oid: str = SHA_256,
    signature_algorithm: bytes | None = None,
    digest: HashAlgorithm | None = None,
    pad: AsymmetricPadding | None = None,
    sid: bytes | None = None,
) -> bytes:
    digest = digest or SHA256()
    tbs = b"".join(attributes) and asn1.wrap(asn1.SET, *attributes)
    hashed = hashlib.new(digest.name, tbs or content).digest()
    signature = signer.private_key.sign(hashed, pad or padding.PKCS1v15(), Prehashed(digest))
    return asn1.wrap(
        asn1.SEQUENCE,
        asn1.wrap(asn1.INTEGER, b"\x01"),
        sid or CertificateIdentity.of(signer.certificate).issuer_and_serial,
        algorithm(digest_oid),
        b"".join(attributes) and asn1.wrap(0xA0, *attributes),
        signature_algorithm or algorithm(RSA),
        asn1.wrap(asn1.OCTET_STRING, signature),
    )


def signed(content: bytes, signer: Signer) -> bytes:
    """What the product signs, in one piece."""
    return b"".join(written([content], len(content), signer))


def signed_data(content: bytes | None, infos: Sequence[bytes], certificates: Sequence[x509.Certificate] = ()) -> bytes:
    inside = b"" if content is None else asn1.wrap(0xA0, asn1.wrap(asn1.OCTET_STRING, content))
    embedded = b"".join(certificate.public_bytes(Encoding.DER) for certificate in certificates)
    return content_info(
        ID_SIGNED_DATA,
        asn1.wrap(
            asn1.SEQUENCE,
            asn1.wrap(asn1.INTEGER, b"\x01"),
            asn1.wrap(asn1.SET, algorithm(SHA_256)),
            asn1.wrap(asn1.SEQUENCE, asn1.oid(ID_DATA), inside),
            embedded and asn1.wrap(0xA0, embedded),
            asn1.wrap(asn1.SET, *infos),
        ),
    )


def recipient_info(recipient: x509.Certificate, encrypted_key: bytes | None = None, transport: bytes = b"") -> bytes:
    if encrypted_key is None:
        key = recipient.public_key()
        encrypted_key = key.encrypt(KEY, padding.PKCS1v15())  # type: ignore[union-attr]
    return asn1.wrap(
        asn1.SEQUENCE,
        asn1.wrap(asn1.INTEGER, b"\x00"),
        CertificateIdentity.of(recipient).issuer_and_serial,
        transport or algorithm(RSA, asn1.NULL),
        asn1.wrap(asn1.OCTET_STRING, encrypted_key),
    )


def padded(content: bytes) -> bytes:
    count = 16 - len(content) % 16
    return content + bytes((count,)) * count


def enciphered(plain: bytes, key: bytes = KEY) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CBC(IV)).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def enveloped_data(infos: Sequence[bytes], ciphertext: bytes, *, cipher: bytes | None = None) -> bytes:
    return content_info(
        ID_ENVELOPED_DATA,
        asn1.wrap(
            asn1.SEQUENCE,
            asn1.wrap(asn1.INTEGER, b"\x00"),
            asn1.wrap(asn1.SET, *infos),
            asn1.wrap(
                asn1.SEQUENCE,
                asn1.oid(ID_DATA),
                cipher or algorithm(AES_256_CBC, asn1.wrap(asn1.OCTET_STRING, IV)),
                asn1.wrap(0x80, ciphertext),
            ),
        ),
    )


def sealed(signed: bytes, recipient: x509.Certificate) -> bytes:
    """Put whatever bytes into a right EnvelopedData."""
    return enveloped_data([recipient_info(recipient)], enciphered(padded(signed)))

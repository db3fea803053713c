"""The SignedData that we write, byte for byte what .NET's SignedCms writes (RFC 5652 5.1).

.NET's choices, seen in its output: SHA-256, no signed attributes (the signature is over the content itself), no NULL
as algorithm parameters, rsaEncryption as signature algorithm, issuerAndSerialNumber, certificates in DER's SET OF
order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.protection import der
from kpr_sender.protection.algorithms import ID_DATA, ID_SIGNED_DATA, RSA_ENCRYPTION, SHA_256
from kpr_sender.protection.certificates import rsa_public_key
from kpr_sender.protection.identity import CertificateIdentity
from kpr_sender.protection.port import Signer

_VERSION_1: Final = der.wrap(der.INTEGER, b"\x01")
_SHA_256: Final = der.wrap(der.SEQUENCE, der.oid(SHA_256))
_RSA: Final = der.wrap(der.SEQUENCE, der.oid(RSA_ENCRYPTION))


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
        + der.header(der.OCTET_STRING, signature_bytes)
    )
    certificates = sorted(certificate.public_bytes(Encoding.DER) for certificate in (signer.certificate, *signer.chain))
    signer_infos = der.around(der.SET, der.around(der.SEQUENCE, signer_info, signature_bytes), signature_bytes)
    tail = der.wrap(der.CONTEXT_0_CONSTRUCTED, *certificates) + signer_infos
    explicit = der.around(der.CONTEXT_0_CONSTRUCTED, der.header(der.OCTET_STRING, content_length), content_length)
    content_info = der.around(der.SEQUENCE, der.oid(ID_DATA) + explicit, content_length)
    after = content_length + len(tail) + signature_bytes
    body = der.around(der.SEQUENCE, _VERSION_1 + der.wrap(der.SET, _SHA_256) + content_info, after)
    head = der.around(der.SEQUENCE, der.oid(ID_SIGNED_DATA) + der.around(der.CONTEXT_0_CONSTRUCTED, body, after), after)
    return SignedDataFrame(head, tail, len(head) + after)

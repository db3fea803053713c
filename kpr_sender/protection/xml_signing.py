"""The enveloped XML signature of a document that streams by: exclusive C14N, RSA-SHA256, URI="".

One pass over the document gives its digest; the signature itself is small, ours, and canonical as it is written. The
document's bytes are not touched: put the signature before the root's end tag and send them as they are.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.protection.canonical import exclusive
from kpr_sender.protection.port import Signer
from kpr_sender.protection.seal import sign

_EXCLUSIVE_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_XMLNS: Final = ' xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'
_SIGNED_INFO: Final = (
    "<ds:SignedInfo{xmlns}>"
    f'<ds:CanonicalizationMethod Algorithm="{_EXCLUSIVE_C14N}"></ds:CanonicalizationMethod>'
    '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"></ds:SignatureMethod>'
    '<ds:Reference URI=""><ds:Transforms>'
    '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform>'
    f'<ds:Transform Algorithm="{_EXCLUSIVE_C14N}"></ds:Transform>'
    "</ds:Transforms>"
    '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod>'
    "<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
)


def signature(document: Iterable[bytes], signer: Signer) -> bytes:
    """Return the ds:Signature element that belongs last into the document's root.

    Args:
        document: Without it, cut anywhere; UTF-8 where the signature shall be put in.
        signer: Its certificate is embedded.

    Raises:
        AccessRefused: The key is not RSA of at least 2048 bits, or not its certificate's.
        Malformed: The document has no canonical form.
    """
    digest = hashlib.sha256()
    exclusive(document, digest.update)
    written = {"digest": _base64(digest.digest())}
    # In canonical form the namespace is declared where it is used first: in SignedInfo, when that stands alone.
    signed_info = _SIGNED_INFO.format(xmlns=_XMLNS, **written).encode()
    value = sign(signer, hashlib.sha256(signed_info).digest())
    return (
        f"<ds:Signature{_XMLNS}>{_SIGNED_INFO.format(xmlns='', **written)}"
        f"<ds:SignatureValue>{_base64(value)}</ds:SignatureValue>"
        "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>"
        f"{_base64(signer.certificate.public_bytes(Encoding.DER))}"
        "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>"
    ).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

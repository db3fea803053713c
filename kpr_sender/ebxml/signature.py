"""XML signatures of ebXML: inclusive C14N, RSA-SHA256, over the envelope and over the parts of the mail.

Neither signxml nor python-xmlsec fits: the first ignores the XPath transform, the wheels of the second fit one lxml
only. The rules:

1. What is read of a message is what was signed, parsed anew from its canonical form: nothing that the signature does
   not cover can be read by mistake. A MessageHeader, Manifest, Acknowledgment or ErrorList for the next hop, which the
   XPath takes out of the signature, is refused by name.
2. The certificate is one that **we** hold for the sender; the embedded one must be the same, and is never trust.
3. A message is signed in its final tree, since inclusive C14N takes the namespaces of all ancestors; those very bytes
   are sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from lxml import etree

from kpr_sender.cms.certificates import rsa_public_key
from kpr_sender.cms.port import AlgorithmRefused, SignatureRefused, Signer
from kpr_sender.cms.write import sign as sign_digest
from kpr_sender.ebxml import canonical
from kpr_sender.ebxml.envelope import (
    DS,
    DS_NAMESPACE,
    EB,
    ENVELOPED_SIGNATURE,
    INCLUSIVE_C14N,
    NOT_FOR_NEXT,
    SOAP,
    SOAP_NAMESPACE,
    XLINK,
    XPATH_FILTER,
    SignedReference,
    reference_element,
)
from kpr_sender.errors import AccessRefused
from kpr_sender.messages import safe_xml
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.privacy import foreign_text
from kpr_sender.texts import Text

RSA_SHA256: Final = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
RSA_SHA1: Final = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
SHA256_DIGEST: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
SHA1_DIGEST: Final = "http://www.w3.org/2000/09/xmldsig#sha1"

_TRANSFORMS: Final = (ENVELOPED_SIGNATURE, XPATH_FILTER, INCLUSIVE_C14N)
_ACCEPTED_TRANSFORMS: Final = (_TRANSFORMS, (ENVELOPED_SIGNATURE, INCLUSIVE_C14N))
"""Peers leave the XPath out, as HIS 1037 6.2.3 does: then all of the envelope is signed."""
_SIGNATURES: Final[Mapping[str, Callable[[], HashAlgorithm]]] = {RSA_SHA256: SHA256, RSA_SHA1: SHA1}
_DIGESTS: Final = {SHA256_DIGEST: "sha256", SHA1_DIGEST: "sha1"}
_SHA1: Final = frozenset({RSA_SHA1, SHA1_DIGEST})
_ALWAYS_SIGNED: Final = frozenset(
    f"{EB}{name}" for name in ("MessageHeader", "Manifest", "Acknowledgment", "ErrorList")
)
_CID: Final = "cid:"
_MOST_REFERENCES: Final = 50
_MOST_CERTIFICATES: Final = 10
_ESCAPE: Final = re.compile(r"%([2-7][0-9A-Fa-f])")
_PREFIXED: Final = re.compile(r"@([\w.-]+):actor")
_DEFAULT_NAMESPACE: Final[dict[Any, str]] = {None: DS_NAMESPACE}


@dataclass(frozen=True, slots=True)
class SignaturePolicy:
    """What is accepted besides RSA-SHA256.

    Attributes:
        accept_sha1: Accept RSA-SHA1, which nobody may send since 2022.
    """

    accept_sha1: bool = False


SHA256_ONLY: Final = SignaturePolicy()


@dataclass(frozen=True, slots=True)
class SignedXml:
    """A signed envelope.

    Attributes:
        xml: Its bytes, as they are sent.
        references: What is signed, with digests.
    """

    xml: bytes = field(repr=False)
    references: tuple[SignedReference, ...]


@dataclass(frozen=True, slots=True)
class VerifiedEnvelope:
    """An envelope whose signature is valid.

    Attributes:
        root: What was signed and nothing else; without the signature.
        certificate: Which of the expected ones signed it; its dates are ``certificates.check``'s matter.
        references: What is signed, with digests.
    """

    root: etree._Element = field(repr=False)
    certificate: Certificate
    references: tuple[SignedReference, ...]


def sign(unsigned: etree._Element, *, signer: Signer, digests: Mapping[str, bytes]) -> SignedXml:
    """Sign an envelope, and verify what came of it (HITS 1172, rule 50).

    Args:
        unsigned: Of ``envelope``; stays as it is.
        signer: Only a digest is handed to it. Its certificate alone is embedded, without a chain (rule 65).
        digests: SHA-256 of each signed part of the mail, by Content-ID.

    Raises:
        AccessRefused: The key is not RSA of at least 2048 bits, or not its certificate's.
        SignatureRefused: A text in it has no canonical form that all agree on.
    """
    root = canonical.parsed(etree.tostring(unsigned))
    # The enveloped-signature transform takes the whole element out: without it, this is already what is signed.
    envelope = hashlib.sha256(canonical.canonical(canonical.without_next(root))).digest()
    root = canonical.parsed(etree.tostring(unsigned))
    value = _append_signature(root, signer.certificate, envelope, digests)
    root = canonical.parsed(canonical.serialised(root))
    signed_info = canonical.canonical(canonical.own_document(_the_one(root, "SignedInfo")))
    value = _the_one(root, "SignatureValue")
    value.text = base64.b64encode(sign_digest(signer, hashlib.sha256(signed_info).digest())).decode("ascii")
    xml = canonical.serialised(root)
    verified = _verify(xml, [signer.certificate], SHA256_ONLY, lambda name, _: digests.get(name))
    return SignedXml(xml, verified.references)


def signed_length(unsigned: etree._Element, *, certificate: Certificate, content_ids: Iterable[str]) -> int:
    """Return how many bytes ``sign`` will make of an envelope, exactly.

    Raises:
        AccessRefused: The key is not RSA of at least 2048 bits.
    """
    key_bytes = (rsa_public_key(certificate, name=Text("the signing certificate")).key_size + 7) // 8
    root = canonical.parsed(etree.tostring(unsigned))
    value = _append_signature(root, certificate, bytes(32), dict.fromkeys(content_ids, bytes(32)))
    value.text = base64.b64encode(bytes(key_bytes)).decode("ascii")
    return len(canonical.serialised(root))


def verify(
    xml: bytes, *, parts: Mapping[str, bytes], expected: Sequence[Certificate], policy: SignaturePolicy
) -> VerifiedEnvelope:
    """Verify an envelope and the parts that it refers to with a certificate that we hold for its sender.

    Args:
        xml: The SOAP part, decoded.
        parts: The other parts of the mail, decoded, by Content-ID.
        expected: Certificates of the sender.
        policy: What is accepted.

    Raises:
        MessageRefused: It is not XML, has a DTD, or is beyond the bounds.
        AlgorithmRefused: It is signed or hashed with an algorithm that we do not accept.
        SignatureRefused: Not exactly one signature of the profile's form, by one of the certificates, over the envelope
            and all that its Manifest names; or it is not valid.
    """

    def digest_of(name: str, algorithm: str) -> bytes | None:
        part = parts.get(name)
        return None if part is None else hashlib.new(algorithm, part, usedforsecurity=False).digest()

    return _verify(xml, expected, policy, digest_of)


def references(xml: bytes) -> tuple[SignedReference, ...]:
    """Return what an envelope says is signed, without verifying it: for our own stored envelopes.

    Raises:
        MessageRefused: It is not XML, has a DTD, or is beyond the bounds.
    """
    return tuple(
        map(_read_reference, canonical.parsed(xml).iterfind(f"{SOAP}Header/{DS}Signature/{DS}SignedInfo/{DS}Reference"))
    )


def read_references(parent: etree._Element) -> tuple[SignedReference, ...]:
    """Return the ds:References of an Acknowledgment."""
    return tuple(map(_read_reference, itertools.islice(parent.iterfind(f"{DS}Reference"), _MOST_REFERENCES)))


def _append_signature(
    root: etree._Element, certificate: Certificate, envelope: bytes, digests: Mapping[str, bytes]
) -> etree._Element:
    """Append the Signature to SOAP:Header, and return its empty SignatureValue."""
    header = safe_xml.only(root.findall(f"{SOAP}Header"))
    if header is None:
        raise ValueError("an envelope needs a Header")
    signature = etree.SubElement(header, f"{DS}Signature", nsmap=_DEFAULT_NAMESPACE)
    signed_info = etree.SubElement(signature, f"{DS}SignedInfo")
    etree.SubElement(signed_info, f"{DS}CanonicalizationMethod", Algorithm=INCLUSIVE_C14N)
    etree.SubElement(signed_info, f"{DS}SignatureMethod", Algorithm=RSA_SHA256)
    reference_element(signed_info, SignedReference("", _base64(envelope), SHA256_DIGEST, _TRANSFORMS))
    for name, digest in digests.items():
        reference_element(signed_info, SignedReference(f"{_CID}{name}", _base64(digest), SHA256_DIGEST))
    value = etree.SubElement(signature, f"{DS}SignatureValue")
    data = etree.SubElement(etree.SubElement(signature, f"{DS}KeyInfo"), f"{DS}X509Data")
    etree.SubElement(data, f"{DS}X509Certificate").text = _base64(certificate.public_bytes(Encoding.DER))
    return value


def _verify(
    xml: bytes,
    expected: Sequence[Certificate],
    policy: SignaturePolicy,
    digest_of: Callable[[str, str], bytes | None],
) -> VerifiedEnvelope:
    root = canonical.parsed(xml)
    _refuse_for_next(root)
    try:
        signature = _the_signature(root)
        signed_info = _the_one(root, "SignedInfo")
        method = _method(signed_info, policy)
        certificate = _certificate(signature, expected)
        found = _signed_references(signed_info, policy)
        value = _decoded(_the_one(root, "SignatureValue"))
    except MessageRefused as error:
        raise SignatureRefused(error.reason) from None
    canonical_info = canonical.canonical(canonical.own_document(signed_info))
    try:
        rsa_public_key(certificate, name=Text("the sender's signing certificate")).verify(
            value, canonical_info, PKCS1v15(), method
        )
    except InvalidSignature:
        raise SignatureRefused(Text("its signature is not valid")) from None
    except AccessRefused as error:
        raise SignatureRefused(
            Text("it is signed with a certificate that cannot be used: {what}", what=error.what)
        ) from None
    canonical.remove(signature)
    transforms = next(one.transforms for one in found if not one.uri)
    envelope = canonical.canonical(canonical.without_next(root) if XPATH_FILTER in transforms else root)
    for reference in found:
        _check_digest(reference, envelope, digest_of)
    signed = canonical.parsed(envelope)
    _check_manifest(signed, found)
    return VerifiedEnvelope(signed, certificate, found)


def _check_digest(reference: SignedReference, envelope: bytes, digest_of: Callable[[str, str], bytes | None]) -> None:
    algorithm = _DIGESTS[reference.digest_method]
    if not reference.uri:
        digest: bytes | None = hashlib.new(algorithm, envelope, usedforsecurity=False).digest()
    else:
        name = reference.uri.removeprefix(_CID)
        digest = digest_of(name, algorithm) or digest_of(unescaped(name), algorithm)
    if digest is None:
        raise SignatureRefused(Text("a part of the mail that it signs is not there"))
    if _base64(digest) != "".join(reference.digest.split()):
        raise SignatureRefused(
            Text("a part of the mail was changed after it was signed")
            if reference.uri
            else Text("its envelope was changed after it was signed")
        )


def unescaped(name: str) -> str:
    """Return a Content-ID out of a cid: address, where some characters may be written by their codes (RFC 2392)."""
    return _ESCAPE.sub(lambda code: chr(int(code[1], 16)), name)


def _check_manifest(signed: etree._Element, found: Iterable[SignedReference]) -> None:
    """Refuse a payload that the Manifest names and nobody signed."""
    covered = {reference.uri for reference in found if reference.uri}
    for reference in signed.iterfind(f"{SOAP}Body/{EB}Manifest/{EB}Reference"):
        if reference.get(f"{XLINK}href", "") not in covered:
            raise SignatureRefused(Text("its Manifest names a part that is not signed"))


def _refuse_for_next(root: etree._Element) -> None:
    """Refuse what a signature of the profile leaves out, where it is a part that we go by."""
    inside = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if canonical.is_for_next(element):
            inside += 1 if event == "start" else -1
        if inside and event == "start" and element.tag in _ALWAYS_SIGNED:
            name = etree.QName(element).localname
            raise SignatureRefused(
                Text("its {name} is for the next hop (SOAP:actor), which no signature is over", name=name)
            )


def _the_signature(root: etree._Element) -> etree._Element:
    signature = safe_xml.only(list(root.iter(f"{DS}Signature")))
    if signature is None:
        raise SignatureRefused(Text("it is not signed"))
    if root.tag != f"{SOAP}Envelope" or signature.getparent() not in root.findall(f"{SOAP}Header"):
        raise SignatureRefused(Text("its signature is not a child of SOAP:Header"))
    return signature


def _the_one(root: etree._Element, name: str) -> etree._Element:
    """Return the one child of this name that the signature has."""
    found = safe_xml.only(_the_signature(root).findall(f"{DS}{name}"))
    if found is None:
        raise SignatureRefused(Text("its signature has no {name}", name=name))
    return found


def _method(signed_info: etree._Element, policy: SignaturePolicy) -> HashAlgorithm:
    canonical = _algorithm(signed_info, "CanonicalizationMethod")
    if canonical != INCLUSIVE_C14N:
        raise AlgorithmRefused(foreign_text(canonical))
    method = _algorithm(signed_info, "SignatureMethod")
    if method not in _SIGNATURES or (method in _SHA1 and not policy.accept_sha1):
        raise AlgorithmRefused(foreign_text(method))
    return _SIGNATURES[method]()


def _algorithm(parent: etree._Element, name: str) -> str:
    element = safe_xml.only(parent.findall(f"{DS}{name}"))
    return "" if element is None else element.get("Algorithm", "")


def _certificate(signature: etree._Element, expected: Sequence[Certificate]) -> Certificate:
    """Return the expected certificate that is embedded; further ones beside it are of no matter (rule 65)."""
    embedded = itertools.islice(signature.iterfind(f"{DS}KeyInfo/{DS}X509Data/{DS}X509Certificate"), _MOST_CERTIFICATES)
    encoded = set(map(_decoded, embedded))
    if not encoded:
        raise SignatureRefused(Text("its signature has no certificate"))
    found = next((one for one in expected if one.public_bytes(Encoding.DER) in encoded), None)
    if found is None:
        raise SignatureRefused(Text("it is signed with another certificate than those we hold for its sender"))
    return found


def _signed_references(signed_info: etree._Element, policy: SignaturePolicy) -> tuple[SignedReference, ...]:
    elements = signed_info.findall(f"{DS}Reference")
    if len(elements) > _MOST_REFERENCES:
        raise SignatureRefused(Text("its signature has too many references"))
    found = tuple(map(_read_reference, elements))
    uris = [reference.uri for reference in found]
    if uris.count("") != 1 or len(set(uris)) < len(uris) or None in [one.get("URI") for one in elements]:
        raise SignatureRefused(Text("its signature is not over the envelope and each part of the mail once"))
    for reference in found:
        if reference.digest_method not in _DIGESTS or (reference.digest_method in _SHA1 and not policy.accept_sha1):
            raise AlgorithmRefused(foreign_text(reference.digest_method))
        if reference.uri and (not reference.uri.startswith(_CID) or reference.transforms):
            raise SignatureRefused(Text("its signature is over something else than the envelope and parts of the mail"))
        if not reference.uri and reference.transforms not in _ACCEPTED_TRANSFORMS:
            raise SignatureRefused(Text("its signature has other transforms than those of ebXML"))
    for transform in signed_info.iterfind(f"{DS}Reference/{DS}Transforms/{DS}Transform"):
        if transform.get("Algorithm") == XPATH_FILTER and not _is_the_xpath(transform):
            raise SignatureRefused(Text("its signature has another XPath than that of ebXML"))
    return found


def _read_reference(element: etree._Element) -> SignedReference:
    digest = safe_xml.only(element.findall(f"{DS}DigestValue"))
    transforms = element.iterfind(f"{DS}Transforms/{DS}Transform")
    return SignedReference(
        uri=element.get("URI", ""),
        digest=safe_xml.value(digest),
        digest_method=_algorithm(element, "DigestMethod"),
        transforms=tuple(one.get("Algorithm", "") for one in itertools.islice(transforms, _MOST_REFERENCES)),
    )


def _is_the_xpath(transform: etree._Element) -> bool:
    """Tell whether an expression is that of ebMS 2.0 4.1.3, whatever its prefix and the blanks in it."""
    element = safe_xml.only(transform.findall(f"{DS}XPath"))
    if element is None:
        return False
    written = "".join(safe_xml.value(element).split()).replace("'", '"')
    prefixes = set(_PREFIXED.findall(written))
    is_soap = len(prefixes) == 1 and element.nsmap.get(prefix := prefixes.pop()) == SOAP_NAMESPACE
    return is_soap and written.replace(f"@{prefix}:", "@SOAP-ENV:") == "".join(NOT_FOR_NEXT.split())


def _decoded(element: etree._Element) -> bytes:
    """Return the bytes of a base64 value, which may have line ends in it."""
    try:
        return base64.b64decode("".join(safe_xml.value(element).split()), validate=True)
    except (binascii.Error, ValueError):
        raise SignatureRefused(Text("its signature has a value that is no base64")) from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")

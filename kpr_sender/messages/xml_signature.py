"""Enveloped XML signatures by signxml: exclusive C14N, RSA-SHA256, ``URI=""``, the signature last in the root.

What we sign and what we accept have this one form. Documents are held in memory, several times over while they are
signed: receipts are small, and ``hodemelding.xmldsig`` is off unless somebody asks for it.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Any, Final, cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509 import Certificate
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

from kpr_sender.cms.certificates import rsa_public_key
from kpr_sender.cms.port import Malformed, SignatureRefused, Signer
from kpr_sender.cms.write import sign
from kpr_sender.errors import AccessRefused, foreign_bytes
from kpr_sender.texts import Text

_DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_ENVELOPED: Final = SignatureConstructionMethod.enveloped
_EXCLUSIVE_C14N: Final = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
_ESCAPED_IN_VALUES: Final = frozenset('&<"\t\n\r')


class _NothingBelowInfo(logging.Filter):
    """signxml logs the whole canonical document at DEBUG; no level that a host sets may let that out (promise G6)."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


logging.getLogger("signxml.processor").addFilter(_NothingBelowInfo())


def signature(document: bytes, signer: Signer) -> bytes:
    """Return the ds:Signature element that belongs last in the document's root.

    The document's own bytes stay as they are: insert the element before the root's end tag.

    Args:
        document: Without the signature; UTF-8, so that the element's bytes fit in.
        signer: Its certificate is embedded. Only a digest is handed to it, so the key may be in an HSM.

    Raises:
        AccessRefused: The key is not RSA of at least 2048 bits, or not its certificate's.
        Malformed: It is not XML, has a DTD or an entity, or has no canonical form that all agree on.
    """
    root = _parse(document)
    _check_namespaces(root)
    try:
        signed = _EnvelopedSigner().sign(root, key=cast("RSAPrivateKey", _SignerKey(signer)), cert=[signer.certificate])
    except etree.C14NError:
        raise Malformed(Text("it has a relative namespace name, which no signature can be over")) from None
    # Not in its plain form, which would repeat the namespaces in force in the root.
    return etree.tostring(signed[-1], method="c14n", exclusive=True, with_comments=False)


def verify_enveloped(xml: bytes, expected: Certificate) -> bytes:
    """Verify a document with the certificate that we hold for its sender, never with the embedded one.

    Canonical form costs the square of what ``safe_xml.parse_answer`` bounds: what anybody may send goes there first.

    Returns:
        What was signed, in canonical form and without the signature. Use only this: a comment in the received form
        may split a text in two.

    Raises:
        Malformed: It is not XML, or has a DTD or an entity.
        SignatureRefused: There is not exactly one signature, as the root's last child, over the whole document; or it
            is not valid.
    """
    try:
        rsa_public_key(expected, name=Text("the sender's signing certificate"))
    except AccessRefused as error:
        raise SignatureRefused(
            Text("it is signed with a certificate that cannot be used: {what}", what=error.what)
        ) from None
    root = _parse(xml)
    _check_structure(root)
    config = SignatureConfiguration(
        location="./",
        expect_references=1,
        signature_methods=frozenset({SignatureMethod.RSA_SHA256}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
        verification_time=expected.not_valid_before_utc,
    )
    with foreign_bytes(
        SignatureRefused(Text("its XML signature does not hold with the certificate we hold for its sender"))
    ):
        # A new verifier for each message: it keeps state.
        result = XMLVerifier().verify(xml, x509_cert=expected, parser=_parser(), expect_config=config)
    if isinstance(result, list):  # never: exactly one reference is expected
        raise SignatureRefused(Text("its XML signature has several references"))
    signed = result.signed_data
    if etree.fromstring(signed, _parser()).tag != root.tag:
        raise SignatureRefused(Text("its XML signature is over another element than its root"))
    return signed


@dataclass(frozen=True, slots=True)
class _SignerKey:
    """What signxml takes for a private key. It hashes here and lets the ``Signer`` sign the digest."""

    signer: Signer

    def sign(self, data: bytes, **_: object) -> bytes:
        return sign(self.signer, hashlib.sha256(data).digest())


class _EnvelopedSigner(XMLSigner):
    """signxml with our algorithms, and with a copy of the document that may have texts above 10 MB and names with æ."""

    def __init__(self) -> None:
        super().__init__(_ENVELOPED, SignatureMethod.RSA_SHA256, DigestAlgorithm.SHA256, _EXCLUSIVE_C14N)
        # Called before SignedInfo is hashed. Where the root has an Id, signxml would refer to that: see verification.
        self.signature_annotators.append(_refer_to_the_whole_document)

    def get_root(self, data: etree._Element) -> etree._Element:
        return etree.fromstring(etree.tostring(data, encoding="UTF-8"), _parser())


def _refer_to_the_whole_document(made: etree._Element, **_: Any) -> None:
    for reference in made.iter(f"{_DS}Reference"):
        reference.set("URI", "")


def _parser() -> etree.XMLParser:
    # huge_tree lifts libxml2's 10 MB bound on one text; entities and DTD are refused, so nothing can expand.
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)


def _parse(xml: bytes) -> etree._Element:
    try:
        root = etree.fromstring(xml, _parser())
    except (etree.XMLSyntaxError, ValueError):
        raise Malformed(Text("it is not well-formed XML with namespaces")) from None
    if root.getroottree().docinfo.internalDTD is not None or next(root.iter(etree.Entity), None) is not None:
        raise Malformed(Text("it has a DTD or an entity"))
    return root


def _check_namespaces(root: etree._Element) -> None:
    """Refuse namespace names with characters that C14N escapes in attribute values: libxml2 leaves them as they are."""
    for _, (_, uri) in etree.iterwalk(root, events=("start-ns",)):
        if not _ESCAPED_IN_VALUES.isdisjoint(uri):
            raise Malformed(Text("it has a namespace name that signature programs do not agree on"))


def _check_structure(root: etree._Element) -> None:
    """Require the one form we write: wrapping attacks need a signature elsewhere, or a reference to elsewhere."""
    signatures = list(root.iter(f"{_DS}Signature"))
    if len(signatures) != 1 or len(root) == 0 or signatures[0] is not root[-1]:
        raise SignatureRefused(Text("it does not have exactly one XML signature, last in its root"))
    references = signatures[0].findall(f"{_DS}SignedInfo/{_DS}Reference")
    transforms = signatures[0].findall(f"{_DS}SignedInfo/{_DS}Reference/{_DS}Transforms/{_DS}Transform")
    if [reference.get("URI") for reference in references] != [""]:
        raise SignatureRefused(Text("its XML signature is not over the whole document"))
    if [transform.get("Algorithm") for transform in transforms] != [_ENVELOPED.value, _EXCLUSIVE_C14N.value]:
        raise SignatureRefused(Text("its XML signature has other transforms than enveloped and exclusive C14N"))

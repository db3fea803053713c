"""Verifies enveloped XML signatures: exclusive C14N, RSA-SHA256, URI="", the signature last in the root.

``xml_signing`` makes them. Whatever has another form is refused. It needs the document in memory: receipts are small.
"""

from __future__ import annotations

import logging
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import Certificate
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from kpr_sender.errors import AccessRefused
from kpr_sender.protection.certificates import rsa_public_key
from kpr_sender.protection.refused import Malformed, SignatureRefused

_DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_EXCLUSIVE_C14N: Final = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
_ENVELOPED: Final = SignatureConstructionMethod.enveloped.value


class _NothingBelowInfo(logging.Filter):
    """signxml logs the whole canonical document at DEBUG; no level that a host sets may let that out (promise G6)."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


logging.getLogger("signxml.processor").addFilter(_NothingBelowInfo())


def _parser() -> etree.XMLParser:
    # huge_tree lifts libxml2's 10 MB bound on one text; entities and DTD are refused, so nothing can blow up.
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)


def verify_enveloped(xml: bytes, expected: Certificate) -> bytes:
    """Verify a document with the certificate that we hold for its sender, never with the one inside.

    Args:
        xml: The document as received, already out of its CMS protection.
        expected: The sender's certificate. Its dates and key usage are ``certificates.check``'s matter.

    Returns:
        What was signed, in canonical form and without the signature. Use only this: a comment in the received form
        may split a text in two.

    Raises:
        Malformed: It is not XML, or has a DTD or an entity.
        SignatureRefused: There is not exactly one signature, as the root's last child, over the whole document; or it
            does not hold.
    """
    try:
        rsa_public_key(expected, name="the sender's signing certificate")
    except AccessRefused as error:
        raise SignatureRefused(f"it is signed with a certificate that cannot be used: {error.what}") from None
    root = _parse(xml)
    _check_structure(root)
    config = SignatureConfiguration(
        location="./",
        expect_references=1,
        signature_methods=frozenset({SignatureMethod.RSA_SHA256}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
        verification_time=expected.not_valid_before_utc,
    )
    try:
        # A new verifier for each message: it keeps state.
        result = XMLVerifier().verify(root, x509_cert=expected, parser=_parser(), expect_config=config)
    except (SignXMLException, etree.LxmlError, ValueError, TypeError, UnsupportedAlgorithm):
        raise SignatureRefused("its XML signature does not hold with the certificate we hold for its sender") from None
    if isinstance(result, list):  # never: exactly one reference is expected
        raise SignatureRefused("its XML signature has several references")
    signed = result.signed_data
    if etree.fromstring(signed, _parser()).tag != root.tag:
        raise SignatureRefused("its XML signature is over another element than its root")
    return signed


def _parse(xml: bytes) -> etree._Element:
    try:
        root = etree.fromstring(xml, _parser())
    except (etree.XMLSyntaxError, ValueError):
        raise Malformed("it is not well-formed XML") from None
    if root.getroottree().docinfo.internalDTD is not None or next(root.iter(etree.Entity), None) is not None:
        raise Malformed("it has a DTD or an entity")
    return root


def _check_structure(root: etree._Element) -> None:
    """Demand the one form we write: wrapping attacks live from signatures elsewhere and references to elsewhere."""
    signatures = list(root.iter(f"{_DS}Signature"))
    if len(signatures) != 1 or len(root) == 0 or signatures[0] is not root[-1]:
        raise SignatureRefused("it does not have exactly one XML signature, last in its root")
    references = signatures[0].findall(f"{_DS}SignedInfo/{_DS}Reference")
    transforms = signatures[0].findall(f"{_DS}SignedInfo/{_DS}Reference/{_DS}Transforms/{_DS}Transform")
    if [reference.get("URI") for reference in references] != [""]:
        raise SignatureRefused("its XML signature is not over the whole document")
    if [transform.get("Algorithm") for transform in transforms] != [_ENVELOPED, _EXCLUSIVE_C14N.value]:
        raise SignatureRefused("its XML signature has other transforms than enveloped and exclusive C14N")

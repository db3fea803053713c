"""Verifies enveloped XML signatures: exclusive C14N, RSA-SHA256, URI="", the signature last in the root.

``xml_signing`` makes them. Whatever has another form is refused. It needs the document in memory: receipts are small.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from kpr_sender.cms.certificates import rsa_public_key
from kpr_sender.cms.errors import Malformed, SignatureRefused
from kpr_sender.cms.port import Signer
from kpr_sender.cms.write import sign
from kpr_sender.errors import AccessRefused

# Exclusive canonical XML (W3C xml-exc-c14n, without comments) of a document that streams by, at flat memory.
#
# Only what depends on the place in the document is kept: the namespaces in force, one step for each open element.
# What a start tag with the same names comes to in the same place is worked out once.

Write = Callable[[bytes], object]

_XML: Final = "http://www.w3.org/XML/1998/namespace"
_IN_TEXT: Final = re.compile("[&<>\r]")
_IN_VALUE: Final = re.compile('[&<"\t\n\r]')
_TEXT_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"}
_VALUE_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"}
_ABSOLUTE: Final = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")
_BUFFER: Final = 1 << 16  # characters
_MOST_KNOWN_TAGS: Final = 10_000


def exclusive(chunks: Iterable[bytes], write: Write) -> None:
    """Write the canonical form of a document.

    Args:
        chunks: The document, cut anywhere.
        write: Takes the canonical bytes in pieces.

    Raises:
        Malformed: It is not well-formed XML with namespaces, has a DTD, or has a namespace name of which there is
            no canonical form that all agree on.
    """
    writer = _Writer(write)
    parser = expat.ParserCreate()
    parser.ordered_attributes = True
    parser.buffer_text = True
    parser.buffer_size = _BUFFER
    parser.StartElementHandler = writer.start
    parser.EndElementHandler = writer.end
    parser.CharacterDataHandler = writer.text
    parser.ProcessingInstructionHandler = writer.instruction
    parser.StartDoctypeDeclHandler = _refuse_dtd
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError:
        raise Malformed("it is not well-formed XML") from None
    writer.flush()


def _refuse_dtd(*_: object) -> None:
    raise Malformed("it has a DTD or an entity")


@dataclass(slots=True)
class _Scope:
    """The namespaces at one place, by prefix.

    Attributes:
        declared: Those in force.
        rendered: Those that the canonical form has in force there.
        tags: What a start tag without declarations comes to there, by its names.
    """

    declared: dict[str, str]
    rendered: dict[str, str]
    tags: dict[tuple[str, ...], _Tag] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Tag:
    """A start tag but for its attributes' values.

    Attributes:
        begin: Up to the attributes.
        attributes: For each, in canonical order, where its value stands among what was read, and what comes before it.
        inside: What holds in the element.
    """

    begin: str
    attributes: tuple[tuple[int, str], ...]
    inside: _Scope


class _Writer:
    """Takes expat's events."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._pieces: list[str] = []
        self._held = 0
        self._scope = _Scope({"": ""}, {"": ""})
        self._outer: list[_Scope] = []
        self._root_seen = False

    def start(self, name: str, found: list[str]) -> None:
        names = (name, *found[::2])
        tag = self._scope.tags.get(names) or self._new_tag(names, found)
        self._outer.append(self._scope)
        self._scope = tag.inside
        self._root_seen = True
        pieces = [tag.begin]
        for at, before in tag.attributes:
            value = found[at]
            pieces += (before, _IN_VALUE.sub(_value_escape, value) if _IN_VALUE.search(value) else value)
        pieces.append('">' if tag.attributes else ">")
        self._put("".join(pieces))

    def end(self, name: str) -> None:
        self._scope = self._outer.pop()
        self._put(f"</{name}>")

    def text(self, text: str) -> None:
        self._put(_IN_TEXT.sub(_text_escape, text))

    def instruction(self, target: str, data: str) -> None:
        written = f"<?{target} {data}?>" if data else f"<?{target}?>"
        if self._outer:
            self._put(written)
        else:
            # Beside the root each stands on a line of its own, with no line end at the document's ends.
            self._put(f"\n{written}" if self._root_seen else f"{written}\n")

    def flush(self) -> None:
        self._write("".join(self._pieces).encode())
        self._pieces.clear()
        self._held = 0

    def _put(self, piece: str) -> None:
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held >= _BUFFER:
            self.flush()

    def _new_tag(self, names: tuple[str, ...], found: list[str]) -> _Tag:
        scope = self._scope
        new = _declarations(found)
        if new:
            scope = _Scope({**scope.declared, **new}, scope.rendered)
        tag = _tag(names, scope)
        if not new:
            if len(scope.tags) >= _MOST_KNOWN_TAGS:
                scope.tags.clear()
            scope.tags[names] = tag
        return tag


def _declarations(found: list[str]) -> dict[str, str]:
    """Return the namespaces that a start tag declares, by prefix."""
    new = {}
    for name, uri in zip(found[::2], found[1::2], strict=True):
        if name != "xmlns" and not name.startswith("xmlns:"):
            continue
        prefix = name[6:]
        wrong = prefix == "xmlns" or (name != "xmlns" and not (prefix and uri)) or (prefix == "xml") != (uri == _XML)
        if wrong or ":" in prefix:
            raise Malformed("it has a namespace declaration that is none")
        if uri and not _ABSOLUTE.match(uri):
            raise Malformed("it has a relative namespace name, which no signature can be over")
        if _IN_VALUE.search(uri):
            # libxml2 leaves them as they are, others escape them as the standard says.
            raise Malformed("it has a namespace name that signature programs do not agree on")
        new[prefix] = uri
    return new


def _tag(names: tuple[str, ...], scope: _Scope) -> _Tag:
    used = {_prefix(names[0])}
    attributes = []
    for number, name in enumerate(names[1:]):
        if name == "xmlns" or name.startswith("xmlns:"):
            continue
        prefix = _prefix(name)
        # An attribute without prefix is in no namespace, whatever the default one is.
        uri = _uri(prefix, scope) if prefix else ""
        if prefix:
            used.add(prefix)
        attributes.append((uri, name[len(prefix) + 1 if prefix else 0 :], name, 2 * number + 1))
    attributes.sort()
    if len({(uri, local) for uri, local, _, _ in attributes}) != len(attributes):
        raise Malformed("it has an attribute twice")
    rendered = {}
    for prefix in sorted(used - {"xml"}):
        uri = _uri(prefix, scope)
        if scope.rendered.get(prefix) != uri:
            rendered[prefix] = uri
    begin = "<" + names[0]
    for prefix, uri in rendered.items():
        begin += f' xmlns:{prefix}="{uri}"' if prefix else f' xmlns="{uri}"'
    inside = _Scope(scope.declared, {**scope.rendered, **rendered}) if rendered else scope
    before = [(at, ('" ' if index else " ") + f'{name}="') for index, (_, _, name, at) in enumerate(attributes)]
    return _Tag(begin, tuple(before), inside)


def _prefix(name: str) -> str:
    prefix, colon, local = name.partition(":")
    if not colon:
        return ""
    if not prefix or not local or ":" in local or prefix == "xmlns":
        raise Malformed("it has a name that is none with namespaces")
    return prefix


def _uri(prefix: str, scope: _Scope) -> str:
    if prefix == "xml":
        return _XML
    if prefix not in scope.declared:
        raise Malformed("it has a namespace prefix that is not declared")
    return scope.declared[prefix]


def _text_escape(found: re.Match[str]) -> str:
    return _TEXT_ESCAPES[found[0]]


def _value_escape(found: re.Match[str]) -> str:
    return _VALUE_ESCAPES[found[0]]


# The enveloped XML signature of a document that streams by: exclusive C14N, RSA-SHA256, URI="".
#
# One pass over the document gives its digest; the signature itself is small, ours, and canonical as it is written. The
# document's bytes are not touched: put the signature before the root's end tag and send them as they are.

_C14N_URI: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_XMLNS: Final = ' xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'
_SIGNED_INFO: Final = (
    "<ds:SignedInfo{xmlns}>"
    f'<ds:CanonicalizationMethod Algorithm="{_C14N_URI}"></ds:CanonicalizationMethod>'
    '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"></ds:SignatureMethod>'
    '<ds:Reference URI=""><ds:Transforms>'
    '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform>'
    f'<ds:Transform Algorithm="{_C14N_URI}"></ds:Transform>'
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

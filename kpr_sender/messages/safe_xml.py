"""XML from outside, parsed without its dangers: no DTD, no entity, no network, bounded size and depth.

expat finds a document type declaration before lxml parses the document, so that nothing is ever declared, let alone
expanded or fetched.

What we decide by is read with ``only``, ``value`` and ``attribute``: there is never a choice between two elements, and
a comment never hides the rest of a text. lxml's own ``text`` and ``findtext`` end at the first comment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, NoReturn
from xml.parsers import expat

from lxml import etree

from kpr_sender.messages.refused import MessageRefused
from kpr_sender.texts import Text


class _RootReached(Exception):
    """The prolog is over."""


_CHUNK_BYTES: Final = 65_536
MAX_ELEMENTS: Final = 50_000
"""Most that an answer may have: as many Errors as a receipt of its largest size has room for."""
MAX_ATTRIBUTES: Final = 100
"""Most that an element may have: their canonical order takes libxml2 the square of their number."""
MAX_NAMESPACES: Final = 1_000
"""Most declarations: canonical form looks at all that are in force, at each element."""
WHITE: Final = " \t\r\n"
"""XML's white space (XML 1.0, S), and no other: a no-break space is part of a value."""


def only(found: Sequence[etree._Element]) -> etree._Element | None:
    """Return the one element that was found, or None.

    Raises:
        MessageRefused: There are several, where one is all that there may be.
    """
    if len(found) > 1:
        raise MessageRefused(
            Text(
                "it has more than one {localname} where one is all that may be",
                localname=etree.QName(found[0]).localname,
            )
        )
    return found[0] if found else None


def value(element: etree._Element | None) -> str:
    """Return an element's text without the white space around it; empty where there is no such element.

    Raises:
        MessageRefused: There is an element, a comment or an instruction in it.
    """
    if element is None:
        return ""
    if len(element):
        raise MessageRefused(
            Text("its {localname} holds something else than text", localname=etree.QName(element).localname)
        )
    return (element.text or "").strip(WHITE)


def attribute(element: etree._Element | None, name: str) -> str:
    """Return an attribute without the white space around it, of an element that holds nothing; otherwise as ``value``.

    Raises:
        MessageRefused: There is something in the element.
    """
    if value(element):
        raise MessageRefused(Text("its {localname} holds text", localname=etree.QName(element).localname))
    return "" if element is None else element.get(name, "").strip(WHITE)


def looks_like_xml(body: bytes) -> bool:
    """Tell XML from CMS: a CMS message begins with a SEQUENCE (0x30), XML with ``<``, a BOM or white space."""
    return body.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] == b"<"


def parse(xml: bytes, *, max_bytes: int) -> etree._Element:
    """Return the root element of a document. Its depth is bounded by libxml2: 256 levels.

    Raises:
        MessageRefused: Too large, not well-formed, nested too deep, or with a document type declaration.
    """
    if len(xml) > max_bytes:
        raise MessageRefused(Text("it is larger than {max_bytes} bytes", max_bytes=max_bytes))
    _refuse_doctype(xml)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        root = etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:  # its own text quotes the document
        raise MessageRefused(Text("it is not well-formed XML"), line=error.lineno or 0) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise MessageRefused(Text("it has a document type declaration"))
    return root


def parse_answer(xml: bytes, *, max_bytes: int) -> etree._Element:
    """Return the root element of what anybody may have sent, so bounded that all that is done with it is quick.

    Raises:
        MessageRefused: As ``parse``; or too many elements, attributes or namespaces.
    """
    root = parse(xml, max_bytes=max_bytes)
    if _are_more_than(MAX_ELEMENTS, root.iter()):
        raise MessageRefused(Text("it has more than {max_elements:,} elements", max_elements=MAX_ELEMENTS))
    if _are_more_than(MAX_NAMESPACES, etree.iterwalk(root, events=("start-ns",))):
        raise MessageRefused(
            Text("it has more than {max_namespaces:,} namespace declarations", max_namespaces=MAX_NAMESPACES)
        )
    if any(len(each.attrib) > MAX_ATTRIBUTES for each in root.iter("*")):
        raise MessageRefused(
            Text("it has an element with more than {max_attributes} attributes", max_attributes=MAX_ATTRIBUTES)
        )
    return root


def _are_more_than(most: int, found: Iterable[object]) -> bool:
    return next(islice(found, most, None), None) is not None


def _refuse_doctype(xml: bytes) -> None:
    parser = expat.ParserCreate()

    def doctype(*_: object) -> NoReturn:
        raise MessageRefused(Text("it has a document type declaration"), line=parser.CurrentLineNumber)

    def root(*_: object) -> NoReturn:
        raise _RootReached

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = root
    try:
        for start in range(0, len(xml), _CHUNK_BYTES):
            parser.Parse(xml[start : start + _CHUNK_BYTES], False)
        parser.Parse(b"", True)
    except _RootReached:
        return
    except expat.ExpatError as error:
        raise MessageRefused(Text("it is not well-formed XML"), line=error.lineno) from None
    except (ValueError, LookupError) as error:  # what pyexpat raises for an encoding that Python does not know
        if isinstance(error, MessageRefused):
            raise
        raise MessageRefused(Text("its encoding is not known")) from None

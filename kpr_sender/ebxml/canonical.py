"""Canonical form of what an ebXML signature is over: inclusive C14N without comments, by libxml2.

Three traps: of a subtree with a default namespace lxml prints ``xmlns=""`` on the grandchildren, so that a subtree
becomes a document of its own first; inclusive C14N takes the namespaces and xml: attributes of all ancestors; and
libxml2 does not escape in namespace names what it escapes in other attributes.
"""

from __future__ import annotations

from typing import Final

from lxml import etree

from kpr_sender.cms.port import SignatureRefused
from kpr_sender.ebxml.envelope import NEXT_MSH, SOAP, SOAP_NEXT
from kpr_sender.messages import safe_xml
from kpr_sender.texts import Text

MAX_BYTES: Final = 1_000_000
"""Largest envelope that is read, in bytes; real ones have 5,000 to 10,000."""
DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'

_NEXT: Final = frozenset({NEXT_MSH, SOAP_NEXT})
_ACTOR: Final = f"{SOAP}actor"
_ESCAPED_IN_VALUES: Final = frozenset('&<"\t\n\r')
_XML: Final = "{http://www.w3.org/XML/1998/namespace}"


def is_for_next(element: etree._Element) -> bool:
    """Tell whether an element itself is for the next hop, and so not signed."""
    return element.get(_ACTOR) in _NEXT


def without_next(root: etree._Element) -> etree._Element:
    """Take out what is for the next hop, as the XPath does: whole subtrees."""
    for element in list(root.iter("*")):
        if is_for_next(element):
            if element is root:
                raise SignatureRefused(Text("its signature is over nothing"))
            remove(element)
    return root


def remove(element: etree._Element) -> None:
    """Remove an element, and leave the text that follows it where it is."""
    parent, before, tail = element.getparent(), element.getprevious(), element.tail or ""
    if parent is None:
        return
    if before is None:
        parent.text = (parent.text or "") + tail
    else:
        before.tail = (before.tail or "") + tail
    parent.remove(element)


def own_document(element: etree._Element) -> etree._Element:
    """Return an element as a document's root, with the namespaces and xml: attributes in force where it stands.

    lxml writes the namespaces of all ancestors on the root of what it writes in plain form; the attributes it does not.
    """
    root = parsed(etree.tostring(element, with_tail=False))
    for ancestor in element.iterancestors():
        for name, value in ancestor.attrib.items():
            if str(name).startswith(_XML) and name not in root.attrib:
                root.set(name, value)
    return root


def canonical(root: etree._Element) -> bytes:
    """Return the canonical form of the whole document that an element is the root of.

    Raises:
        SignatureRefused: There is none that all signature programs agree on.
    """
    for _, (_, uri) in etree.iterwalk(root, events=("start-ns",)):
        # libxml2 leaves them as they are where C14N escapes them in attribute values.
        if not _ESCAPED_IN_VALUES.isdisjoint(uri):
            raise SignatureRefused(Text("it has a namespace name that signature programs do not agree on"))
    try:
        return etree.tostring(root.getroottree(), method="c14n", with_comments=False)
    except etree.C14NError:
        raise SignatureRefused(Text("it has a relative namespace name, which no signature can be over")) from None


def parsed(xml: bytes) -> etree._Element:
    """Return the root of an envelope, within the bounds of what anybody may send."""
    return safe_xml.parse_answer(xml, max_bytes=MAX_BYTES)


def serialised(root: etree._Element) -> bytes:
    """Return an envelope's bytes as they are sent, with the declaration as HITS 1172 has it (rule 78)."""
    return DECLARATION + etree.tostring(root, encoding="UTF-8", xml_declaration=False)

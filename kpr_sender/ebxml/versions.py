"""Which schema and version a document has, as it says itself: for eb:Schema (HITS 1210 6.2.1, requirements 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lxml import etree

_MOST_READ: Final = 262_144
"""Bytes of a Hodemelding within which its document must begin; the frame has about 2,000."""
_VERSION_NAMES: Final = ("versjon", "version")


def content_schema(hodemelding: Iterable[bytes]) -> tuple[str, str] | None:
    """Return namespace and version of the document in a Hodemelding, for which it stands there (RefDoc/Content).

    Args:
        hodemelding: Its bytes, as far as they are asked for.

    Returns:
        None where the document says neither, or is not found near the beginning: then neither schema nor sender's
        system is named (HITS 1172, rule 279).
    """
    parser = etree.XMLPullParser(events=("start",), resolve_entities=False, no_network=True, load_dtd=False)
    read = 0
    for chunk in hodemelding:
        try:
            parser.feed(chunk[:_MOST_READ])
        except etree.XMLSyntaxError:
            return None
        for _, element in parser.read_events():
            if isinstance(element, etree._Element) and (parent := element.getparent()) is not None:  # noqa: SLF001 - its type
                frame = etree.QName(parent)
                if frame.localname == "Content":
                    namespace = etree.QName(element).namespace or ""
                    version = next(filter(None, map(element.get, _VERSION_NAMES)), "")
                    return (namespace, version) if namespace not in {"", frame.namespace} and version else None
        read += len(chunk)
        if read > _MOST_READ:
            return None
    return None

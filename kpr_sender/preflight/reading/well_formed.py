"""Whether a file is well-formed to its last byte, in the sense of XML 1.0 and of Namespaces in XML.

libxml2 reads it in pull mode, without a tree and without callbacks: five times as fast as expat, and with limits of its
own on nesting (256) and on what must be held at once (10 MB), which it does not keep where it is fed piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Final, cast

from lxml import etree

from kpr_sender.preflight.header import Refusal

# By libxml2's type of error; its own messages quote the document and are never shown (promise G6).
_WORDS: Final = {
    "ERR_ATTRIBUTE_REDEFINED": "an attribute stands there twice",
    "ERR_CDATA_NOT_FINISHED": "a CDATA section has no end, or is longer than 10 MB",
    "ERR_COMMENT_NOT_FINISHED": "a comment has no end, or is longer than 10 MB",
    "ERR_DOCUMENT_END": "something stands behind its root element",
    "ERR_GT_REQUIRED": "a tag has no right end",
    "ERR_INVALID_CHAR": "a character that XML does not allow",
    "ERR_INVALID_ENCODING": "bytes that are not UTF-8",
    "ERR_NAME_REQUIRED": "a name is missing, or is none",
    "ERR_PI_NOT_FINISHED": "a processing instruction has no end, or is longer than 10 MB",
    "ERR_RESERVED_XML_NAME": "a processing instruction's name begins with xml",
    "ERR_RESOURCE_LIMIT": "it is nested more than 256 deep, or a tag is longer than 10 MB",
    "ERR_TAG_NAME_MISMATCH": "mismatched tag",
    "ERR_TAG_NOT_FINISHED": "it ends before its root element does",
    "ERR_UNDECLARED_ENTITY": "undefined entity",
    "NS_ERR_ATTRIBUTE_REDEFINED": "an attribute stands there twice",
    "NS_ERR_UNDEFINED_NAMESPACE": "unbound prefix",
    "WAR_NS_URI": "a namespace is no right URI",
    "WAR_NS_URI_RELATIVE": "a namespace is a relative URI",
    "WAR_SPACE_VALUE": "xml:space is neither default nor preserve",
}


def check_well_formed(pieces: Iterator[bytes], *, lines_before: int) -> None:
    """Read to the end; memory stays flat.

    Args:
        pieces: UTF-8, none of them empty, without a document type declaration. What this iterator raises goes through.
        lines_before: Lines of the file before the first piece.

    Raises:
        Refusal: It is not well-formed; libxml2's warnings (a relative namespace, say) count, too.
    """
    parser = etree.XMLParser(
        target=cast("etree.ParserTarget", _Nothing()),
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
    )
    read_to_its_end = False
    with suppress(etree.XMLSyntaxError):  # the log has it, too, and what is wrong with namespaces only the log has
        etree.parse(cast("IO[bytes]", _File(pieces, parser)), parser)
        read_to_its_end = next(pieces, None) is None
    for complaint in parser.error_log:
        words = _WORDS.get(complaint.type_name, f"libxml2 calls it {complaint.type_name}")
        raise Refusal(f"It is not well-formed XML: {words}.", line=complaint.line + lines_before)
    if not read_to_its_end:
        raise Refusal("It is not well-formed XML.")


class _Nothing:
    """A target that wants to hear of nothing."""

    def close(self) -> None:
        """End."""


class _File:
    """The pieces as the file that libxml2 reads; ends early once there is a complaint."""

    def __init__(self, pieces: Iterator[bytes], parser: etree.XMLParser) -> None:
        self._pieces = pieces
        self._parser = parser

    def read(self, _: int) -> bytes:
        """Return the next piece, of any length."""
        return b"" if self._parser.error_log else next(self._pieces, b"")

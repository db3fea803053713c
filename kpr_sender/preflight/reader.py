"""Reads a file of either format with libxml2, record by record, each with the lines it stands in.

A record is what stands directly in a container (PERSON, INNHINFO, Kontaktperson, PasientIdent). It is held as a tree
and dropped once it was evaluated, so memory is that of the largest record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, cast

from lxml import etree

from kpr_sender.preflight.header import Refusal
from kpr_sender.preflight.lines import Extent, Lines, breaks, prolog_end, tag_end
from kpr_sender.preflight.model import Element
from kpr_sender.texts import Text

MAX_RECORD: Final = 16_000_000  # bytes
MAX_ELEMENTS: Final = 100_000  # in one record; a person's with everything in it has some thousand
_MAX_DEPTH: Final = 256  # libxml2's limit
_MAX_TEXT: Final = 10_000_000  # bytes of a text in a record; libxml2's limit
_MAX_TOKEN: Final = 1_000_000  # bytes of one tag, comment or CDATA section
_CHUNK: Final = 65_536  # bytes given to libxml2 at once
_SHORTEST_ELEMENT: Final = 4  # bytes

# By libxml2's type of error; its own messages quote the document and are never shown (promise G6).
_WORDS: Final = {
    "DTD_XMLID_VALUE": Text("an xml:id is no name"),
    "ERR_ATTRIBUTE_REDEFINED": Text("an attribute stands there twice"),
    "ERR_CDATA_NOT_FINISHED": Text("a CDATA section has no end"),
    "ERR_COMMENT_NOT_FINISHED": Text("a comment has no end"),
    "ERR_DOCUMENT_END": Text("something stands behind its root element"),
    "ERR_GT_REQUIRED": Text("a tag has no valid end"),
    "ERR_INVALID_CHAR": Text("a character that XML does not allow"),
    "ERR_INVALID_ENCODING": Text("bytes that are not UTF-8"),
    "ERR_NAME_REQUIRED": Text("a name is missing, or is none"),
    "ERR_PI_NOT_FINISHED": Text("a processing instruction has no end"),
    "ERR_RESERVED_XML_NAME": Text("an XML declaration not at start, or an instruction whose name begins with xml"),
    "ERR_TAG_NAME_MISMATCH": Text("mismatched tag"),
    "ERR_TAG_NOT_FINISHED": Text("it ends before its root element does"),
    "ERR_UNDECLARED_ENTITY": Text("undefined entity"),
    "NS_ERR_ATTRIBUTE_REDEFINED": Text("an attribute stands there twice"),
    "NS_ERR_UNDEFINED_NAMESPACE": Text("unbound prefix"),
    "WAR_NS_URI": Text("a namespace is no valid URI"),
    "WAR_NS_URI_RELATIVE": Text("a namespace is a relative URI"),
    "WAR_SPACE_VALUE": Text("xml:space is neither default nor preserve"),
}
_NOT_WELL_FORMED: Final = Text("It is not well-formed XML.")
_LONG_TEXT: Final = Text("There is a record of more than {bytes} bytes in one text.", bytes=_MAX_TEXT)
_LIMITS: Final = {
    "Excessive depth": Text("It is nested more than {depth} deep.", depth=_MAX_DEPTH),
    "Text node too long": _LONG_TEXT,
    "huge text node": _LONG_TEXT,  # up to libxml2 2.13
}
"""By what libxml2 says where a limit of its own is passed."""


@dataclass(frozen=True, slots=True)
class Root:
    """The root element's start tag.

    Attributes:
        namespace: Empty where it has none.
        name: Its local name.
        attributes: As in ``Element``.
        line: Line of it.
        captures: Whether an element of no namespace below it would come into MsgHead's, whose default that is: the
            root's own namespace has a prefix, and no default is declared with it.
    """

    namespace: str
    name: str
    attributes: Mapping[str, str]
    line: int
    captures: bool


@dataclass(frozen=True, slots=True)
class Start:
    """A container begins; name and attributes as in ``Element``."""

    name: str
    attributes: Mapping[str, str]
    line: int


@dataclass(frozen=True, slots=True)
class End:
    """The container that was opened last ends."""

    line: int


@dataclass(frozen=True, slots=True)
class Characters:
    """Something other than white space stands directly in a container."""

    line: int


class Record:
    """One record.

    Attributes:
        name: As in ``Element``.
        depth: How many containers it stands in.
        xml: Its tree; gone when the next event is asked for.
        extent: Where it stands.
    """

    __slots__ = ("_element", "_namespace", "depth", "extent", "name", "xml")

    def __init__(self, name: str, xml: etree._Element, extent: Extent, namespace: str, depth: int) -> None:
        self.name = name
        self.depth = depth
        self.xml = xml
        self.extent = extent
        self._namespace = namespace
        self._element: Element | None = None

    @property
    def line(self) -> int:
        """Line of its start tag."""
        return self.extent.line

    @property
    def element(self) -> Element:
        """All of it, each element with its line."""
        if self._element is None:
            self._element = _element(self.xml, self.extent.lines(), self._namespace)
        return self._element


Event = Start | Record | End | Characters


class Reader:
    """Reads one document: its root first, then what stands in it.

    Args:
        chunks: UTF-8 without an XML declaration, cut anywhere.
        lines_before: Lines of the file before the first of them.
    """

    def __init__(self, chunks: Iterable[bytes], *, lines_before: int = 0) -> None:
        self._chunks = _even(chunks)
        self._lines = Lines(lines_before + 1)
        self._lines_before = lines_before
        self._parser = _parser()
        self._head = b""  # the chunks up to the one with the root's start tag
        self._root = Root("", "", {}, 0, captures=False)
        self._open: list[etree._Element] = []
        self._in_text = False

    def root(self) -> Root:
        """Read the root's start tag, before anything else is asked for.

        Raises:
            Refusal: It is not well-formed up to there, or has a document type declaration.
        """
        head, fed = bytearray(), 0
        found: etree._Element | None = None
        while found is None:
            chunk = next(self._chunks, b"")
            head += chunk
            if not head:
                raise Refusal(Text("The file is empty."))
            ready = self._ready(head, fed) if chunk else len(head)
            found = self._first(head, fed, ready, ended=not chunk)
            fed = ready
            if found is None and not chunk:
                raise Refusal(_NOT_WELL_FORMED)
        self._head = bytes(head)
        self._lines.add(self._head)
        namespace, _, name = str(found.tag).rpartition("}")
        line = self._lines.start()
        captures = bool(found.prefix) and None not in found.nsmap
        self._root = Root(namespace[1:], name, attributes_of(found), line, captures)
        return self._root

    def _first(self, head: bytearray, fed: int, ready: int, *, ended: bool) -> etree._Element | None:
        """Return the root, once it has begun; what is wrong behind its start tag is found when it is read."""
        try:
            self._feed(bytes(head[fed:ready]), begins=not fed)
            if ended:
                self._close()
        except Refusal:
            found = next(iter(self._begun()), None)
            if found is None or tag_end(head, prolog_end(head)) < 0:
                raise
            return found
        return next(iter(self._begun()), None)

    def events(self, namespace: str, containers: Collection[str]) -> Iterator[Event]:
        """Yield what stands in the document, from the root's start on.

        Args:
            namespace: The format's.
            containers: Elements whose children are read one by one; the root is one whatever its name.

        Raises:
            Refusal: It is not well-formed, or beyond a limit. Raised while iterating.
        """
        qualified = {f"{{{namespace}}}{name}" for name in containers}
        root = self._root
        tag = f"{{{root.namespace}}}{root.name}" if root.namespace else root.name
        # Again from the start, with a parser that makes no event of every other element.
        self._parser = _parser(tag)
        self._feed(self._head, begins=True)
        self._open = self._begun()[:1]
        yield Start(_name(tag, namespace), root.attributes, root.line)
        while True:
            yield from self._walk(namespace, qualified, ended=False)
            self._check_limits()
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._lines.add(chunk)
            self._feed(chunk)
        self._close()
        yield from self._walk(namespace, qualified, ended=True)

    def last_line(self) -> int:
        """Return the line in which the document ends, once everything was read."""
        return self._lines.last()

    def _ready(self, head: bytearray, fed: int) -> int:
        """Return how much of the head may be given to libxml2: nothing that may begin a document type declaration.

        First no more than the root's start tag: all else is read again.
        """
        prolog = prolog_end(head)
        line = self._lines_before + 1 + breaks(head, 0, prolog)
        if head.startswith(b"<!D", prolog):
            message = Text("It has a document type declaration (DTD, entities), which is never allowed.")
            self._refuse(message, line)
        end = tag_end(head, prolog)
        if end < 0:
            self._check_token(len(head) - prolog, line)
        elif fed < end:
            return end
        in_prolog = bytes(head[prolog : prolog + 2]) in {b"", b"<", b"<!", b"<?"}
        return prolog if in_prolog else len(head)

    def _begun(self) -> list[etree._Element]:
        # lxml-stubs has no public name for an element.
        return [cast("etree._Element", element) for _, element in self._parser.read_events()]  # noqa: SLF001

    def _feed(self, chunk: bytes, *, begins: bool = False) -> None:
        """Give bytes to libxml2.

        Behind a blank, a byte order mark or an XML declaration is an error, as it is inside the Hodemelding.
        """
        failed = False
        try:
            self._parser.feed(b" " + chunk if begins else chunk)
        except etree.XMLSyntaxError:  # what is wrong with namespaces only the log has
            failed = True
        self._check_log(failed=failed)

    def _close(self) -> None:
        failed = False
        try:
            self._parser.close()
        except etree.XMLSyntaxError:
            failed = True
        self._check_log(failed=failed)

    def _check_log(self, *, failed: bool) -> None:
        for complaint in self._parser.feed_error_log:
            if complaint.type_name.startswith("WAR_") and not self._open:  # which root it is, is reported first
                continue
            line = complaint.line + self._lines_before
            for words, what in _LIMITS.items():
                if words in complaint.message:
                    self._refuse(what, line)
            why = _WORDS.get(complaint.type_name) or Text("libxml2 calls it {name}", name=complaint.type_name)
            self._refuse(Text("It is not well-formed XML: {why}.", why=why), line)
        if failed:
            self._refuse(_NOT_WELL_FORMED, 0)

    def _check_limits(self) -> None:
        """Refuse what would have to be held, and drop what is passed."""
        self._begun()  # containers with the root's name
        lines = self._lines
        self._check_token(*lines.pending())
        if lines.held > MAX_RECORD:
            self._too_large(lines.next_line())
        if lines.held > _SHORTEST_ELEMENT * MAX_ELEMENTS and lines.tags_begun() > MAX_ELEMENTS:
            self._too_many(lines.next_line())
        if lines.held > _CHUNK:
            lines.skip_text()

    def _check_token(self, length: int, line: int) -> None:
        if length > _MAX_TOKEN:
            self._refuse(Text("There is a tag or comment of more than {bytes} bytes.", bytes=_MAX_TOKEN), line)

    def _too_large(self, line: int) -> NoReturn:
        self._refuse(Text("There is a record of more than {bytes} bytes.", bytes=MAX_RECORD), line)

    def _too_many(self, line: int) -> NoReturn:
        self._refuse(Text("There is a record of more than {elements} elements.", elements=MAX_ELEMENTS), line)

    def _refuse(self, what: Text, line: int) -> NoReturn:
        raise Refusal(what, line=line) from None

    def _walk(self, namespace: str, containers: Collection[str], *, ended: bool) -> Iterator[Event]:
        """Yield what is complete in the tree, and take it out.

        Text that libxml2 still writes at stands last in a container; nothing is left before it, so that it can never
        take another text for its own.
        """
        while self._open:
            parent = self._open[-1]
            if parent.text:
                yield from self._text(parent.text)
                parent.text = None
            child = next(iter(parent), None)
            if child is None:
                if not ended and not self._is_closed():
                    return
                yield from self._end()
                continue
            tag = child.tag
            if tag in containers:
                self._in_text = False
                self._open.append(child)
                yield Start(_name(tag, namespace), attributes_of(child), self._lines.start())
                continue
            tail = child.tail
            if not tail and child.getnext() is None and not ended and not self._is_closed():
                return
            yield self._record(child, namespace)
            parent.remove(child)
            if tail:
                yield from self._text(tail)

    def _is_closed(self) -> bool:
        """Whether the innermost container has ended: something stands behind it, or behind one around it."""
        return any(each.tail is not None or each.getnext() is not None for each in self._open[1:])

    def _record(self, xml: etree._Element, namespace: str) -> Record:
        self._in_text = False
        extent = self._lines.element()
        if len(extent.written) > MAX_RECORD:
            self._too_large(extent.line)
        if extent.elements > MAX_ELEMENTS:
            self._too_many(extent.line)
        return Record(_name(xml.tag, namespace), xml, extent, namespace, len(self._open))

    def _end(self) -> Iterator[Event]:
        self._in_text = False
        xml = self._open.pop()
        yield End(self._lines.end())
        if self._open:
            tail = xml.tail
            self._open[-1].remove(xml)
            yield from self._text(tail)

    def _text(self, text: str | None) -> Iterator[Characters]:
        """Yield a text once, though it may come in many parts."""
        # Of ASCII's white space XML allows just its own.
        if text and not self._in_text and not (text.isascii() and text.isspace()):
            self._in_text = True
            yield Characters(self._lines.text_line())


def _parser(tag: str = "*") -> etree.XMLPullParser:
    """Return a parser that tells of elements that begin, if they have this tag."""
    return etree.XMLPullParser(
        events=("start",),
        tag=tag,
        encoding="utf-8",
        remove_comments=True,
        remove_pis=True,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
    )


def _even(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield chunks of one size: whoever hands in lines has many, and a large one makes a large tree."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= _CHUNK:
            yield bytes(held[:_CHUNK])
            del held[:_CHUNK]
    if held:
        yield bytes(held)


def _element(xml: etree._Element, lines: Iterator[int], namespace: str) -> Element:
    element = Element(_name(xml.tag, namespace), attributes_of(xml), next(lines), xml.text or "")
    for child in xml:
        element.children.append(_element(child, lines, namespace))
        element.text += child.tail or ""
    return element


def attributes_of(xml: etree._Element) -> dict[str, str]:
    """Return an element's attributes, as in ``Element``."""
    return dict(cast("Sequence[tuple[str, str]]", xml.items()))


def _name(tag: str, namespace: str) -> str:
    if not tag.startswith("{"):
        return f"{{}}{tag}"
    found, _, local = tag.rpartition("}")
    return local if found == "{" + namespace else tag

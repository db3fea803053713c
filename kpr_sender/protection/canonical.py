"""Exclusive canonical XML (W3C xml-exc-c14n, without comments) of a document that streams by, at flat memory.

Only what depends on the place in the document is kept: the namespaces in force, one step for each open element. What a
start tag with the same names comes to in the same place is worked out once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from kpr_sender.protection.refused import Malformed

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

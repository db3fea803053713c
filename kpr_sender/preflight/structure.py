"""What the official schema would report of a file: every breach with its line and place, as the file is read.

The content models are plain sequences, so a block keeps its schema where its children's places never fall and each
stands there as often as it may. Only counts are stored, and hashes of what must be unique.
"""

from __future__ import annotations

import functools
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kpr_sender.preflight.catalogue.fields import Block, Catalogue, Field
from kpr_sender.preflight.header import hidden, named_root, shown
from kpr_sender.preflight.lexical import Predicate, predicate, wanted
from kpr_sender.preflight.lines import WHITE
from kpr_sender.preflight.memory import MOST_MADE
from kpr_sender.preflight.model import Element, place
from kpr_sender.privacy import may_hold_national_id
from kpr_sender.texts import Text

# What a schema says of one block, made ready for those who evaluate.


class Model:
    """What a schema says of one block, made ready.

    Attributes:
        block: As in the catalogue.
        places: Where each child stands in the sequence.
        values: The test of each child that has a simple value.
        attributes: The test of each attribute.
        required: The attributes that it must have.
        unique: For each child, its attributes that must differ from those of the others.
    """

    def __init__(self, block: Block, catalogue: Catalogue) -> None:
        self.block = block
        self.places = {child.name: at for at, child in enumerate(block.children)}
        self.values: Mapping[str, Predicate] = {
            child.name: predicate(child) for child in block.children if child.kind == "element"
        }
        self.attributes: Mapping[str, Predicate] = {
            name: predicate(attribute) for name, attribute in block.attributes.items()
        }
        self.required = {name for name, attribute in block.attributes.items() if attribute.least}
        self.unique = {
            child.name: names
            for child in block.children
            if child.kind == "block"
            and (
                names := [
                    name
                    for name, attribute in catalogue.blocks[child.name].attributes.items()
                    if attribute.facets.get("unique") == block.name
                ]
            )
        }

    def has_valid_attributes(self, attributes: Mapping[str, str]) -> bool:
        """Whether a block may have these attributes; uniqueness is not evaluated."""
        for name, value in attributes.items():
            test = self.attributes.get(name)
            if test is None or not test(value):
                return False
        return attributes.keys() >= self.required

    def child(self, name: str) -> Field:
        """Return a child's field in the catalogue."""
        return self.block.children[self.places[name]]


@functools.lru_cache(maxsize=MOST_MADE)
def models(catalogue: Catalogue) -> Mapping[str, Model]:
    """Return every block's, by name."""
    return {name: Model(block, catalogue) for name, block in catalogue.blocks.items()}


# Which texts were there before, in 12 to 24 bytes each whatever their length.

_FIRST_SIZE: Final = 1_024  # slots, a power of two


class HashedTexts:
    """A set of texts that stores 8-byte hashes only, in one array with open addressing.

    The hash is Python's own, keyed anew in each process: nobody can make a file whose texts meet, and among a million
    texts two different ones are taken for the same once in some ten million runs.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _FIRST_SIZE))
        self._count = 0

    def add(self, text: str) -> bool:
        """Return whether it is new, and remember it."""
        if 3 * self._count > 2 * len(self._slots):
            old, self._slots = self._slots, array("Q", bytes(16 * len(self._slots)))
            for digest in old:
                if digest:
                    self._put(digest)
        new = self._put(hash(text) & 0xFFFF_FFFF_FFFF_FFFF or 1)  # 0 is an empty slot
        self._count += new
        return new

    def _put(self, digest: int) -> bool:
        slots = self._slots
        mask = len(slots) - 1
        at = digest & mask
        while slots[at]:
            if slots[at] == digest:
                return False
            at = (at + 1) & mask
        slots[at] = digest
        return True


_XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_HINTS: Final = frozenset({f"{_XSI}schemaLocation", f"{_XSI}noNamespaceSchemaLocation"})  # allowed on any element
_RETYPING: Final = frozenset({f"{_XSI}type", f"{_XSI}nil"})


@dataclass(frozen=True, slots=True)
class Breach:
    """One breach.

    Attributes:
        rule: One of the names below.
        line: Line of the file.
        path: As in ``Finding``.
        message: As in ``Finding``.
    """

    rule: str
    line: int
    path: str
    message: str


ROOT: Final = "structure.root"
ELEMENT: Final = "structure.element"
MISSING: Final = "structure.missing"
ATTRIBUTE: Final = "structure.attribute"
VALUE: Final = "structure.value"
TEXT: Final = "structure.text"
UNIQUE: Final = "structure.unique"


class _Opened:
    """One block whose children are going by; a container's name is not in their paths."""

    def __init__(self, model: Model, path: str, *, inside: str) -> None:
        self.model = model
        self.path = path
        self.inside = inside
        self._at = 0
        self._counts: Counter[str] = Counter()
        self._seen: dict[str, HashedTexts] = {}

    def step(self, name: str, keys: Mapping[str, str], line: int) -> list[Breach]:
        """Evaluate the next child's name, and what must be unique among its attributes."""
        at = self.model.places.get(name)
        if at is None:
            message = Text("{name} does not belong in {block}.", name=_named(name), block=self.model.block.name)
            return [Breach(ELEMENT, line, self.path, message)]
        breaches = []
        self._counts[name] += 1
        most = self.model.block.children[at].most
        if most is not None and self._counts[name] > most:
            message = Text("{name} may stand there {times} only.", name=name, times=_times(most))
            breaches.append(Breach(ELEMENT, line, _below(self.inside, name), message))
        elif at < self._at:
            other = self.model.block.children[self._at].name
            message = Text("{name} stands behind {other}, but belongs before it.", name=name, other=other)
            breaches.append(Breach(ELEMENT, line, _below(self.inside, name), message))
        self._at = max(self._at, at)
        for attribute in self.model.unique.get(name, ()):
            if attribute in keys and not self._seen.setdefault(attribute, HashedTexts()).add(keys[attribute]):
                path = _below(self.inside, place(name, keys))
                message = Text("Another {name} before it has the same {key}.", name=name, key=attribute)
                breaches.append(Breach(UNIQUE, line, path, message))
        return breaches

    def end(self, line: int) -> Iterator[Breach]:
        """Evaluate what did not come."""
        for child in self.model.block.children:
            count = self._counts[child.name]
            if count < child.least:
                path = _below(self.inside, child.name)
                message = Text("{name} is missing.", name=child.name)
                if count:
                    message = Text(
                        "{name} stands there {times}, and must at least {least}.",
                        name=child.name,
                        times=_times(count),
                        least=_times(child.least),
                    )
                yield Breach(MISSING, line, path, message)


class Structure:
    """Evaluates one file of a format, whose events it is given in order.

    Args:
        catalogue: The format's.
        namespace: The format's; names in it come without it.
    """

    def __init__(self, catalogue: Catalogue, namespace: str) -> None:
        self._catalogue = catalogue
        self._namespace = namespace
        self.models = models(catalogue)
        self._open: list[_Opened | None] = []  # None is a container that no schema knows: reported once

    def start(self, name: str, attributes: Mapping[str, str], line: int) -> Iterator[Breach]:
        """A container begins."""
        at_root = not self._open
        parent = None if at_root else self._open[-1]
        known = name == self._catalogue.root if at_root else parent is not None and name in parent.model.places
        path = place(name, attributes)
        opened = _Opened(self.models[name], path, inside="") if known else None
        self._open.append(opened)
        if parent:
            yield from parent.step(name, attributes, line)
        elif at_root and not known:
            root = named_root(self._catalogue.root, self._namespace)
            message = Text("The root element is {name}; {root} is wanted.", name=_named(name), root=root)
            yield Breach(ROOT, line, "", message)
        if opened:
            yield from _attributes(opened.model, attributes, line, path)

    def passed(self, name: str, keys: Mapping[str, str], line: int) -> list[Breach]:
        """A record went by that is valid in itself: evaluate its place, and what must be unique."""
        parent = self._open[-1]
        return parent.step(name, keys, line) if parent else []

    def record(self, element: Element) -> Iterator[Breach]:
        """A complete record went by."""
        parent = self._open[-1]
        if parent:
            yield from self._child(parent, element)

    def text(self, line: int) -> Iterator[Breach]:
        """Something other than white space stands in a container."""
        if opened := self._open[-1]:
            yield _text_breach(opened.model.block.name, line, opened.path)

    def end(self, line: int) -> Iterator[Breach]:
        """The container that began last ends."""
        if opened := self._open.pop():
            yield from opened.end(line)

    def _child(self, parent: _Opened, element: Element) -> Iterator[Breach]:
        yield from parent.step(element.name, element.attributes, element.line)
        test = parent.model.values.get(element.name)
        if test is not None:
            path = _below(parent.inside, element.name)
            yield from _value(test, parent.model.child(element.name), element, path)
        elif element.name in parent.model.places:
            yield from self._block(element, _below(parent.inside, place(element.name, element.attributes)))

    def _block(self, element: Element, path: str) -> Iterator[Breach]:
        model = self.models[element.name]
        yield from _attributes(model, element.attributes, element.line, path)
        if element.text.strip(WHITE) if model.places else element.text:
            yield _text_breach(element.name, element.line, path)
        opened = _Opened(model, path, inside=path)
        for child in element.children:
            yield from self._child(opened, child)
        yield from opened.end(element.line)


def _attributes(model: Model, attributes: Mapping[str, str], line: int, path: str) -> Iterator[Breach]:
    for name, value in attributes.items():
        test = model.attributes.get(name)
        if test is None:
            yield from _stray(name, model.block.name, line, path)
        elif not test(value):
            yield _value_breach(model.block.attributes[name], value, line, _below(path, name))
    for name, attribute in model.block.attributes.items():
        if attribute.least and name not in attributes:
            yield Breach(MISSING, line, _below(path, name), Text("The attribute {name} is missing.", name=name))


def _value(test: Predicate, field: Field, element: Element, path: str) -> Iterator[Breach]:
    for name in element.attributes:
        yield from _stray(name, field.name, element.line, path)
    if element.children:
        message = Text("{name} has an element in it; only a value may be there.", name=field.name)
        yield Breach(ELEMENT, element.line, path, message)
    elif not test(element.text):
        yield _value_breach(field, element.text, element.line, path)


def _stray(name: str, block: str, line: int, path: str) -> Iterator[Breach]:
    if name in _RETYPING:
        message = Text("xsi:{name} is not allowed in {block}.", name=name.removeprefix(_XSI), block=block)
        yield Breach(ATTRIBUTE, line, path, message)
    elif name not in _HINTS:
        message = Text("The attribute {name} does not belong in {block}.", name=_named(name), block=block)
        yield Breach(ATTRIBUTE, line, path, message)


def _text_breach(block: str, line: int, path: str) -> Breach:
    message = Text("{name} has text in it; only elements, or nothing, may be there.", name=block)
    return Breach(TEXT, line, path, message)


def _value_breach(field: Field, value: str, line: int, path: str) -> Breach:
    message = Text(
        "{name} is {value}; {wanted} is wanted.", name=field.name, value=_technical(value), wanted=wanted(field)
    )
    return Breach(VALUE, line, path, message)


def _technical(value: str) -> str:
    """Return a value where it is a short number or date, else its length: it may be a name or an id (promise G6)."""
    plain = set(value) <= set("0123456789.-+:") and not may_hold_national_id(value)
    return shown(value) if plain or not value else hidden(value)


def _named(name: str) -> str:
    namespace, _, local = name.rpartition("}")
    return Text("{name} of another namespace", name=shown(local)) if namespace else shown(local)


def _below(path: str, step: str) -> str:
    return f"{path} / {step}" if path else step


def _times(count: int) -> str:
    return Text("once", plural="{count} times", count=count)

"""Evaluates a PERSON that keeps the schema, with what was seen in the persons before: the one place that remembers.

A file has few orders of children and few values, so that nearly every child is evaluated by looking it up. Whatever was
not found right before is evaluated by ``structure`` and the rules; what breaks the schema is left to them altogether.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple, TypeVar, cast

from lxml import etree

from kpr_sender.preflight.findings import Hit, Together
from kpr_sender.preflight.reader import Record
from kpr_sender.preflight.record import PersonRecord, Row
from kpr_sender.preflight.rules.rows import RowJudge
from kpr_sender.preflight.structure import Model

PERSON: Final = "PERSON"

_MOST_VALUES: Final = 20_000  # of one kind of block: twenty years have 7,000 days
_MOST_ORDERS: Final = 10_000  # of one kind of block: a file has some hundred
_LONGEST: Final = 100  # characters of a value that is remembered
_LONGEST_KEY: Final = 10  # digits of a running number (kravspesifikasjon IPLOS 3.7); a longer one is looked at closely
_WHITE: Final = " \t\r\n"

_FUNCTION: Final = "FUNKSJON"
_FIELDS: Final = ("fnFunkType", "fnFunkVerdi", "fnFraDato", "fnTilDato")
_START: Final = b"<FUNKSJON fnPeID="
_END: Final = b"</FUNKSJON>"
_BETWEEN_KEYS: Final = {" fnFnID="}
_DAYS: Final = "<fnFraDato>"
_CODES_HALF: Final = re.compile(
    "[ \t\r\n]*>[ \t\r\n]*<fnFunkType>([^<>]*)</fnFunkType>[ \t\r\n]*<fnFunkVerdi>([^<>]*)</fnFunkVerdi>[ \t\r\n]*"
)
_DAYS_HALF: Final = re.compile(
    "([^<>]*)</fnFraDato>[ \t\r\n]*<fnTilDato>([^<>]*)</fnTilDato>[ \t\r\n]*</FUNKSJON>[ \t\r\n]*<FUNKSJON fnPeID="
)

_Child = tuple[str, str | None, str | None]
"""A simple child: its tag, its text, and what stands behind it."""
_K = TypeVar("_K")
_V = TypeVar("_V")


class _Order(NamedTuple):
    """The simple children of a block, in an order that keeps the schema.

    Attributes:
        names: Their names.
        together: Evaluates their values together.
    """

    names: tuple[str, ...]
    together: Together


class Persons:
    """Evaluates one PERSON after the other.

    Args:
        namespace: The format's.
        models: What the schema says of each block, by name.
        rules: The rules on blocks.
    """

    def __init__(self, namespace: str, models: Mapping[str, Model], rules: RowJudge) -> None:
        kinds = [child.name for child in models[PERSON].block.children if child.kind == "block"]
        self._own = _Block(PERSON, namespace, models[PERSON], rules)
        self._rows = {
            f"{{{namespace}}}{kind}": _Block(kind, namespace, models[kind], rules, place=models[PERSON].places[kind])
            for kind in kinds
        }
        self._function = f"{{{namespace}}}{_FUNCTION}"
        self._functions = _Functions(namespace, self._rows[self._function])

    def read(self, record: Record) -> PersonRecord | None:  # noqa: C901, PLR0911 - each return is a way out of the fast path
        """Return a PERSON, without FUNKSJON that break nothing; None where it may break the schema.

        Text and attributes where none may be are found by what is counted: each element and attribute that was looked
        at is one that was written, and there is no other.
        """
        person, extent = record.xml, record.extent
        own: list[_Child] = []
        rows: list[Row] = []
        functions: list[etree._Element] = []
        before_functions = place = -1
        elements, attributes, around = 1, 0, person.text or ""
        for child in person:
            tag = child.tag
            block = self._rows.get(tag)
            if block is None:
                if place >= 0:
                    return None
                own.append((tag, child.text, child.tail))
                continue
            if block.place < place:
                return None
            place = block.place
            if tail := child.tail:
                around += tail
            if tag == self._function:
                functions.append(child)
                before_functions = len(rows)
                continue
            row = block.read(child)
            if row is None:
                return None
            rows.append(row)
            elements += 1 + len(row.values)
            attributes += len(row.keys)
        found = self._own.evaluate(person, own)
        if found is None or around.strip(_WHITE):
            return None
        if functions and not self._functions.are_clean(found.keys["pePeID"], extent.written, len(functions)):
            block = self._rows[self._function]
            more = [block.read(child) for child in functions]
            if None in more:
                return None
            rows[before_functions:before_functions] = [row for row in more if row is not None]
        elements += len(own) + len(functions) * _Functions.elements
        attributes += len(found.keys) + len(functions) * _Functions.attributes
        if (elements, attributes) != (extent.elements, extent.equals):
            return None
        return PersonRecord(found.keys, found.values, rows, found.hits)


class _Block:
    """What is known of one kind of block."""

    def __init__(self, kind: str, namespace: str, model: Model, rules: RowJudge, *, place: int = 0) -> None:
        self.place = place  # among the children of a PERSON
        self._kind = kind
        self._model = model
        self._rules = rules
        self._values = _Values(kind, namespace, model, rules)
        self._orders: dict[tuple[str, ...], _Order] = {}
        self._keys: dict[tuple[str, ...], bool] = {}

    def read(self, xml: etree._Element) -> Row | None:
        """Return a block as a row; None where it may break the schema."""
        text = xml.text
        if text and text.strip(_WHITE):
            return None
        return self.evaluate(xml, [(child.tag, child.text, child.tail) for child in xml])

    def evaluate(self, xml: etree._Element, children: list[_Child]) -> Row | None:
        """Return a block with these simple children as a row; None where it may break the schema."""
        names = cast("tuple[str, ...]", tuple(xml.keys()))
        numbers = cast("Sequence[str]", xml.values())
        right = self._keys.get(names)
        if right is None:
            right = self._learn_keys(names)
        if not right or not _are_running_numbers(numbers):
            return None
        found = self.values(children)
        if found is None:
            return None
        values, hits = found
        return Row(self._kind, dict(zip(names, numbers, strict=True)), values, hits)

    def values(self, children: list[_Child]) -> tuple[Mapping[str, str], tuple[Hit, ...]] | None:
        """Return simple children's texts by name, and what they break; None where they may break the schema."""
        try:
            broken = [hits for hits in map(self._values.__getitem__, children) if hits]
        except KeyError:
            return None
        tags, texts, _ = zip(*children, strict=True) if children else ((), (), ())
        order = self._orders.get(tags) or self._learn_order(tags)
        if order is None:
            return None
        if None in texts:
            texts = tuple(text or "" for text in texts)
        values = dict(zip(order.names, texts, strict=True))
        hits = order.together(values)
        return values, (*chain(*broken), *hits) if broken else hits

    def _learn_keys(self, names: tuple[str, ...]) -> bool:
        """Say whether a block may have these attributes, where each is a running number."""
        keys = dict.fromkeys(names, "1")
        right = self._model.has_right_attributes(keys) and not self._rules.keys(self._kind, keys)
        _remember(self._keys, names, right, most=_MOST_ORDERS)
        return right

    def _learn_order(self, tags: tuple[str, ...]) -> _Order | None:
        names = tuple(tag.rpartition("}")[2] for tag in tags)
        if not self._model.has_right_children(names):
            return None
        order = _Order(names, self._rules.together(self._kind, names))
        _remember(self._orders, tags, order, most=_MOST_ORDERS)
        return order


class _Values(dict[_Child, tuple[Hit, ...]]):
    """What each simple child of one kind of block breaks by itself; an error for one that breaks the schema."""

    def __init__(self, kind: str, namespace: str, model: Model, rules: RowJudge) -> None:
        super().__init__()
        self._kind = kind
        self._ours = f"{{{namespace}}}"
        self._model = model
        self._rules = rules

    def __missing__(self, child: _Child) -> tuple[Hit, ...]:
        tag, text, tail = child
        name = tag.removeprefix(self._ours)
        test = self._model.values.get(name) if tag.startswith(self._ours) else None
        if test is None or not test(text or "") or (tail and tail.strip(_WHITE)):
            raise KeyError
        hits = self._rules.value(self._kind, name, text or "")
        if len(text or "") + len(tail or "") <= _LONGEST:
            _remember(self, child, hits, most=_MOST_VALUES)
        return hits


class _Functions:
    """Says of a person's FUNKSJON, taken together, that they keep the schema and break nothing.

    Four fifths of a fagmelding are FUNKSJON: up to eighteen a person, the same few codes with the same two days. No
    rule asks for the codes and the days of one together, so the halves that were found clean are remembered.

    Args:
        block: Evaluates one.
    """

    elements: Final = 5
    attributes: Final = 2

    def __init__(self, namespace: str, block: _Block) -> None:
        self._tags = [f"{{{namespace}}}{name}" for name in _FIELDS]
        self._block = block
        self._codes: dict[str, bool] = {}
        self._days: dict[str, bool] = {}

    def are_clean(self, pid: str, person: bytes, count: int) -> bool:
        """Say so of all of a person's, as they are written.

        Args:
            pid: The person's pePeID.
            person: The PERSON as it is written.
            count: How many it has.
        """
        begin, end = person.find(_START), person.rfind(_END)
        first, *parts = (person[begin:end] + _END + _START).decode().split('"')  # one ends as the next one begins
        own = parts[2::4]
        if (
            first != _START.decode()
            or len(parts) != 4 * count
            or set(parts[0::4]) != {pid}
            or set(parts[1::4]) != _BETWEEN_KEYS
            or len(set(own)) < count
            or not _are_running_numbers(own)
        ):
            return False
        halves = [part.partition(_DAYS) for part in parts[3::4]]
        codes, days = {half[0] for half in halves}, {half[2] for half in halves}
        if self._codes.keys() >= codes and self._days.keys() >= days:
            return True
        a_code, a_day = halves[0][0], halves[0][2]
        return all(self._is_clean(each, a_day) for each in codes - self._codes.keys()) and all(
            self._is_clean(a_code, each) for each in days - self._days.keys()
        )

    def _is_clean(self, codes: str, days: str) -> bool:
        """Evaluate one, and remember what breaks nothing."""
        found = _CODES_HALF.fullmatch(codes), _DAYS_HALF.fullmatch(days)
        if found[0] is None or found[1] is None:
            return False
        texts = found[0].groups() + found[1].groups()
        values = self._block.values([(tag, text, None) for tag, text in zip(self._tags, texts, strict=True)])
        if values is None or values[1]:
            return False
        _remember(self._codes, codes, True, most=_MOST_VALUES)
        _remember(self._days, days, True, most=_MOST_VALUES)
        return True


def _are_running_numbers(numbers: Collection[str]) -> bool:
    digits = "".join(numbers)
    if not (digits.isdigit() and digits.isascii()) or "" in numbers:
        return False
    return len(digits) <= _LONGEST_KEY or max(map(len, numbers)) <= _LONGEST_KEY


def _remember(known: dict[_K, _V], key: _K, value: _V, *, most: int) -> None:
    if len(known) >= most:
        known.clear()
    known[key] = value

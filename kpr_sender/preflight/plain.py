"""Reads one PERSON that is written plainly and certainly keeps the schema; leaves every other to the general reader.

Plainly: without prefixes, references, comments or self-closing rows, as every EPJ writes it. A person is cut where a
kind of row begins, in the schema's order, and a row at each ``<``. Then ``name>value`` is one text, nearly always seen
before, and so are the end tags of a row: a look-up for each value, and one for all its marks, say that the row is
right. That, in place of an event for each element, is what brings all rules together near the speed of a schema
validation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeVar

from kpr_sender.preflight.finding import Hit
from kpr_sender.preflight.record import PersonRecord, Row

PERSON: Final = "PERSON"
FUNCTION: Final = "FUNKSJON"
ROWS: Final = ("PERSONOPPL", FUNCTION, "TJENESTE", "DIAGNOSE", "DOGNTILBUD")
"""A person's, in the schema's order, behind its own values: each in any number (IPLOS 3.7)."""

Names = tuple[str, ...]
Values = Mapping[str, str]

_WHITE: Final = " \t\r\n"
_START: Final = f"<{PERSON} "
_END: Final = f"</{PERSON}>"
_FUNCTION_START: Final = f"<{FUNCTION} "
_FUNCTION_END: Final = f"</{FUNCTION}>"
_FROM_LAST: Final = tuple((kind, f"<{kind} ") for kind in reversed(ROWS))

_REMEMBERED: Final = 10_000  # ways to mark a kind of block: a file has some hundred
_VALUES_REMEMBERED: Final = 20_000  # of one kind of block
_LONGEST: Final = 100  # characters of what is remembered
_KEYS: Final = re.compile("([A-Za-z]+=(?:\0[ \t\r\n]+[A-Za-z]+=)*)\0[ \t\r\n]*>[ \t\r\n]*")
_KEY: Final = re.compile("([A-Za-z]+)=")
_CHILD_END: Final = re.compile("/([A-Za-z]+)>[ \t\r\n]*")

_K = TypeVar("_K")
_V = TypeVar("_V")


class Judgement(Protocol):
    """What a plain reader asks for, by the name of the block."""

    def names(self, kind: str, names: Names) -> bool:
        """Say whether these simple children, in this order, may stand in it."""

    def keys(self, kind: str, names: Names) -> bool:
        """Say whether attributes of these names are right where each is a running number."""

    def numbers(self, keys: Sequence[str]) -> bool:
        """Say whether each of these attributes is a running number."""

    def clean(self, kind: str, name: str, text: str) -> bool:
        """Say whether a simple child of it certainly keeps the schema, and breaks nothing by itself."""

    def single(self, kind: str, values: Values) -> tuple[Hit, ...] | None:
        """Return what each value breaks by itself; None where one does not certainly keep the schema."""

    def together(self, kind: str, values: Values) -> tuple[Hit, ...]:
        """Return what values break beside each other."""

    def functions(self, pid: str, written: str) -> bool:
        """Say whether all of a person's FUNKSJON are certainly right and break nothing."""


class _CleanValues(dict[str, tuple[str, str]]):
    """Name and text by ``name>text``; an error for what is not clean."""

    def __init__(self, kind: str, judgement: Judgement) -> None:
        super().__init__()
        self._kind = kind
        self._clean = judgement.clean

    def __missing__(self, written: str) -> tuple[str, str]:
        name, _, text = written.partition(">")
        if ">" in text or not self._clean(self._kind, name, text):
            raise KeyError
        if len(self) >= _VALUES_REMEMBERED:
            self.clear()
        if len(written) <= _LONGEST:
            self[written] = name, text
        return name, text


class _Known:
    """What was found right of one kind of block."""

    def __init__(self, kind: str, judgement: Judgement) -> None:
        self.kind = kind
        self.keys: dict[Names, Names] = {}  # what stands around the attributes, and their names
        self.marks: dict[Names, Names] = {}  # the end tags, its own the last, and the names of its children
        self.values = _CleanValues(kind, judgement)


class PlainPersons:
    """Reads persons.

    Args:
        judgement: What is asked of each block.
    """

    def __init__(self, judgement: Judgement) -> None:
        self._judgement = judgement
        self._known = {kind: _Known(kind, judgement) for kind in (PERSON, *ROWS)}

    def read(self, block: str) -> PersonRecord | None:
        """Return the person; None where it is not plain, or not certainly right.

        Args:
            block: From its start tag, or white space before it, to its end tag, without ``<!``, ``<?``, ``&`` and
                control characters.
        """
        before, _, written = block.partition(_START)
        if before.strip(_WHITE) or not written.endswith(_END):
            return None
        functions, rest = _apart(written[: -len(_END)])
        written_rows = []
        for kind, start in _FROM_LAST:
            rest, *rows = rest.split(start)
            written_rows.append((kind, rows))
        own = self._block(self._known[PERSON], rest + _END)
        if own is None:
            return None
        record = PersonRecord(own.keys, own.values, [], own.hits)
        for kind, rows in reversed(written_rows):
            if kind == FUNCTION and rows:
                if not functions or len(rows) > 1 or rows[0].strip(_WHITE):
                    return None
                if self._judgement.functions(own.keys["pePeID"], functions + rows[0]):
                    continue
                rows[:] = functions.split(_FUNCTION_START)[1:]
            known = self._known[kind]
            for each in rows:
                row = self._block(known, each)
                if row is None:
                    return None
                record.rows.append(row)
        return record

    def _block(self, known: _Known, written: str) -> Row | None:
        """Read what stands from behind a block's name to its end tag, or white space after it."""
        start, *children = written.split("<")
        around = start.split('"')
        keys, numbers = tuple(around[0::2]), around[1::2]
        marks = (*children[1::2], *children[-1:])
        names = known.keys.get(keys) or self._learn_keys(known, keys)
        children_names = known.marks.get(marks)
        if children_names is None:
            children_names = self._learn_marks(known, marks)
        if names is None or children_names is None or not self._judgement.numbers(numbers):
            return None
        hits: tuple[Hit, ...] | None = ()
        try:
            values = dict(map(known.values.__getitem__, children[0:-1:2]))
        except KeyError:
            pairs = [each.partition(">") for each in children[0:-1:2]]
            values = {name: text for name, _, text in pairs}
            hits = None if ">" in "".join(values.values()) else self._judgement.single(known.kind, values)
        if hits is None or tuple(values) != children_names:
            return None
        hits += self._judgement.together(known.kind, values)
        return Row(known.kind, dict(zip(names, numbers, strict=True)), values, hits)

    def _learn_keys(self, known: _Known, written: Names) -> Names | None:
        if _KEYS.fullmatch("\0".join(written)) is None:
            return None
        names = tuple(_KEY.findall("".join(written)))
        if not self._judgement.keys(known.kind, names):
            return None
        _remember(known.keys, written, names, most=_REMEMBERED)
        return names

    def _learn_marks(self, known: _Known, written: Names) -> Names | None:
        found = [_CHILD_END.fullmatch(each) for each in written]
        names = tuple(each[1] for each in found if each is not None)
        if len(names) < len(written) or names[-1:] != (known.kind,):
            return None
        names = names[:-1]
        if not self._judgement.names(known.kind, names):
            return None
        _remember(known.marks, written, names, most=_REMEMBERED)
        return names


def _apart(written: str) -> tuple[str, str]:
    """Return all FUNKSJON, and the rest with one start tag in their place, which says where they stood."""
    begin = written.find(_FUNCTION_START)
    behind = written.rfind(_FUNCTION_END, begin) + len(_FUNCTION_END)
    if begin < 0 or behind < begin:
        return "", written
    return written[begin:behind], f"{written[:begin]}{_FUNCTION_START}{written[behind:]}"


def _remember(known: dict[_K, _V], key: _K, value: _V, *, most: int) -> None:
    if len(known) >= most:
        known.clear()
    known[key] = value

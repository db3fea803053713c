"""Reads one PERSON that is written plainly and certainly keeps the schema; leaves every other to the general reader.

Plainly: without prefixes, references, comments or self-closing rows, as every EPJ writes it. Then a few ``split`` cut
a whole person into marks and texts by turns, a row whose marks were seen before needs no look at any of them, and the
eighteen FUNKSJON of a person, four fifths of a file, are judged by columns. That, in place of an event for each
element, is what brings all rules together to the speed of a schema validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kpr_sender.preflight.finding import Hit
from kpr_sender.preflight.record import PersonRecord, Row

PERSON: Final = "PERSON"
_FUNCTION: Final = "FUNKSJON"
_FUNCTION_END: Final = "/FUNKSJON"
_ROWS: Final = frozenset({"PERSONOPPL", "FUNKSJON", "TJENESTE", "DIAGNOSE", "DOGNTILBUD"})  # IPLOS 3.7

Names = tuple[str, ...]
Values = dict[str, str]

_WHITE: Final = " \t\r\n"
_REMEMBERED: Final = 10_000  # ways to mark a row: a file has some hundred
_CUT: Final = str.maketrans({"<": "\0", ">": "\0", '"': "\0"})  # no XML document holds a NUL
_MARKS: Final = re.compile(r"([A-Z]+)((?:[ \t\r\n]+[A-Za-z]+=\0)+)[ \t\r\n]*((?:\0[A-Za-z]+\0/[A-Za-z]+)*)")
_KEY: Final = re.compile(r"([A-Za-z]+)=")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a plain reader asks for, by the name of the block.

    Attributes:
        names: Whether these simple children, in this order, may stand in it.
        children: Whether a PERSON may have these children, in this order, rows among them.
        keys: Whether these attributes keep the schema.
        values: What the simple children break; None where they do not keep the schema.
        functions: Whether FUNKSJON that are marked alike are right, and break nothing: the person's pePeID, the names
            of their attributes and their columns, the names of their children and their columns.
    """

    names: Callable[[str, Names], bool]
    children: Callable[[Sequence[str]], bool]
    keys: Callable[[str, Mapping[str, str]], bool]
    values: Callable[[str, Mapping[str, str]], tuple[Hit, ...] | None]
    functions: Callable[[str, Names, Sequence[Sequence[str]], Names, Sequence[Sequence[str]]], bool]


@dataclass(frozen=True, slots=True)
class _Shape:
    """One way to mark a row: its kind, and the names of its attributes and children."""

    kind: str
    keys: Names
    names: Names


class PlainPersons:
    """Reads persons.

    Args:
        judgement: What is asked of each block.
    """

    def __init__(self, judgement: Judgement) -> None:
        self._judgement = judgement
        self._shapes: dict[tuple[str, ...], _Shape | None] = {}

    def read(self, block: str) -> PersonRecord | None:
        """Return the person; None where it is not plain, or not certainly right.

        Args:
            block: From its start tag, or white space before it, to its end tag, without ``<!``, ``<?`` and ``&``.
        """
        pieces = block.translate(_CUT).split("\0")
        texts, marks = pieces[0::2], pieces[1::2]
        if marks[-1:] != ["/PERSON"]:
            return None
        end = len(marks) - 1
        # A PERSON's own values are peAlder and so on; its rows are in capitals.
        at = next((number for number in range(1, end) if marks[number][:1].isupper()), end)
        own = self._block(PERSON, marks, texts, 0, at)
        if own is None:
            return None
        rows: list[Row] = []
        children = list(own.values)
        while at < end:
            if marks[at].startswith(_FUNCTION) and _FUNCTION not in children:
                behind = self._functions(own.keys, marks, texts, at)
                if behind > at:
                    children.append(_FUNCTION)
                    at = behind
                    continue
            row, at = self._row(marks, texts, at)
            if row is None:
                return None
            rows.append(row)
            children.append(row.kind)
        if not self._judgement.children(children):
            return None
        return PersonRecord(own.keys, own.values, rows, own.hits)

    def _row(self, marks: list[str], texts: list[str], start: int) -> tuple[Row | None, int]:
        """Return the row that begins here, and where what follows it begins."""
        kind = marks[start].partition(" ")[0]
        if kind not in _ROWS:
            return None, start
        try:
            end = marks.index(f"/{kind}", start)
        except ValueError:
            return None, start
        row = self._block(kind, marks, texts, start, end)
        return (None if texts[end + 1].strip(_WHITE) else row), end + 1

    def _functions(self, person: Mapping[str, str], marks: list[str], texts: list[str], start: int) -> int:
        """Return where the FUNKSJON that begin here end, if all of a person's are marked alike and break nothing."""
        try:
            length = marks.index(_FUNCTION_END, start) + 1 - start
        except ValueError:
            return start
        written = marks[start : start + length]
        end = start + length
        while marks[end : end + length] == written:
            end += length
        shape = self._shape(_FUNCTION, tuple(written[:-1]))
        if shape is None or _FUNCTION_END in marks[end:]:
            return start
        first = start + len(shape.keys) + 1
        blanks = [text for at in range(first, start + length + 1, 2) for text in texts[at : end + 1 : length]]
        # The text behind each end tag stands where a further child's would.
        keys = [texts[at : end + 1 : length] for at in range(start + 1, first)]
        columns = [texts[at : end + 1 : length] for at in range(first + 1, start + length, 2)]
        behind = texts[start + length : end + 1 : length]
        if "".join(blanks).strip(_WHITE) or "".join(behind).strip(_WHITE):
            return start
        pid = person.get("pePeID", "")
        return end if self._judgement.functions(pid, shape.keys, keys, shape.names, columns) else start

    def _block(self, kind: str, marks: list[str], texts: list[str], start: int, end: int) -> Row | None:
        """Return what stands from a start tag to before an end tag, or before the first row."""
        shape = self._shape(kind, tuple(marks[start:end]))
        if shape is None:
            return None
        first = start + len(shape.keys) + 1
        if "".join(texts[first : end + 1 : 2]).strip(_WHITE):
            return None
        keys = dict(zip(shape.keys, texts[start + 1 : first], strict=True))
        values = dict(zip(shape.names, texts[first + 1 : end + 1 : 2], strict=True))
        if not self._judgement.keys(kind, keys):
            return None
        hits = self._judgement.values(kind, values)
        return None if hits is None else Row(kind, keys, values, hits)

    def _shape(self, kind: str, written: tuple[str, ...]) -> _Shape | None:
        try:
            return self._shapes[written]
        except KeyError:
            return self._learn(kind, written)

    def _learn(self, kind: str, written: tuple[str, ...]) -> _Shape | None:
        found = _MARKS.fullmatch("\0".join(written))
        shape = None
        if found is not None and found[1] == kind:
            keys = tuple(_KEY.findall(found[2]))
            marks = tuple(found[3].split("\0")[1:])
            names = marks[0::2]
            paired = marks[1::2] == tuple(f"/{name}" for name in names) and len(set(keys)) == len(keys)
            shape = _Shape(kind, keys, names) if paired and self._judgement.names(kind, names) else None
        if len(self._shapes) >= _REMEMBERED:
            self._shapes.clear()
        self._shapes[written] = shape
        return shape

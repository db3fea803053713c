"""Reads one PERSON that is written plainly and certainly keeps the schema; leaves every other to the general reader.

Plainly: without prefixes, references, comments or self-closing rows, as every EPJ writes it. A person is cut where a
kind of row begins, in the schema's order, and a row at each ``</``. Then ``tjTjenType><tjVedtak>2``, the end of one
child and the next one with its text, is one piece, nearly always seen before: a look-up for each piece, and one for
the order of them all, say that the row is right. That, in place of an event for each element, is what brings all rules
together near the speed of a schema validation.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final, NamedTuple, Protocol, TypeVar

from kpr_sender.preflight.findings import Hit, Together
from kpr_sender.preflight.record import PersonRecord, Row

PERSON: Final = "PERSON"
FUNCTION: Final = "FUNKSJON"
ROWS: Final = ("PERSONOPPL", FUNCTION, "TJENESTE", "DIAGNOSE", "DOGNTILBUD")
"""A person's, in the schema's order, behind its own values: each in any number (IPLOS 3.7)."""

Names = tuple[str, ...]
Value = Callable[[str], tuple[Hit, ...] | None]
"""Returns what a text breaks by itself; None where it does not certainly keep the schema."""

_WHITE: Final = " \t\r\n"
_START: Final = f"<{PERSON} "
_END: Final = f"</{PERSON}>"
_FUNCTION_START: Final = f"<{FUNCTION} "
_FUNCTION_END: Final = f"</{FUNCTION}>"
_FROM_LAST: Final = tuple((kind, f"<{kind} ") for kind in reversed(ROWS))

_REMEMBERED: Final = 10_000  # orders of one kind of block: a file has some hundred
_PIECES_REMEMBERED: Final = 20_000  # of one kind of block
_LONGEST: Final = 100  # characters of what is remembered
_KEYS: Final = re.compile("([A-Za-z]+=(?:\0[ \t\r\n]+[A-Za-z]+=)*)\0[ \t\r\n]*")
_KEY: Final = re.compile("([A-Za-z]+)=")
# No references, and nothing that XML does not allow; a surrogate is none of UTF-8's.
_TEXT: Final = "[^<>&\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]*"
_PIECE: Final = re.compile(f"(?:([A-Za-z]+)>)?[ \t\r\n]*(?:<([A-Za-z]+)>({_TEXT}))?")

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

    def value(self, kind: str, name: str) -> Value:
        """Return what judges a text as this simple child of it."""

    def together(self, kind: str, names: Names) -> Together:
        """Return what judges the values of just these simple children."""

    def functions(self, pid: str, written: str) -> bool:
        """Say whether all of a person's FUNKSJON are certainly right and break nothing."""


_Piece = tuple[str, str, tuple[Hit, ...]]
"""What stands between two ``</``, the end of a child and the next one up to its own end: both names (either may be
empty), the next one's text, and what that breaks by itself."""


class _Pieces(dict[str, _Piece]):
    """Of one kind of block, by how they are written; an error for what does not certainly keep the schema."""

    def __init__(self, kind: str, judgement: Judgement) -> None:
        super().__init__()
        self._kind = kind
        self._judgement = judgement
        self._values: dict[str, Value] = {}

    def __missing__(self, written: str) -> _Piece:
        found = _PIECE.fullmatch(written)
        if found is None:
            raise KeyError
        ended, begun, text = found.groups(default="")
        hits = self._judge(begun, text) if begun else ()
        if hits is None:
            raise KeyError
        piece = sys.intern(f"{ended}>{begun}"), text, hits
        if len(written) <= _LONGEST:
            _remember(self, written, piece, most=_PIECES_REMEMBERED)
        return piece

    def _judge(self, name: str, text: str) -> tuple[Hit, ...] | None:
        value = self._values.get(name)
        if value is None:
            value = self._judgement.value(self._kind, name)
            _remember(self._values, name, value, most=_REMEMBERED)
        return value(text)


class _Order(NamedTuple):
    """A right order of a block's pieces.

    Attributes:
        names: Its simple children's.
        together: Judges their values.
    """

    names: Names
    together: Together


class _Known:
    """What was found right of one kind of block."""

    def __init__(self, kind: str, judgement: Judgement) -> None:
        self.kind = kind
        self.keys: dict[Names, Names] = {}  # what stands around the attributes, and their names
        self.pieces = _Pieces(kind, judgement)
        self.orders: dict[Names, _Order] = {}  # by the pieces' marks


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
            block: From its start tag, or white space before it, to its end tag.
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
        start, _, inside = written.partition(">")
        around = start.split('"')
        keys, numbers = tuple(around[0::2]), around[1::2]
        names = known.keys.get(keys) or self._learn_keys(known, keys)
        try:
            marks, texts, broken = zip(*map(known.pieces.__getitem__, inside.split("</")), strict=True)
        except KeyError:
            return None
        order = known.orders.get(marks) or self._learn_order(known, marks)
        if names is None or order is None or len(numbers) != len(names) or not self._judgement.numbers(numbers):
            return None
        values = dict(zip(order.names, texts, strict=False))  # the last pieces begin no child
        hits = order.together(values)
        if any(broken):
            hits = (*chain(*broken), *hits)
        return Row(known.kind, dict(zip(names, numbers, strict=True)), values, hits)

    def _learn_keys(self, known: _Known, written: Names) -> Names | None:
        if _KEYS.fullmatch("\0".join(written)) is None:
            return None
        names = tuple(_KEY.findall("".join(written)))
        if not self._judgement.keys(known.kind, names):
            return None
        _remember(known.keys, written, names, most=_REMEMBERED)
        return names

    def _learn_order(self, known: _Known, marks: Names) -> _Order | None:
        """Judge whether each piece ends what the one before it began, and the last one the block."""
        ended, begun = zip(*(mark.split(">") for mark in marks), strict=True)
        names = begun[:-2]
        if "" in names or ended != ("", *names, known.kind) or begun[-2:] != ("", ""):
            return None
        if len(set(names)) < len(names) or not self._judgement.names(known.kind, names):
            return None
        order = _Order(names, self._judgement.together(known.kind, names))
        _remember(known.orders, marks, order, most=_REMEMBERED)
        return order


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

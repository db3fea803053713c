"""Reads an identmelding's PasientIdent the fast way where that is certain to be right.

They are cut at each ``/>``, as they come in and as every EPJ writes them. From the first one on that is written in
another way, and before the first one of all, the general reader reads: slower, and right in every case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, NamedTuple, Protocol

from kpr_sender.preflight.header import Refusal
from kpr_sender.preflight.reading.general import End, Event, GeneralReader
from kpr_sender.preflight.record import Element

ROOT: Final = "Melding"
UNIT: Final = "Institusjon"
PATIENT: Final = "PasientIdent"

_MAX_HEAD: Final = 1_000_000  # bytes before the first one; a right head has about a thousand
_FIRST: Final = re.compile(rb"<PasientIdent[ \t\r\n/>]")
_LAST: Final = b"/>"
_LINE_END: Final = re.compile(rb"\r\n?|\n")
_TRIAL: Final = f"<{PATIENT}/></{UNIT}></{ROOT}>".encode()
_WHITE: Final = "(?:[ \t\n]|\r\n)"  # a carriage return by itself ends a line, too: left to the general reader
_AROUND: Final = re.compile(f"({_WHITE}*)<{PATIENT}((?:{_WHITE}+[A-Za-z]+=\0)+){_WHITE}*")
_NAME: Final = re.compile("([A-Za-z]+)=")
_VALUES: Final = re.compile("[0-9A-Za-z +./:_-]*")  # nothing that a parser reads otherwise
_REMEMBERED: Final = 1_000  # ways to write what stands around the values; a file has one or two


class Sink(Protocol):
    """Who is told of what stands in the file, in its order."""

    def told(self, event: Event) -> None:
        """Something was read the general way."""

    def passed(self, keys: Mapping[str, str], line: int) -> None:
        """A PasientIdent was read the fast way: it keeps the schema. ``line`` is that of its tag."""


class _Around(NamedTuple):
    """What stands around the values of one: their names, and the line ends before the tag and in all of it."""

    names: tuple[str, ...]
    before: int
    lines: int


class IdentReader:
    """Reads one identmelding, fed in pieces.

    Args:
        namespace: The format's.
        certain: Whether a PasientIdent with these attributes certainly keeps the schema.
        sink: Is told.
        lines_before: Lines of the file before the first piece.
    """

    def __init__(
        self, namespace: str, certain: Callable[[Mapping[str, str]], bool], sink: Sink, *, lines_before: int
    ) -> None:
        self._certain = certain
        self._sink = sink
        self._lines = lines_before + 1  # the line that the first one stands in, once the head is read
        self._skipped = 0  # line ends that the general reader has not seen
        self._new_reader: Callable[[], GeneralReader] = partial(
            GeneralReader, namespace, frozenset({ROOT, UNIT}), lines_before=lines_before
        )
        self._reader = self._new_reader()
        self._read: Callable[[bytes], None] = self._head
        self._rest = b""
        self._known: dict[tuple[str, ...], _Around] = {}

    def read(self, piece: bytes) -> None:
        """Read on.

        Raises:
            Refusal: The file is not well-formed, has a DTD or is beyond a limit.
        """
        self._read(piece)

    def end(self) -> None:
        """Read what is left, at the end of the file.

        Raises:
            Refusal: It has no right end.
        """
        self._go_general()
        self._tell(self._reader.end())

    def _head(self, piece: bytes) -> None:
        """Read up to the first one, as soon as it has begun."""
        self._rest += piece
        found = _FIRST.search(self._rest)
        if found is None:
            if len(self._rest) > _MAX_HEAD:
                self._go_general()
            return
        head, self._rest = self._rest[: found.start()], self._rest[found.start() :]
        told = [*self._reader.read(head), *self._reader.flush()]
        self._tell(told)
        if self._in_unit(head, told):
            self._lines += len(_LINE_END.findall(head))
            self._read = self._plain
            self._plain(b"")
        else:
            self._go_general()

    def _in_unit(self, head: bytes, told: list[Event]) -> bool:
        """Try whether a PasientIdent behind the head is one, and stands right under an Institusjon.

        Where it does not, or is of another namespace, the end tags that are tried here do not fit.
        """
        reader = self._new_reader()
        try:
            match [*reader.read(head + _TRIAL), *reader.end()]:
                case [*before, Element(), End(), End()]:
                    return before == told
        except Refusal:
            pass
        return False

    def _plain(self, piece: bytes) -> None:
        """Read every one that has ended."""
        *written, self._rest = (self._rest + piece).split(_LAST)
        for number, each in enumerate(written):
            if not (each.isascii() and self._passes(each.decode())):
                self._rest = _LAST.join([*written[number:], self._rest])
                self._go_general()
                return
        if len(self._rest) > _MAX_HEAD:
            self._go_general()

    def _passes(self, written: str) -> bool:
        """Read one, and say whether that was possible."""
        parts = written.split('"')
        shape, values = tuple(parts[0::2]), parts[1::2]
        around = self._known.get(shape) or self._learn(shape)
        if around is None or len(values) != len(around.names) or _VALUES.fullmatch("".join(values)) is None:
            return False
        keys = dict(zip(around.names, values, strict=True))
        if not self._certain(keys):
            return False
        self._sink.passed(keys, self._lines + self._skipped + around.before)
        self._skipped += around.lines
        return True

    def _learn(self, shape: tuple[str, ...]) -> _Around | None:
        found = _AROUND.fullmatch("\0".join(shape))
        names = () if found is None else tuple(_NAME.findall(found[2]))
        if found is None or len(set(names)) < len(names):
            return None
        around = _Around(names, found[1].count("\n"), found[0].count("\n"))
        if len(self._known) < _REMEMBERED:
            self._known[shape] = around
        return around

    def _go_general(self) -> None:
        """Read what is left the general way, which has seen nothing since the head."""
        if self._read == self._general:
            return
        self._reader.skip(self._skipped)
        self._read = self._general
        rest, self._rest = self._rest, b""
        self._general(rest)

    def _general(self, piece: bytes) -> None:
        self._tell(self._reader.read(piece))

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._sink.told(event)

"""What FHI would refuse, drop or blank, found before anything is sent: both files, one pass over each.

FHI's receipt says that a message was accepted. It does not say which rows were dropped and which values blanked on the
way in; the published rules do (kravspesifikasjon IPLOS 3.7, FHI's letter 24/04733-1), and this asks every one of them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, Protocol, TypeVar

from kpr_sender.errors import InputRefused
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.messages.splice import open_payload
from kpr_sender.model import Environment, MessageType
from kpr_sender.preflight.comparison import compare
from kpr_sender.preflight.fagmelding import Fagmelding
from kpr_sender.preflight.findings import Effect, Finding, Findings
from kpr_sender.preflight.header import Header, Refusal
from kpr_sender.preflight.identmelding import Identmelding
from kpr_sender.preflight.payload import Payload, payload_of, refused
from kpr_sender.preflight.reading.header_reader import HeaderReader
from kpr_sender.preflight.record import Circumstances
from kpr_sender.preflight.report import Report
from kpr_sender.preflight.rules.pair import Pair
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.preflight.statistics import YearStatistics
from kpr_sender.profiles import Format, Profile, load

_PIECE: Final = 65_536  # bytes
_HEADER_REFUSED: Final = "header.refused"


class _Judge(Protocol):
    """What reads a file's body."""

    findings: Findings

    def read(self, piece: bytes) -> None:
        """Read on."""

    def end(self) -> None:
        """Read what is left."""


_J = TypeVar("_J", bound=_Judge)
_Making = Callable[[Format, int], _J]
"""Makes a judge of a format; the second is the number of lines before what it reads."""


@dataclass(frozen=True, slots=True)
class _File(Generic[_J]):
    """One file that was read: its payload, or why it has none."""

    judge: _J
    payload: Payload | None
    refusal: InputRefused | None


def nobody(_: str) -> bool:
    """Say that a number is on no list of test persons."""
    return False


def check(
    fagmelding: Iterable[bytes],
    identmelding: Iterable[bytes],
    year: int,
    *,
    environment: Environment = Environment.PRODUKSJON,
    organisation_number: str = "",
    is_test_person: Callable[[str], bool] = nobody,
    last_year: Iterable[bytes] | None = None,
    names: tuple[str, str, str] = ("fagmelding", "identmelding", "last year's fagmelding"),
) -> Report:
    """Check a pair; needs no configuration, and sends nothing.

    Memory is flat: some hundred bytes a person, whatever the size of the files.

    Args:
        fagmelding: The KPR_IPL file, cut anywhere. Read first, and once.
        identmelding: The KPR_IDE file, cut anywhere.
        year: The reporting year.
        environment: Where they would be sent; synthetic and test persons are wrong in ``produksjon`` only.
        organisation_number: The municipality's own, nine digits; empty where it is not known.
        is_test_person: Whether a national id is on the municipality's own list of test persons.
        last_year: Last year's fagmelding, to compare with.
        names: What errors call the files.

    Raises:
        InputRefused: A file is no such file at all: not well-formed, another format, the two swapped.
        ConfigInvalid: There is no profile for the year.
    """
    circumstances = Circumstances(year, environment, organisation_number)
    profile = load(year)
    pair = Pair(secrets.token_bytes(32))
    fag = _read(fagmelding, MessageType.KPR_IPL, profile, names[0], _fagmelding(circumstances, pair))
    ident = _read(
        identmelding,
        MessageType.KPR_IDE,
        profile,
        names[1],
        lambda form, before: Identmelding(form, circumstances, pair, is_test_person, lines_before=before),
    )
    pair.headers(fag.judge.header, ident.judge.header)
    both = Findings()
    both.take(pair.findings())
    comparison = None
    if last_year is not None:
        comparison = compare(fag.judge.statistics, read_statistics(last_year, year - 1, like=profile, name=names[2]))
        both.take(Finding(hit.rule, MessageType.KPR_IPL, 0, "", hit.said) for hit in comparison.remarks)
    found = (fag.judge.findings, ident.judge.findings, both)
    return Report(
        year=year,
        environment=environment,
        payloads=(fag.payload, ident.payload),
        refusal=fag.refusal or ident.refusal,
        findings=tuple(finding for each in found for finding in each.kept),
        counts=sum((Counter(each.counts) for each in found), Counter()),
        persons=fag.judge.statistics.persons,
        services=fag.judge.services,
        idents=ident.judge.idents,
        statistics=fag.judge.statistics,
        comparison=comparison,
    )


def read_statistics(chunks: Iterable[bytes], year: int, *, like: Profile, name: str) -> YearStatistics:
    """Return the figures of an earlier year's fagmelding; what else is wrong with it is not asked.

    Args:
        chunks: The file, cut anywhere.
        year: The year it must be of.
        like: Of a year with the same formats: there may be no profile for the earlier one.
        name: What errors call it.

    Raises:
        InputRefused: It is no fagmelding of that year.
    """
    circumstances = Circumstances(year, Environment.LOKAL)
    profile = replace(like, year=year)
    read = _read(chunks, MessageType.KPR_IPL, profile, name, _fagmelding(circumstances, Pair(b"")))
    if read.payload is None:
        raise InputRefused(f"This is no fagmelding of the whole of {year}.", where=name)
    return read.judge.statistics


def _fagmelding(circumstances: Circumstances, pair: Pair) -> _Making[Fagmelding]:
    return lambda form, before: Fagmelding(form.namespace, circumstances, pair, lines_before=before)


def _read(
    chunks: Iterable[bytes], expected: MessageType, profile: Profile, name: str, making: _Making[_J]
) -> _File[_J]:
    try:
        return _judged(chunks, expected, profile, name, making)
    except (MessageRefused, Refusal) as error:
        refusal = error
    # Raised out here, so that it carries no parser's error, which may quote the file.
    raise refused(refusal, name=name)


def _judged(
    chunks: Iterable[bytes], expected: MessageType, profile: Profile, name: str, making: _Making[_J]
) -> _File[_J]:
    prolog, spliced = open_payload(chunks)
    head = _Head(HeaderReader(expected, profile, lines_before=prolog.lines))
    judge: _J | None = None
    held = b""
    digest, length = hashlib.sha256(), 0
    for piece in _gathered(spliced):
        digest.update(piece)
        length += len(piece)
        head.read(piece)
        if judge is None:
            held += piece
            if head.format is not None:
                judge = making(head.format, prolog.lines)
                judge.read(held)
        else:
            judge.read(piece)
    if not length:
        raise Refusal("The file is empty.")
    header = head.end()
    if judge is None:  # no root element was read, and the header's reader found nothing wrong with that
        raise Refusal("It is not well-formed XML.")
    judge.end()
    if isinstance(header, Refusal):
        _say(judge.findings, header, expected)
        return _File(judge, None, refused(header, name=name))
    return _File(judge, payload_of(header, expected, digest.hexdigest(), length), None)


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield larger pieces: each reader looks at its rest anew with every one, and whoever hands in lines has many."""
    held, length = [], 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= _PIECE:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)


class _Head:
    """A header's reader that goes on for the sake of the findings, where the file at least is of the right format."""

    def __init__(self, reader: HeaderReader) -> None:
        self._reader = reader
        self._refusal: Refusal | None = None

    @property
    def format(self) -> Format | None:
        """The format, once it is known."""
        return self._reader.format

    def read(self, piece: bytes) -> None:
        """Read on, unless something was wrong already."""
        if self._refusal is not None:
            return
        try:
            self._reader.read(piece)
        except Refusal as refusal:
            if self._reader.format is None:
                raise
            self._refusal = refusal

    def end(self) -> Header | Refusal:
        """Return the header, or what is wrong with it."""
        try:
            return self._refusal or self._reader.end()
        except Refusal as refusal:
            if self._reader.format is None:
                raise
            return refusal


def _say(findings: Findings, refusal: Refusal, file: MessageType) -> None:
    """Add what makes the header wrong, unless a rule has said it."""
    if not any(RULES[rule].effect is Effect.STOP for rule in findings.counts):
        findings.take([Finding(_HEADER_REFUSED, file, refusal.line, "", refusal.what)])

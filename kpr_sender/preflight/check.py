"""What FHI would refuse, drop or blank, found before anything is sent: both files, one pass over each.

FHI's receipt says that a message was accepted. It does not say which rows were dropped and which values blanked on the
way in; the published rules do (kravspesifikasjon IPLOS 3.7, FHI's letter 24/04733-1), and this asks every one of them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Generic, Protocol, TypeVar

from kpr_sender.errors import InputRefused
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.model import Environment, MessageType
from kpr_sender.preflight.fagmelding import Fagmelding
from kpr_sender.preflight.header import Refusal
from kpr_sender.preflight.identmelding import Identmelding
from kpr_sender.preflight.model import Circumstances, Effect, Finding, Findings
from kpr_sender.preflight.payload import InputFile, Payload, refused, too_large
from kpr_sender.preflight.reader import Event
from kpr_sender.preflight.report import CheckReport
from kpr_sender.preflight.rules.pair import Pair
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.preflight.statistics import YearStatistics, compare
from kpr_sender.profiles import Format, Profile, load
from kpr_sender.texts import Text

_HEADER_REFUSED: Final = "header.refused"


class _Evaluator(Protocol):
    """What evaluates a file's body."""

    findings: Findings

    def take(self, event: Event) -> None:
        """Take what was read next."""

    def end(self) -> None:
        """Evaluate what only the whole file shows."""


_E = TypeVar("_E", bound=_Evaluator)


@dataclass(frozen=True, slots=True)
class _ReadFile(Generic[_E]):
    """One file that was read: its payload, or why it has none."""

    evaluator: _E
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
) -> CheckReport:
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
    pair = Pair(os.urandom(32), year)
    fag = _read(fagmelding, MessageType.KPR_IPL, profile, names[0], _fagmelding(circumstances, pair))
    ident = _read(
        identmelding,
        MessageType.KPR_IDE,
        profile,
        names[1],
        lambda form: Identmelding(form, circumstances, pair, is_test_person),
    )
    pair.headers(fag.evaluator.header, ident.evaluator.header)
    both = Findings()
    both.take(pair.findings())
    comparison = None
    if last_year is not None:
        comparison = compare(
            fag.evaluator.statistics, read_statistics(last_year, year - 1, like=profile, name=names[2])
        )
        both.take(
            Finding(violation.rule, MessageType.KPR_IPL, 0, "", violation.message) for violation in comparison.remarks
        )
    found = (fag.evaluator.findings, ident.evaluator.findings, both)
    return CheckReport(
        year=year,
        environment=environment,
        payloads=(fag.payload, ident.payload),
        refusal=fag.refusal or ident.refusal,
        findings=tuple(finding for each in found for finding in each.stored),
        counts=sum((Counter(each.counts) for each in found), Counter()),
        persons=fag.evaluator.statistics.persons,
        services=fag.evaluator.statistics.services + fag.evaluator.statistics.refused,
        idents=ident.evaluator.idents,
        statistics=fag.evaluator.statistics,
        comparison=comparison,
    )


def with_sizes(report: CheckReport, refuse_bytes: int) -> CheckReport:
    """Return a report with what is too large to be sent among its findings.

    Args:
        report: What was found otherwise.
        refuse_bytes: ``limits.refuse_bytes``: the largest message that is sent, in sealed bytes.
    """
    found = Findings(dict(report.counts), list(report.findings))
    for payload in filter(None, report.payloads):
        if wrong := too_large(payload.type, payload.length, refuse_bytes):
            found.take([Finding("file.too-large", payload.type, 0, "", wrong)])
    return replace(report, findings=tuple(found.stored), counts=found.counts)


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
    read = _read(chunks, MessageType.KPR_IPL, profile, name, _fagmelding(circumstances, Pair(b"", year)))
    if read.payload is None:
        raise InputRefused(Text("This is no fagmelding of the whole of {year}.", year=year), where=name)
    return read.evaluator.statistics


def _fagmelding(circumstances: Circumstances, pair: Pair) -> Callable[[Format], Fagmelding]:
    return lambda form: Fagmelding(form.namespace, circumstances, pair)


def _read(
    chunks: Iterable[bytes],
    expected: MessageType,
    profile: Profile,
    name: str,
    making: Callable[[Format], _E],
) -> _ReadFile[_E]:
    try:
        file = InputFile(chunks, expected, profile)
        evaluator = making(file.format)
        for event in file.events():
            evaluator.take(event)
    except (MessageRefused, Refusal) as error:
        refusal = error
    else:
        evaluator.end()
        payload = file.payload()
        if isinstance(payload, Payload):
            return _ReadFile(evaluator, payload, None)
        _say(evaluator.findings, payload, expected)
        return _ReadFile(evaluator, None, refused(payload, name=name))
    # Raised out here, so that it carries no parser's error, which may quote the file.
    raise refused(refusal, name=name)


def _say(findings: Findings, refusal: Refusal, file: MessageType) -> None:
    """Add what makes the header wrong, unless a rule has reported it."""
    if not any(RULES[rule].effect is Effect.STOP for rule in findings.counts):
        findings.take([Finding(_HEADER_REFUSED, file, refusal.line, "", refusal.what)])

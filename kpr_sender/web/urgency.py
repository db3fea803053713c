"""Whose move it is with a municipality, what its state is called, and who comes first: as ``fleet status`` has it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from kpr_sender.errors import EXIT_OK_MEANING, Fault, NothingSubmitted, rank
from kpr_sender.lifecycle import words_of
from kpr_sender.texts import Text
from kpr_sender.web.port import CertificateLife, MunicipalityLine

CERTIFICATE_WITHIN: Final = timedelta(days=30)
"""A certificate that lasts no longer is shown so: the next one has to be issued and registered."""


def is_done(line: MunicipalityLine) -> bool:
    """Tell whether all is delivered, or settled by a person."""
    return line.error is None


def needs_person(line: MunicipalityLine) -> bool:
    """Tell whether it is somebody's move, and not only a matter of time."""
    return line.error is not None and line.error.fault is not Fault.NOBODY


def ends_soon(certificate: CertificateLife, now: datetime) -> bool:
    """Tell whether a person has to see to a certificate."""
    return certificate.refused or certificate.ends - now < CERTIFICATE_WITHIN


def state_of(line: MunicipalityLine) -> Text:
    """Return what its state is called."""
    if line.report is not None:
        return words_of(line.report.submission.state)
    if isinstance(line.error, NothingSubmitted):
        return Text("nothing submitted")
    return EXIT_OK_MEANING if line.error is None else line.error.meaning


def next_step_of(line: MunicipalityLine) -> str:
    """Return what to do next, in a sentence or two."""
    if line.error is not None:
        return line.error.next_step
    return "" if line.report is None else line.report.next_step


def by_urgency(lines: Iterable[MunicipalityLine]) -> list[MunicipalityLine]:
    """Return first those that need a person, by what counts most; alike ones by days left."""

    def urgency(line: MunicipalityLine) -> tuple[int, int, float, str]:
        days = float("inf") if line.days_left is None else line.days_left
        group = 2 if line.error is None else int(not needs_person(line))
        return group, 0 if line.error is None else rank(line.error), days, line.key

    return sorted(lines, key=urgency)

"""What a run leaves for Prometheus: figures of the journal, the year, the certificates and the runs. Pure.

Counters and times that the journal has no place for are read from the file that the last run wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from kpr_sender.errors import ERRORS, EXIT_OK, Fault
from kpr_sender.model import Environment, Receipt
from kpr_sender.notify.port import Measured
from kpr_sender.operator.notices import Situation
from kpr_sender.states import ReceiptStatus

Before = Mapping[str, Mapping[tuple[str, ...], float]]
"""What the last run left, by metric and the labels' values."""

GOOD_CODES: Final = frozenset({EXIT_OK, *(one.exit_code for one in ERRORS if one.fault is Fault.NOBODY)})
"""What is a success to whoever watches: delivered, and what is nobody's move."""

_RUNS: Final = "kpr_runs_total"
_ENDED: Final = "kpr_last_run_timestamp_seconds"
_ENDED_WITH: Final = "kpr_last_run_exit_code"
_SUCCESS: Final = "kpr_last_success_timestamp_seconds"
_NOT_AFTER: Final = "kpr_certificate_not_after_timestamp_seconds"
_REFUSED: Final = "kpr_certificate_refused"
_LOOKED: Final = "kpr_certificates_looked_at_timestamp_seconds"
_DAY: Final = 86_400.0
_OUR_WORDS: Final = re.compile(r"[a-zA-Z][a-zA-Z ',-]{0,60}\d{0,3}")
_CODE: Final = re.compile(r"[0-9]{1,3}")
_RECEIPTS: Final = {
    ReceiptStatus.OK: "ok",
    ReceiptStatus.REJECTED: "rejected",
    ReceiptStatus.OK_WITH_ERRORS: "ok_with_errors",
}
_UNVERIFIED: Final = "unverified"


def certificates_looked_at(before: Before, environment: Environment) -> datetime | None:
    """Return when the certificates in the file were looked at; None where there are none, or it is no time."""
    at = before.get(_LOOKED, {}).get((environment.value,))
    try:
        return None if at is None else datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):  # none of a calendar's years: the file was damaged
        return None


def certificate_ends(before: Before, environment: Environment) -> Iterator[tuple[str, datetime, bool]]:
    """Yield role, end and refusal of each certificate in the file; what is no time there is left out."""
    refused = before.get(_REFUSED, {})
    for key, ends in before.get(_NOT_AFTER, {}).items():
        match key:
            case (environment.value, role) if _OUR_WORDS.fullmatch(role):
                with suppress(ValueError, OverflowError, OSError):  # as above
                    yield role, datetime.fromtimestamp(ends, UTC), bool(refused.get(key))


@dataclass(frozen=True, slots=True)
class RunFigures:
    """A run as it is measured.

    Attributes:
        code: Its exit code; None where it is none that a watcher waits for: the figures of the last one stay.
        at: When it ended.
        situation: What is known then; None where the journal cannot be read.
        waiting: How many notices wait to be sent again; None where none are sent at all.
        before: What the last run left.
    """

    environment: Environment
    code: int | None
    at: datetime
    situation: Situation | None
    waiting: int | None
    before: Before = field(default_factory=dict)

    def figures(self) -> tuple[Measured, ...]:
        """Return all figures."""
        return (*self._runs(), *self._certificates(), *(() if self.situation is None else self._known(self.situation)))

    def _one(self, name: str, text: str, value: float) -> Measured:
        return Measured(name, text, ("environment",), {(self.environment.value,): value})

    def _runs(self) -> Iterator[Measured]:
        where = self.environment.value
        runs = {key: count for key, count in self._kept(_RUNS) if _CODE.fullmatch(key[0])}
        ended, code, success = (self.before.get(name, {}).get((where,)) for name in (_ENDED, _ENDED_WITH, _SUCCESS))
        if self.code is not None:
            this = (str(self.code), where)
            runs |= {this: runs.get(this, 0.0) + 1}
            ended, code = self.at.timestamp(), float(self.code)
            success = ended if self.code in GOOD_CODES else success
        yield Measured(_RUNS, "Runs of send and wait by exit code.", ("code", "environment"), runs)
        for name, text, value in (
            (_ENDED, "When the last run ended.", ended),
            (_ENDED_WITH, "The exit code of the last run.", code),
            (_SUCCESS, "When a run last ended with 0, or with what is nobody's move.", success),
        ):
            if value is not None:
                yield self._one(name, text, value)
        if self.waiting is not None:
            yield self._one("kpr_notices_waiting", "Notices that could not be sent yet.", self.waiting)

    def _kept(self, name: str) -> Iterator[tuple[tuple[str, ...], float]]:
        """Yield what the last run left of this environment: the label of another kind comes first, of our own words."""
        for key, value in self.before.get(name, {}).items():
            if len(key) == len(("environment", "another")) and self.environment.value in key:
                yield key, value

    def _certificates(self) -> Iterator[Measured]:
        where = self.environment.value
        found = None if self.situation is None else self.situation.certificates
        unknown = None if found is None else {one.role for one in found if one.is_unknown}
        kept = {
            name: {
                key: value
                for key, value in self._kept(name)
                if _OUR_WORDS.fullmatch(key[1]) and (unknown is None or key[1] in unknown)
            }
            for name in (_NOT_AFTER, _REFUSED)
        }
        looked = self.before.get(_LOOKED, {}).get((where,)) if found is None else self.at.timestamp()
        for one in found or ():
            if one.certificate is not None:
                kept[_NOT_AFTER][where, one.role] = one.certificate.not_valid_after_utc.timestamp()
            if not one.is_unknown:
                kept[_REFUSED][where, one.role] = float(one.error is not None)
        labels = ("environment", "role")
        days = {key: (ends - self.at.timestamp()) // _DAY for key, ends in kept[_NOT_AFTER].items()}
        yield Measured("kpr_certificate_days_left", "Whole days until a certificate ends.", labels, days)
        yield Measured(_NOT_AFTER, "When a certificate ends.", labels, kept[_NOT_AFTER])
        yield Measured(_REFUSED, "1 where a certificate must not be used.", labels, kept[_REFUSED])
        if looked is not None:
            yield self._one(_LOOKED, "When the certificates were looked at.", looked)

    def _known(self, known: Situation) -> Iterator[Measured]:
        where, now = self.environment.value, self.at
        year = (where, str(known.year))
        states: dict[tuple[str, ...], float] = {}
        ages, codes = dict(states), dict(states)
        receipts: dict[tuple[str, ...], float] = dict.fromkeys(
            ((where, name) for name in (*_RECEIPTS.values(), _UNVERIFIED)), 0.0
        )
        for report in known.reports:
            submission = report.submission
            if report.replacement is None:
                codes[where, submission.submission_id, str(submission.year)] = float(report.exit_code)
            for one in submission.own:
                key = (where, submission.submission_id, one.type.value)
                states[where, one.state.value, submission.submission_id, one.type.value] = 1.0
                ages[key] = (now - one.created_at).total_seconds()
                for receipt in one.receipts:
                    receipts[where, _status(receipt)] += 1
        of_one = ("environment", "submission", "type")
        yield Measured(
            "kpr_shipment_state", "1 for the state of a shipment.", ("environment", "state", *of_one[1:]), states
        )
        yield Measured("kpr_shipment_age_seconds", "How long ago a shipment was made, at the last run.", of_one, ages)
        yield Measured(
            "kpr_submission_exit_code",
            "The exit code that a submission's state stands for.",
            ("environment", "submission", "year"),
            codes,
        )
        yield Measured("kpr_receipts", "Receipts by status.", ("environment", "status"), receipts)
        of_year, left = ("environment", "year"), known.deadline.days_left(now)
        yield Measured(
            "kpr_days_to_deadline", "Days to the last day to report, at the last run.", of_year, {year: left}
        )
        ends = known.deadline.ends.timestamp()
        yield Measured("kpr_deadline_timestamp_seconds", "The end of the last day to report.", of_year, {year: ends})
        yield Measured(
            "kpr_delivered", "1 where the year is delivered or settled.", of_year, {year: float(known.delivered)}
        )


def _status(receipt: Receipt) -> str:
    if not receipt.verified or receipt.status is None:
        return _UNVERIFIED
    return _RECEIPTS[receipt.status]

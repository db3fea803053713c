"""What a person is told without asking, and when: a table of states, each told once. Pure: values in, values out.

No word of another system is in a notice, not even a cleaned one (promise G6): what FHI, the bus or the register says
is on the screen of ``status`` and ``certs``, which a notice names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from kpr_sender.errors import BY_CODE, Fault, NeedsPerson, QueueShared
from kpr_sender.journal.values import NoticeRecord
from kpr_sender.model import Environment, Shipment, SubmissionState, rfc3339
from kpr_sender.operator.certificates import WARNING_DAYS, CertificateInUse
from kpr_sender.profiles.profile import Deadline
from kpr_sender.report import Report, may_be_reviewed
from kpr_sender.result import is_overdue
from kpr_sender.states import UNANSWERED, ShipmentState
from kpr_sender.texts import Text

DEADLINE_DAYS: Final = (14, 7, 3, 1)
"""Days left, from which on a person is told that not all is delivered."""
REVIEW_WITHIN: Final = timedelta(days=2)
"""How long after the last receipt a person has to look at FHI's feedback view, before it is told."""

_S = ShipmentState
_PASSES: Final = (Fault.NETWORK, Fault.NOBODY)
"""Whose move it is where a later run may get on by itself."""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a notice may be about, at one moment.

    Attributes:
        reports: What is known of each submission in the journal, the newest first.
        year: The configured reporting year.
        deadline: Its last day.
        now: The time; aware.
        certificates: Those in use; None where they were not looked at now.
    """

    reports: tuple[Report, ...]
    year: int
    deadline: Deadline
    now: datetime
    certificates: tuple[CertificateInUse, ...] | None

    @property
    def delivered(self) -> bool:
        """Whether the year's data is delivered, or settled by a person."""
        return any(one.submission.year == self.year and _latest(one) and one.error is None for one in self.reports)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person is told: of which state, of what, and two sentences or three."""

    kind: str
    subject: str
    title: Text
    text: Text

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by."""
        return self.kind, self.subject


@dataclass(frozen=True, slots=True)
class SubmissionNotice:
    """A state of a submission that needs a person.

    Attributes:
        kind: A stable word; the journal has it.
        holds: Whether it is so.
        title: What it is called.
        text: What it means.
        over: What is said when it has ended; None where that is nothing anybody waits for.
        although_replaced: Whether it is told of a submission, too, whose place another has taken.
    """

    kind: str
    holds: Callable[[Report, datetime], bool]
    title: Callable[[str], Text]
    text: Callable[[str], Text]
    over: Callable[[str], Text] | None = None
    although_replaced: bool = False


def _latest(report: Report) -> bool:
    return report.replacement is None


def _unsettled(report: Report) -> tuple[Shipment, ...]:
    return tuple(one for one in report.submission.shipments if not one.settled)


def _is(state: ShipmentState) -> Callable[[Report, datetime], bool]:
    return lambda report, _: any(one.state is state for one in _unsettled(report))


def _unverified(report: Report, _: datetime) -> bool:
    open_ones = (one for one in _unsettled(report) if one.state in UNANSWERED)
    return any(receipt.in_question for one in open_ones for receipt in one.receipts)


def _half_delivered(report: Report, _: datetime) -> bool:
    left = _unsettled(report)
    return bool(left) and SubmissionState.of(tuple(one.state for one in left)) is SubmissionState.PARTLY_DELIVERED


def _needs_person(report: Report, at: datetime) -> bool:
    return isinstance(report.error, NeedsPerson) and not _half_delivered(report, at)


def _overdue(report: Report, at: datetime) -> bool:
    return is_overdue(report.submission, overdue_after=report.overdue_after, at=at)


def _queue_shared(report: Report, _: datetime) -> bool:
    waiting = (one for one in _unsettled(report) if one.state in UNANSWERED)
    return any(one.last_error is not None and one.last_error.code == QueueShared.code for one in waiting)


def _stopped(report: Report, _: datetime) -> bool:
    waiting = (one for one in _unsettled(report) if one.state is _S.SEALED or one.state in UNANSWERED)
    codes = {one.last_error.code for one in waiting if one.last_error is not None} - {QueueShared.code}
    return any(BY_CODE[code].fault not in _PASSES for code in codes if code in BY_CODE)


def _not_reviewed(report: Report, at: datetime) -> bool:
    submission = report.submission
    if submission.environment is not Environment.PRODUKSJON or report.reviewed or not may_be_reviewed(submission):
        return False
    answered = [one.received_at for half in submission.shipments for one in half.receipts if one.verified]
    return bool(answered) and at - max(answered) > REVIEW_WITHIN


SUBMISSION_NOTICES: Final = (
    SubmissionNotice(
        "in-doubt",
        _is(_S.IN_DOUBT),
        lambda name: Text("In doubt: {submission}", submission=name),
        lambda name: Text(
            "It is not known whether FHI has {submission}. It is not sent again by itself: do not send it by other "
            "means. What to do: kpr-send status {submission}",
            submission=name,
        ),
        lambda name: Text("No longer in doubt: {submission}", submission=name),
        although_replaced=True,
    ),
    SubmissionNotice(
        "answer-unverified",
        _unverified,
        lambda name: Text("An answer is not verified: {submission}", submission=name),
        lambda name: Text(
            "An answer to {submission} is here that cannot be verified or not be opened. Do not send again. What to "
            "do: kpr-send status {submission}",
            submission=name,
        ),
        lambda name: Text("The answer is verified or discarded: {submission}", submission=name),
        although_replaced=True,
    ),
    SubmissionNotice(
        "rejected",
        _is(_S.REJECTED),
        lambda name: Text("Rejected by FHI: {submission}", submission=name),
        lambda name: Text(
            "FHI has rejected {submission} or a half of it. Why, and what to do: kpr-send status {submission}",
            submission=name,
        ),
        lambda name: Text("No longer rejected: {submission}", submission=name),
    ),
    SubmissionNotice(
        "faulted",
        _is(_S.FAULTED),
        lambda name: Text("Faulted: {submission}", submission=name),
        lambda name: Text(
            "The receiver's system could not take {submission} or a half of it, or it came back. What to do: kpr-send "
            "status {submission}",
            submission=name,
        ),
        lambda name: Text("No longer faulted: {submission}", submission=name),
    ),
    SubmissionNotice(
        "half-delivered",
        _half_delivered,
        lambda name: Text("Only half is delivered: {submission}", submission=name),
        lambda name: Text(
            "Only one of the two files of {submission} is delivered. What to do: kpr-send status {submission}",
            submission=name,
        ),
        lambda name: Text("No longer half delivered: {submission}", submission=name),
    ),
    SubmissionNotice(
        "needs-person",
        _needs_person,
        lambda name: Text("A person must look: {submission}", submission=name),
        lambda name: Text(
            "Something about {submission} needs a person's decision. What, and what to do: kpr-send status "
            "{submission}",
            submission=name,
        ),
        lambda name: Text("Nobody has to look any more: {submission}", submission=name),
    ),
    SubmissionNotice(
        "overdue",
        _overdue,
        lambda name: Text("Overdue: {submission}", submission=name),
        lambda name: Text(
            "FHI's receipts for {submission} are overdue. Do not send again. What to do: kpr-send status {submission}",
            submission=name,
        ),
        lambda name: Text("No longer overdue: {submission}", submission=name),
    ),
    SubmissionNotice(
        "queue-shared",
        _queue_shared,
        lambda name: Text("Messages of others are in the way: {submission}", submission=name),
        lambda name: Text(
            "Messages of others lie on our queue. It is not read any more, so that none of them is lost, and receipts "
            "for {submission} cannot be fetched. What to do: kpr-send status {submission}",
            submission=name,
        ),
        lambda name: Text("Messages of others are no longer in the way: {submission}", submission=name),
    ),
    SubmissionNotice(
        "stopped",
        _stopped,
        lambda name: Text("Something must be corrected: {submission}", submission=name),
        lambda name: Text(
            "{submission} cannot be sent, or its receipts not be fetched, before something is corrected: a login, a "
            "key, a certificate, the configuration. What: kpr-send status {submission}",
            submission=name,
        ),
        lambda name: Text("Nothing has to be corrected any more: {submission}", submission=name),
    ),
    SubmissionNotice(
        "not-reviewed",
        _not_reviewed,
        lambda name: Text("Not looked at in FHI's feedback view: {submission}", submission=name),
        lambda name: Text(
            "{submission} was delivered more than 2 days ago, and nobody has noted that the data in FHI's feedback "
            "view (tilbakemeldingsvisning) was looked at. Look at it, then note it: kpr-send reviewed --by NAME",
            submission=name,
        ),
    ),
)
_BY_KIND: Final = {one.kind: one for one in SUBMISSION_NOTICES}
CERTIFICATE: Final = "certificate-"
"""How the kinds of notices about certificates begin."""


def current(situation: Situation) -> dict[tuple[str, str], Notice]:
    """Return what holds now that a person must know, by kind and subject."""
    found = (*_about_submissions(situation), *_about_the_deadline(situation), *_about_certificates(situation))
    return {one.key: one for one in found}


def _about_submissions(situation: Situation) -> Iterator[Notice]:
    for report in situation.reports:
        name = report.submission.submission_id
        for row in SUBMISSION_NOTICES:
            if (row.although_replaced or _latest(report)) and row.holds(report, situation.now):
                yield Notice(row.kind, name, row.title(name), row.text(name))


def _about_the_deadline(situation: Situation) -> Iterator[Notice]:
    left, day = situation.deadline.days_left(situation.now), situation.deadline.day.isoformat()
    reached = min((days for days in DEADLINE_DAYS if left <= days), default=None)
    if reached is None or left < 0 or situation.delivered:
        return
    yield Notice(
        f"deadline-{reached}",
        f"{situation.year} {day}",
        Text(
            "{count} day left to report the data of {year}",
            plural="{count} days left to report the data of {year}",
            count=left,
            year=situation.year,
        ),
        Text(
            "The last day is {day}, and not all is delivered. How far it is: kpr-send status",
            day=day,
        ),
    )


def _about_certificates(situation: Situation) -> Iterator[Notice]:
    for row in situation.certificates or ():
        left = row.days_left(situation.now)
        if row.error is not None and not row.is_unknown:
            kind = "refused"
            title = Text("A certificate cannot be used: {role}", role=row.role)
        elif left is not None and replace(row, error=None).concern(situation.now, situation.deadline):
            kind = str(next((days for days in WARNING_DAYS if left < days), "deadline"))
            title = Text(
                "A certificate ends in {count} day: {role}",
                plural="A certificate ends in {count} days: {role}",
                count=max(left, 0),
                role=row.role,
            )
        else:
            continue
        yield Notice(
            f"{CERTIFICATE}{kind}",
            row.role,
            title,
            Text("Which one, and what to do: kpr-send certs"),
        )


def looked_at(record: NoticeRecord, situation: Situation) -> bool:
    """Whether it is known now that a state does not hold: a certificate nobody could look at may be as it was."""
    if not record.kind.startswith(CERTIFICATE):
        return True
    seen = {one.role for one in situation.certificates or () if not one.is_unknown}
    return record.subject in seen


def over(record: NoticeRecord) -> Notice | None:
    """Return what is said when a state has ended; None where nobody waits for that."""
    row = _BY_KIND.get(record.kind)
    if row is None or row.over is None:
        return None
    return Notice(
        record.kind,
        record.subject,
        row.over(record.subject),
        Text(
            "It was so since {since}. What is known now: kpr-send status {submission}",
            since=rfc3339(record.began_at),
            submission=record.subject,
        ),
    )

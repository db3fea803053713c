"""What a submission amounts to: exit code, text and JSON, all from the same rows (promise G5).

Nothing here looks at what a run did, only at what the journal says and what time it is: ``status`` tomorrow gives
the same answer as ``send`` tomorrow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Self

from kpr_sender import profiles
from kpr_sender.errors import EXIT_OK, KprError
from kpr_sender.journal.port import JournalView
from kpr_sender.journal.values import CREATED, DECISIONS, REVIEWED, JournalEvent
from kpr_sender.lifecycle import words_of
from kpr_sender.model import ARRIVED, Environment, Submission, SubmissionState, rfc3339
from kpr_sender.profiles.profile import Deadline
from kpr_sender.result import environment_mark, error_beside_replacement, error_of, named
from kpr_sender.settings.values import Settings
from kpr_sender.states import UNANSWERED
from kpr_sender.texts import Text, paragraph
from kpr_sender.wording import all_of

_LOOK_AT_IT: Final = Text(
    "Look at the data in FHI's feedback view (tilbakemeldingsvisning) during the reception period: FHI's letter "
    "24/04733-1 requires it. What is wrong is corrected and sent anew after contact with kpr@fhi.no. Then note it with "
    "kpr-send reviewed --by NAME."
)


@dataclass(frozen=True, slots=True)
class Review:
    """That a person looked at a submission's data in FHI's feedback view.

    Attributes:
        at: When it was noted, UTC.
        by: Who looked.
        note: What the person noted; may be empty.
    """

    at: datetime
    by: str
    note: str


def may_be_reviewed(submission: Submission) -> bool:
    """Whether FHI's feedback view can show all that there will be of it: a half is with FHI, and none is waited for."""
    open_halves = any(one.state in UNANSWERED and not one.settled for one in submission.shipments)
    return not open_halves and any(one.state in ARRIVED for one in submission.shipments)


def decisions_in(history: Iterable[JournalEvent]) -> tuple[JournalEvent, ...]:
    """Return what persons decided, the oldest first: a new submission is one only where it replaces another."""
    decided = (one for one in history if one.what in DECISIONS or (one.what == CREATED and "replaces" in one.details))
    return tuple(sorted(decided, key=lambda one: one.at))


def replacement_of(journal: JournalView, submission: Submission) -> Submission | None:
    """Return the submission that has taken this one's place; None where none has."""
    replacing = next((one for one in journal.entries() if one.replaces == submission.submission_id), None)
    return None if replacing is None else journal.submission(replacing.submission_id)


def deadline_of(settings: Settings, year: int) -> Deadline:
    """Return the last day to report a year's data: the configuration's for its own year, else the profile's.

    Raises:
        ConfigInvalid: Nothing is known of the year.
    """
    configured = settings.report
    day = profiles.load(year).deadline
    if year != configured.year:
        return Deadline(day)
    day = configured.deadline or day
    if configured.extended_to is None:
        return Deadline(day)
    return Deadline(configured.extended_to, day, configured.extension_letter)


@dataclass(frozen=True, slots=True)
class NextLook:
    """When a queue is looked at again that others' messages lie on, and that is not looked at now (promise G8).

    Attributes:
        at: From when on.
        others: How many messages lay there at the last look that are others', or that cannot be verified.
        text: The same in a sentence.
    """

    at: datetime
    others: int
    text: str


@dataclass(frozen=True, slots=True)
class LastLook:
    """What the last look at our queues has left.

    Attributes:
        answers_to_others: How many answers to messages that are not in this journal lay on our queue.
        next_look: When a queue is looked at again; None where none is waited for.
    """

    answers_to_others: int = 0
    next_look: NextLook | None = None


_NO_LOOK: Final = LastLook()


@dataclass(frozen=True)
class Report:
    """What is known of a submission.

    Attributes:
        submission: As the journal has it.
        sent: How many shipments this call handed to the bus; 0 when there was nothing to do.
        begun: How many transfers this call began, whatever became of them.
        taken: How many receipts ``add_receipt`` was the first to bring.
        overdue_after: How long a receipt may take, in seconds.
        asked_at: The time at which this is known; aware.
        deadline: The last day to report the submission's year.
        reviewed: That a person looked at the data in FHI's feedback view; None where nobody has said so.
        last_look: What the last look at our queues has left.
        replacement: What is known of the submission that has taken its place; None where none has.
        decisions: What persons decided of its shipments, the oldest first.
        since: When the state of one of its shipments last changed, UTC.
        refused: Why ``send`` refuses the journal; None where it does not.
    """

    submission: Submission
    sent: int = 0
    taken: int = 0
    begun: int = field(default=0, kw_only=True)
    overdue_after: float = field(kw_only=True)
    asked_at: datetime = field(kw_only=True)
    deadline: Deadline | None = field(default=None, kw_only=True)
    reviewed: Review | None = field(default=None, kw_only=True)
    last_look: LastLook = field(default=_NO_LOOK, kw_only=True)
    replacement: Report | None = field(default=None, kw_only=True)
    decisions: tuple[JournalEvent, ...] = field(default=(), kw_only=True)
    since: datetime | None = field(default=None, kw_only=True)
    refused: KprError | None = field(default=None, kw_only=True)

    @classmethod
    def of(
        cls,
        settings: Settings,
        journal: JournalView,
        submission: Submission,
        *,
        at: datetime,
        last_look: LastLook = _NO_LOOK,
    ) -> Self:
        """Return what is known of a submission by a configuration's limits, at a time."""
        history = [event for shipment in submission.shipments for event in journal.events(shipment.msg_id)]
        replacing = replacement_of(journal, submission)
        looked = None
        if may_be_reviewed(submission):
            own = {msg_id for shipment in submission.own for msg_id in shipment.msg_ids}
            looked = next((one for one in reversed(history) if one.what == REVIEWED and one.msg_id in own), None)
        return cls(
            submission,
            overdue_after=settings.report.overdue_after,
            asked_at=at,
            deadline=deadline_of(settings, submission.year),
            last_look=last_look,
            reviewed=None if looked is None else Review(looked.at, looked.who, looked.why),
            replacement=None if replacing is None else cls.of(settings, journal, replacing, at=at),
            decisions=decisions_in(history),
            since=max((one.at for one in history if "to" in one.details), default=None),
            refused=journal.refused(),
        )

    @property
    def answers_to_others(self) -> int:
        """How many answers to messages that are not in this journal lay on our queue at the last look."""
        return self.last_look.answers_to_others

    @property
    def next_look(self) -> NextLook | None:
        """When the queue is looked at again where a receipt may come; None where it is looked at by every run."""
        return self.last_look.next_look if self.submission.awaits_answer else None

    @cached_property
    def error(self) -> KprError | None:
        """What a person must know; None when all is delivered."""
        return self.refused or self._error_beside(())

    def _error_beside(self, earlier: tuple[KprError | None, ...]) -> KprError | None:
        """Return what counts most of this submission, of what has taken its place and of what it replaced itself."""
        if self.replacement is None:
            at, overdue_after = self.asked_at, self.overdue_after
            return error_of(self.submission, overdue_after=overdue_after, at=at, beside=earlier)
        beside = (*earlier, error_beside_replacement(self.submission))
        error = self.replacement._error_beside(beside)  # noqa: SLF001 - a report of the same class
        if error is None or any(error is one for one in beside):
            return error
        replaced = Text(
            "{submission} is replaced by {latest}.",
            submission=self.submission.submission_id,
            latest=self.latest.submission_id,
        )
        what = paragraph(replaced, error.what)
        return type(error)(what, where=error.where, next_step=error.next_step, about=error.about)

    @property
    def latest(self) -> Submission:
        """The last of those that took the submission's place; itself where none did."""
        return self.submission if self.replacement is None else self.replacement.latest

    @property
    def exit_code(self) -> int:
        """The exit code of ``kpr-send`` for this state."""
        error = self.error
        return EXIT_OK if error is None else error.exit_code

    def raise_for_state(self) -> None:
        """Do nothing when all is delivered.

        Raises:
            KprError: The class that goes with the exit code.
        """
        if (error := self.error) is not None:
            raise error

    @property
    def next_step(self) -> str:
        """What to do next, in a sentence or two; also where there is no error."""
        error = self.error
        if error is not None:
            return error.next_step
        if self.replacement is not None:
            return self.replacement.next_step
        if self.reviewed is not None:
            return Text(
                "Nothing: {by} looked at FHI's feedback view ({at}).",
                by=self.reviewed.by,
                at=rfc3339(self.reviewed.at),
            )
        if not may_be_reviewed(self.submission):
            return Text("Nothing: a person has settled it, and FHI's feedback view has nothing of it.")
        if self.submission.environment is not Environment.PRODUKSJON:
            return Text(
                "Nothing: this was a test. What goes to produksjon must be looked at in FHI's feedback view as well."
            )
        return _LOOK_AT_IT

    def text(self) -> Text:
        """Return the result in one or two sentences, for a person; outside production it begins with TEST."""
        mark, error = environment_mark(self.submission.environment), self.error
        return Text("{mark}{result}", mark=mark, result=self.good() if error is None else error.text)

    def good(self) -> Text:
        """Return what is known where there is no error."""
        if self.replacement is not None:
            submission, latest = self.submission.submission_id, self.latest
            if latest.state is SubmissionState.DELIVERED:
                return Text(
                    "{submission} is replaced by {latest}, which is delivered.",
                    submission=submission,
                    latest=latest.submission_id,
                )
            replaced = Text("{submission} is replaced by {latest}.", submission=submission, latest=latest.submission_id)
            return paragraph(replaced, _ended(latest))
        return _ended(self.submission)

    def as_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints: see ``kpr_sender.render.json.report_json``."""
        from kpr_sender.render.json import report_json  # noqa: PLC0415 - rendering is above this module

        return report_json(self)


def _ended(submission: Submission) -> Text:
    """Return what is known of a pair of which nothing is left to do."""
    settled = [shipment for shipment in submission.shipments if shipment.settled]
    if not settled:
        return Text("Both shipments are delivered: FHI has confirmed them.")
    states = all_of(
        Text("{shipment} is {state}", shipment=named([shipment]), state=words_of(shipment.state))
        for shipment in settled
    )
    return Text("A person has settled it, nothing is left to do: {states}.", states=states)

"""What a person decides and a program must not: whether a shipment has arrived, goes again, or needs nobody any more.

What the journal knows becomes a ``Case``, which says what may be decided; ``decide`` has the journal store it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpr_sender.errors import NothingSubmitted, UsageError
from kpr_sender.journal.admission import pruned_away, require_clean
from kpr_sender.journal.port import Journal, JournalView
from kpr_sender.journal.values import LOOK_ANYWAY, JournalEvent, SubmissionEntry
from kpr_sender.lifecycle import words_of
from kpr_sender.messages.transport import plain_id
from kpr_sender.model import Shipment, Submission
from kpr_sender.report import may_be_reviewed, replacement_of
from kpr_sender.result import error_of
from kpr_sender.settings.values import SenderSettings, Settings
from kpr_sender.states import PERSON_CAUSES, SENT_AGAIN, Cause, ShipmentState, may_be_published, open_decisions
from kpr_sender.texts import Text, paragraph


class Decision(enum.StrEnum):
    """What a person may say of a shipment, after contact with FHI."""

    ARRIVED = "arrived"
    """It is published, and its receipt is waited for."""
    NOT_ARRIVED = "not-arrived"
    """It is sealed: the next run sends the same bytes again, under another message-id."""
    CANCEL = "cancel"
    """It is given up; nothing of it is sent by itself."""
    SETTLED = "settled"
    """Its state stays, and nobody need look at it any more; where there is an alarm, at that alone."""

    @property
    def cause(self) -> Cause:
        """What the journal calls it."""
        return _CAUSES[self]


_CAUSES: Final[Mapping[Decision, Cause]] = {
    Decision.ARRIVED: Cause.PERSON_ARRIVED,
    Decision.NOT_ARRIVED: Cause.PERSON_NOT_ARRIVED,
    Decision.CANCEL: Cause.PERSON_CANCELS,
    Decision.SETTLED: Cause.PERSON_SETTLES,
}
SEND_IT: Final = Text("Send it with kpr-send send.")
"""What is to be done with what may be published, before anything that a person may decide."""
_RESEND_INSTEAD: Final = Text("Or send it again with kpr-send resend MSGID --reason TEXT.")
_INSTEAD_OF_RESENDING: Final[Mapping[ShipmentState, Text]] = {
    ShipmentState.SEALED: SEND_IT,
    ShipmentState.PUBLISHED: Text(
        "Wait for its receipt; if FHI says it has not arrived: kpr-send resolve MSGID --not-arrived --reason TEXT."
    ),
    ShipmentState.IN_DOUBT: Text(
        "Run kpr-send wait; if FHI says that it has not arrived: kpr-send resolve MSGID --not-arrived --reason TEXT."
    ),
    ShipmentState.CANCELLED: Text(
        "It may have been handed over: ask kpr@fhi.no, then kpr-send resolve MSGID --not-arrived --reason TEXT."
    ),
    ShipmentState.DELIVERED: Text("Nothing: what is delivered is never sent again."),
    ShipmentState.DELIVERED_WITH_ERRORS: Text(
        "FHI has it: agree with kpr@fhi.no, then send a new extract with kpr-send send --replaces ID --reason TEXT, or "
        "kpr-send resolve MSGID --settled --reason TEXT."
    ),
}
_NEXT_STEPS: Final[Mapping[ShipmentState, Text]] = {
    ShipmentState.PUBLISHING: Text("Let the run that publishes it end, then look again."),
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One transfer that was begun.

    Attributes:
        begun: Its event.
        ended: The event of its end; None while it is under way.
    """

    begun: JournalEvent
    ended: JournalEvent | None


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of one shipment.

    Attributes:
        properties: What stands outside the sealed bytes: HER-ids and the time they were made.
        history: Its events, the oldest first.
        replaced_by: The submission that has taken its submission's place, or None.
    """

    submission: Submission
    shipment: Shipment
    properties: Mapping[str, str]
    history: tuple[JournalEvent, ...]
    replaced_by: str | None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The transfers that were begun, the oldest first."""
        return tuple(_attempts(self.history))

    @property
    def decided(self) -> tuple[JournalEvent, ...]:
        """What persons have decided of it before."""
        return tuple(event for event in self.history if event.what in {*PERSON_CAUSES, LOOK_ANYWAY})

    @property
    def open_to(self) -> tuple[Decision, ...]:
        """What a person may decide of it now."""
        causes = self._causes
        shipment = self.shipment
        if any(receipt.verified for receipt in shipment.receipts):
            causes -= {Cause.PERSON_NOT_ARRIVED}  # FHI has answered it, whatever state an earlier version left it in
        settles_state = not shipment.alarm  # an alarm is settled alone, whatever the shipment waits for
        doubted = shipment.receipts or shipment.needs_person
        if settles_state and shipment.state is ShipmentState.PUBLISHED and not doubted:
            causes -= {Cause.PERSON_SETTLES}  # nothing is there that nobody can verify or explain: it is waited for
        odd = shipment.needs_person or any(receipt.errors for receipt in shipment.receipts)
        if settles_state and shipment.state is ShipmentState.DELIVERED and not odd:
            causes -= {Cause.PERSON_SETTLES}  # there is nothing to settle
        return tuple(one for one in Decision if one.cause in causes)

    @property
    def may_be_resent(self) -> bool:
        """Whether a person may let its content go again, sealed anew."""
        return Cause.PERSON_RESENDS in self._causes

    @property
    def times_sent_again(self) -> int:
        """How often a person has let its content go again."""
        return sum(event.what in SENT_AGAIN for event in self.history)

    @property
    def _causes(self) -> frozenset[Cause]:
        causes = open_decisions(self.shipment, replaced=self.replaced_by is not None)
        return causes if self.shipment.pruned_at is None else causes - SENT_AGAIN


def case_of(journal: JournalView, msg_id: str) -> Case:
    """Return what the journal knows of a shipment.

    Args:
        journal: Where to look.
        msg_id: Its MsgId, in capitals or not, with braces or without.

    Raises:
        UsageError: It is not in this journal.
    """
    shipment = journal.shipment(plain_id(msg_id))
    submission = None if shipment is None else journal.submission(shipment.submission_id)
    if shipment is None or submission is None:
        raise UsageError(
            Text("There is no shipment with MsgId {msg_id} in this journal.", msg_id=msg_id),
            where="MSGID",
            next_step=Text("kpr-send status shows the MsgIds; check --env and --journal."),
        )
    replacing = replacement_of(journal, submission)
    return Case(
        submission=submission,
        shipment=shipment,
        properties=journal.envelope(shipment.msg_id).properties,
        history=journal.events(shipment.msg_id),
        replaced_by=None if replacing is None else replacing.submission_id,
    )


def require_decidable(case: Case, decision: Decision | None = None) -> None:
    """Refuse a shipment that is not a person's to decide on, or not in this way.

    Args:
        case: What is known.
        decision: What is to be decided; None when it is only looked at.

    Raises:
        UsageError: Says what is known of it instead.
    """
    shipment = case.shipment
    if shipment.pruned_at is not None and decision is Decision.NOT_ARRIVED:
        raise pruned_away(shipment.msg_id)
    name = Text("The {norwegian} ({msg_id})", norwegian=shipment.type.norwegian, msg_id=shipment.msg_id)
    if not case.open_to:
        raise UsageError(
            Text(
                "{name} is {state}: there is nothing to decide. {known}",
                name=name,
                state=words_of(shipment.state),
                known=_known(case),
            ),
            where="MSGID",
            next_step=_NEXT_STEPS.get(shipment.state, Text("See kpr-send status and kpr-send receipts.")),
        )
    if decision is None or decision in case.open_to:
        return
    if case.replaced_by is not None and decision is Decision.NOT_ARRIVED:
        raise UsageError(
            Text(
                "{name} must not be sent again: submission {replaced_by} has taken the place of its own.",
                name=name,
                replaced_by=case.replaced_by,
            ),
            where="--not-arrived",
            next_step=Text("Give it up with kpr-send resolve MSGID --cancel --reason TEXT."),
        )
    others = ", ".join(f"--{one.value}" for one in case.open_to)
    raise UsageError(
        Text(
            "{name} is {state}: --{decision} is not a decision on it. {known}",
            name=name,
            state=words_of(shipment.state),
            decision=decision.value,
            known=_known(case),
        ),
        where=f"--{decision.value}",
        next_step=paragraph(
            SEND_IT if may_be_published(shipment) else "",
            Text("What may be decided: {others}.", others=others),
            _RESEND_INSTEAD if case.may_be_resent else "",
        ),
    )


def require_resendable(case: Case) -> tuple[Shipment, ...]:
    """Return the half that is to be sent again; refuse what is not a person's to, or only after FHI's word.

    Raises:
        UsageError: Says what is known of it instead.
    """
    if case.may_be_resent:
        return (case.shipment,)
    shipment = case.shipment
    if shipment.pruned_at is not None and Cause.PERSON_RESENDS in open_decisions(shipment, replaced=False):
        raise pruned_away(shipment.msg_id)
    advice = _INSTEAD_OF_RESENDING.get(shipment.state, Text("See kpr-send status and kpr-send receipts."))
    if case.replaced_by is not None:
        advice = Text(
            "Submission {replaced_by} has taken the place of its own: nothing is to be sent again.",
            replaced_by=case.replaced_by,
        )
    raise UsageError(
        Text(
            "The {norwegian} ({msg_id}) is {state}: it is not sent again in this way. {known}",
            norwegian=shipment.type.norwegian,
            msg_id=shipment.msg_id,
            state=words_of(shipment.state),
            known=_known(case),
        ),
        where="MSGID",
        next_step=advice,
    )


def require_once(case: Case, *, again: bool) -> None:
    """Refuse to let the same content go more than once more by mistake (HITS 1216 2.2.5).

    Args:
        case: What is known.
        again: Whether the person says that it is none.

    Raises:
        UsageError: It went again before.
    """
    # What still waits to be sent by an earlier word does not go once more when it is sent another way.
    waits = case.shipment.state is ShipmentState.SEALED and not case.shipment.needs_person
    if case.times_sent_again and not again and not waits:
        times = (
            "once"
            if case.times_sent_again == 1
            else Text("{times_sent_again} times", times_sent_again=case.times_sent_again)
        )
        raise UsageError(
            Text(
                "The {norwegian} ({msg_id}) was released to be sent again {times} before, and was not delivered: "
                "the same message is to be sent only once more (HITS 1216).",
                norwegian=case.shipment.type.norwegian,
                msg_id=case.shipment.msg_id,
                times=times,
            ),
            where="--again",
            next_step=Text("Ask kpr@fhi.no what is wrong with it; if it is to go once more all the same, add --again."),
        )


def decide(
    journal: Journal, case: Case, decision: Decision, *, new_id: Callable[[], str], reason: str, by: str, again: bool
) -> Shipment:
    """Let a decision take effect.

    Args:
        journal: Where it is stored.
        case: What is known of the shipment.
        decision: What FHI said, or what the person makes of it.
        new_id: Makes a message-id for what goes again.
        reason: Why, in words.
        by: Who decides.
        again: That what has not arrived may go although its content was sent again before.

    Raises:
        UsageError: There is nothing to decide, or not in this way.
    """
    require_decidable(case, decision)
    msg_id = case.shipment.msg_id
    if decision is not Decision.NOT_ARRIVED:
        return journal.decide(msg_id, decision.cause, reason=reason, by=by)
    require_once(case, again=again)
    # An envelope that nobody has answered goes again as it is (HITS 1172 4.2.3.2); else another one is sealed.
    as_it_is = case.shipment.id_is_sealed and case.shipment.acknowledged_at is None
    message_id = case.shipment.message_id if as_it_is else new_id()
    return journal.let_go(msg_id, message_id=message_id, reason=reason, by=by)


def require_unchanged(seen: Case, case: Case) -> None:
    """Refuse a decision on what has changed since the person looked.

    Raises:
        UsageError: An answer, an attempt or another decision came in between.
    """
    if seen.history != case.history:
        raise UsageError(
            Text(
                "Something happened to {msg_id} since it was shown; nothing was decided. {known}",
                msg_id=case.shipment.msg_id,
                known=_known(case),
            ),
            where="MSGID",
            next_step=Text("Look again with kpr-send resolve MSGID, then decide."),
        )


def look_up(journal: JournalView, submission_id: str | None, settings: Settings) -> Submission | None:
    """Return the submission of that id; when no id is given, the one that counts in the configured year.

    That is the newest of the year; where there is none, the newest of all that is not over: last year's delivery says
    nothing of this year, last year's doubt is still one. None where there is neither.

    Args:
        journal: Where to look.
        submission_id: A submission's id, or the MsgId of one of its shipments.
        settings: Which year, and whose: what another bydel of the kommune has in the same journal does not count.

    Raises:
        UsageError: The id is not in this journal.
    """
    if submission_id is None:
        entries, year = _without_other_bydeler(journal, settings.sender), settings.report.year
        replaced = {one.replaces for one in entries}
        if of_year := next((one for one in entries if one.year == year), None):
            return journal.submission(of_year.submission_id)
        left = journal.perhaps_open() - replaced if entries else frozenset()
        last = (journal.submission(one.submission_id) for one in entries if one.submission_id in left)
        return next((one for one in last if one is not None and not _is_over(one)), None)
    found = journal.submission(submission_id)
    if found is None and (shipment := journal.shipment(plain_id(submission_id))) is not None:
        found = journal.submission(shipment.submission_id)
    if found is None:
        raise UsageError(
            Text("{submission_id} is not in this journal.", submission_id=submission_id),
            next_step=Text("kpr-send status lists what is; check --env and --journal."),
        )
    return found


def newest_awaiting(journal: JournalView, settings: Settings) -> Submission | None:
    """Return the newest submission that still waits for a receipt; None where none does."""
    entries = _without_other_bydeler(journal, settings.sender)
    submissions = (journal.submission(one.submission_id) for one in entries)
    awaiting = (one for one in submissions if one is not None and one.awaits_answer)
    return next(awaiting, None)


def _without_other_bydeler(journal: JournalView, sender: SenderSettings) -> tuple[SubmissionEntry, ...]:
    ours, bydel = sender.kommunenummer, sender.bydel
    return tuple(one for one in journal.entries() if one.kommunenummer != ours or one.bydel == bydel)


def _is_over(submission: Submission) -> bool:
    return error_of(submission, overdue_after=math.inf, at=submission.created_at) is None


def nothing_submitted(year: int, path: Path | str) -> NothingSubmitted:
    """Return what ``status``, ``wait`` and ``receipts`` say where nothing counts in a reporting year."""
    return NothingSubmitted(Text("Nothing is submitted for {year} yet, as far as {path} knows.", year=year, path=path))


def _known(case: Case) -> str:
    last = case.history[-1]
    if not last.why:
        return Text("The last that is known is of {at} UTC.", at=format(last.at, "%Y-%m-%d %H:%M"))
    return Text("The last that is known, of {at} UTC: {why}", at=format(last.at, "%Y-%m-%d %H:%M"), why=last.why)


def _attempts(history: tuple[JournalEvent, ...]) -> Iterator[Attempt]:
    begun: JournalEvent | None = None
    for event in history:
        if event.what == Cause.PUBLISH_BEGINS:
            begun = event
        elif begun is not None and event.details.get("from") == ShipmentState.PUBLISHING:
            yield Attempt(begun, event)
            begun = None
    if begun is not None:
        yield Attempt(begun, None)


def require_reviewable(submission: Submission | None, *, note: str, by: str) -> Submission:
    """Return the submission that a person says to have looked at in FHI's feedback view.

    Args:
        submission: The one that is named; None where there is none.
        note: What the person noted.
        by: Who looked.

    Raises:
        UsageError: Nothing is delivered that FHI's view could show, or the text may hold a national id (promise G6).
    """
    if submission is None or not may_be_reviewed(submission):
        raise UsageError(
            Text(
                "Only what is delivered, and waits for no other half, can have been looked at in FHI's feedback view."
            ),
            next_step=Text("See kpr-send status for what is known of it."),
        )
    require_clean(note, by, where="--note")
    return submission

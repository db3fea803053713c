"""Read our queues until a submission is answered, and say when the bus could not be looked at.

While nothing of others is seen the links stay attached, so that receipts come at once. As soon as something is, short
looks take their place (promise G8): what is there is taken once and sorted, ours is settled after it is durable, and
the queues are left at once, until ``looks`` permits the next look.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from kpr_sender.bus.port import Bus, Inbound
from kpr_sender.errors import BusUnreachable, KprError, LastError, QueueShared, ReceiptPending
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.inbound.look_memory import Asked, LookMemory
from kpr_sender.inbound.looks import ASSUMED_LIMIT, LAST_TAKE, Looks, Seen
from kpr_sender.inbound.receipt import Evaluation, Handling, ReceiptHandler
from kpr_sender.journal.port import Journal
from kpr_sender.model import Submission
from kpr_sender.report import rfc3339
from kpr_sender.states import ShipmentState, awaits_answer

_LOOK_SECONDS: Final = 5.0
"""How soon a wait ends after ``closing`` is set. The links stay attached all the while: no polling of the broker."""
_QUIET_SECONDS: Final = 1.0
"""A look is over when nothing has come for so long. No drain: it crashes RabbitMQ 3.10."""
_LONGEST_LOOK: Final = 4.0
"""How long after the first message of others a look is over in any case: the bus gives them back after 5 seconds."""


def is_awaiting(submission: Submission) -> bool:
    """Tell whether a receipt may still come for one of the pair."""
    return any(awaits_answer(shipment) for shipment in submission.shipments)


def note_obstacle(journal: Journal, submission: Submission, error: KprError | None) -> None:
    """Record what keeps receipts from being fetched, or that nothing does any more (promise G5)."""
    wanted = None if error is None else LastError.of(error)
    for shipment in submission.shipments:
        if shipment.state is ShipmentState.PUBLISHED and shipment.last_error != wanted:
            journal.note_error(shipment.msg_id, wanted)


@dataclass(slots=True)
class _Look:
    """One look at the queues.

    Attributes:
        before: What was remembered when it began.
        seen: The messages of others that it found.
        ends_at: When it is over, by the monotonic clock; None while nothing of others was seen.
        quiet: Whether nothing came when last asked.
    """

    before: Looks
    seen: list[Seen] = field(default_factory=list)
    ends_at: float | None = None
    quiet: bool = True

    def patience(self, left: float, now: float) -> float:
        """Return how long to wait for the next message, in seconds."""
        if self.ends_at is not None:
            return max(min(_QUIET_SECONDS, self.ends_at - now), 0.0)
        # Only a look that would have found them may say that they are gone.
        return _QUIET_SECONDS if self.before.takes else min(left, _LOOK_SECONDS)

    def is_over(self, now: float) -> bool:
        """Tell whether the queues are to be left now; at ``held_cap`` the bus lets no more come, and it gets quiet."""
        return self.ends_at is not None and (self.quiet or now >= self.ends_at)


@dataclass(slots=True)
class _Wait:
    """How far one wait is.

    Attributes:
        look_anyway: A person asked for a look that has not been made yet.
        copies: A stored receipt was verified just now: its copy on the queue is still to be settled by one look.
        look: The one under way.
        unreachable: Why the bus could not be looked at the last time.
        capped: Whether a look ended at ``held_cap``.
    """

    look_anyway: bool
    copies: bool = False
    look: _Look | None = None
    unreachable: BusUnreachable | None = None
    capped: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """Reads our queues until a submission is answered.

    Attributes:
        closing: Ends the wait when set; a pause is a wait for it.
        section: Entered while one message is handled and settled, so that no other section interrupts it.
        monotonic: A clock that never jumps, in seconds.
        now: The time, by which the pauses between looks go.
        held_cap: ``bus.held_cap``: how many foreign messages one look takes at most.
        memory: What is remembered of earlier looks.
        handler: Returns what evaluates messages; not called where nothing is looked at, since it loads keys and
            certificates.
    """

    journal: Journal
    bus: Bus
    handler: Callable[[], ReceiptHandler]
    closing: threading.Event
    section: AbstractContextManager[object]
    monotonic: Callable[[], float]
    now: Callable[[], datetime]
    held_cap: int
    memory: LookMemory
    observe: Observer

    def ask(self, *, reason: str, by: str, emptied: bool) -> None:
        """Record that a person asks for one look more, or refuse it.

        Args:
            reason: Why, in words.
            by: Who.
            emptied: The messages' owner has said that the queue was read.

        Raises:
            QueueShared: Without that word it would be the ninth take, or by the broker's count the last but one.
        """
        looks = self.memory.looks
        if not emptied and not looks.allows_another():
            raise QueueShared(
                f"One look more might be the last but one that the bus allows ({ASSUMED_LIMIT} are assumed). "
                f"{_told(looks)}",
                next_step="Have the queue read by the system that these messages are for, then run kpr-send wait "
                "--look-anyway --emptied with --reason and --by.",
            )
        self.memory.ask(Asked(self.now(), by, reason, emptied))
        text = f"A person asked for one look more at our queue: {by}."
        self.observe(Event(EventKind.DECIDED, text, details={"by": by, "emptied": str(emptied).lower()}))

    def wait(
        self, submission: Submission, timeout: float, *, look_anyway: bool = False, settle_copies: bool = False
    ) -> Submission:
        """Wait for all receipts of a submission, at most ``timeout`` seconds; 0 takes what is there.

        A bus that is down ends no wait: it is looked at until the time is up, once at least. When the last look
        failed, that is noted for what is published, and so in the result; a later look that succeeds clears it.

        Args:
            submission: Which one.
            timeout: In seconds.
            settle_copies: A stored receipt was verified just now, so that one look is made for its copy on the queue.
            look_anyway: A person asks for one look, whether or not it is time for it.

        Raises:
            KprError: What the bus port's ``receive`` (``BusUnreachable`` excepted) and ``ReceiptHandler`` raise.
        """
        end = self.monotonic() + timeout
        wait = _Wait(look_anyway, settle_copies)
        if is_awaiting(submission):
            msg_id = submission.shipments[0].msg_id
            text = "Waiting for FHI's receipts."
            self.observe(Event(EventKind.WAITING, text, msg_id, details={"timeout": int(timeout)}))
        try:
            more = True
            while more and (is_awaiting(submission) or wait.copies) and not self.closing.is_set():
                left = max(end - self.monotonic(), 0.0)
                if not is_awaiting(submission):
                    left = min(left, _QUIET_SECONDS)
                due = 0.0 if wait.look or wait.look_anyway else self._due_in()
                if due > left:
                    break
                if due > 0:
                    self.closing.wait(min(due, _LOOK_SECONDS))
                else:
                    more = self._listen(wait, submission, left)
                # Also after a look that found nothing: a receipt may have come from a file or a vendor's own listener.
                # Not after each message of others: a look must get past a thousand of them in its time.
                if wait.look is None or not wait.look.seen:
                    submission = self._known(submission)
            self._finish(wait.look)
        finally:
            self.bus.detach()
        if wait.unreachable is not None:
            note_obstacle(self.journal, submission, wait.unreachable)
        elif is_awaiting(submission):
            self._say_what_comes_next(submission, capped=wait.capped)
        return self._known(submission)

    def _listen(self, wait: _Wait, submission: Submission, left: float) -> bool:
        """Receive one message, or none; return whether there is time for more."""
        self.handler()
        look = wait.look = wait.look or _Look(self.memory.looks)
        inbound, failed = self._receive(look.patience(left, self.monotonic()))
        look.quiet = inbound is None
        if failed is None or wait.unreachable is None:
            note_obstacle(self.journal, submission, failed)
        wait.unreachable = failed
        if inbound is not None:
            self._handle(inbound, look)
        if self.bus.held >= self.held_cap and not wait.capped:
            wait.capped = True
            self.observe(Event(EventKind.WARNING, self._too_many_foreign()))
        if look.quiet or look.is_over(self.monotonic()):
            wait.look = None
            wait.look_anyway = wait.look_anyway and failed is not None
            wait.copies = False
            self._end(look, failed)
        return inbound is not None or left > 0

    def _known(self, submission: Submission) -> Submission:
        return self.journal.submission(submission.submission_id) or submission

    def _due_in(self) -> float:
        """Return in how many seconds the next look is permitted; infinite where none is by itself."""
        now = self.now()
        due = self.memory.looks.next_at(now)
        return math.inf if due is None else (due - now).total_seconds()

    def _receive(self, seconds: float) -> tuple[Inbound | None, BusUnreachable | None]:
        """Return what arrived, and why it could not be looked."""
        try:
            return self.bus.receive(seconds), None
        except BusUnreachable as error:
            return None, error

    def _handle(self, inbound: Inbound, look: _Look) -> None:
        with self.section:
            found = self._evaluated(inbound)
            if found.handling is Handling.SETTLE:
                reached(FaultPoint.BEFORE_SETTLE)
                self.bus.settle(inbound)
                reached(FaultPoint.AFTER_SETTLE)
                return
            self.bus.hold(inbound)
        seen = self.memory.seen(inbound, answer=found.answers_another)
        look.seen.append(seen)
        if look.ends_at is None:
            look.ends_at = self.monotonic() + _LONGEST_LOOK
            # Should this run be killed now, all that is remembered counts as taken once more.
            self.memory.keep(look.before.after([seen, *(Seen(key, 0) for key in look.before.takes)], self.now()))

    def _evaluated(self, inbound: Inbound) -> Evaluation:
        """Evaluate a message.

        What is stored, names one of our ids and cannot be verified stays where it is, until the last look that is
        allowed: then the journal has it, and it must not end our looking.
        """
        if not inbound.readable:
            return Evaluation(Handling.HOLD)
        found = self.handler().evaluate(inbound)
        takes = max(self.memory.looks.takes.get(self.memory.seen(inbound).key, 0), inbound.deliveries)
        last = found.names_ours and takes >= LAST_TAKE - 1
        return replace(found, handling=Handling.SETTLE) if last else found

    def _end(self, look: _Look, failed: BusUnreachable | None = None) -> None:
        """Remember what a look found, and leave the queues where it found something of others."""
        if look.seen:
            text = f"{len(look.seen)} messages on the queue belong to others; they are given back untouched."
            self.observe(Event(EventKind.FOREIGN_HELD, text, details={"held": len(look.seen)}))
        try:
            if look.seen or failed is None:
                self.memory.keep(look.before.after(look.seen, self.now()))
        finally:
            if look.seen:
                self.bus.detach()

    def _finish(self, look: _Look | None) -> None:
        """End a look that is not over: what was handed out and not read yet was delivered, too, and is counted."""
        if look is None:
            return
        while not self.closing.is_set() and not look.is_over(self.monotonic()):
            inbound, _ = self._receive(0)
            if inbound is None:
                break
            self._handle(inbound, look)
        self._end(look)

    def _say_what_comes_next(self, submission: Submission, *, capped: bool) -> None:
        looks, now = self.memory.looks, self.now()
        due = looks.next_at(now)
        if due is None:
            note_obstacle(self.journal, submission, QueueShared(_told(looks)))
        elif capped:
            note_obstacle(self.journal, submission, ReceiptPending(self._too_many_foreign()))
        if due is not None and due > now:
            text = f"{looks.others} messages of others lie on our queue; it is looked at again from {rfc3339(due)} on."
            details: dict[str, str | int] = {"held": looks.others, "next_look": rfc3339(due)}
            self.observe(Event(EventKind.FOREIGN_HELD, text, submission.shipments[0].msg_id, details=details))

    def _too_many_foreign(self) -> str:
        return (
            f"{self.held_cap} messages that are not ours stand before the receipts, as many as bus.held_cap allows. "
            "Let the system they belong to read its queue, or raise bus.held_cap."
        )


def _told(looks: Looks) -> str:
    since = "" if looks.since is None else f", some of them since {rfc3339(looks.since)}"
    at = "" if looks.looked_at is None else f" ({rfc3339(looks.looked_at)})"
    return (
        f"{looks.others} messages of others lay on our queue at the last look{at}{since}. They were taken as often as "
        "is safe, and the queue is not read any more, so that the bus does not drop them."
    )

"""Read our queues, or the folder in their place, until a submission is answered; say when the bus could not be reached.

While nothing of others is seen the links stay attached, so that receipts come at once. As soon as something is, short
looks take their place (promise G8): what is there is taken once and sorted, ours is settled after it is durable, and
the queues are left at once, until ``looks`` permits the next look; each queue by what was found on it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from kpr_sender.bus.port import MAIL, Bus, Inbound, Source
from kpr_sender.errors import (
    AccessRefused,
    BusUnreachable,
    ConfigInvalid,
    InputMissing,
    JournalUnwritable,
    KprError,
    LastError,
    QueueShared,
    ReceiptPending,
    RegistryUnreachable,
    UsageError,
)
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.inbound.folder import ReceiptsFolder
from kpr_sender.inbound.look_memory import LookMemory
from kpr_sender.inbound.looks import ASSUMED_LIMIT, LAST_TAKE, Looks, Seen
from kpr_sender.inbound.receipt import Evaluation, Handling, ReceiptHandler
from kpr_sender.journal.port import Journal
from kpr_sender.model import Submission, rfc3339
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text, paragraph

_LOOK_SECONDS: Final = 5.0
"""How soon a wait ends after ``closing`` is set. The links stay attached all the while: no polling of the broker."""
_TOO_LARGE: Final = Text("A message that is larger than bus.max_inbound lies on our queue, and is left there.")
_TOO_LARGE_MAIL: Final = Text("A mail that is larger than edi.max_inbound lies in our mailbox, and is left there.")
_QUIET_SECONDS: Final = 1.0
"""A look is over when nothing has come for so long. No drain: it crashes RabbitMQ 3.10."""
_LONGEST_LOOK: Final = 4.0
"""How long after the first message of others a look is over in any case: the bus gives them back soon after that."""


def note_obstacle(journal: Journal, submission: Submission, error: KprError | None) -> None:
    """Record what keeps receipts from being fetched, or that nothing does any more (promise G5)."""
    wanted = None if error is None else LastError.of(error)
    for shipment in submission.shipments:
        if shipment.state is ShipmentState.PUBLISHED and shipment.last_error != wanted:
            journal.note_error(shipment.msg_id, wanted)


@contextmanager
def obstacles_noted(journal: Journal, submission: Submission) -> Iterator[None]:
    """Record what ends a wait, so that the next ``status`` says the same (promise G5)."""
    try:
        yield
    except (AccessRefused, ConfigInvalid, InputMissing, JournalUnwritable, RegistryUnreachable) as error:
        with suppress(JournalUnwritable):  # it may be what cannot be written
            note_obstacle(journal, submission, error)
        raise


@dataclass(slots=True)
class _Look:
    """One look at some of our queues.

    Attributes:
        before: What was remembered of each when it began.
        seen: The messages of others that it found on each.
        ends_at: When it is over, by the monotonic clock; None while nothing of others was seen.
        quiet: Whether nothing came when last asked.
        no_register: That the register did not answer while a message was evaluated, which says nothing about it.
        late: Whether a message of ours had gone back before it was settled, because this machine was too slow: more may
            lie behind it.
    """

    before: Mapping[Source, Looks]
    seen: Mapping[Source, list[Seen]]
    ends_at: float | None = None
    quiet: bool = True
    no_register: RegistryUnreachable | None = None
    late: bool = False

    @property
    def foreign(self) -> int:
        """How many messages of others it has found."""
        return sum(map(len, self.seen.values()))

    def patience(self, left: float, now: float) -> float:
        """Return how long to wait for the next message, in seconds."""
        if self.ends_at is not None:
            return max(min(_QUIET_SECONDS, self.ends_at - now), 0.0)
        # Only a look that would have found them may say that they are gone.
        return _QUIET_SECONDS if any(looks.takes for looks in self.before.values()) else min(left, _LOOK_SECONDS)

    def is_over(self, now: float) -> bool:
        """Tell whether the queues are to be left now; at ``held_cap`` the bus lets no more come, and it gets quiet."""
        cut_short = self.no_register is not None
        return self.ends_at is not None and (self.quiet or cut_short or now >= self.ends_at)


@dataclass(slots=True)
class _Wait:
    """How far one wait is.

    Attributes:
        anyway: The queues that a person asked to be looked at, as long as they have not been.
        copies: A copy of what is durable lies on the queue, still to be settled by one look: a stored receipt was
            verified just now, or a message had gone back before it was settled.
        again: Whether such a look was made for what had gone back.
        begun: Whether what is stored was evaluated anew, so that only what comes is to be.
        no_register: Why the register could not be asked the last time, where its answer was needed.
        look: The one under way.
        unreachable: Why the bus could not be looked at the last time.
        capped: Whether a look ended at ``held_cap``.
        large: Whether a message that is larger than ``bus.max_inbound`` was named.
    """

    anyway: Collection[Source]
    copies: bool = False
    again: bool = False
    begun: bool = False
    no_register: RegistryUnreachable | None = None
    look: _Look | None = None
    unreachable: BusUnreachable | None = None
    capped: bool = False
    large: bool = False

    @property
    def has_more(self) -> bool:
        """Whether to look although all is answered: for copies, or because a person asked for it."""
        return bool(self.anyway) or self.copies or (self.look is not None and self.look.late and not self.again)


@dataclass(frozen=True, slots=True)
class Listener:
    """Reads our queues until a submission is answered.

    Attributes:
        queues: Which of them are read; the bus is not touched where none is.
        folder: Where another message server lays our receipts down; None where it does not.
        closing: Ends the wait when set; a pause is a wait for it.
        section: Entered while one message is handled and settled, so that no other section interrupts it.
        monotonic: A clock that never jumps, in seconds.
        now: The time, by which the pauses between looks go.
        held_cap: ``bus.held_cap``: how many foreign messages one look takes at most.
        memory: Returns what is remembered of earlier looks; not called where nothing is looked at.
        handler: Returns what evaluates messages; not called where nothing is looked at, since it loads keys and
            certificates.
        reevaluate: Evaluates the stored receipts anew whose verdict may have changed; returns whether a copy of one
            that is verified may still lie on the queue.
        registered_for: Returns whom the queues are registered for, in words, as far as that is known.
    """

    journal: Journal
    bus: Bus
    queues: Collection[Source]
    folder: ReceiptsFolder | None
    handler: Callable[[], ReceiptHandler]
    reevaluate: Callable[[], bool]
    closing: threading.Event
    section: AbstractContextManager[object]
    monotonic: Callable[[], float]
    now: Callable[[], datetime]
    held_cap: int
    memory: Callable[[], LookMemory]
    registered_for: Callable[[], str]
    observe: Observer

    def ask(self, submission: Submission, *, reason: str, by: str, emptied: bool) -> Collection[Source]:
        """Record that a person asks for one look more, and return the queues that it is for; or refuse it.

        Args:
            submission: Whose receipts are missing; the decision is an event of its first shipment.
            reason: Why, in words.
            by: Who.
            emptied: The messages' owner has said that the queue was read.

        Raises:
            UsageError: No queue is read.
            QueueShared: Without that word it would be the ninth take, or by the broker's count the last but one.
        """
        if not self.queues:
            raise UsageError(Text("No queue is read: receipts come from the folder alone."), where="--look-anyway")
        allowed = [one for one in self.queues if emptied or self.memory().looks[one].allows_another()]
        not_due = [one for one in self.queues if self._due_in(one) > 0]
        if not_due and not any(one in allowed for one in not_due):
            raise QueueShared(
                paragraph(
                    Text(
                        "One look more might be the last but one that the bus allows ({limit} are assumed).",
                        limit=ASSUMED_LIMIT,
                    ),
                    self.memory().left_alone(not_due),
                ),
                next_step=Text(
                    "Have the queue read by the system that these messages are for, then run kpr-send wait "
                    "--look-anyway --emptied --reason TEXT --by NAME."
                ),
            )
        self.journal.note_look(submission.shipments[0].msg_id, reason=reason, by=by, emptied=emptied)
        text = Text("A person asked for one look more at our queue: {by}.", by=by)
        self.observe(Event(EventKind.DECIDED, text, details={"by": by, "emptied": str(emptied).lower()}))
        return allowed

    def wait(
        self,
        submission: Submission,
        timeout: float,
        *,
        anyway: Collection[Source] = (),
    ) -> Submission:
        """Wait for all receipts of a submission, at most ``timeout`` seconds; 0 takes what is there.

        Neither a bus nor a register that is down ends a wait: it is looked at until the time is up, once at least. No
        receipt is taken while none could be evaluated, which would be a delivery for nothing; the error queue is read
        all the same, and what was stored of the register's answers does as long as it may be used. What failed at last
        is noted for what is published, and so in the result; a later look that succeeds clears it.

        Args:
            submission: Which one.
            timeout: In seconds.
            anyway: The queues that a person asks to be looked at once, whether or not it is time for it.

        Raises:
            KprError: What the bus port's ``receive``, ``ReceiptsFolder`` and ``ReceiptHandler`` raise,
                ``BusUnreachable`` and ``RegistryUnreachable`` excepted.
        """
        end = self.monotonic() + timeout
        wait = _Wait(anyway)
        submission = self._from_here(wait, submission)
        try:
            more = True
            while more and (submission.awaits_answer or wait.has_more) and not self.closing.is_set():
                left = max(end - self.monotonic(), 0.0)
                if not submission.awaits_answer:
                    left = min(left, _QUIET_SECONDS)
                due = 0.0 if wait.look or wait.anyway else min(map(self._due_in, self.queues), default=math.inf)
                if due > left and (self.folder is None or left <= 0):
                    break
                if due > 0:
                    self.closing.wait(min(due, left, _LOOK_SECONDS))
                else:
                    more = self._listen(wait, submission, left)
                    # What outlasted the wait was its last look: another one would take connect_timeout once more.
                    if wait.no_register or wait.unreachable:
                        more &= self.monotonic() <= end + _QUIET_SECONDS
                # Also after a look that found nothing: a receipt may have come from a file or a vendor's own listener.
                # Not after each message of others: a look must get past a thousand of them in its time.
                if wait.look is None or not wait.look.foreign:
                    submission = self._from_here(wait, submission)
            self._finish(wait.look)
        finally:
            self.bus.detach()
        failed = wait.no_register or wait.unreachable
        if failed is not None:
            note_obstacle(self.journal, submission, failed)
            if anyway and not submission.awaits_answer:  # else the result says so
                self.observe(Event(EventKind.WARNING, failed.text))
        elif submission.awaits_answer or anyway:
            self._say_what_comes_next(submission, capped=wait.capped)
        return self._known(submission)

    def _listen(self, wait: _Wait, submission: Submission, left: float) -> bool:
        """Receive one message, or none; return whether there is time for more."""
        self.handler()  # keys that cannot be read are reported before a message is taken
        if wait.look is None:
            at = [one for one in self.queues if one in wait.anyway or self._due_in(one) <= 0]
            if Source.RECEIPTS in at and not self._can_evaluate(wait):
                note_obstacle(self.journal, submission, wait.no_register)
                at.remove(Source.RECEIPTS)
                if not at:
                    self.closing.wait(min(left, _LOOK_SECONDS))
                    return left > 0
            wait.look = _Look({one: self.memory().looks[one] for one in at}, {one: [] for one in at})
        look = wait.look
        inbound, failed = self._receive(look, look.patience(left, self.monotonic()))
        look.quiet = inbound is None
        if failed is None or wait.unreachable is None:
            note_obstacle(self.journal, submission, wait.no_register or failed)
        wait.unreachable = failed
        if inbound is not None:
            self._handle(inbound, look)
            wait.no_register = look.no_register or wait.no_register
            if inbound.too_large and not wait.large:
                wait.large = True
                self.observe(Event(EventKind.WARNING, _TOO_LARGE_MAIL if inbound.content_type == MAIL else _TOO_LARGE))
        if self.bus.held >= self.held_cap and not wait.capped:
            wait.capped = True
            self.observe(Event(EventKind.WARNING, self._too_many_foreign()))
        if look.quiet or look.is_over(self.monotonic()):
            wait.look = None
            wait.anyway = () if failed is None else wait.anyway
            wait.copies = look.late and not wait.again
            wait.again |= look.late
            self._end(look, failed)
        return inbound is not None or left > 0 or wait.copies

    def _can_evaluate(self, wait: _Wait) -> bool:
        """Tell whether receipts can be evaluated: whether it is known with which certificates the receiver signs."""
        try:
            _ = self.handler().counterpart
        except RegistryUnreachable as error:
            wait.no_register = error
            return False
        wait.no_register = None
        return True

    def _from_here(self, wait: _Wait, submission: Submission) -> Submission:
        """Evaluate once what is stored, take what the folder has, and return the submission as it is now."""
        try:
            if not wait.begun:
                wait.copies |= self.reevaluate() and bool(self.queues)
            if self.folder is not None:
                if not wait.begun:
                    self.folder.evaluate_again()
                self.folder.take()
        except RegistryUnreachable as error:
            wait.no_register = error
            note_obstacle(self.journal, self._known(submission), error)
            return self._known(submission)
        if self.folder is not None:
            wait.no_register = None
            if not wait.begun:
                note_obstacle(self.journal, self._known(submission), None)
        wait.begun = True
        return self._known(submission)

    def _known(self, submission: Submission) -> Submission:
        return self.journal.submission(submission.submission_id) or submission

    def _due_in(self, queue: Source) -> float:
        """Return in how many seconds the next look at a queue is permitted; infinite where none is by itself."""
        now = self.now()
        due = self.memory().looks[queue].next_at(now)
        return math.inf if due is None else (due - now).total_seconds()

    def _receive(self, look: _Look, seconds: float) -> tuple[Inbound | None, BusUnreachable | None]:
        """Return what arrived, and why it could not be looked."""
        try:
            return self.bus.receive(seconds, look.before), None
        except BusUnreachable as error:
            return None, error

    def _handle(self, inbound: Inbound, look: _Look) -> None:
        before = look.before[inbound.source]
        seen = self.memory().seen(inbound)
        doubted = False
        with self.section:
            try:
                found = self._evaluated(inbound, max(before.takes.get(seen.key, 0), inbound.deliveries))
            except RegistryUnreachable as error:
                look.no_register, found, doubted = error, Evaluation(Handling.HOLD), True
            if found.handling is Handling.SETTLE:
                reached(FaultPoint.BEFORE_SETTLE)
                look.late |= not self.bus.settle(inbound)
                reached(FaultPoint.AFTER_SETTLE)
                return
            self.bus.hold(inbound)
        seen = replace(seen, answer=found.answers_another, doubted=doubted or bool(found.msg_ids))
        seen_there = look.seen[inbound.source]
        seen_there.append(seen)
        if look.ends_at is None:
            look.ends_at = self.monotonic() + _LONGEST_LOOK
        if len(seen_there) == 1:
            # Should this run be killed now, all that is remembered counts as taken once more.
            after = before.after([seen, *(Seen(key, 0) for key in before.takes)], self.now())
            self.memory().keep(inbound.source, after)

    def _evaluated(self, inbound: Inbound, takes: int) -> Evaluation:
        """Evaluate a message.

        What is stored, names one of our ids and cannot be verified stays where it is, until the last look that is
        allowed: then the journal has it, and it must not end our looking.
        """
        if not inbound.readable:
            return Evaluation(Handling.HOLD)
        found = self.handler().evaluate(inbound)
        last = found.names_ours and takes >= LAST_TAKE - 1
        return replace(found, handling=Handling.SETTLE) if last else found

    def _end(self, look: _Look, failed: BusUnreachable | None = None) -> None:
        """Remember what a look found, and leave the queues where it found something of others."""
        others = sum(not one.doubted for found in look.seen.values() for one in found)
        if others and look.no_register is None:
            text = Text(
                "{count} message that lies there belongs to others; it is left untouched.",
                plural="{count} messages that lie there belong to others; they are left untouched.",
                count=others,
            )
            self.observe(Event(EventKind.FOREIGN_HELD, text, details={"held": others}))
        complete = (
            failed is None
            and look.no_register is None
            and look.quiet
            and not look.late
            and self.bus.held < self.held_cap
        )
        try:
            for queue, found in look.seen.items():
                if found or complete:
                    self.memory().keep(queue, look.before[queue].after(found, self.now()))
        finally:
            if look.foreign:
                self.bus.detach()

    def _finish(self, look: _Look | None) -> None:
        """End a look that is not over: what was handed out and not read yet was delivered, too, and is counted."""
        if look is None:
            return
        while not self.closing.is_set() and not look.is_over(self.monotonic()):
            inbound, _ = self._receive(look, 0)
            look.quiet = inbound is None
            if inbound is None:
                break
            self._handle(inbound, look)
        self._end(look)

    def _say_what_comes_next(self, submission: Submission, *, capped: bool) -> None:
        now = self.now()
        over = [one for one in self.queues if self.memory().looks[one].over]
        if over:
            note_obstacle(
                self.journal, submission, QueueShared(paragraph(self.memory().left_alone(over), self.registered_for()))
            )
        elif capped:
            note_obstacle(self.journal, submission, ReceiptPending(self._too_many_foreign()))
        elif all(self._due_in(one) > 0 for one in self.queues):
            note_obstacle(self.journal, submission, None)  # a pause: what kept an earlier run from looking does not now
        due = self.memory().next_look(self.queues, now)
        if due is not None:
            details: dict[str, str | int] = {"held": due.others, "next_look": rfc3339(due.at)}
            self.observe(Event(EventKind.FOREIGN_HELD, due.text, submission.shipments[0].msg_id, details=details))

    def _too_many_foreign(self) -> Text:
        return Text(
            "{held_cap} messages that are not ours stand before the receipts, as many as bus.held_cap allows. "
            "Let the system they belong to read its queue, or raise bus.held_cap.",
            held_cap=self.held_cap,
        )

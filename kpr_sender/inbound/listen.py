"""Waiting for receipts: one message at a time, foreign ones held, never settled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from kpr_sender.bus.port import Bus, Inbound
from kpr_sender.errors import BusUnreachable, KprError, LastError, ReceiptPending
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.inbound.receipt import Answers, Handling
from kpr_sender.journal.port import Journal
from kpr_sender.model import Submission
from kpr_sender.states import ShipmentState, awaits_answer

_LOOK_SECONDS: Final = 5.0
"""How soon a wait ends after ``closing`` is set. The links stay attached all the while: no polling of the broker."""


def is_awaiting(submission: Submission) -> bool:
    """Tell whether a receipt may still come for one of the pair."""
    return any(awaits_answer(shipment) for shipment in submission.shipments)


def note_obstacle(journal: Journal, submission: Submission, error: KprError | None) -> None:
    """Let the journal know what keeps receipts from being fetched, or that nothing does any more (promise G5)."""
    wanted = None if error is None else LastError.of(error)
    for shipment in submission.shipments:
        if shipment.state is ShipmentState.PUBLISHED and shipment.last_error != wanted:
            journal.note_error(shipment.msg_id, wanted)


@dataclass(frozen=True, slots=True)
class Waiter:
    """Reads our queues until a submission is answered.

    Attributes:
        closing: Ends the wait when set.
        step: Held while one message is handled and settled, so that it is never handled inside another step.
        monotonic: A clock that never jumps, in seconds.
    """

    journal: Journal
    bus: Bus
    answers: Answers
    closing: threading.Event
    step: AbstractContextManager[object]
    monotonic: Callable[[], float]
    held_cap: int
    observe: Observer

    def wait(self, submission: Submission, timeout: float) -> Submission:
        """Wait for all receipts of a submission, at most ``timeout`` seconds; 0 takes what is there.

        A bus that is down ends no wait: it is looked at until the time is up, once at least. When the last look
        failed, that is noted for what is published, and so in the result; a later look that succeeds clears it.

        Raises:
            KprError: What the bus port's ``receive`` and ``Answers.handle`` raise, ``BusUnreachable`` excepted.
        """
        end = self.monotonic() + timeout
        warned = False
        unreachable: BusUnreachable | None = None
        if is_awaiting(submission):
            msg_id = submission.shipments[0].msg_id
            text = "Waiting for FHI's receipts."
            self.observe(Event(EventKind.WAITING, text, msg_id, details={"timeout": int(timeout)}))
        while is_awaiting(submission) and not self.closing.is_set():
            left = max(end - self.monotonic(), 0.0)
            inbound, failed = self._look(min(left, _LOOK_SECONDS))
            if failed is None or unreachable is None:
                note_obstacle(self.journal, submission, failed)
            unreachable = failed
            if inbound is None and left <= 0:
                break
            if inbound is not None:
                self._take(inbound)
            if self.bus.held >= self.held_cap and not warned:
                warned = True
                self.observe(Event(EventKind.WARNING, self._pile()))
            # Also after a look in vain: a receipt may have been handed in from a file or by a vendor's listener.
            submission = self.journal.submission(submission.submission_id) or submission
        self._tell_held()
        if unreachable is not None:
            note_obstacle(self.journal, submission, unreachable)
        elif is_awaiting(submission) and warned:
            note_obstacle(self.journal, submission, ReceiptPending(self._pile()))
        return self.journal.submission(submission.submission_id) or submission

    def _take(self, inbound: Inbound) -> None:
        with self.step:
            if self.answers.handle(inbound) is Handling.SETTLE:
                reached(FaultPoint.BEFORE_SETTLE)
                self.bus.settle(inbound)
                reached(FaultPoint.AFTER_SETTLE)
            else:
                self.bus.hold(inbound)

    def _look(self, seconds: float) -> tuple[Inbound | None, BusUnreachable | None]:
        """Return what arrived, and why it could not be looked."""
        try:
            return self.bus.receive(seconds), None
        except BusUnreachable as error:
            return None, error

    def _pile(self) -> str:
        return (
            f"{self.held_cap} messages that are not ours stand before the receipts, as many as bus.held_cap allows. "
            "Let the system they belong to read its queue, or raise bus.held_cap."
        )

    def _tell_held(self) -> None:
        if self.bus.held:
            text = f"{self.bus.held} messages on the queue belong to others; they are given back untouched."
            self.observe(Event(EventKind.FOREIGN_HELD, text, details={"held": self.bus.held}))

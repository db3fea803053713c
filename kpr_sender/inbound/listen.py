"""Read our queues until a submission is answered, and say when the bus could not be looked at.

Foreign messages are left unsettled and given back at the end; each of ours is settled after it is durable.
"""

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
from kpr_sender.inbound.receipt import Handling, ReceiptHandler
from kpr_sender.journal.port import Journal
from kpr_sender.model import Submission
from kpr_sender.states import ShipmentState, awaits_answer

_LOOK_SECONDS: Final = 5.0
"""How soon a wait ends after ``closing`` is set. The links stay attached all the while: no polling of the broker."""


def is_awaiting(submission: Submission) -> bool:
    """Tell whether a receipt may still come for one of the pair."""
    return any(awaits_answer(shipment) for shipment in submission.shipments)


def note_obstacle(journal: Journal, submission: Submission, error: KprError | None) -> None:
    """Record what keeps receipts from being fetched, or that nothing does any more (promise G5)."""
    wanted = None if error is None else LastError.of(error)
    for shipment in submission.shipments:
        if shipment.state is ShipmentState.PUBLISHED and shipment.last_error != wanted:
            journal.note_error(shipment.msg_id, wanted)


@dataclass(frozen=True, slots=True)
class Listener:
    """Reads our queues until a submission is answered.

    Attributes:
        closing: Ends the wait when set.
        section: Entered while one message is handled and settled, so that no other section interrupts it.
        monotonic: A clock that never jumps, in seconds.
        held_cap: ``bus.held_cap``: how many foreign messages are left unsettled at most.
    """

    journal: Journal
    bus: Bus
    handler: ReceiptHandler
    closing: threading.Event
    section: AbstractContextManager[object]
    monotonic: Callable[[], float]
    held_cap: int
    observe: Observer

    def wait(self, submission: Submission, timeout: float) -> Submission:
        """Wait for all receipts of a submission, at most ``timeout`` seconds; 0 takes what is there.

        A bus that is down ends no wait: it is looked at until the time is up, once at least. When the last look
        failed, that is noted for what is published, and so in the result; a later look that succeeds clears it.

        Raises:
            KprError: What the bus port's ``receive`` (``BusUnreachable`` excepted) and ``ReceiptHandler`` raise.
        """
        end = self.monotonic() + timeout
        capped = False
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
                self._handle(inbound)
            if self.bus.held >= self.held_cap and not capped:
                capped = True
                self.observe(Event(EventKind.WARNING, self._too_many_foreign()))
            # Also after a look that found nothing: a receipt may have come from a file or a vendor's own listener.
            submission = self.journal.submission(submission.submission_id) or submission
        if self.bus.held:
            text = f"{self.bus.held} messages on the queue belong to others; they are given back untouched."
            self.observe(Event(EventKind.FOREIGN_HELD, text, details={"held": self.bus.held}))
        if unreachable is not None:
            note_obstacle(self.journal, submission, unreachable)
        elif is_awaiting(submission) and capped:
            note_obstacle(self.journal, submission, ReceiptPending(self._too_many_foreign()))
        return self.journal.submission(submission.submission_id) or submission

    def _look(self, seconds: float) -> tuple[Inbound | None, BusUnreachable | None]:
        """Return what arrived, and why it could not be looked."""
        try:
            return self.bus.receive(seconds), None
        except BusUnreachable as error:
            return None, error

    def _handle(self, inbound: Inbound) -> None:
        with self.section:
            if self.handler.handle(inbound) is Handling.SETTLE:
                reached(FaultPoint.BEFORE_SETTLE)
                self.bus.settle(inbound)
                reached(FaultPoint.AFTER_SETTLE)
            else:
                self.bus.hold(inbound)

    def _too_many_foreign(self) -> str:
        return (
            f"{self.held_cap} messages that are not ours stand before the receipts, as many as bus.held_cap allows. "
            "Let the system they belong to read its queue, or raise bus.held_cap."
        )

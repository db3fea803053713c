"""Publish what is sealed: first the journal, then the bytes, then the outcome in the journal (promises G1 to G3)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from kpr_sender.bus.port import Bus, Outbound, Outcome, Verdict
from kpr_sender.errors import KprError, LastError
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.journal.port import Journal
from kpr_sender.model import Shipment, Submission, Transport
from kpr_sender.states import Cause, ShipmentState, may_be_published
from kpr_sender.texts import Text

_CAUSES: Final = {
    Verdict.ACCEPTED: Cause.ACCEPTED,
    Verdict.NOT_SENT: Cause.NOT_SENT,
    Verdict.IN_DOUBT: Cause.NO_OUTCOME,
}
_CONNECTING: Final = {
    Transport.AMQP: Text("Connecting to the bus."),
    Transport.EDI: Text("Connecting to the mail server."),
}
_TAKEN: Final[Mapping[Transport, Callable[[str], Text]]] = {
    Transport.AMQP: lambda name: Text("The bus has taken the {name}; FHI's receipt decides.", name=name),
    Transport.EDI: lambda name: Text("The mail server has taken the {name}; FHI's receipt decides.", name=name),
}


def next_sealed(submission: Submission) -> Shipment | None:
    """Return the first shipment that may be published."""
    return next((shipment for shipment in submission.shipments if may_be_published(shipment)), None)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes sealed shipments.

    Attributes:
        section: Entered for one attempt, so that a receipt which overtakes the outcome is read after it.
        closing: No further shipment is begun when set.
    """

    journal: Journal
    bus: Bus
    section: AbstractContextManager[object]
    closing: threading.Event
    observe: Observer

    def publish_all(self, submission: Submission) -> tuple[Submission, int]:
        """Publish what is sealed of a submission, in its order.

        Returns:
            The submission now, and how many shipments the bus took.

        Raises:
            BusUnreachable, AccessRefused, ConfigInvalid: As for ``Bus.connect``; nothing was sent.
        """
        sent = 0
        if next_sealed(submission) is not None and not self.closing.is_set():
            self.connect(submission)
        while not self.closing.is_set() and (shipment := next_sealed(submission)) is not None:
            verdict = self._publish_while_safe(shipment)
            submission = self.journal.submission(submission.submission_id) or submission
            sent += verdict is Verdict.ACCEPTED
            if verdict is Verdict.NOT_SENT:
                # Both go to the same queue: what stopped this one stops the other. The report says what it was.
                break
        return submission, sent

    def _publish_while_safe(self, shipment: Shipment) -> Verdict | None:
        """Publish a shipment in as many attempts as the bus allows, and only while each certainly did not happen.

        Returns:
            The last outcome's; None where FHI has answered it meanwhile, so that it is not sent any more.
        """
        for _ in self._attempts(shipment):
            outcome = self.publish(shipment)
            if outcome is None:
                return None
            if not outcome.may_be_repeated:
                return outcome.verdict
        return Verdict.NOT_SENT

    def _attempts(self, shipment: Shipment) -> Iterator[None]:
        """Yield the bus's attempts; when it cannot be reached any more, record that and end."""
        try:
            yield from self.bus.attempts()
        except KprError as error:
            if self._may_be_published(shipment):
                self.journal.note_error(shipment.msg_id, LastError.of(error))
            self._report(
                EventKind.NOT_SENT,
                shipment,
                Text("The {name} is certainly not sent: {error}", name=_name(shipment), error=error.text),
            )

    def connect(self, submission: Submission) -> None:
        """Connect, and record in the journal what keeps us from it.

        Raises:
            BusUnreachable, AccessRefused, ConfigInvalid: As for ``Bus.connect``.
        """
        text = _CONNECTING[submission.transport]
        self.observe(Event(EventKind.CONNECTING, text, submission.shipments[0].msg_id))
        try:
            self.bus.connect()
        except KprError as error:
            for shipment in submission.shipments:
                if shipment.state is ShipmentState.SEALED:
                    self.journal.note_error(shipment.msg_id, LastError.of(error))
            raise

    def _may_be_published(self, shipment: Shipment) -> bool:
        present = self.journal.shipment(shipment.msg_id)
        return present is not None and may_be_published(present)

    def publish(self, shipment: Shipment) -> Outcome | None:
        """Publish one shipment, once; None where it may not be published any more, since an answer has come.

        ``publishing`` is durable before the first byte of the transfer; the outcome is written right after it.
        """
        with self.section:
            if not self._may_be_published(shipment):
                return None
            outbound = Outbound(
                message_id=shipment.message_id,
                envelope=self.journal.envelope(shipment.msg_id),
                body=self.journal.sealed(shipment.msg_id),
                may_begin=self._may_begin,
            )
            self._report(EventKind.PUBLISHING, shipment, Text("Publishing the {name}.", name=_name(shipment)))
            # From here to its outcome nothing else is called: what would end it in between would leave it in doubt.
            self.journal.begin_publish(shipment.msg_id)
            outcome = self.bus.publish(outbound)
            reached(FaultPoint.AFTER_OUTCOME)
            self.journal.end_publish(
                shipment.msg_id,
                _CAUSES[outcome.verdict],
                evidence={
                    "reach": outcome.reach.value,
                    "bytes_handed_over": outcome.bytes_handed_over,
                    "link": outcome.link.value,
                    "condition": outcome.condition,
                    "description": outcome.description,
                },
                error=None if outcome.error is None else LastError.of(outcome.error),
            )
        self._report_outcome(shipment, outcome)
        return outcome

    def _may_begin(self) -> bool:
        try:
            self.journal.require_transfer_may_begin()
        except KprError:
            return False
        return True

    def _report_outcome(self, shipment: Shipment, outcome: Outcome) -> None:
        name = _name(shipment)
        if outcome.verdict is Verdict.ACCEPTED:
            self._report(EventKind.PUBLISHED, shipment, _TAKEN[shipment.transport](name))
        elif outcome.verdict is Verdict.NOT_SENT:
            self._report(
                EventKind.NOT_SENT,
                shipment,
                Text(
                    "The {name} is certainly not sent: {error}", name=name, error=outcome.error and outcome.error.text
                ),
                outcome,
            )
        else:
            self._report(
                EventKind.IN_DOUBT,
                shipment,
                Text("The {name} is in doubt: {error}", name=name, error=outcome.error and outcome.error.text),
                outcome,
            )

    def _report(self, kind: EventKind, shipment: Shipment, text: str, outcome: Outcome | None = None) -> None:
        details = {"reach": outcome.reach.value, "condition": outcome.condition} if outcome else {}
        self.observe(Event(kind, text, shipment.msg_id, shipment.type, details))


def _name(shipment: Shipment) -> str:
    return f"{shipment.type.norwegian} ({shipment.msg_id})"

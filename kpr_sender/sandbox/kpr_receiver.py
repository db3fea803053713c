"""The KPR receiver behind its queue: examines what comes, writes the ledger, answers when it is time.

The rules:

1. Every message is in the ledger before the bus answers its sender, whatever becomes of it.
2. A message is on the receiver's queue until its answers are on theirs: after a restart it is answered again.
3. A message-id that was received before is not answered at all, a MsgId gets its receipts once (HITS 1216 2.2.3 and
   2.2.4). Both are remembered as long as the ledger is.
4. Nothing that goes wrong here reaches the bus: it is logged without data and answered with X99.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from kpr_sender.messages import transport
from kpr_sender.sandbox import amqp_message, codes
from kpr_sender.sandbox.amqp_message import BusMessage, NoMessage
from kpr_sender.sandbox.answers import Answers
from kpr_sender.sandbox.codes import CONDITIONS
from kpr_sender.sandbox.evaluation import Assessment, Receiver
from kpr_sender.sandbox.faults import NO_FAULTS, FaultName, Faults
from kpr_sender.sandbox.ledger import Ledger, LedgerLine
from kpr_sender.sandbox.links import STORING, Fate
from kpr_sender.sandbox.queues import Queues
from kpr_sender.sandbox.spool import Entry

_FATES: Final = (
    (FaultName.QUEUE_FULL, Fate.REJECT),
    (FaultName.DROP_BEFORE_DISPOSITION, Fate.DROP),
    (FaultName.DROP_AFTER_TRANSFER, Fate.STORE_AND_DROP),
    (FaultName.HOLD_DISPOSITION, Fate.HOLD),
)
_SEEN_MESSAGE_ID: Final = "seen message-id"
_SEEN_MSG_ID: Final = "seen MsgId"
_LOST: Final = "lost"
_NO_MESSAGE: Final = BusMessage("", "", "", "", "", "", {}, None)
_log = logging.getLogger("kpr_sender.sandbox")


@dataclass(slots=True, eq=False)
class _Pending:
    """A message that is not answered yet.

    Attributes:
        since: When it was received or, after a restart, found again; monotonic, in seconds.
    """

    entry: Entry
    evaluation: Assessment
    since: float


class KprReceiver:
    """Receives at one queue.

    Args:
        queue: Its name.
        receiver: Evaluates incoming messages.
        answers: Builds the answers.
        queues: The bus's.
        ledger: What was received.
        unbound: What the bus does with what no queue is bound for.
        now: The clock; aware.
    """

    def __init__(
        self,
        queue: str,
        *,
        receiver: Receiver,
        answers: Answers,
        queues: Queues,
        ledger: Ledger,
        unbound: Fate,
        now: Callable[[], datetime],
    ) -> None:
        self._queue = queue
        self._receiver = receiver
        self._answers = answers
        self._queues = queues
        self._ledger = ledger
        self._unbound = unbound
        self._now = now
        self._pending: list[_Pending] = []
        self._latest = Assessment(_NO_MESSAGE)
        self._seen = _SeenMessages(queue, ledger)
        self.faults = NO_FAULTS

    def resume(self) -> None:
        """Continue with what was received and not answered before a restart."""
        spool = self._queues[self._queue].spool
        while spool.ready:
            entry = spool.ready.popleft()
            self._pending.append(_Pending(entry, self._evaluated(self._read(entry.read())), time.monotonic()))

    def decide(self, queue: str, data: bytes, proposed: Fate) -> Fate:
        """Evaluate a message, write it into the ledger and say what becomes of it."""
        message = self._read(data)
        evaluation = self._first_evaluated(message) if queue == self._queue else Assessment(message)
        fate = self._fate(message.subject, proposed)
        body = message.body or b""
        line = LedgerLine(
            at=self._now().astimezone(UTC).isoformat(timespec="milliseconds"),
            queue=queue,
            message_id=message.message_id,
            msg_id=evaluation.original.msg_id if evaluation.original else "",
            type=message.subject,
            sha256=hashlib.sha256(body).hexdigest(),
            size=len(body),
            verdict=evaluation.verdict if queue == self._queue else "",
            disposition=fate.value,
        )
        self._ledger.append(line)
        self._seen.add(line)
        self._latest = dataclasses.replace(evaluation, message=dataclasses.replace(message, body=None))
        return fate

    def stored(self, queue: str) -> None:
        """Take the message that was just evaluated off the queue, and hold it until it is answered."""
        if queue != self._queue:
            return
        spool = self._queues[queue].spool
        entry = spool.ready.popleft()
        if self._latest.silence:
            spool.remove(entry)
        else:
            self._pending.append(_Pending(entry, self._latest, time.monotonic()))

    def answer(self) -> float | None:
        """Answer what is due; return how long until the next is, in seconds, or None when none is in sight."""
        now = time.monotonic()
        waiting: list[tuple[float, _Pending]] = []
        for pending in self._pending:
            due = self._due(pending, self.faults)
            if due is not None and due <= now:
                self._answer(pending)
            else:
                waiting.append((due or now, pending))
        self._pending = [pending for _, pending in waiting]
        timed = [due for due, pending in waiting if self._due(pending, self.faults) is not None]
        return max(0.0, min(timed) - now) if timed else None

    @staticmethod
    def _due(pending: _Pending, faults: Faults) -> float | None:
        subject = pending.evaluation.message.subject
        if faults.find(FaultName.NO_ANSWER, subject):
            return None
        delay = faults.find(FaultName.DELAY, subject)
        return pending.since + (delay.number if delay else 0.0)

    def _answer(self, pending: _Pending) -> None:
        if self.faults.find(FaultName.ERROR_QUEUE, pending.evaluation.message.subject) and pending.evaluation.original:
            self._seen.msg_ids.discard(transport.plain_id(pending.evaluation.original.msg_id))
        try:
            for answer in self._answers.write(pending.evaluation, self.faults):
                self._queues.publish(answer.queue, answer.message)
            self._queues[self._queue].spool.remove(pending.entry)
        except Exception as error:  # noqa: BLE001 - rule 4; the message stays on disk and is answered after a restart
            _log.error("answering a message failed: %s", type(error).__name__)

    def _fate(self, subject: str, proposed: Fate) -> Fate:
        if proposed is not Fate.STORE:
            return proposed
        if self.faults.find(FaultName.UNROUTABLE, subject):
            return self._unbound
        return next((fate for name, fate in _FATES if self.faults.find(name, subject)), proposed)

    @staticmethod
    def _read(data: bytes) -> BusMessage:
        try:
            return amqp_message.read(data)
        except NoMessage:
            return _NO_MESSAGE

    def _first_evaluated(self, message: BusMessage) -> Assessment:
        if self.faults.find(FaultName.LOST_BY_RECEIVER, message.subject):
            return Assessment(message, silence=_LOST)
        if transport.plain_id(message.message_id) in self._seen.message_ids:
            return Assessment(message, silence=_SEEN_MESSAGE_ID)
        evaluation = self._evaluated(message)
        if error_queue := self.faults.find(FaultName.ERROR_QUEUE, message.subject):
            return dataclasses.replace(evaluation, fault=CONDITIONS[error_queue.value])
        if (
            not evaluation.fault
            and evaluation.original
            and transport.plain_id(evaluation.original.msg_id) in self._seen.msg_ids
        ):
            return dataclasses.replace(evaluation, silence=_SEEN_MSG_ID)
        return evaluation

    def _evaluated(self, message: BusMessage) -> Assessment:
        """Return how a message is answered, without its body: an evaluation may be stored for long."""
        try:
            evaluation = self._receiver.evaluate(message, self._now())
            return dataclasses.replace(evaluation, message=dataclasses.replace(message, body=None))
        except Exception as error:  # noqa: BLE001 - rule 4
            _log.error("evaluating a message failed: %s", type(error).__name__)
            return Assessment(message, fault=CONDITIONS[codes.INTERNAL])


class _SeenMessages:
    """What a receiver remembers of the messages that it has taken: those that the bus stored.

    Args:
        queue: The receiver's.
        ledger: What was received in earlier runs.

    Attributes:
        message_ids: Of all of them.
        msg_ids: Of those that a receipt answers: after an error-queue message the same MsgId may come again.
    """

    def __init__(self, queue: str, ledger: Ledger) -> None:
        self._queue = queue
        self.message_ids: set[str] = set()
        self.msg_ids: set[str] = set()
        for line in ledger.lines():
            self.add(line)

    def add(self, line: LedgerLine) -> None:
        """Remember a message."""
        if line.queue != self._queue or line.disposition not in _STORED:
            return
        if line.message_id:
            self.message_ids.add(transport.plain_id(line.message_id))
        if line.msg_id and (line.verdict == "1" or line.verdict in codes.TEXTS):
            self.msg_ids.add(transport.plain_id(line.msg_id))


_STORED: Final = frozenset(fate.value for fate in STORING)

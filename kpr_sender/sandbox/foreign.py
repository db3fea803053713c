"""Another system of the municipality on the same receipts queue: what is sent to it, and how it reads.

It takes its own messages off the queue and nothing else, every so many seconds, when nobody else holds them.
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kpr_sender.messages import transport
from kpr_sender.sandbox import amqp_message
from kpr_sender.sandbox.amqp_message import BusMessage, NoMessage
from kpr_sender.sandbox.queues import Queue

FILE: Final = "foreign.jsonl"
_HER_ID: Final = 8_888_888
_BYTES: Final = 600


def message(queue: str, *, to_her_id: int, at: datetime) -> bytes:
    """Return a message between another party and another system of the municipality: sealed for neither us nor FHI.

    Args:
        queue: The municipality's.
        to_her_id: The municipality's level 2.
        at: Now; aware.
    """
    message_id = str(uuid.uuid4())
    return amqp_message.write(
        BusMessage(
            message_id=message_id,
            subject="DIALOG_HELSEFAGLIG",
            to=queue,
            reply_to=f"{_HER_ID}_async",
            correlation_id=message_id,
            content_type=transport.CONTENT_TYPE,
            properties=transport.application_properties(sender_her_id=_HER_ID, receiver_her_id=to_her_id, at=at),
            body=secrets.token_bytes(_BYTES),
        )
    )


@dataclass(frozen=True, slots=True)
class ForeignLine:
    """One message that its owner read.

    Attributes:
        at: When, RFC 3339, UTC.
        message_id: AMQP message-id.
        waited: Seconds since it came onto the queue.
        taken: How often others had taken it and given it back.
        out_of_reach: The longest time that others held it at once, in seconds.
    """

    at: str
    message_id: str
    waited: float
    taken: int
    out_of_reach: float


class Owner:
    """The other system.

    Args:
        directory: The sandbox's folder; what was read is listed in its ``foreign.jsonl``.
        receiver_her_id: Whose messages are not for it: FHI's.
        now: The clock; aware.
    """

    def __init__(self, directory: Path, *, receiver_her_id: int, now: Callable[[], datetime]) -> None:
        self._path = directory / FILE
        self._receiver_her_id = receiver_her_id
        self._now = now

    def read(self, queue: Queue) -> None:
        """Take every message of its own that is ready, and settle it.

        Raises:
            OSError: What was read cannot be listed.
        """
        for entry in [entry for entry in queue.spool.ready if self._is_own(entry.read())]:
            line = ForeignLine(
                at=self._now().astimezone(UTC).isoformat(timespec="milliseconds"),
                message_id=amqp_message.read(entry.read()).message_id,
                waited=round(time.monotonic() - entry.since, 3),
                taken=entry.returned,
                out_of_reach=round(entry.longest_held, 3),
            )
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(line)) + "\n")
            queue.spool.ready.remove(entry)
            queue.spool.remove(entry)

    def lines(self) -> tuple[ForeignLine, ...]:
        """Return what it has read, oldest first; empty when nothing was."""
        if not self._path.exists():
            return ()
        complete, _, _ = self._path.read_text(encoding="utf-8").rpartition("\n")
        return tuple(ForeignLine(**json.loads(line)) for line in complete.splitlines())

    def _is_own(self, data: bytes) -> bool:
        try:
            return amqp_message.read(data).properties.get(transport.FROM_HER_ID) != str(self._receiver_her_id)
        except NoMessage:
            return True

"""What the sandbox's message server remembers over restarts: which messages it had, and what it answered them with.

In ``edi/`` of the sandbox's folder: ``answered/`` has a file for each eb:MessageId that was answered, ``receipts/`` one
for each MsgId that had its receipts, ``waiting/`` one for each AppRec whose acknowledgement has not come.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kpr_sender.durable import write_file


@dataclass(frozen=True, slots=True)
class Answered:
    """One message that was answered.

    Attributes:
        digests: Of its signature, by URI: the same id with others is a false repeat (HITS 1172 5.8.2).
        subject: Of the answer's mail.
        soap: The answer's envelope, which a repeat gets again.
        is_acknowledgment: Whether it acknowledges: a warning does.
    """

    digests: Mapping[str, str]
    subject: str
    soap: bytes
    is_acknowledgment: bool


class EdiMemory:
    """The files.

    Args:
        folder: ``edi/`` of the sandbox's folder; made where missing.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._answered = folder / "answered"
        self._receipts = folder / "receipts"
        self._waiting = folder / "waiting"
        for each in (self._answered, self._receipts, self._waiting):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)

    def answer_to(self, message_id: str) -> Answered | None:
        """Return what a message was answered with; None where it was not."""
        found = _read(self._answered / _name(message_id))
        return (
            None
            if found is None
            else Answered(found["digests"], found["subject"], base64.b64decode(found["soap"]), found["acknowledges"])
        )

    def remember(self, message_id: str, answered: Answered) -> None:
        """Remember an answer; on disk when this returns."""
        soap = base64.b64encode(answered.soap).decode("ascii")
        value = {
            "id": message_id,
            "digests": dict(answered.digests),
            "subject": answered.subject,
            "soap": soap,
            "acknowledges": answered.is_acknowledgment,
        }
        write_file(self._answered / _name(message_id), json.dumps(value).encode())

    def receipt_sent(self, msg_id: str) -> None:
        """Remember that a MsgId has its receipts."""
        write_file(self._receipts / _name(msg_id), json.dumps({"id": msg_id}).encode())

    def has_receipt(self, msg_id: str) -> bool:
        """Tell whether a MsgId has had its receipts."""
        return (self._receipts / _name(msg_id)).exists()

    def wait_for(self, message_id: str, digests: Mapping[str, str]) -> None:
        """Remember an AppRec that is not acknowledged yet."""
        value = {"id": message_id, "digests": dict(digests)}
        write_file(self._waiting / _name(message_id), json.dumps(value).encode())

    def acknowledge(self, message_id: str, digests: Mapping[str, str]) -> bool:
        """Take an acknowledgement; tell whether it is for an AppRec of ours, with its digests where it repeats any."""
        path = self._waiting / _name(message_id)
        found = _read(path)
        if found is None or any(found["digests"].get(uri) != digest for uri, digest in digests.items()):
            return False
        path.unlink()
        return True

    def unacknowledged(self) -> tuple[str, ...]:
        """Return the eb:MessageId of every AppRec whose acknowledgement has not come."""
        return tuple(sorted(found["id"] for path in self._waiting.glob("*.json") if (found := _read(path))))


def _name(message_id: str) -> str:
    """Return a file's name: an id is the peer's own text."""
    return f"{hashlib.sha256(message_id.encode()).hexdigest()}.json"


def _read(path: Path) -> Any:
    """Return what a file of ours says; None where it is not there."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None

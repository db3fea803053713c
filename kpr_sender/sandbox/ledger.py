"""The list of every message that the sandbox received, whatever became of it: tests count duplicates here."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

FILE: Final = "ledger.jsonl"


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One received message.

    Attributes:
        at: When its transfer was complete, RFC 3339, UTC.
        queue: Where it was sent to.
        message_id: AMQP message-id; empty where it has none.
        msg_id: MsgInfo/MsgId; empty where it could not be read.
        type: AMQP subject.
        sha256: Hex digest of the body.
        size: Of the body, in bytes.
        verdict: ``1``, or the error codes of the receiver; empty for other queues than its own.
        disposition: What became of the message on the bus.
    """

    at: str
    queue: str
    message_id: str
    msg_id: str
    type: str
    sha256: str
    size: int
    verdict: str
    disposition: str


class Ledger:
    """The ledger of one sandbox folder.

    Args:
        directory: The sandbox's folder; the file is ``ledger.jsonl`` in it.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE

    def append(self, line: LedgerLine) -> None:
        """Write a line; it has left this process when this returns.

        Raises:
            OSError: It cannot be written.
        """
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")

    def lines(self) -> tuple[LedgerLine, ...]:
        """Return all lines, oldest first; empty when nothing was received yet."""
        if not self.path.exists():
            return ()
        complete, _, _ = self.path.read_text(encoding="utf-8").rpartition("\n")  # another process may be writing one
        return tuple(LedgerLine(**json.loads(line)) for line in complete.splitlines())

    def counts(self) -> Counter[str]:
        """Return how often each AMQP message-id was received: more than once is a duplicate."""
        return Counter(line.message_id for line in self.lines())

    @classmethod
    def read(cls, directory: Path) -> tuple[LedgerLine, ...]:
        """Return the lines of a sandbox's folder, also while the sandbox runs."""
        return cls(directory).lines()

"""A durable queue: one file a message in ``queues/NAME/``, numbered in order of arrival.

The rules:

1. ``append`` returns when the message is on disk under its final name; only then is *accepted* answered.
2. A file is removed when its message is settled, and never before.
3. What is there at a start is on the queue, oldest first. A file that was being written is no message.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kpr_sender.durable import sync_folder

_DRAFT: Final = "draft"


@dataclass(slots=True, eq=False)
class Entry:
    """One message on a queue.

    Attributes:
        number: Its place in order of arrival.
        path: Its file: the complete message as it came.
        returned: How often it was given out and came back, since the start.
        failed: How often by a reader that failed or disconnected, not by one that released it.
        since: When it came, or was found at the start; monotonic, in seconds.
        held_since: When it was last given out; likewise.
        longest_held: The longest time from being given out to coming back, in seconds.
    """

    number: int
    path: Path
    returned: int = 0
    failed: int = 0
    since: float = field(default_factory=time.monotonic)
    held_since: float = 0.0
    longest_held: float = 0.0

    def read(self) -> bytes:
        """Return the message."""
        return self.path.read_bytes()


class Spool:
    """One queue.

    Args:
        folder: Made where missing, with mode 0700.
        suffix: Ends the name of a message's file.
    """

    def __init__(self, folder: Path, suffix: str = ".amqp") -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._suffix = suffix
        (folder / _DRAFT).unlink(missing_ok=True)
        entries = [Entry(int(path.stem), path) for path in folder.glob(f"*{suffix}")]
        self.ready = deque(sorted(entries, key=lambda entry: entry.number))
        """What can be given out, oldest first."""
        self._last = self.ready[-1].number if self.ready else 0

    def append(self, message: bytes) -> Entry:
        """Put a message at the end; it is on disk when this returns.

        Raises:
            OSError: It cannot be written.
        """
        draft = self._folder / _DRAFT
        with draft.open("wb") as file:
            file.write(message)
            file.flush()
            os.fsync(file.fileno())
        self._last += 1
        entry = Entry(self._last, self._folder / f"{self._last:09}{self._suffix}")
        draft.rename(entry.path)
        sync_folder(self._folder)
        self.ready.append(entry)
        return entry

    def give_back(self, entry: Entry, *, failed: bool, held: float) -> None:
        """Put an entry that was given out back in its place.

        Args:
            entry: The entry.
            failed: Whether its reader failed or disconnected.
            held: How long its reader had it, in seconds.
        """
        entry.returned += 1
        entry.failed += failed
        entry.longest_held = max(entry.longest_held, held)
        later: deque[Entry] = deque()
        while self.ready and self.ready[0].number < entry.number:
            later.appendleft(self.ready.popleft())
        self.ready.appendleft(entry)
        self.ready.extendleft(later)

    def remove(self, entry: Entry) -> None:
        """Forget a message that is settled."""
        entry.path.unlink(missing_ok=True)

"""Receipts from a folder: another message server reads our queue, and lays down there what it takes for us.

The rules, beside those of ``laid_files``:

1. At most ``bus.max_inbound`` bytes each, and so many in a run.
2. Moved only after what it says is durable: into ``done``; into ``unverified``, where it is evaluated again on each
   run; or into ``not-ours``. Killed in between, the next run finds a duplicate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kpr_sender.bus.port import Inbound, Source
from kpr_sender.errors import ConfigInvalid, InputMissing
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.inbound.receipt import Evaluation, Handling, ReceiptHandler
from kpr_sender.inbound.receipt_file import as_inbound, unwrapped
from kpr_sender.laid_files import LaidFile, Unchanged, content_of, laid_files, move_into
from kpr_sender.texts import Text

DONE: Final = "done"
UNVERIFIED: Final = "unverified"
NOT_OURS: Final = "not-ours"

_MOST_FILES: Final = 500
"""Of each folder in one run."""
_KEY: Final = "bus.receipts_inbox"
_NOTHING: Final = Evaluation(
    Handling.HOLD, problem=Text("it is no sealed message (CMS), no XML and no error message (JSON)")
)


@dataclass(slots=True)
class ReceiptsFolder:
    """The folder, for the length of one run.

    Attributes:
        handler: Returns what evaluates messages; not called where no file is to be taken.
        section: Entered while one file is taken and moved, so that nothing interrupts it.
        monotonic: A clock that never jumps, in seconds: a file that was seen unchanged for so long is complete.
        now: The time, for files that were there before this run began.
        max_bytes: ``bus.max_inbound``.
    """

    path: Path
    handler: Callable[[], ReceiptHandler]
    section: AbstractContextManager[object]
    monotonic: Callable[[], float]
    now: Callable[[], datetime]
    max_bytes: int
    observe: Observer
    _left: int = _MOST_FILES
    _named: set[Path] = field(default_factory=set)
    _unchanged: Unchanged = field(init=False)

    def __post_init__(self) -> None:
        self._unchanged = Unchanged(self.now, self.monotonic)

    def take(self) -> None:
        """Take what is complete, the oldest first.

        Raises:
            ConfigInvalid: There is no such folder.
            InputMissing: It cannot be read, or nothing can be moved within it.
            KprError: What ``ReceiptHandler.evaluate`` raises; the file stays.
        """
        found = sorted(files_in(self.path), key=lambda file: file.mtime_ns)
        self._unchanged.see(found)
        unreadable: InputMissing | None = None
        for file in found:
            if not self._left:
                self._warn(
                    self.path,
                    Text(
                        "{most_files} files were taken from it; the next run takes the others", most_files=_MOST_FILES
                    ),
                )
                break
            if self._is_complete(file) and self._is_small(file):
                try:
                    content = self._content(file)
                except InputMissing as error:
                    unreadable = error  # the others are taken all the same
                    continue
                if content is not None:
                    self._left -= 1
                    with self.section:
                        self._take(file, content)
        if unreadable is not None:
            raise unreadable

    def evaluate_again(self) -> None:
        """Move what was not verified, and is by now, into ``done``. Raises as ``take`` does."""
        for file in list(files_in(self.path / UNVERIFIED, missing_ok=True))[:_MOST_FILES]:
            try:
                content = self._content(file) if self._is_small(file) else None
            except InputMissing:
                self._warn(file.path, Text("it cannot be read, and is left there"))  # what is new is taken all the same
                continue
            inbound = None if content is None else self._inbound(content)
            with self.section:
                if inbound is not None and self.handler().evaluate(inbound).handling is Handling.SETTLE:
                    self._move(file.path, DONE)

    def _take(self, file: LaidFile, content: bytes) -> None:
        inbound = self._inbound(content)
        found = _NOTHING if inbound is None else self.handler().evaluate(inbound)
        if found.handling is Handling.SETTLE:
            self._move(file.path, DONE)
        elif found.msg_ids:
            self._move(file.path, UNVERIFIED)
        else:
            # One that is sealed for another key may be the receiver's, and opened once we have that key.
            where = UNVERIFIED if found.for_another_key else NOT_OURS
            problem = Text("moved to {where}: {problem}", where=where, problem=found.problem)
            self._warn(file.path, problem)
            self._move(file.path, where)

    def _inbound(self, content: bytes) -> Inbound | None:
        """Return what the queue would have delivered; None where it is nothing that comes from there."""
        if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
            return _error_message(content)
        body = unwrapped(content)
        return None if body is None else as_inbound(body, self.handler().receiver_her_id)

    def _is_complete(self, file: LaidFile) -> bool:
        if self._unchanged.is_ahead(file):
            self._warn(file.path, Text("its time lies in the future, so that only a run that waits takes it"))
        return self._unchanged.is_complete(file)

    def _is_small(self, file: LaidFile) -> bool:
        if file.size > self.max_bytes:
            self._warn(
                file.path,
                Text(
                    "it is larger than bus.max_inbound ({max_bytes} bytes), and is left there", max_bytes=self.max_bytes
                ),
            )
        return file.size <= self.max_bytes

    def _content(self, file: LaidFile) -> bytes | None:
        """Return a file's bytes; None where it is not any more what it was when it was found.

        Raises:
            InputMissing: It cannot be read.
        """
        try:
            return content_of(file)
        except OSError as error:
            raise _unusable(file.path, error) from None

    def _move(self, path: Path, where: str) -> None:
        """Move a file, over no other; what it says is durable already."""
        folder = self.path / where
        try:
            move_into(folder, path)
        except OSError as error:
            text = Text(
                "The folder of our receipts cannot take the file, whose content is safe in the journal: {reason}.",
                reason=error.strerror,
            )
            raise _unusable(folder, error, text) from None

    def _warn(self, path: Path, why: str) -> None:
        if path not in self._named:
            self._named.add(path)
            self.observe(Event(EventKind.WARNING, Text("{path}: {why}.", path=path, why=why)))


def files_in(folder: Path, *, missing_ok: bool = False) -> Iterator[LaidFile]:
    """Yield the files of a folder that may be taken.

    Args:
        folder: Which.
        missing_ok: Whether one that is not there has none.

    Raises:
        ConfigInvalid: There is no such folder.
        InputMissing: It cannot be read.
    """
    try:
        yield from laid_files(folder)
    except (FileNotFoundError, NotADirectoryError):
        if not missing_ok:
            raise ConfigInvalid(
                Text("There is no such folder."), where=f"{_KEY}: {folder}", next_step=_MAKE_IT
            ) from None
    except OSError as error:
        raise _unusable(folder, error) from None


_MAKE_IT: Final = Text("Make it, or name the folder that the message server lays our receipts down in.")


def _unusable(path: Path, error: OSError, text: Text | None = None) -> InputMissing:
    return InputMissing(
        text or Text("The folder of our receipts cannot be read: {reason}.", reason=error.strerror),
        where=f"{_KEY}: {path}",
        next_step=Text("Let the user that runs kpr-send read and write there; the message server need only write."),
    )


def _error_message(content: bytes) -> Inbound | None:
    """Return a message of the error queue, from the JSON object of its application properties."""
    try:
        value: Any = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    properties = {name: one if isinstance(one, str) else json.dumps(one) for name, one in value.items()}
    return Inbound(None, Source.ERRORS, "", "", "", "", properties, b"")

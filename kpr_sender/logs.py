"""Log lines: one JSON object a line, redacted last of all. Only the command sets them up; the library sets up nothing.

Everything that reaches the root logger is written the same way, so that a library's line is redacted, too. Libraries
that log complete messages are silenced whatever the level. A line that cannot be written is lost and decides nothing:
``logging`` would print it as it was before it was redacted, with a stack trace.
"""

from __future__ import annotations

import codecs
import errno
import json
import logging
import logging.handlers
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from kpr_sender.errors import ConfigInvalid
from kpr_sender.events import Event, EventKind
from kpr_sender.file_owners import keeps_owners
from kpr_sender.privacy import redact_fields
from kpr_sender.regular_file import NO_FOLLOW, NO_WAIT
from kpr_sender.texts import Text

SILENT: Final = ("signxml", "proton", "lxml", "httpcore", "apprise", "urllib3")
"""They log payloads, signatures, frames, addresses or requests with their headers, at one level or another."""

_LEVELS: Final[Mapping[EventKind, int]] = {
    EventKind.WARNING: logging.WARNING,
    EventKind.NOT_SENT: logging.WARNING,
    EventKind.IN_DOUBT: logging.ERROR,
    EventKind.RECEIPT_UNVERIFIED: logging.ERROR,
    EventKind.CONTRADICTION: logging.ERROR,
    EventKind.FAULTED: logging.ERROR,
    EventKind.FOREIGN_HELD: logging.WARNING,
}

_PASSES: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE)
"""Why a log cannot be opened now, and can once there is room: not the configuration's fault, no reason to stop."""

_STDERR: Final = 2
_OUTPUT: Final = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_ERROR: Final = ("/dev/stderr", "/dev/fd/2", "/proc/self/fd/2")
_NEXT_STEP: Final = Text(
    "Name a file in a folder of this user's own; or leave log.file out, or write /dev/stderr: lines go to "
    "standard error then."
)

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | NO_FOLLOW | NO_WAIT

_NAME: Final = "kpr_sender"
_FIELDS: Final = "kpr_fields"
"""The attribute of a record that holds an event's own fields."""
_OWN: Final = ("timestamp", "level", "event", "text")


@contextmanager
def logging_to(
    target: Path | TextIO, *, level: str, lost: Callable[[str], object] = str, **context: str
) -> Iterator[logging.Logger]:
    """Write log lines until the block ends, then leave logging as it was.

    Args:
        target: A file that lines are added to, or a stream.
        level: The lowest level that is written: ``debug``, ``info``, ``warning`` or ``error``.
        lost: Called at the end where a line could not be written, with the reason of the last one.
        context: Fields in every line of the yielded logger, for example ``environment``.

    Raises:
        ConfigInvalid: The file is none that this user may write, or not one for a log.
    """
    handler = _handler(target)
    # A screen whose encoding is not UTF-8 gets JSON's escapes, so that each line is one object of JSON there, too.
    handler.setFormatter(_JsonLine(context, ascii_only=not isinstance(target, Path) and not _takes_utf8(target)))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(level.upper())
    try:
        with _silenced():
            yield logging.getLogger(_NAME)
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()
        if handler.failure is not None:
            lost(getattr(handler.failure, "strerror", None) or type(handler.failure).__name__)


def log_event(logger: logging.Logger, event: Event) -> None:
    """Write an event."""
    fields = {"msg_id": event.msg_id, "type": event.type} if event.msg_id else {}
    # Details may have any name; those that a line begins with must not be overwritten by them.
    details = {name: value for name, value in event.details.items() if name not in _OWN}
    level = _LEVELS.get(event.kind, logging.INFO)
    logger.log(level, event.kind.value, extra={_FIELDS: {"text": event.text, **details, **fields}})


class _JsonLine(logging.Formatter):
    """Makes one JSON object of a record; whatever comes from others is in it, and all of it is redacted."""

    def __init__(self, context: Mapping[str, str], *, ascii_only: bool) -> None:
        super().__init__()
        self._context = context
        self._ascii_only = ascii_only

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line: dict[str, object] = {
            "timestamp": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= self._context if record.name == _NAME else {"logger": record.name}
        line |= getattr(record, _FIELDS, {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(redact_fields(line), ensure_ascii=self._ascii_only, default=str)


class _LogLines(logging.StreamHandler[Any]):
    """Writes lines to a stream.

    Attributes:
        failure: Why the last line that could not be written could not; None while none was lost.
    """

    failure: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is of no line's business what becomes of the run
            self.failure = error

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's name
        self.failure = sys.exc_info()[1]

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:
            self.failure = error


class _LogFile(_LogLines, logging.handlers.WatchedFileHandler):
    """Adds lines to a file, and to its successor once logrotate has moved it: a run may wait for hours."""

    def begin(self) -> None:
        """Open the file, where there is room for it."""
        path = Path(self.baseFilename)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.stream = self._open()
        except OSError as error:
            if error.errno not in _PASSES:
                raise _refused(path, error) from None
            self.failure = error

    def _open(self) -> Any:
        path = Path(self.baseFilename)
        _require_own_folder(path)
        descriptor = os.open(path, _FLAGS | os.O_CREAT, 0o600)
        try:
            _require_own(descriptor, path)
            _make_private(descriptor, path)
            return open(descriptor, "a", encoding="utf-8")  # noqa: PTH123 - no path, and closed by the handler
        except BaseException:
            os.close(descriptor)
            raise


def is_there_and_usable(path: Path) -> bool:
    """Refuse a log file that a run would refuse, as far as that shows without making or changing anything.

    Returns:
        Whether there is one; else it is still to be made.

    Raises:
        ConfigInvalid: It is none that this user may write, or not one for a log.
    """
    if _is_standard_error(path):
        return True
    try:
        _require_own_folder(path)
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in _PASSES:
            return True
        raise _refused(path, error) from None
    try:
        _require_own(descriptor, path)
    finally:
        os.close(descriptor)
    return True


def _refused(path: Path, error: OSError) -> ConfigInvalid:
    if error.errno == errno.ELOOP:
        return _unfit(path, Text("is a symbolic link; name the file itself"))
    if error.errno == errno.ENXIO:
        return _unfit(path, Text("cannot be written: it is a pipe that nobody reads from, or a socket"))
    return _unfit(path, Text("cannot be written: {reason}", reason=error.strerror))


def _is_standard_error(path: Path) -> bool:
    """Tell whether a name is standard error's. Refuses standard output."""
    if str(path) in _OUTPUT:
        raise _unfit(path, Text("is standard output, which is for the result alone"))
    return str(path) in _ERROR


def _handler(target: Path | TextIO) -> _LogLines:
    if not isinstance(target, Path):
        return _LogLines(target)
    if _is_standard_error(target):
        # Not opened by its name: that is a link, and refused where it leads to a socket (systemd) or another's file.
        return _LogLines(open(_STDERR, "w", encoding="utf-8", closefd=False))
    handler = _LogFile(target, encoding="utf-8", delay=True)
    handler.begin()
    return handler


def _require_own_folder(path: Path) -> None:
    """Refuse a folder in which anybody may put another file in the log's place."""
    mode = path.parent.stat().st_mode
    if sys.platform != "win32" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX and keeps_owners(path.parent):
        raise _unfit(
            path,
            Text(
                "lies in a folder that everybody may write to (mode {s_imode})",
                s_imode=format(stat.S_IMODE(mode), "04o"),
            ),
        )


def _require_own(descriptor: int, path: Path) -> None:
    if sys.platform == "win32":
        return
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and os.geteuid() and found.st_uid not in {0, os.geteuid()} and keeps_owners(path):
        raise _unfit(path, Text("is another user's"))


def _make_private(descriptor: int, path: Path) -> None:
    """Take from our file what is open to everybody. A group that may read it was given that."""
    if sys.platform == "win32":
        return
    os.set_blocking(descriptor, True)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or not keeps_owners(path):
        return
    if found.st_mode & stat.S_IRWXO and found.st_uid == os.geteuid():
        os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~stat.S_IRWXO)
    folder = path.parent.stat()
    if not os.geteuid() and folder.st_uid and not (found.st_uid or found.st_size) and found.st_nlink == 1:
        # One run by sudo, or cron's user could not write it from then on.
        os.fchown(descriptor, folder.st_uid, folder.st_gid)


def _takes_utf8(stream: TextIO) -> bool:
    return codecs.lookup(stream.encoding or "utf-8").name == "utf-8"  # StringIO has none


def _unfit(path: Path, why: str) -> ConfigInvalid:
    return ConfigInvalid(Text("The log file {path} {why}.", path=path, why=why), where="log.file", next_step=_NEXT_STEP)


@contextmanager
def _silenced() -> Iterator[None]:
    before = []
    nowhere = logging.NullHandler()
    for name in SILENT:
        logger = logging.getLogger(name)
        before.append((logger, logger.propagate))
        # Its children's lines end here, too; a level set on one of them would not.
        logger.propagate = False
        logger.addHandler(nowhere)
    try:
        yield
    finally:
        for logger, propagate in before:
            logger.propagate = propagate
            logger.removeHandler(nowhere)

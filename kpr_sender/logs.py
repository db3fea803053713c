"""Log lines: one JSON object a line, redacted last of all. Only the command sets them up; the library sets up nothing.

Everything that reaches the root logger is written the same way, so that a library's line is redacted, too. Libraries
that log complete messages are silenced whatever the level.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

from kpr_sender.errors import ConfigInvalid
from kpr_sender.events import Event, EventKind
from kpr_sender.privacy import redact_fields

SILENT: Final = ("signxml", "proton", "lxml", "httpcore")
"""They log payloads, signatures, frames or requests with their headers, at one level or another."""

_LEVELS: Final[Mapping[EventKind, int]] = {
    EventKind.WARNING: logging.WARNING,
    EventKind.NOT_SENT: logging.WARNING,
    EventKind.IN_DOUBT: logging.ERROR,
    EventKind.RECEIPT_UNVERIFIED: logging.ERROR,
    EventKind.CONTRADICTION: logging.ERROR,
    EventKind.FAULTED: logging.ERROR,
    EventKind.FOREIGN_HELD: logging.WARNING,
}

_NAME: Final = "kpr_sender"
_FIELDS: Final = "kpr_fields"
"""The attribute of a record that holds an event's own fields."""
_OWN: Final = ("timestamp", "level", "event", "text")


@contextmanager
def logging_to(target: Path | TextIO, *, level: str, **context: str) -> Iterator[logging.Logger]:
    """Write log lines until the block ends, then leave logging as it was.

    Args:
        target: A file that lines are added to, or a stream.
        level: The lowest level that is written: ``debug``, ``info``, ``warning`` or ``error``.
        context: Fields in every line of the yielded logger, for example ``environment``.

    Raises:
        ConfigInvalid: The file cannot be written.
    """
    handler = _handler(target)
    handler.setFormatter(_JsonLine(context))
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


def log_event(logger: logging.Logger, event: Event) -> None:
    """Write an event."""
    fields = {"msg_id": event.msg_id, "type": event.type} if event.msg_id else {}
    # Details may have any name; those that a line begins with must not be overwritten by them.
    details = {name: value for name, value in event.details.items() if name not in _OWN}
    level = _LEVELS.get(event.kind, logging.INFO)
    logger.log(level, event.kind.value, extra={_FIELDS: {"text": event.text, **details, **fields}})


class _JsonLine(logging.Formatter):
    """Makes one JSON object of a record; whatever comes from others is in it, and all of it is redacted."""

    def __init__(self, context: Mapping[str, str]) -> None:
        super().__init__()
        self._context = context

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
        return json.dumps(redact_fields(line), ensure_ascii=False, default=str)


def _handler(target: Path | TextIO) -> logging.Handler:
    if not isinstance(target, Path):
        return logging.StreamHandler(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        # Reopens the file after logrotate has moved it: a run may wait for hours.
        return logging.handlers.WatchedFileHandler(target, encoding="utf-8")
    except OSError as error:
        raise ConfigInvalid(f"The log file {target} cannot be written: {error.strerror}.", where="log.file") from None


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

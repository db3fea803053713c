"""Log lines: one JSON object a line, redacted last of all. Only the command sets them up; the library sets up nothing.

Everything that reaches the root logger is written the same way, so that a library's line is redacted, too. Libraries
that log complete messages are silenced whatever the level.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

import structlog

from kpr_sender.errors import ConfigInvalid
from kpr_sender.events import Event, EventKind
from kpr_sender.privacy import redact_event

SILENT: Final = ("signxml", "proton", "lxml", "httpx", "httpcore")
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

Logger = structlog.stdlib.BoundLogger


@contextmanager
def logging_to(target: Path | TextIO, *, level: str, **context: str) -> Iterator[Logger]:
    """Write log lines until the block ends, then leave logging as it was.

    Args:
        target: A file that lines are added to, or a stream.
        level: The lowest level that is written: ``debug``, ``info``, ``warning`` or ``error``.
        context: Fields in every line of the yielded logger, for example ``environment``.

    Raises:
        ConfigInvalid: The file cannot be written.
    """
    handler = _handler(target)
    handler.setFormatter(_formatter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(level.upper())
    try:
        with _silenced():
            yield _logger().bind(**context)
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()


def log_event(logger: Logger, event: Event) -> None:
    """Write an event."""
    fields = {"msg_id": event.msg_id, "type": event.type} if event.msg_id else {}
    # Details may have any name; those that logging itself uses must not overwrite the event's own fields.
    details = {name: value for name, value in event.details.items() if name not in ("event", "level", "text")}
    logger.log(_LEVELS.get(event.kind, logging.INFO), event.kind.value, text=event.text, **details | fields)


def _logger() -> Logger:
    logger: Logger = structlog.wrap_logger(
        logging.getLogger("kpr_sender"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return logger


def _formatter() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _in_order,
            redact_event,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
    )


def _in_order(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put timestamp, level and event first in each line."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


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

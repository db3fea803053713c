"""What happens in a run, as its observer receives it. Safe to log and to show: cleaned here (promise G6)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kpr_sender.model import MessageType
from kpr_sender.privacy import MAX_TEXT, redact_text, shown


class EventKind(enum.StrEnum):
    """What happened."""

    WARNING = "warning"
    CHECKED = "checked"
    SEALED = "sealed"
    CONTINUED = "continued"
    CONNECTING = "connecting"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    NOT_SENT = "not-sent"
    IN_DOUBT = "in-doubt"
    WAITING = "waiting"
    RECEIPT = "receipt"
    RECEIPT_UNVERIFIED = "receipt-unverified"
    DUPLICATE = "duplicate"
    CONTRADICTION = "contradiction"
    FAULTED = "faulted"
    DECIDED = "decided"
    FOREIGN_HELD = "foreign-held"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        text: One sentence for a person, one line, bounded, free of personal data.
        msg_id: The shipment it is about; empty when it is about none.
        details: More for the log, free of personal data.
    """

    kind: EventKind
    text: str
    msg_id: str = ""
    type: MessageType | None = None
    details: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Clean what others say, of which text and details may be made."""
        object.__setattr__(self, "text", redact_text(self.text, MAX_TEXT))
        object.__setattr__(self, "details", shown(self.details))


Observer = Callable[[Event], None]
_ENDS_THE_PROGRAM: Final = (KeyboardInterrupt, SystemExit)


def contained(observe: Observer) -> Observer:
    """Return an observer whose errors are logged and decide nothing: it only watches.

    Logged are type and place. The text is the application's, and may hold anything (promise G6). What cancels a task or
    closes a generator (``asyncio.CancelledError``, ``GeneratorExit``) is the application's, too. What ends a program
    (``KeyboardInterrupt``, ``SystemExit``) passes: a signal's handler may raise it wherever the program is. It stops
    the run there, which leaves no shipment in doubt: nobody is called between a transfer's beginning and its outcome.
    """

    def contain(event: Event) -> None:
        try:
            observe(event)
        except _ENDS_THE_PROGRAM:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is
            _log(error, event.kind)

    return contain


def _log(error: BaseException, kind: EventKind) -> None:
    from logging import getLogger  # noqa: PLC0415 - only when something is wrong

    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = "" if at is None else f" at {at.tb_frame.f_code.co_filename}:{at.tb_lineno}"
    text = f"The observer raised {type(error).__name__}{place} for {kind.value}; the run goes on."
    try:
        getLogger("kpr_sender").error(text)
    except _ENDS_THE_PROGRAM:
        raise
    except BaseException:  # noqa: BLE001, S110 - a handler of logging is the application's, too
        pass


def ignore(_event: Event) -> None:
    """The observer of whoever does not watch."""

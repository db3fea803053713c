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
    ACKNOWLEDGED = "acknowledged"
    FAULTED = "faulted"
    DECIDED = "decided"
    FOREIGN_HELD = "foreign-held"
    FINISHED = "finished"
    MUNICIPALITY = "municipality"


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


@dataclass(frozen=True, slots=True)
class EventMeaning:
    """What an event says; docs/events.md is made of these.

    Attributes:
        when: When it happens.
        details: What each of its details is, by key. One that has nothing to say is left out of an event.
    """

    when: str
    details: Mapping[str, str] = field(default_factory=dict)


_ATTEMPT: Final = {
    "reach": "how far the attempt came: a value of `Reach`; missing where none was made",
    "condition": "the broker's condition, with EDI the mail server's code, or the local cause; missing likewise",
}
EVENTS: Final[Mapping[EventKind, EventMeaning]] = {
    EventKind.WARNING: EventMeaning(
        "Something that a person should know, and that ends nothing.",
        {
            "accepted": "how many findings of the check a person accepts",
            "remarks": "how many remarks the check has on the files",
        },
    ),
    EventKind.CHECKED: EventMeaning(
        "A file was read and checked before it is sealed.",
        {
            "payload_sha256": "digest of the bytes that are spliced in, 64 hexadecimal digits",
            "lopenr": "the EPJ's running number, as it stands in the file",
        },
    ),
    EventKind.SEALED: EventMeaning("A shipment is sealed, or sealed anew, and durable in the journal."),
    EventKind.CONTINUED: EventMeaning("The files are a submission already: it goes on where it stands."),
    EventKind.CONNECTING: EventMeaning("The bus is connected to, or with EDI the mail server, in order to publish."),
    EventKind.PUBLISHING: EventMeaning("The transfer of a shipment begins."),
    EventKind.PUBLISHED: EventMeaning(
        "The bus, or with EDI the mail server, has accepted a shipment; FHI's receipt decides."
    ),
    EventKind.NOT_SENT: EventMeaning("It was certainly not taken; it stays sealed.", _ATTEMPT),
    EventKind.IN_DOUBT: EventMeaning(
        "It may have been taken or not: only an answer or a person moves it on.", _ATTEMPT
    ),
    EventKind.WAITING: EventMeaning(
        "Our queues, or with EDI our mailbox, are looked at for receipts.",
        {"timeout": "how long at most, in whole seconds"},
    ),
    EventKind.RECEIPT: EventMeaning(
        "A verified receipt is in the journal.", {"status": "what it says: 1 OK, 2 rejected, 3 OK with errors"}
    ),
    EventKind.RECEIPT_UNVERIFIED: EventMeaning("A receipt is stored that cannot be verified: it decides nothing."),
    EventKind.DUPLICATE: EventMeaning("A receipt came once more: harmless."),
    EventKind.CONTRADICTION: EventMeaning("A verified receipt contradicts an earlier one: a person must look."),
    EventKind.ACKNOWLEDGED: EventMeaning(
        "EDI: KPR's message server has verifiably acknowledged a shipment; FHI's receipt decides."
    ),
    EventKind.FAULTED: EventMeaning(
        "A message on the error queue names a shipment; with EDI KPR's message server refused it (a verified "
        "MessageError), or the mail came back."
    ),
    EventKind.DECIDED: EventMeaning(
        "A person has decided something.",
        {
            "by": "who asked for a look at a shared queue",
            "emptied": "`true` where the queue's other reader has said that it was read, else `false`",
        },
    ),
    EventKind.FOREIGN_HELD: EventMeaning(
        "Messages of others lie on a queue of ours; they are given back.",
        {
            "held": "how many",
            "next_look": "from when on the queue is looked at again, RFC 3339, UTC",
        },
    ),
    EventKind.FINISHED: EventMeaning(
        "A command has ended; `kpr-send` alone has it, in its log.",
        {
            "state": "the submission's state",
            "exit_code": "as the process ends",
        },
    ),
    EventKind.MUNICIPALITY: EventMeaning(
        "The run of one municipality of a fleet has ended; only the commands of a fleet have it, in their log.",
        {
            "municipality": "which: its kommunenummer, or 0301-03 with its bydel",
            "state": "the submission's state",
            "exit_code": "as its process ends",
        },
    ),
}
"""Each kind with every key that its details may have. They are stable, as JSON's keys are."""

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

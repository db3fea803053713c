"""The values that the rule book in ``states.py`` is about: a shipment's states, what can happen to it, what changes.

Whoever asks about a shipment imports them from ``states``, with the rules.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from kpr_sender.errors import LastError
from kpr_sender.texts import Text


class ShipmentState(enum.StrEnum):
    """What is known of one shipment."""

    SEALED = "sealed"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    IN_DOUBT = "in_doubt"
    DELIVERED = "delivered"
    DELIVERED_WITH_ERRORS = "delivered_with_errors"
    REJECTED = "rejected"
    FAULTED = "faulted"
    CANCELLED = "cancelled"


_WORDS: Final[Mapping[str, Text]] = {
    "sealed": Text("sealed"),
    "publishing": Text("publishing"),
    "published": Text("published"),
    "in_doubt": Text("in_doubt"),
    "delivered": Text("delivered"),
    "delivered_with_errors": Text("delivered_with_errors"),
    "partly_delivered": Text("partly_delivered"),
    "rejected": Text("rejected"),
    "faulted": Text("faulted"),
    "cancelled": Text("cancelled"),
}


def words_of(state: enum.StrEnum) -> Text:
    """Return what a person calls the state of a shipment or a submission; its name in English."""
    return _WORDS[state.value]


class Cause(enum.StrEnum):
    """What can happen to a shipment, in the words of the journal's history."""

    PUBLISH_BEGINS = "publish-begins"
    NOT_SENT = "not-sent"
    ACCEPTED = "accepted"
    NO_OUTCOME = "no-outcome"
    RECEIPT_OK = "receipt-ok"
    RECEIPT_OK_WITH_ERRORS = "receipt-ok-with-errors"
    RECEIPT_REJECTED = "receipt-rejected"
    ERROR_QUEUE = "error-queue"
    ACKNOWLEDGED = "acknowledged"
    MESSAGE_ERROR = "message-error"
    BOUNCED = "bounced"
    SIGNAL_NOTED = "signal-noted"
    PERSON_ARRIVED = "person-arrived"
    PERSON_NOT_ARRIVED = "person-not-arrived"
    PERSON_CANCELS = "person-cancels"
    PERSON_RESENDS = "person-resends"
    PERSON_SETTLES = "person-settles"
    REPLACED = "replaced"
    RESTORED = "restored"
    RECEIPT_UNVERIFIED = "receipt-unverified"
    RECEIPT_UNKNOWN = "receipt-unknown"


class ReceiptStatus(enum.IntEnum):
    """AppRec/Status V, kodeverk 8258. Any other value is no status to us, and never success."""

    OK = 1
    REJECTED = 2
    OK_WITH_ERRORS = 3


class Arrival(enum.Enum):
    """How a receipt compares with the stored one of the same bytes: the history's word, and why."""

    NEW = "receipt-kept", Text("A receipt came.")
    VERIFIED_NOW = "receipt-verified", Text("A receipt that was stored unverified is verified now.")
    DUPLICATE = "receipt-duplicate", Text("The same bytes came again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """How far a shipment has come: all that the rules look at, and all that they change.

    Attributes:
        attempts: How many times a transfer was begun, under whichever message-id.
        earlier_attempts: How many of them under message-ids that it does not have any more.
        handed_over: Whether the bus may have had it, under whichever message-id.
        published_at: When the bus said *accepted*; where it did not, when a person said that it has arrived; UTC.
        needs_person: True when an answer contradicts what was known.
        settled: True when a person has decided that nobody need look at it any more.
        early_answer: The answer that came before the bus's outcome, and takes effect after it.
        acknowledged_at: When the receiver's message server was first known to have taken it under its present ids, by a
            verified ebXML Acknowledgment, UTC; None where it is not.
        alarm: What an answer to a message of somebody else's said last, in a sentence; empty where none came, and once
            a person has settled that.
    """

    state: ShipmentState
    attempts: int = 0
    earlier_attempts: int = 0
    handed_over: bool = False
    published_at: datetime | None = None
    last_error: LastError | None = None
    needs_person: bool = False
    settled: bool = False
    early_answer: Cause | None = None
    acknowledged_at: datetime | None = None
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Something that happens to a shipment.

    Attributes:
        error: What went wrong, where something did.
        why: In words, where there is more to say than the cause does: a person's reason, why a receipt is not verified.
        who: The person who decided it, where it was one.
        arrival: Of a receipt: whether it is new.
        earlier: Whether it is about a MsgId (a receipt) or message-id (an error) that the shipment has no more.
        same_ids: Whether what a person lets go again keeps its message-id: an ebXML message that nobody has answered is
            sent again as it is (HITS 1172 4.2.3.2).
    """

    cause: Cause
    at: datetime
    error: LastError | None = None
    why: str = ""
    who: str = ""
    evidence: Mapping[str, str | int] = field(default_factory=dict)
    arrival: Arrival | None = None
    earlier: bool = False
    same_ids: bool = False


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """What the history says of a change.

    Attributes:
        what: A stable word.
        who: The person who decided it; empty where it was none.
        moved: The states it moved from (None when it was created) and to; None where it moved nothing.
    """

    what: str
    why: str
    who: str = ""
    moved: tuple[ShipmentState | None, ShipmentState] | None = None
    details: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What a trigger does to a shipment: its life from now on, and what the history says of it, in order.

    Attributes:
        contradiction: How it contradicts what was known, in words; empty where it does not.
    """

    after: Lifecycle
    lines: tuple[HistoryLine, ...] = ()
    contradiction: str = ""


class Reaction(enum.Enum):
    """What a cause does to a shipment that stays in its state: the history's word after the cause's own, and why."""

    WAITS = "-early", Text("It came before the transfer's outcome, and takes effect after it.")
    AGAIN = "-again", Text("It says what is known.")
    CONTRADICTS = (
        "-contradicts",
        lambda state: Text("It contradicts the journal, where the shipment is {state}.", state=state),
    )
    CONTRADICTS_EARLIER = (
        "-contradicts",
        Text("It is about a MsgId that was given up, and contradicts FHI's earlier answer to that."),
    )
    LESS = (
        "-less",
        lambda state: Text("It is not signed: what is known, the shipment {state}, counts for more.", state=state),
    )
    OUTWEIGHED = (
        "-less",
        lambda state: Text("What is known, the shipment {state}, counts for more.", state=state),
    )
    EARLIER = "-earlier", Text("It is about a message-id that the shipment does not have any more.")
    ACKNOWLEDGES = "", Text("KPR's message server has acknowledged it.")
    SETTLES = "", Text("Nobody need look at it any more.")
    ENDS_ALARM = "", Text("Nobody need look at the alarm any more.")
    ALARMS = "", Text("FHI has answered a message that this journal does not know.")
    NOTED = "", ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A cause that the history records for another one, with its own words and error where it has some."""

    cause: Cause
    why: str = ""
    error: LastError | None = None


@dataclass(frozen=True, slots=True)
class SideEffects:
    """What a cause changes besides the state, and what the history says where the trigger has no words of its own.

    Attributes:
        hands_over: Whether the bus may have it from now on.
        lets_go: Whether it gets ids that the bus has not seen, and nothing calls for a person any more.
        acknowledges: Whether the receiver's message server is known to have it from now on.
        keeps_error: Whether what last went wrong is kept; else it is what the trigger says, or ``error``.
    """

    why: str = ""
    attempts: int = 0
    published_at: Literal["kept", "now", "first", "cleared"] = "kept"
    hands_over: bool = False
    lets_go: bool = False
    acknowledges: bool = False
    keeps_error: bool = False
    error: LastError | None = None


class ImpossibleTransition(RuntimeError):
    """Something was asked for that the table does not have: an error in the program, never a user's."""

    def __init__(self, state: ShipmentState, cause: Cause) -> None:
        super().__init__(f"a shipment that is {state.value} cannot be moved by {cause.value}")
        self.state = state
        self.cause = cause

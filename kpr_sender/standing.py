"""What is known of a shipment, in words, and what to do about it: tables by state and history.

A state alone does not say it: what is sealed may have been with the bus before, and what FHI confirmed may be nothing
that this journal ever published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kpr_sender.messages.error_conditions import advice
from kpr_sender.model import MailNote, NoteKind, Shipment, Transport, rfc3339
from kpr_sender.states import UNANSWERED, ShipmentState, was_offered
from kpr_sender.texts import Text, quoted

_S = ShipmentState

EachWay = Mapping[Transport, Text]
"""What is said of a shipment, by the way that it goes."""

_SAYS_ALL: Final = Text("")
"""What the error's own advice leaves to say."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a shipment.

    Attributes:
        state: Its state.
        holds: Whether this is its history; the first row of its state that holds counts.
        words: Both, for a person; by the way that it goes where they differ.
        next_step: What to do; empty where the error's own advice says it.
    """

    state: ShipmentState
    holds: Callable[[Shipment], bool]
    words: Text | EachWay
    next_step: Text | Callable[[Shipment], Text] = _SAYS_ALL

    def of(self, shipment: Shipment) -> Text:
        """Return what is known of this shipment, in words."""
        return self.words if isinstance(self.words, Text) else self.words[shipment.transport]

    def advice(self, shipment: Shipment) -> Text:
        """Return what to do about this shipment."""
        return self.next_step if isinstance(self.next_step, Text) else self.next_step(shipment)


def _always(_: Shipment) -> bool:
    return True


def _by_mail(shipment: Shipment) -> bool:
    return shipment.transport is Transport.EDI


def _each_way(by_bus: Text, by_mail: Text) -> EachWay:
    return {Transport.AMQP: by_bus, Transport.EDI: by_mail}


def _evidence_of(said: EachWay) -> Callable[[Shipment], Text]:
    return lambda shipment: said[shipment.transport]


def _names_errors(shipment: Shipment) -> bool:
    return any(receipt.verified and receipt.errors for receipt in shipment.receipts)


STANDINGS: Final = (
    Standing(
        _S.SEALED,
        lambda shipment: shipment.needs_person,
        Text("sealed, and not sent until a person decides: FHI has answered it under a MsgId that was given up"),
        Text("Read the receipts and ask kpr@fhi.no what has arrived, then decide with kpr-send resolve MSGID."),
    ),
    Standing(
        _S.SEALED,
        lambda shipment: bool(shipment.alarm),
        Text("sealed, and not sent until a person has settled the alarm, which is about a message of somebody else's"),
    ),
    Standing(
        _S.SEALED,
        lambda shipment: shipment.handed_over and _by_mail(shipment) and was_offered(shipment),
        Text("sealed to be sent again: the mail server may have had it before"),
    ),
    Standing(
        _S.SEALED,
        lambda shipment: shipment.handed_over,
        _each_way(
            Text("sealed to be sent again: the bus may have had it before, under another message-id"),
            # Perhaps not as a mail: a person may have let it go the other way.
            Text("sealed to be sent again: it may have been handed over before, under ids that were given up"),
        ),
    ),
    Standing(
        _S.SEALED,
        lambda shipment: shipment.attempts > 0,
        _each_way(
            Text("sealed: it was offered to the bus, which certainly does not have it"),
            Text("sealed: it was offered before, and was certainly not taken"),
        ),
    ),
    Standing(
        _S.SEALED,
        _always,
        _each_way(
            Text("sealed: it was never offered to the bus"), Text("sealed: it was never offered to the mail server")
        ),
    ),
    Standing(_S.PUBLISHING, _always, Text("being published by another run, or by one that ended in the middle of it")),
    Standing(
        _S.PUBLISHED,
        lambda shipment: shipment.arrived_at is not None and shipment.arrived_at == shipment.published_at,
        _each_way(
            Text("published, as a person says: the bus gave no answer, and FHI has not answered yet"),
            Text("published, as a person says: the mail server gave no answer, and FHI has not answered yet"),
        ),
    ),
    Standing(
        _S.PUBLISHED,
        lambda shipment: shipment.acknowledged_at is not None,
        Text("published, acknowledged by KPR's message server: FHI has not answered yet"),
    ),
    Standing(
        _S.PUBLISHED,
        _always,
        _each_way(
            Text("published: the bus has taken it, FHI has not answered yet"),
            Text("published: the mail server has taken it; KPR's message server has not acknowledged it yet"),
        ),
    ),
    Standing(_S.IN_DOUBT, _always, Text("in doubt: it may or may not be with FHI; it is not sent again by itself")),
    Standing(_S.DELIVERED, _always, Text("delivered: FHI has confirmed it")),
    Standing(
        _S.DELIVERED_WITH_ERRORS,
        _names_errors,
        Text("delivered with errors: FHI has it and complains of something"),
    ),
    Standing(
        _S.DELIVERED_WITH_ERRORS,
        _always,
        Text("delivered with errors: FHI has it, complains, and does not say of what"),
        Text("FHI names no error: ask kpr@fhi.no what is wrong before anything is sent again."),
    ),
    Standing(_S.REJECTED, _names_errors, Text("rejected by FHI")),
    Standing(
        _S.REJECTED,
        _always,
        Text("rejected by FHI, without a reason"),
        Text(
            "FHI names no error: ask kpr@fhi.no what is wrong. Then send a new extract with kpr-send send "
            "--replaces ID --reason TEXT, or the same file with kpr-send resend MSGID --reason TEXT where its "
            "cause lies elsewhere."
        ),
    ),
    Standing(
        _S.FAULTED,
        _by_mail,
        Text("faulted: KPR's message server refused it, or the mail came back"),
        Text(
            "See in kpr-send resolve MSGID what was said, and put it right with kpr@fhi.no or kundesenter@nhn.no. Then "
            "kpr-send resend MSGID --reason TEXT seals another envelope. A verified answer that comes later counts for "
            "more."
        ),
    ),
    Standing(
        _S.FAULTED,
        _always,
        Text("faulted: the receiver's system could not take it"),
        lambda shipment: advice(shipment.error_message.condition if shipment.error_message else ""),
    ),
    Standing(
        _S.CANCELLED,
        lambda shipment: shipment.handed_over,
        _each_way(
            Text("cancelled by a person: it is not sent again, though the bus may have had it"),
            Text("cancelled by a person: it is not sent again, though it may have been handed over"),
        ),
        Text(
            "It does not go by itself. Ask kpr@fhi.no whether the MsgId has arrived; if not, and it is to go "
            "after all: kpr-send resolve MSGID --not-arrived --reason TEXT. A new extract goes with kpr-send "
            "send --replaces ID --reason TEXT."
        ),
    ),
    Standing(
        _S.CANCELLED,
        _always,
        _each_way(
            Text("cancelled by a person: it is not sent, and the bus never had it"),
            Text("cancelled by a person: it is not sent, and was never handed over"),
        ),
        Text(
            "It does not go by itself. If it is to go after all: kpr-send resend MSGID --reason TEXT. A new "
            "extract goes with kpr-send send --replaces ID --reason TEXT."
        ),
    ),
)

EVIDENCE: Final[tuple[tuple[Callable[[Shipment], bool], Callable[[Shipment], Text]], ...]] = (
    (
        lambda one: one.published_at is not None and one.arrived_at is None and one.acknowledged_at is not None,
        lambda one: Text(
            "published {published}, acknowledged by KPR's message server {acknowledged}",
            published=_time(one.published_at),
            acknowledged=_time(one.acknowledged_at),
        ),
    ),
    (
        lambda one: one.published_at is not None and one.arrived_at is None,
        lambda one: Text("published {published}", published=_time(one.published_at)),
    ),
    (
        lambda one: one.published_at is not None and one.arrived_at == one.published_at,
        lambda one: Text("said by a person on {arrived} to have arrived", arrived=_time(one.arrived_at)),
    ),
    (
        lambda one: one.published_at is not None,
        lambda one: Text(
            "published {published}, said by a person on {arrived} to have arrived",
            published=_time(one.published_at),
            arrived=_time(one.arrived_at),
        ),
    ),
    (
        lambda one: one.acknowledged_at is not None,
        lambda one: Text(
            "handed over, acknowledged by KPR's message server {acknowledged}",
            acknowledged=_time(one.acknowledged_at),
        ),
    ),
    (
        lambda one: one.attempts == 0 and one.state not in {_S.SEALED, _S.CANCELLED},
        lambda _: Text("no sending of it is recorded in this journal"),
    ),
    (
        lambda one: one.attempts == 0,
        _evidence_of(_each_way(Text("never offered to the bus"), Text("never offered to the mail server"))),
    ),
    (
        lambda one: not one.handed_over,
        _evidence_of(_each_way(Text("offered to the bus, which did not take it"), Text("offered, and not taken"))),
    ),
    (
        lambda one: one.attempts == one.earlier_attempts,
        _evidence_of(_each_way(Text("not under its present message-id"), Text("not under its present eb:MessageId"))),
    ),
    (
        _always,
        _evidence_of(
            _each_way(
                Text("handed over, and the bus's answer is not known"),
                Text("handed over, and the mail server's answer is not known"),
            )
        ),
    ),
)
"""What the journal has of its way out: the first that holds."""


_NOTES: Final[Mapping[NoteKind, Callable[[str], Text]]] = {
    NoteKind.DELAYED: lambda since: Text("mail delayed since {since}", since=since),
    NoteKind.WARNING: lambda since: Text("KPR's message server warns, since {since}", since=since),
    NoteKind.UNCOUNTED: lambda since: Text(
        "an acknowledgement that does not name what we sent, since {since}: it does not count", since=since
    ),
    NoteKind.OTHER: lambda since: Text("a mail says something of it, since {since}", since=since),
}


def _time(at: datetime | None) -> str:
    return "" if at is None else rfc3339(at)


def standing(shipment: Shipment) -> Standing:
    """Return what is known of a shipment by its state and history."""
    return next(one for one in STANDINGS if one.state is shipment.state and one.holds(shipment))


def open_notes(shipment: Shipment) -> tuple[MailNote, ...]:
    """Return what mails say of a shipment that moves nothing, while it may matter.

    FHI's answer ends that, and a decision; an acknowledgement by KPR's message server ends a delay on the way there.
    """
    if shipment.state not in UNANSWERED or shipment.settled:
        return ()
    return tuple(one for one in shipment.noted if one.kind is not NoteKind.DELAYED or not shipment.acknowledged_at)


def words_of_note(note: MailNote, *said: str) -> Text:
    """Return what is noted, and behind it the words of others that are to be shown."""
    what, of_others = _NOTES[note.kind](rfc3339(note.since)), quoted(*said)
    return Text("{what} ({said})", what=what, said=of_others) if of_others else what


def evidence(shipment: Shipment) -> Text:
    """Return what the journal has of a shipment's way out."""
    return next(text for holds, text in EVIDENCE if holds(shipment))(shipment)

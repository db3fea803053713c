"""What the broker's answers mean: which error a person sees, and whether the bus certainly does not have a message.

Measured on RabbitMQ 3.10.8 and 4.0.5. Three rules stand above the tables:

1. Only the state *accepted*, after every byte has left, is success.
2. After every byte has left, a refusal is certain only where the broker refuses *before* it routes (``REFUSED_BEFORE_
   ROUTING``); whatever is not in that table leaves the message in doubt (promise G1).
3. Trying again helps against ``BusUnreachable`` only; every other class needs something fixed first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kpr_sender.bus.links import ConnectionEnded, EndedBy, LinkRefused
from kpr_sender.bus.port import LinkState, Outcome, Reach, Verdict
from kpr_sender.bus.sender import TransferEnding, TransferResult
from kpr_sender.errors import (
    AccessRefused,
    BusUnreachable,
    ConfigInvalid,
    InDoubt,
    InputRefused,
    InternalError,
    KprError,
    LoginRefused,
)
from kpr_sender.texts import Text


def _words(condition: str, description: str) -> str:
    if condition and description:
        return Text("{condition}: {description}", condition=condition, description=description)
    return condition or description


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a condition means to a person."""

    error: type[KprError]
    sentence: Text
    next_step: Text | None = None

    def as_error(self, where: str, condition: str, description: str) -> KprError:
        """Return the error, with the broker's condition and words in it."""
        return self.error(self.said(_words(condition, description)), where=where, next_step=self.next_step)

    def said(self, words: str) -> Text:
        """Return the sentence, with the broker's words in it where there are any."""
        if words:
            return Text("{sentence} ({words}).", sentence=self.sentence, words=words)
        return Text("{sentence}.", sentence=self.sentence)


NOT_FOUND: Final = "amqp:not-found"
UNAUTHORIZED: Final = "amqp:unauthorized-access"
INVALID_FIELD: Final = "amqp:invalid-field"
PRECONDITION: Final = "amqp:precondition-failed"
TOO_LARGE: Final = "amqp:link:message-size-exceeded"
_SIZE_WORDS: Final = "message size"

_TOO_LARGE_MEANING: Final = Meaning(
    InputRefused,
    Text("The message is larger than the bus takes"),
    Text("Agree on the size with the bus's operator (kundesenter@nhn.no), or divide the extract as FHI says."),
)
# A link refused: the conditions that need something fixed. Any other is worth another attempt.
LINK_REFUSALS: Final[Mapping[str, Meaning]] = {
    NOT_FOUND: Meaning(
        ConfigInvalid,
        Text("The bus does not know this exchange or queue"),
        Text("Check the names against Adresseregisteret; upper and lower case count."),
    ),
    UNAUTHORIZED: Meaning(
        AccessRefused,
        Text("The bus does not let this user use the exchange or queue"),
        Text("Check bus.username and the queue; ask kundesenter@nhn.no for the permission."),
    ),
    INVALID_FIELD: Meaning(
        ConfigInvalid,
        Text("The bus does not understand the address"),
        Text("Check bus.address_form, bus.exchange and the queue's name."),
    ),
    PRECONDITION: Meaning(ConfigInvalid, Text("The bus refuses the link or the message as it is")),
    TOO_LARGE: _TOO_LARGE_MEANING,
}
_LINK_OTHERWISE: Final = Meaning(BusUnreachable, Text("The bus ended the link"))

# RabbitMQ 3.10's plugin refuses a write after the transfer, by ending the session with these; both 3.x (channel: the
# checks of basic.publish) and 4.x (session: the checks of a transfer) refuse before the message is routed to a queue.
REFUSED_BEFORE_ROUTING: Final = frozenset({NOT_FOUND, UNAUTHORIZED, TOO_LARGE})

# The connection itself. Any other condition is worth another attempt: internal-error ("Connection forced" by the
# operator), resource-limit-exceeded (idle), framing-error (the bus hung up), connection:forced.
_LOGIN_REFUSED: Final = Meaning(
    LoginRefused,
    Text("The bus refused the login"),
    Text("Check bus.username and the password; repeated attempts may lock the account."),
)
CONNECTION_REFUSALS: Final[Mapping[str, Meaning]] = {
    UNAUTHORIZED: _LOGIN_REFUSED,
    "amqp:not-allowed": _LOGIN_REFUSED,
    NOT_FOUND: Meaning(
        ConfigInvalid, Text("The bus does not know this host name or virtual host"), Text("Check bus.host.")
    ),
    "local:InternalError": Meaning(InternalError, Text("The connection's thread failed")),
}
_CONNECTION_OTHERWISE: Final = Meaning(BusUnreachable, Text("The connection to the bus ended"))
_NOT_AMQP: Final = Meaning(
    ConfigInvalid,
    Text("What answers does not speak AMQP 1.0 as configured"),
    Text("Check bus.port and bus.tls (TLS is on 5671)."),
)
_NOT_AMQP_WORDS: Final = ("protocol header", "unknown protocol")
# A connection cut this early is no proof of a wrong port; a load balancer without a broker behind it does the same.
_HUNG_UP: Final = Meaning(
    BusUnreachable,
    Text("The bus hung up before it said what it speaks"),
    Text(
        "Nothing is lost: run the same command again later; if it lasts, check bus.port and bus.tls (TLS is on 5671)."
    ),
)
_HUNG_UP_WORDS: Final = ("no protocol header found", "insufficient data to determine protocol")
# RabbitMQ 4.0 says nothing where 3.10 says unauthorized-access: it takes the login, waits and hangs up.
_NEVER_OPENED: Final = Meaning(
    BusUnreachable,
    Text("The connection to the bus ended before it was open"),
    Text(
        "Nothing is lost: run the same command again later; if it lasts, bus.username may lack permission on the bus."
    ),
)

# The broker's outcome of a whole transfer, other than accepted: it does not have the message.
NEGATIVE_OUTCOMES: Final[Mapping[TransferEnding, Meaning]] = {
    TransferEnding.RELEASED: Meaning(
        ConfigInvalid,
        Text("The bus has no queue for this message and gave it back"),
        Text("Check bus.exchange and the receiver's queue against Adresseregisteret."),
    ),
    TransferEnding.REJECTED: Meaning(
        BusUnreachable,
        Text("The receiver's queue does not take the message now; most often it is full"),
        Text("Nothing is lost: run the same command again later; if it lasts, tell kpr@fhi.no."),
    ),
    TransferEnding.MODIFIED: Meaning(BusUnreachable, Text("The bus gave the message back")),
}
# The state of the link when a transfer ended this way; with every other ending it was still attached.
_LINK_GONE: Final[Mapping[TransferEnding, LinkState]] = {
    TransferEnding.REFUSED: LinkState.ENDED_BY_BUS,
    TransferEnding.LOST: LinkState.LOST,
}
_IN_DOUBT: Final = Meaning(InDoubt, Text("The message was handed over and the bus did not say what became of it"))
_NO_CREDIT: Final = Meaning(BusUnreachable, Text("The bus did not take the message: it gave no credit in time"))
_TIMED_OUT: Final = Meaning(BusUnreachable, Text("The message was not handed over in time"))
_BROKEN_OFF: Final = Meaning(BusUnreachable, Text("The connection ended before the message was handed over"))


def link_error(refused: LinkRefused, where: str) -> KprError:
    """Return what it means that the broker refused, or ended, a link."""
    return _link_meaning(refused.condition, refused.description).as_error(where, refused.condition, refused.description)


def connection_error(ended: ConnectionEnded, where: str) -> KprError:
    """Return what it means that a connection ended, or was never open."""
    meaning = CONNECTION_REFUSALS.get(ended.condition, _CONNECTION_OTHERWISE)
    if ended.by is EndedBy.PROTOCOL and (ended.opened or ended.condition != UNAUTHORIZED):
        meaning = _CONNECTION_OTHERWISE  # proton's own word for frames that it does not take; a login it refuses itself
    if ended.by is EndedBy.FAULT:
        meaning = CONNECTION_REFUSALS["local:InternalError"]
    elif not ended.opened and any(words in ended.description.lower() for words in _HUNG_UP_WORDS):
        meaning = _HUNG_UP
    elif not ended.opened and any(words in ended.description.lower() for words in _NOT_AMQP_WORDS):
        meaning = _NOT_AMQP
    elif not ended.opened and meaning is _CONNECTION_OTHERWISE and ended.by in (EndedBy.SOCKET, EndedBy.PROTOCOL):
        meaning = _NEVER_OPENED
    return meaning.as_error(where, ended.condition, ended.description)


def lost(item: ConnectionEnded | LinkRefused, where: str) -> BusUnreachable:
    """Return that nothing can be read any more. Whether something must be fixed, the next attempt to connect shows."""
    words = _words(item.condition, item.description)
    return BusUnreachable(_CONNECTION_OTHERWISE.said(words), where=where)


def outcome_of(result: TransferResult, where: str) -> Outcome:
    """Evaluate how a transfer to exchange and queue (``where``) ended. The one place that says *not sent*."""
    handed_over = result.reach is Reach.HANDED_OVER
    if result.ending is TransferEnding.ACCEPTED and handed_over:
        return Outcome(Verdict.ACCEPTED, Reach.OUTCOME, result.bytes_handed_over, link=LinkState.ATTACHED)
    if result.ending in NEGATIVE_OUTCOMES:
        return _outcome(Verdict.NOT_SENT, Reach.OUTCOME, result, NEGATIVE_OUTCOMES[result.ending], where)
    if result.ending is TransferEnding.REFUSED and (not handed_over or _refused_before_routing(result)):
        reach = Reach.OUTCOME if handed_over else result.reach
        return _outcome(Verdict.NOT_SENT, reach, result, _link_meaning(result.condition, result.description), where)
    # Accepted before the whole message had left, or a settlement without a known state, is no answer to rely on.
    said_something = result.ending in (TransferEnding.ACCEPTED, TransferEnding.NO_STATE, TransferEnding.UNKNOWN_STATE)
    if handed_over or said_something:
        return _outcome(Verdict.IN_DOUBT, result.reach, result, _IN_DOUBT, where)
    meaning = _BROKEN_OFF
    if result.ending is TransferEnding.TIMED_OUT:
        meaning = _NO_CREDIT if result.reach is Reach.NO_CREDIT else _TIMED_OUT
    return _outcome(Verdict.NOT_SENT, result.reach, result, meaning, where)


def not_connected(error: KprError, condition: str = "") -> Outcome:
    """Return the outcome without a connection, or a link to the queue; ``condition`` where the broker gave one."""
    return Outcome(Verdict.NOT_SENT, Reach.NO_CONNECTION, 0, condition or error.code, error.what, error)


def too_large(length: int, limit: int, where: str) -> Outcome:
    """Return the outcome for a message above the limit that the link announced; both in bytes."""
    error = _TOO_LARGE_MEANING.as_error(
        where, "", Text("{length} bytes, the limit is {limit}", length=length, limit=limit)
    )
    return Outcome(Verdict.NOT_SENT, Reach.NOT_BEGUN, 0, TOO_LARGE, error.what, error, LinkState.ATTACHED)


def refused_link(refused: LinkRefused, where: str) -> Outcome:
    """Return the outcome when the broker refused the link before anything was transferred."""
    words = refused.condition, refused.description
    return Outcome(Verdict.NOT_SENT, Reach.NOT_BEGUN, 0, *words, link_error(refused, where), LinkState.REFUSED)


def _link_meaning(condition: str, description: str) -> Meaning:
    if condition == PRECONDITION and _SIZE_WORDS in description.lower():
        return _TOO_LARGE_MEANING
    return LINK_REFUSALS.get(condition, _LINK_OTHERWISE)


def _refused_before_routing(result: TransferResult) -> bool:
    # precondition-failed means several things; only the message's size (RabbitMQ 3.x) is checked before routing.
    too_large_for_3x = result.condition == PRECONDITION and _SIZE_WORDS in result.description.lower()
    return result.condition in REFUSED_BEFORE_ROUTING or too_large_for_3x


def _outcome(verdict: Verdict, reach: Reach, result: TransferResult, meaning: Meaning, where: str) -> Outcome:
    condition = result.condition or str(result.ending)
    error = meaning.as_error(where, condition, result.description)
    link = _LINK_GONE.get(result.ending, LinkState.ATTACHED)
    return Outcome(verdict, reach, result.bytes_handed_over, condition, result.description, error, link)

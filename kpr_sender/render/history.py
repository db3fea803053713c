"""A shipment's history in words: the journal's own names in English, as its export and JSON have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kpr_sender.bus.port import LinkState, Reach
from kpr_sender.journal.values import JournalEvent
from kpr_sender.model import Transport, rfc3339
from kpr_sender.operator.resolve import Attempt
from kpr_sender.render.language import say
from kpr_sender.states import Cause
from kpr_sender.texts import Text, listed

ID_ON_THE_WAY: Final[Mapping[Transport, Text]] = {
    Transport.AMQP: Text("message-id"),
    Transport.EDI: Text("eb:MessageId"),
}
"""What a shipment's own id on its way is called, beside its MsgId."""
REFUSED_BY: Final[Mapping[Cause, Text]] = {
    Cause.ERROR_QUEUE: Text("Error queue"),
    Cause.MESSAGE_ERROR: Text("KPR's message server"),
    Cause.BOUNCED: Text("The mail came back"),
}
"""What is said above that which refused a shipment without being a receipt."""
_WORDS: Final[Mapping[str, Text]] = {
    str(text): text
    for text in (
        Text("arrived"),
        Text("not-arrived"),
        Text("cancel"),
        Text("settled"),
        Text("person-arrived"),
        Text("person-not-arrived"),
        Text("person-cancels"),
        Text("person-resends"),
        Text("person-settles"),
        Text("findings-accepted"),
        Text("receipt-accepted"),
        Text("receipt-discarded"),
        Text("replaced"),
        Text("kept"),
        Text("reviewed"),
        Text("look-anyway"),
        Text("pruned"),
        Text("created"),
        Text("journal-accepted"),
        Text("released"),
        Text("publish-begins"),
        Text("not-sent"),
        Text("accepted"),
        Text("no-outcome"),
        Text("receipt-ok"),
        Text("receipt-ok-with-errors"),
        Text("receipt-rejected"),
        Text("error-queue"),
        Text("acknowledged"),
        Text("message-error"),
        Text("bounced"),
        Text("signal-noted"),
        Text("restored"),
        Text("receipt-unverified"),
        Text("receipt-unknown"),
        Text("receipt-kept"),
        Text("receipt-verified"),
        Text("receipt-duplicate"),
        Text("receipt-evaluated-anew"),
        Text("error-noted"),
        Text("resealed"),
    )
}
_HOW: Final[Mapping[str, Text]] = {
    str(text): text for text in (Text("-early"), Text("-again"), Text("-contradicts"), Text("-less"), Text("-earlier"))
}
"""What the history adds to a name where the shipment stays as it is."""
_REACHES: Final[Mapping[str, Text]] = {
    Reach.NO_CONNECTION: Text("no connection"),
    Reach.NO_CREDIT: Text("no credit"),
    Reach.NOT_BEGUN: Text("not begun"),
    Reach.INCOMPLETE: Text("incomplete"),
    Reach.HANDED_OVER: Text("handed-over"),
    Reach.OUTCOME: Text("outcome"),
}
_LINKS: Final[Mapping[str, Text]] = {
    LinkState.NONE: Text("none"),
    LinkState.REFUSED: Text("refused"),
    LinkState.ATTACHED: Text("standing"),
    LinkState.ENDED_BY_BUS: Text("ended by the other side"),
    LinkState.LOST: Text("lost"),
}


def _emptied(value: str) -> Text:
    return Text("the queue is said to be emptied") if value == "1" else Text("nobody says that it is emptied")


_EVIDENCE: Final[Mapping[str, Callable[[str], Text]]] = {
    "reach": lambda value: Text("reach {value}", value=_REACHES.get(value, value)),
    "bytes_handed_over": lambda value: Text("bytes handed over {value}", value=value),
    "link": lambda value: Text("link {value}", value=_LINKS.get(value, value)),
    "condition": lambda value: Text("condition {value}", value=value),
    "description": lambda value: Text("description {value}", value=value),
}
"""What of an attempt's evidence is shown, in this order."""
_OF_DECISION: Final[Mapping[str, Callable[[str], Text]]] = {
    "replaces": lambda value: Text("replaces {value}", value=value),
    "by_submission": lambda value: Text("by submission {value}", value=value),
    "receipt_id": lambda value: Text("receipt {number}", number=value),
    "found": lambda value: Text("found: {value}", value=value),
    "emptied": _emptied,
    "settled": lambda _: Text("settled the alarm"),
}
"""What of a decision's evidence a person wants to see, in this order."""


def words_of_history(name: str) -> str:
    """Return what a person calls what happened or was decided; a name that is not known as it is."""
    how = next((each for each in _HOW if name.endswith(each)), "")
    before = name.removesuffix(how)
    if name in _WORDS or before not in _WORDS:
        return _WORDS.get(name, name)
    return Text("{what}{how}", what=_WORDS[before], how=_HOW[how])


def decision_line(event: JournalEvent) -> str:
    """Return what a person decided, with time, name and reason."""
    what: str = words_of_history(event.what)
    if more := _told(event, _OF_DECISION):
        what = Text("{what} ({more})", what=what, more=more)
    if not event.why:
        return say(Text("{at} {what}, by {who}", at=rfc3339(event.at), what=what, who=event.who))
    return say(Text("{at} {what}, by {who}: {why}", at=rfc3339(event.at), what=what, who=event.who, why=event.why))


def attempt_lines(attempt: Attempt) -> Iterator[str]:
    """Yield how a transfer that was begun ended, and the evidence."""
    begun, ended = attempt.begun, attempt.ended
    if ended is None:
        yield say(Text("{at} begun by {who}; it has not ended", at=rfc3339(begun.at), who=begun.who))
        return
    yield say(
        Text(
            "{begun} to {ended}, {what}: {why}",
            begun=rfc3339(begun.at),
            ended=rfc3339(ended.at),
            what=words_of_history(ended.what),
            why=ended.why,
        )
    )
    if evidence := _told(ended, _EVIDENCE):
        yield say(evidence)


def _told(event: JournalEvent, words: Mapping[str, Callable[[str], Text]]) -> str:
    shown = ((say_it, event.details.get(name, "")) for name, say_it in words.items())
    return listed(*(say_it(str(value)) for say_it, value in shown if value != ""))

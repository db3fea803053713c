"""A person lets a submission go the other way: over EDI where it was to go over Tjenestebuss, or the reverse.

One submission goes one way: both halves are sealed anew for it, but for one that has arrived. While FHI may have a half
without a word of FHI's on it, nothing goes: sending it another way as well might be sending it twice (promise G1).
"""

from __future__ import annotations

from kpr_sender.errors import InDoubt, KprError, Overdue, UsageError
from kpr_sender.journal.admission import pruned_away
from kpr_sender.model import ARRIVED, Shipment, Transport
from kpr_sender.operator.resolve import Case
from kpr_sender.states import Cause, ShipmentState, may_be_published, open_decisions
from kpr_sender.texts import Text

_S = ShipmentState


def require_other_way(case: Case, transport: Transport) -> tuple[Shipment, ...]:
    """Return the halves that are to be sealed anew for another way: the named one first, and the other if it waits.

    Args:
        case: What is known of the half that is named.
        transport: Which way.

    Raises:
        InDoubt: A half may be with FHI.
        Overdue: A half is published, and FHI has not said that it has not arrived.
        UsageError: It has arrived, is replaced, goes that way already, or is a person's to decide on first.
    """
    halves = tuple(one for one in case.submission.own if one.state not in ARRIVED)
    if case.shipment.msg_id not in {one.msg_id for one in halves}:
        raise _refused(case.shipment, Text("FHI has it"), Text("Nothing: what is delivered is never sent again."))
    for half in halves:
        if (error := _unanswered(half)) is not None:
            raise error
    if case.replaced_by is not None:
        why = Text("submission {replaced_by} has taken the place of its own", replaced_by=case.replaced_by)
        raise _refused(case.shipment, why, Text("See kpr-send status."))
    if all(one.transport is transport for one in halves) and may_be_published(case.shipment):
        why = Text("it goes that way already")
        raise _refused(case.shipment, why, Text("Send it with kpr-send send."))
    for half in halves:
        _require_free(half)
    others = (one for one in halves if one.msg_id != case.shipment.msg_id and one.transport is not transport)
    return (case.shipment, *others)


def _unanswered(half: Shipment) -> KprError | None:
    if half.state in {_S.IN_DOUBT, _S.PUBLISHING}:
        return InDoubt(
            Text(
                "The {norwegian} ({msg_id}) may be with FHI: nothing of its pair goes another way.",
                norwegian=half.type.norwegian,
                msg_id=half.msg_id,
            )
        )
    if half.state is _S.PUBLISHED:
        return Overdue(
            Text(
                "The {norwegian} ({msg_id}) is published, and FHI has not said that it has not arrived: nothing of its "
                "pair goes another way.",
                norwegian=half.type.norwegian,
                msg_id=half.msg_id,
            )
        )
    return None


def _require_free(half: Shipment) -> None:
    if half.pruned_at is not None:
        raise pruned_away(half.msg_id)
    if not may_be_published(half) and Cause.PERSON_RESENDS not in open_decisions(half, replaced=False):
        raise _refused(
            half,
            Text("a person has to decide on it first"),
            Text("See kpr-send resolve MSGID, and decide what is open there."),
        )


def _refused(shipment: Shipment, why: Text, next_step: Text) -> UsageError:
    return UsageError(
        Text(
            "The {norwegian} ({msg_id}) does not go another way: {why}.",
            norwegian=shipment.type.norwegian,
            msg_id=shipment.msg_id,
            why=why,
        ),
        where="--transport",
        next_step=next_step,
    )

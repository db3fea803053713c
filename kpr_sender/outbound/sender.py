"""Which HER-id a shipment was sealed to be sent from, and the same content when another is configured now.

What makes two submissions the same is environment, kommunenummer, bydel, year, type and payload. The sender's HER-id is
configuration, and configuration is corrected: the same content from another HER-id is a second send all the same, and
goes only by a person's decision on the first (promise G1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from kpr_sender.errors import SealedForAnother
from kpr_sender.journal.port import JournalView
from kpr_sender.lifecycle import words_of
from kpr_sender.messages.transport import FROM_HER_ID
from kpr_sender.model import Shipment, Submission
from kpr_sender.report import replacement_of
from kpr_sender.states import SENT_AGAIN, Cause, may_be_published, open_decisions
from kpr_sender.texts import Text, paragraph
from kpr_sender.wording import all_of

_KEY: Final = "sender.service_her_id"


def sealed_from(journal: JournalView, shipment: Shipment) -> int | None:
    """Return the HER-id that a shipment's envelope says it comes from; None where it does not say."""
    her_id = journal.envelope(shipment.msg_id).properties.get(FROM_HER_ID, "")
    return int(her_id) if her_id.isascii() and her_id.isdigit() else None


def is_let_go(journal: JournalView, shipment: Shipment) -> bool:
    """Tell whether a person has let its content go again."""
    return any(event.what in SENT_AGAIN for event in journal.events(shipment.msg_id))


def require_same_sender(journal: JournalView, known: Submission, her_id: int) -> None:
    """Refuse to continue a submission under another HER-id than the one that it is sealed for.

    What a person has let go again since is sealed anew for the HER-id that is configured, and goes on.

    Args:
        journal: Has the submission.
        known: The submission that has the files' very payloads.
        her_id: The sender's HER-id as configured now.

    Raises:
        SealedForAnother: Names the submission, both HER-ids, and each half's way on.
    """
    was = {one.msg_id: sealed_from(journal, one) or known.sender_her_id for one in known.shipments}
    others = [one for one in known.shipments if was[one.msg_id] != her_id]
    waiting = [one for one in known.shipments if may_be_published(one)]
    if waiting:
        refused = any(one in others and not is_let_go(journal, one) for one in waiting)
    else:
        refused = len(others) == len(known.shipments)
    if not refused:
        return
    earlier = all_of(str(one) for one in sorted({was[one.msg_id] for one in others}))
    raise SealedForAnother(
        Text(
            "These very files are submission {submission_id} of {created_at} UTC, from HER-id {earlier}, where "
            "HER-id {her_id} is configured now. The same content is not sent under another by itself.",
            submission_id=known.submission_id,
            created_at=format(known.created_at, "%Y-%m-%d %H:%M"),
            earlier=earlier,
            her_id=her_id,
        ),
        where=_KEY,
        next_step=paragraph(*_ways_on(journal, known, others)),
        about=others[0].msg_id,
    )


def _ways_on(journal: JournalView, known: Submission, others: list[Shipment]) -> Iterator[str]:
    replacing = replacement_of(journal, known)
    if replacing is not None:
        yield Text(
            "Submission {submission_id} has taken its place: see kpr-send status.",
            submission_id=replacing.submission_id,
        )
        return
    for shipment in others:
        yield _way_on(shipment, known.submission_id, open_decisions(shipment, replaced=False))


def _way_on(shipment: Shipment, submission: str, decisions: Collection[Cause]) -> Text:
    norwegian, state, msg_id = shipment.type.norwegian, words_of(shipment.state), shipment.msg_id
    if Cause.PERSON_RESENDS in decisions:
        return Text(
            "The {norwegian} is {state}: kpr-send resend {msg_id} --reason TEXT sends it again, from the HER-id "
            "configured now.",
            norwegian=norwegian,
            state=state,
            msg_id=msg_id,
        )
    if Cause.PERSON_NOT_ARRIVED in decisions:
        return Text(
            "The {norwegian} is {state}: ask kpr@fhi.no whether it has arrived (kpr-send resolve {msg_id} has the "
            "text). If not, kpr-send resolve {msg_id} --not-arrived --reason TEXT lets the next kpr-send send seal and "
            "send it from the HER-id configured now.",
            norwegian=norwegian,
            state=state,
            msg_id=msg_id,
        )
    if may_be_published(shipment):
        return Text(
            "The {norwegian} has not left this machine: send it as it is with the earlier HER-id, or make a "
            "new extract of both files and send that with kpr-send send --replaces {submission} --reason TEXT.",
            norwegian=norwegian,
            submission=submission,
        )
    return Text(
        "The {norwegian} is {state}: ask kpr@fhi.no. If FHI wants the data from another HER-id, make a new "
        "extract of both files and send that with kpr-send send --replaces {submission} --reason TEXT.",
        norwegian=norwegian,
        state=state,
        submission=submission,
    )

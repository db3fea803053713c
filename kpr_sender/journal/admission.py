"""Whether a new pair may be submitted, and what a person may write: pure rules, on what the journal has already.

FHI's letter 24/04733-1: a year is reported once, complete; it is sent again only after contact with FHI. Whatever may
be under way must have an outcome before another takes its place: else both could arrive. What the bus has certainly
never had is cancelled with the replacement: a named person gave the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from kpr_sender.errors import AlreadySubmitted, InDoubt, NeedsPerson, UsageError
from kpr_sender.journal.values import NewSubmission
from kpr_sender.model import MessageType, Submission
from kpr_sender.privacy import holds_national_id
from kpr_sender.states import answered_though_unsent, blocks_replacement
from kpr_sender.texts import Text
from kpr_sender.wording import all_of

# One of ours: the answer names a MsgId that this journal does not know, and no decision can be on that.


def _settle_alarm(msg_id: str) -> Text:
    return Text("Ask kpr@fhi.no what it has, then kpr-send resolve {msg_id} --settled --reason TEXT.", msg_id=msg_id)


def require_admissible(
    new: NewSubmission, *, latest: Submission | None, same_payload: Mapping[MessageType, Submission]
) -> None:
    """Refuse a pair that would be a second send.

    Args:
        new: What is asked for.
        latest: The newest submission of the same municipality, district and year, whichever HER-id it was sent from.
        same_payload: For each of the pair's types whose payload is here already, the submission that holds it.

    Raises:
        AlreadySubmitted: Names the earlier submission, its date, and what to do.
        InDoubt: A half of what it replaces has no answer, so that both could arrive.
        UsageError: It replaces something where there is nothing to replace, or the reason is not clean.
    """
    for message_type, earlier in same_payload.items():
        raise AlreadySubmitted(
            Text(
                "This {norwegian} is part of {named}; the same file is never sent twice.",
                norwegian=message_type.norwegian,
                named=_named(earlier),
            ),
            next_step=Text(
                "See kpr-send status {submission_id}. If FHI asks for the data again, make a new extract of "
                "both files and send it with kpr-send send --replaces ID --reason TEXT.",
                submission_id=earlier.submission_id,
            ),
        )
    if latest is None:
        if new.replaces is not None:
            raise UsageError(
                Text(
                    "There is no submission {replaces} for this municipality and year to replace.",
                    replaces=new.replaces,
                ),
                where="--replaces",
                next_step=Text("See kpr-send status for what the journal holds."),
            )
        return
    if new.replaces is None:
        corrected = latest.sender_her_id != new.sender_her_id
        her_ids = (
            Text(
                ", from HER-id {sender_her_id}, where HER-id {sender_her_id_2} is configured now",
                sender_her_id=latest.sender_her_id,
                sender_her_id_2=new.sender_her_id,
            )
            if corrected
            else ""
        )
        raise AlreadySubmitted(
            Text(
                "{year} is submitted for this municipality, as {named}{her_ids}.",
                year=new.year,
                named=_named(latest),
                her_ids=her_ids,
            ),
            next_step=Text(
                "See kpr-send status {submission_id}. After contact with FHI (kpr@fhi.no) only: send the new "
                "extract with kpr-send send --replaces {submission_id} --reason TEXT.",
                submission_id=latest.submission_id,
            ),
        )
    if new.replaces != latest.submission_id:
        raise AlreadySubmitted(
            Text(
                "{replaces} is not the latest for this municipality and year; that is {named}.",
                replaces=new.replaces,
                named=_named(latest),
            ),
            where="--replaces",
            next_step=Text(
                "If that one is to be replaced, use kpr-send send --replaces {submission_id} --reason TEXT.",
                submission_id=latest.submission_id,
            ),
        )
    if not new.reason.strip():
        raise AlreadySubmitted(
            Text("Replacing {named} needs a reason.", named=_named(latest)),
            where="--reason",
            next_step=Text("Say with --reason what was agreed with FHI."),
        )
    require_clean(new.reason, new.by)
    require_answered(latest)


def require_answered(replaced: Submission) -> None:
    """Refuse to replace a submission while a half of it has no answer, or an answer that a person has to decide on.

    Raises:
        AlreadySubmitted: FHI has answered what was not sent from here.
        InDoubt: Names what could still arrive.
    """
    for shipment in replaced.shipments:
        if shipment.alarm:
            raise AlreadySubmitted(
                Text(
                    "{alarm} Nothing takes the place of {named} before a person has settled that.",
                    alarm=shipment.alarm,
                    named=_named(replaced),
                ),
                next_step=_settle_alarm(shipment.msg_id),
            )
        if answered_though_unsent(shipment):
            raise AlreadySubmitted(
                Text(
                    "FHI has answered the {norwegian} of {named}, which the journal holds as not sent: nothing may "
                    "take its place yet.",
                    norwegian=shipment.type.norwegian,
                    named=_named(replaced),
                ),
                next_step=Text("Ask kpr@fhi.no whether the MsgId has arrived."),
            )
    open_halves = [shipment for shipment in replaced.shipments if blocks_replacement(shipment)]
    if open_halves:
        names = all_of(f"{one.type} (MsgId {one.msg_id})" for one in open_halves)
        raise InDoubt(
            Text(
                "It is not known whether FHI has {names}: nothing may take the place of {named} before that is "
                "answered, or both could arrive.",
                names=names,
                named=_named(replaced),
            )
        )


def require_reason(reason: str, by: str) -> None:
    """Refuse a decision without a reason or a name, or with more in them than the journal may hold.

    Raises:
        UsageError: Says which.
    """
    if not reason.strip() or not by.strip():
        raise UsageError(
            Text("A decision needs a reason and the name of the person who takes it."),
            next_step=Text("Give --reason TEXT (what FHI said, and when) and --by NAME."),
        )
    require_clean(reason, by)


def require_clean(reason: str, by: str = "", *, where: str = "--reason") -> None:
    """Refuse words that hold something like a national id (promise G6).

    Raises:
        UsageError: The journal does not store it.
    """
    for text, place in ((reason, where), (by, "--by")):
        if holds_national_id(text):
            raise UsageError(
                Text("The text holds something like a national id, which the journal does not store."),
                where=place,
                next_step=Text("Say it without the number: MsgIds name what was sent."),
            )


def require_nothing_forgotten(new: NewSubmission, in_the_way: tuple[str, ...]) -> None:
    """Refuse a pair while shipments for the same may be with FHI that this journal has forgotten.

    Args:
        new: What is asked for.
        in_the_way: MsgIds of forgotten shipments of the same municipality, district and year, not released.

    Raises:
        AlreadySubmitted: Names them, and what to do.
    """
    if in_the_way:
        raise AlreadySubmitted(
            Text(
                "Before this journal was restored from backup, {year} was sent for this municipality, as "
                "{in_the_way}: FHI may have it.",
                year=new.year,
                in_the_way=all_of(in_the_way),
            ),
            next_step=Text(
                "Ask kpr@fhi.no whether these MsgIds have arrived. Only when FHI wants the data anew: kpr-send "
                "journal release MSGID --reason TEXT --by NAME for each, then send again."
            ),
        )


def alarm_open(alarm: str, msg_id: str, what: str) -> NeedsPerson:
    """Return the error where FHI has answered somebody else who delivers for us: it may have this, too.

    Args:
        alarm: The answer that no person has settled, in a sentence.
        msg_id: The shipment of ours that a person settles it by.
        what: What is not done meanwhile.
    """
    return NeedsPerson(
        Text("{alarm} {what} before a person has settled that.", alarm=alarm, what=what),
        next_step=_settle_alarm(msg_id),
    )


def pruned_away(msg_id: str) -> UsageError:
    """Return the error for a shipment that is not sent again, since its sealed bytes were removed."""
    return UsageError(
        Text("The sealed bytes of {msg_id} were removed by a person's decision: it is not sent again.", msg_id=msg_id),
        where="MSGID",
        next_step=Text(
            "If FHI wants the data again, make a new extract of both files and send it with kpr-send send "
            "--replaces ID --reason TEXT. kpr-send journal log says who decided it and why."
        ),
    )


def _named(submission: Submission) -> str:
    return Text(
        "submission {submission_id} of {created_at} UTC",
        submission_id=submission.submission_id,
        created_at=format(submission.created_at, "%Y-%m-%d %H:%M"),
    )

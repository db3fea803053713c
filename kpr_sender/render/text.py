"""The screens: what a command prints for a person, as lines. Nothing here prints, reads a file or asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kpr_sender.errors import KprError
from kpr_sender.journal.values import JournalEvent
from kpr_sender.lifecycle import words_of
from kpr_sender.model import (
    CertificateName,
    Environment,
    ErrorMessage,
    Language,
    Receipt,
    ReceiptError,
    Shipment,
    Submission,
    SubmissionState,
    Transport,
    rfc3339,
)
from kpr_sender.operator.resolve import SEND_IT, Case, Decision
from kpr_sender.render.history import ID_ON_THE_WAY, attempt_lines, decision_line
from kpr_sender.render.language import say, spoken
from kpr_sender.report import Report
from kpr_sender.result import environment_mark
from kpr_sender.standing import evidence, open_notes, standing, words_of_note
from kpr_sender.states import Cause, ReceiptStatus, ShipmentState, awaits_answer, may_be_published
from kpr_sender.texts import Text, listed, paragraph, quoted

if TYPE_CHECKING:
    # Only the type is needed; the module would load the journal's writing side for every screen.
    from kpr_sender.journal.values import Accepted

STATUS_WORDS: Final[Mapping[ReceiptStatus, Text]] = {
    ReceiptStatus.OK: Text("OK"),
    ReceiptStatus.REJECTED: Text("rejected"),
    ReceiptStatus.OK_WITH_ERRORS: Text("OK, with errors in parts of it"),
}
_AMQP, _EDI = Transport.AMQP, Transport.EDI
_AGAIN: Final = {
    _AMQP: Text("The next kpr-send send sends the same bytes again, under the same MsgId and a new message-id."),
    _EDI: Text("The next kpr-send send sends the same envelope again, under the same eb:MessageId, in a new mail."),
}
_ACKNOWLEDGED: Final = Text(
    "The next kpr-send send seals another envelope and sends it, under the same MsgId and a new eb:MessageId."
)
"""What has not arrived although KPR's message server has acknowledged it."""
_GIVEN_UP: Final = Text("It is given up; a new extract may then replace the submission.")
_GIVEN_UP_UNSENT: Final = Text(
    "It is given up: kpr-send send does not send it, and the other half stays as it is. kpr-send resolve MSGID shows "
    "what takes that back."
)
_CONSEQUENCES: Final[Mapping[Decision, Callable[[Shipment], Text]]] = {
    Decision.ARRIVED: lambda _: Text("It counts as published, and its receipt is waited for."),
    Decision.NOT_ARRIVED: lambda one: _AGAIN[one.transport] if one.acknowledged_at is None else _ACKNOWLEDGED,
    Decision.CANCEL: lambda one: _GIVEN_UP_UNSENT if may_be_published(one) else _GIVEN_UP,
    Decision.SETTLED: lambda _: Text("Its state stays, nobody is called any more, and the exit code is 0."),
}
_OF_ALARM: Final = (
    Text("Is it clear who else delivers for this municipality, and need nobody look at the alarm any more?"),
    Text("The alarm ends, and nothing else: the exit code is what it is without it."),
)
"""Question and consequence of *settled* while there is an alarm."""
_NEW_ID: Final = Text("The same file is sealed anew, under a new MsgId; the next kpr-send send sends it.")
_SAME_ID: Final = Text("The same file is sealed anew, under the same MsgId; the next kpr-send send sends it.")
_RESENDS: Final[Mapping[ShipmentState, Mapping[Transport, Text]]] = {
    ShipmentState.REJECTED: {_AMQP: _NEW_ID, _EDI: _NEW_ID},
    ShipmentState.FAULTED: {
        _AMQP: Text(
            "The same file is sealed anew, under the same MsgId and a new message-id; the next kpr-send send sends it."
        ),
        _EDI: Text(
            "The same file is sealed anew, under the same MsgId and a new eb:MessageId; the next kpr-send send sends "
            "it."
        ),
    },
    ShipmentState.CANCELLED: {_AMQP: _SAME_ID, _EDI: _SAME_ID},
}
_WAIT_FIRST: Final = {
    _AMQP: Text("Run kpr-send wait first: a receipt that lies on the queue decides better than any person."),
    _EDI: Text("Run kpr-send wait first: an answer that lies in our mailbox decides better than any person."),
}
_REFUSED_BY: Final[Mapping[Cause, Callable[[str], Text]]] = {
    Cause.ERROR_QUEUE: lambda at: Text("error queue, {at} (not signed)", at=at),
    Cause.MESSAGE_ERROR: lambda at: Text("KPR's message server, {at} (signed, and verified)", at=at),
    Cause.BOUNCED: lambda at: Text("the mail came back, {at} (not signed)", at=at),
}
_QUESTIONS: Final[Mapping[Decision, Callable[[str], Text]]] = {
    Decision.ARRIVED: lambda name: Text("Has FHI told you that the {name} HAS ARRIVED?", name=name),
    Decision.NOT_ARRIVED: lambda name: Text("Has FHI told you that the {name} has NOT ARRIVED?", name=name),
    Decision.CANCEL: lambda name: Text("Do you give the {name} up?", name=name),
    Decision.SETTLED: lambda name: Text("Need nobody look at the {name} any more?", name=name),
}
_PRUNED: Final = Text("its sealed bytes and its receipts' content were removed; ids, digests and decisions are here")
_RULE: Final = "-" * 78
_THUMBPRINT_DIGITS: Final = 10
_COUNTED: Final[Mapping[str, Callable[[int], Text]]] = {
    "submissions": lambda number: Text("{count:,} submission", plural="{count:,} submissions", count=number),
    "shipments": lambda number: Text("{count:,} shipment", plural="{count:,} shipments", count=number),
    "receipts": lambda number: Text("{count:,} receipt", plural="{count:,} receipts", count=number),
    "events": lambda number: Text("{count:,} event", plural="{count:,} events", count=number),
    "sealed_bytes": lambda number: Text("{count:,} sealed byte", plural="{count:,} sealed bytes", count=number),
}
_LABEL_WIDTHS: Final = {Language.EN: 10, Language.NB: 14}
_FIELD_WIDTHS: Final = {Language.EN: 12, Language.NB: 17}
"""How wide the labels before the values are, by language."""


def error_text(error: KprError, environment: str | None = None) -> str:
    """Return an error for standard error: what happened, what to do, what the exit code means."""
    meaning = say(Text("Exit code {code}: {meaning}.", code=error.exit_code, meaning=error.meaning))
    mark = "" if environment is None else environment_mark(Environment(environment))
    return f"{mark}kpr-send: {say(error.placed)}\n  {_what_to_do(error.next_step)}\n  {meaning}"


def report_screen(report: Report, *, journal: Path | str, receipts: Path, remark: str = "") -> Iterator[str]:
    """Yield what is known of a submission: the result first, what to do last.

    Args:
        report: What is known.
        journal: The journal's file.
        receipts: The folder of the receipts' copies.
        remark: What else is worth saying of this run; empty for nothing.
    """
    yield headline(report)
    if remark:
        yield say(remark)
    yield ""
    yield _heading(report.submission)
    for shipment in report.submission.shipments:
        yield ""
        yield from _shipment(shipment, report)
        if shipment not in report.submission.own:
            kept = Text("of submission {id}: FHI has it, and it is not sent again", id=shipment.submission_id)
            yield from _indented(Text("kept"), [kept])
    yield ""
    yield _field(Text("Journal"), str(journal))
    yield _field(Text("Receipts"), str(receipts))
    yield _field(Text("Exit code"), str(report.exit_code))
    yield from _deadline(report)
    if report.answers_to_others:
        others = Text(
            "{count} answer to others on our queue: it names no message of this journal",
            plural="{count} answers to others on our queue: they name no message of this journal",
            count=report.answers_to_others,
        )
        yield _field(Text("Not ours"), others)
    if report.next_look is not None:
        yield _field(Text("Next look"), report.next_look.text)
    yield _field(Text("What to do"), report.next_step)


def headline(report: Report) -> str:
    """Return the result; outside production it begins with TEST."""
    error = report.error
    return environment_mark(report.submission.environment) + say(report.good() if error is None else error.placed)


def _deadline(report: Report) -> Iterator[str]:
    """Yield the last day to report and how far it is off; nothing where it is not known."""
    if report.deadline is not None:
        late = report.deadline.is_past(report.asked_at) and report.submission.state is not SubmissionState.DELIVERED
        when = report.deadline.text(report.asked_at)
        text = Text("it {when}", when=when)
        if late:
            text = Text("it {when}; ask kpr@fhi.no for an extension, then set report.extended_to", when=when)
        yield _field(Text("Deadline"), text)


def earlier_submissions(others: Sequence[Submission]) -> Iterator[str]:
    """Yield a line for each submission besides the one that is shown; nothing where there is none."""
    if others:
        yield ""
        yield f"  {say(Text('Earlier submissions:'))}"
    for other in others:
        yield f"    {other.submission_id}  {other.year}  {other.kommunenummer}  {other.state.value}"


def receipts_screen(report: Report, receipts: Iterable[tuple[Receipt, Path | None]]) -> Iterator[str]:
    """Yield everything that a submission's receipts say, OT included: it may name a patient.

    Args:
        report: What is known of the submission.
        receipts: Each with its copy, or None where there is no copy.
    """
    shown, submission = list(receipts), report.submission
    yield say(Text("Submission {id}: {state}", id=submission.submission_id, state=words_of(submission.state)))
    yield from _deadline(report)
    for shipment in submission.shipments:
        yield ""
        yield f"  {shipment.type.norwegian} ({shipment.type.value}), MsgId {shipment.msg_id}"
        own = [(receipt, copy) for receipt, copy in shown if receipt.msg_id in shipment.msg_ids]
        if not own and shipment.error_message is None:
            yield f"    {say(Text('No receipt yet.'))}"
        for receipt, copy in own:
            lines = list(_receipt(receipt, with_detail=True))
            if receipt.msg_id != shipment.msg_id:
                lines.insert(1, Text("it answers MsgId {msg_id}, which was given up", msg_id=receipt.msg_id))
            yield from _indented(Text("receipt {number}", number=receipt.receipt_id), lines)
            yield from _indented(Text("file"), [] if copy is None else [str(copy)])
        yield from _error_message(shipment.error_message)


def case_screen(case: Case, report: Report) -> Iterator[str]:
    """Yield what is known of one shipment: its receipts, attempts, earlier decisions and sealed bytes.

    Args:
        case: The shipment.
        report: What its submission amounts to.
    """
    shipment = case.shipment
    yield headline(report)
    yield from _deadline(report)
    yield ""
    yield from _shipment(shipment, report)
    for number, attempt in enumerate(case.attempts, start=1):
        yield from _indented(Text("attempt {number}", number=number), attempt_lines(attempt))
    named = f"{ID_ON_THE_WAY[shipment.transport]} {shipment.message_id}"
    yield from _indented(Text("sealed"), [f"sha256 {shipment.sealed_sha256}", named])


def open_decisions(case: Case, *, letter: str) -> Iterator[str]:
    """Yield what a person can do about a shipment.

    Args:
        case: The shipment.
        letter: The text to send to FHI.
    """
    yield ""
    if awaits_answer(case.shipment):
        yield f"  {say(_WAIT_FIRST[case.shipment.transport])}"
        yield f"  {say(Text('Else send this to kpr@fhi.no, and decide by the answer:'))}"
        yield _RULE
        yield letter.rstrip()
        yield _RULE
    if may_be_published(case.shipment):
        yield f"  {say(SEND_IT)}"
    if case.may_be_resent:
        yield say(Text("  kpr-send resend {msg_id} --reason TEXT", msg_id=case.shipment.msg_id))
        yield f"      {say(_RESENDS[case.shipment.state][case.shipment.transport])}"
    for decision in case.open_to:
        named = (case.shipment.msg_id, decision.value)
        yield say(Text("  kpr-send resolve {msg_id} --{decision} --reason TEXT", msg_id=named[0], decision=named[1]))
        yield f"      {say(_question(case.shipment, decision)[1])}"


def unverified_receipts(shipment: Shipment) -> Iterator[str]:
    """Yield a line for each receipt that failed verification: it must be read before a decision."""
    for receipt in shipment.receipts:
        if receipt.in_question:
            text = Text("Mind: a receipt has come that is not verified: {problem}.", problem=quoted(receipt.problem))
            yield say(text)


def question(shipment: Shipment, decision: Decision) -> str:
    """Return what is asked before a decision is written."""
    return say(paragraph(*_question(shipment, decision)))


def _question(shipment: Shipment, decision: Decision) -> tuple[Text, Text]:
    """Return what is asked, and what follows."""
    if shipment.alarm and decision is Decision.SETTLED:
        return _OF_ALARM
    name = f"{shipment.type.norwegian} ({shipment.msg_id})"
    return _QUESTIONS[decision](name), _CONSEQUENCES[decision](shipment)


def resend_question(shipment: Shipment) -> str:
    """Return what is asked before a shipment's content is released to be sent again."""
    name = f"{shipment.type.norwegian} ({shipment.msg_id})"
    asked = Text("Is what went wrong put right, and is the {name} to be sent again?", name=name)
    return say(paragraph(asked, _RESENDS[shipment.state][shipment.transport]))


def verification_screen(
    findings: Sequence[tuple[str, str]], counted: Mapping[str, int], error: KprError | None
) -> Iterator[str]:
    """Yield what ``journal verify`` found.

    Args:
        findings: What each is about, and what is wrong.
        counted: What was looked at, by kind.
        error: What the findings amount to; None where there are none.
    """
    yield from finding_lines(findings)
    seen = counts(counted) or Text("nothing could be read")
    yield say(
        Text("{count} finding: {seen}.", plural="{count} findings: {seen}.", count=len(findings), seen=seen)
        if findings
        else Text("The journal is sound: {seen}.", seen=seen)
    )
    if error is not None:
        yield f"  {_what_to_do(error.next_step)}"


def finding_lines(findings: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each of the journal's findings."""
    return (f"{say(subject)}: {say(text)}" for subject, text in findings)


def accepted_lines(accepted: Accepted) -> Iterator[str]:
    """Yield what became of a journal that was restored from a backup, copied or lost."""
    yield say(Text("Accepted: {found}", found=accepted.found))
    for msg_id in accepted.in_doubt:
        text = Text("{msg_id} was sealed and is in doubt now: it is not sent by itself.", msg_id=msg_id)
        yield f"  {say(text)}"
    for begun in accepted.forgotten:
        text = Text(
            "{msg_id} ({type}, {year}) was begun, and is not in this journal.",
            msg_id=begun.msg_id,
            type=begun.type,
            year=begun.year,
        )
        yield f"  {say(text)}"


def counts(counted: Mapping[str, int]) -> str:
    """Return numbers of things in one line, for example ``2 shipments, 9 events``."""
    things = (_COUNTED[kind](number) if kind in _COUNTED else f"{number:,} {kind}" for kind, number in counted.items())
    return listed(*things)


def _what_to_do(next_step: str) -> str:
    return say(Text("What to do: {next_step}", next_step=next_step))


def _heading(submission: Submission) -> str:
    bydel = "" if submission.bydel == "00" else f" bydel {submission.bydel}"
    municipality = f"{submission.kommunenummer}{bydel}"
    text = Text(
        "Submission {id}: kommunenummer {kommunenummer}, {year}, {environment}",
        id=submission.submission_id,
        kommunenummer=municipality,
        year=submission.year,
        environment=submission.environment.value,
    )
    if submission.replaces:
        text = Text("{submission}, replaces {replaced}", submission=text, replaced=submission.replaces)
    return f"  {say(text)}"


def _shipment(shipment: Shipment, report: Report) -> Iterator[str]:
    yield f"  {shipment.type.norwegian} ({shipment.type.value}): {say(standing(shipment).of(shipment))}"
    yield from _indented(Text("MsgId"), [shipment.msg_id])
    sent = Text(
        "{evidence}, attempts {attempts}, {size:,} bytes sealed",
        evidence=evidence(shipment),
        attempts=shipment.attempts,
        size=shipment.sealed_bytes,
    )
    yield from _indented(Text("sent"), [sent])
    if shipment.certificates is not None:
        used = shipment.certificates
        text = Text(
            "encrypted for {encryption}, signed with {signing} (SHA-1 thumbprints)",
            encryption=_short(used.encryption),
            signing=_short(used.signing),
        )
        yield from _indented(Text("sealed"), [text])
    for earlier in shipment.earlier:
        ids = f"MsgId {earlier.msg_id}, message-id {earlier.message_id}"
        yield from _indented(Text("before"), [f"{rfc3339(earlier.until)} {ids}"])
    decided = (one for one in report.decisions if one.msg_id in shipment.msg_ids)
    yield from _indented(Text("decided"), map(decision_line, decided))
    yield from _indented(Text("alarm"), [shipment.alarm] if shipment.alarm else [])
    if shipment.settled:
        yield from _indented(Text("settled"), [Text("by a person: nobody need look at it any more")])
    if shipment.pruned_at is not None:
        yield from _indented(Text("pruned"), [_PRUNED])
    for receipt in shipment.receipts:
        yield from _indented(Text("receipt"), _receipt(receipt))
    for note in open_notes(shipment):
        yield from _indented(Text("noted"), [words_of_note(note, note.condition, note.description)])
    yield from _error_message(shipment.error_message)
    if shipment.last_error is not None and not shipment.receipts and shipment.error_message is None:
        yield from _indented(Text("error"), [shipment.last_error.text])


def log_screen(decided: Sequence[JournalEvent]) -> Iterator[str]:
    """Yield who decided what, and why: a line each, the oldest first."""
    yield say(
        Text("{count} decision.", plural="{count} decisions.", count=len(decided))
        if decided
        else Text("No person has decided anything.")
    )
    for event in decided:
        yield f"  {decision_line(event)}"
        if event.msg_id:
            yield f"    MsgId {event.msg_id}"


def _error_message(message: ErrorMessage | None) -> Iterator[str]:
    """Yield what refused it without being a receipt, if anything did."""
    if message is not None:
        yield from _indented(Text("fault"), [_REFUSED_BY[message.cause](rfc3339(message.at)), message.text])


def _receipt(receipt: Receipt, *, with_detail: bool = False) -> Iterator[str]:
    """Yield a receipt; OT only for the person who asks for it."""
    status: str = Text("unreadable")
    if receipt.status is not None:
        status = Text("{words} (status {status})", words=STATUS_WORDS[receipt.status], status=receipt.status.value)
    yield f"{say(status)}, {rfc3339(receipt.received_at)}{_standing(receipt)}"
    if receipt.problem:
        yield f"! {say(receipt.problem)}"
    if receipt.pruned:
        yield say(Text("its bytes and its text were removed: see what was decided, in status"))
    if receipt.signer is not None:
        yield say(Text("signed with {signer}", signer=_short(receipt.signer)))
    for error in receipt.errors:
        yield _receipt_error(error) + (f" - {error.detail}" if with_detail and error.detail else "")


def _standing(receipt: Receipt) -> str:
    if receipt.verified:
        return ""
    return f", {say(Text('discarded') if receipt.discarded else Text('NOT VERIFIED'))}"


def _receipt_error(error: ReceiptError) -> str:
    system = f"({error.code_system})" if error.code_system else ""
    return " ".join(filter(None, (error.code, system, error.text)))


def _short(certificate: CertificateName) -> str:
    """Return enough of a thumbprint to tell certificates apart; ``--json`` has all of it."""
    return f"{certificate.sha1[:_THUMBPRINT_DIGITS]}…"


def _indented(label: Text, lines: Iterable[str]) -> Iterator[str]:
    """Yield lines under each other, the label before the first."""
    for number, line in enumerate(lines):
        yield f"    {say(label) if number == 0 else '':<{_LABEL_WIDTHS[spoken()]}}{say(line)}"


def _field(label: Text, value: str) -> str:
    """Return a line of what is the same for the whole submission."""
    return f"  {say(label):<{_FIELD_WIDTHS[spoken()]}}{say(value)}"

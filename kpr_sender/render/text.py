"""The screens: what a command prints for a person, as lines. Nothing here prints, reads a file or asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kpr_sender.errors import KprError, sentence
from kpr_sender.journal.values import JournalEvent
from kpr_sender.model import (
    CertificateName,
    Environment,
    ErrorMessage,
    Receipt,
    ReceiptError,
    Shipment,
    Submission,
    SubmissionState,
    rfc3339,
)
from kpr_sender.operator.resolve import Attempt, Case, Decision
from kpr_sender.report import Report
from kpr_sender.result import environment_mark
from kpr_sender.standing import evidence, standing
from kpr_sender.states import ReceiptStatus, ShipmentState, awaits_answer
from kpr_sender.texts import Text

if TYPE_CHECKING:
    # Only the type is needed; the module would load the journal's writing side for every screen.
    from kpr_sender.journal.values import Accepted

STATUS_WORDS: Final[Mapping[ReceiptStatus, str]] = {
    ReceiptStatus.OK: "OK",
    ReceiptStatus.REJECTED: "rejected",
    ReceiptStatus.OK_WITH_ERRORS: "OK, with errors in parts of it",
}
_CONSEQUENCES: Final[Mapping[Decision, str]] = {
    Decision.ARRIVED: "It counts as published, and its receipt is waited for.",
    Decision.NOT_ARRIVED: (
        "The next kpr-send send sends the same bytes again, under the same MsgId and a new message-id."
    ),
    Decision.CANCEL: "It is given up; a new extract may then replace the submission.",
    Decision.SETTLED: "Its state stays, nobody is called any more, and the exit code is 0.",
}
_OF_ALARM: Final = (
    "Is it clear who else delivers for this municipality, and need nobody look at the alarm any more?",
    "The alarm ends, and nothing else: the exit code is what it is without it.",
)
"""Question and consequence of *settled* while there is an alarm."""
_RESENDS: Final[Mapping[ShipmentState, str]] = {
    ShipmentState.REJECTED: "The same file is sealed anew, under a new MsgId; the next kpr-send send sends it.",
    ShipmentState.FAULTED: (
        "The same file is sealed anew, under the same MsgId and a new message-id; the next kpr-send send sends it."
    ),
    ShipmentState.CANCELLED: "The same file is sealed anew, under the same MsgId; the next kpr-send send sends it.",
}
_QUESTIONS: Final[Mapping[Decision, str]] = {
    Decision.ARRIVED: "Has FHI told you that the {name} HAS ARRIVED?",
    Decision.NOT_ARRIVED: "Has FHI told you that the {name} has NOT ARRIVED?",
    Decision.CANCEL: "Do you give the {name} up?",
    Decision.SETTLED: "Need nobody look at the {name} any more?",
}
_TOLD: Final = ("replaces", "by_submission", "receipt_id", "found", "emptied", "settled")
"""What of a decision's evidence a person wants to see."""
_PRUNED: Final = Text("its sealed bytes and its receipts' content were removed; ids, digests and decisions are here")
_RULE: Final = "-" * 78
_THUMBPRINT_DIGITS: Final = 10


def error_text(error: KprError, environment: str | None = None) -> str:
    """Return an error for standard error: what happened, what to do, what the exit code means."""
    meaning = f"Exit code {error.exit_code}: {error.meaning}."
    mark = "" if environment is None else environment_mark(Environment(environment))
    return f"{mark}kpr-send: {_with_place(error)}\n  What to do: {error.next_step}\n  {meaning}"


def report_screen(report: Report, *, journal: Path, receipts: Path, remark: str = "") -> Iterator[str]:
    """Yield what is known of a submission: the result first, what to do last.

    Args:
        report: What is known.
        journal: The journal's file.
        receipts: The folder of the receipts' copies.
        remark: What else is worth saying of this run; empty for nothing.
    """
    yield headline(report)
    if remark:
        yield remark
    yield ""
    yield _heading(report.submission)
    for shipment in report.submission.shipments:
        yield ""
        yield from _shipment(shipment, report)
        if shipment not in report.submission.own:
            yield from _indented("kept", [f"of submission {shipment.submission_id}: delivered, and not sent again"])
    yield ""
    yield f"  Journal     {journal}"
    yield f"  Receipts    {receipts}"
    yield f"  Exit code   {report.exit_code}"
    yield from _deadline(report)
    if report.answers_to_others:
        what = "answers to others on our queue: they name no message of this journal"
        yield f"  Not ours    {report.answers_to_others} {what}"
    if report.next_look is not None:
        yield f"  Next look   {report.next_look.text}"
    yield f"  What to do  {report.next_step}"


def headline(report: Report) -> str:
    """Return the result; outside production it begins with TEST."""
    error = report.error
    return report.text() if error is None else environment_mark(report.submission.environment) + _with_place(error)


def _deadline(report: Report) -> Iterator[str]:
    """Yield the last day to report and how far it is off; nothing where it is not known."""
    if report.deadline is not None:
        late = report.deadline.is_past(report.asked_at) and report.submission.state is not SubmissionState.DELIVERED
        more = "; ask kpr@fhi.no for an extension, then set report.extended_to" if late else ""
        yield f"  Deadline    it {report.deadline.text(report.asked_at)}{more}"


def earlier_submissions(others: Sequence[Submission]) -> Iterator[str]:
    """Yield a line for each submission besides the one that is shown; nothing where there is none."""
    if others:
        yield ""
        yield "  Earlier submissions:"
    for other in others:
        yield f"    {other.submission_id}  {other.year}  {other.kommunenummer}  {other.state.value}"


def receipts_screen(report: Report, receipts: Iterable[tuple[Receipt, Path | None]]) -> Iterator[str]:
    """Yield everything that a submission's receipts say, OT included: it may name a patient.

    Args:
        report: What is known of the submission.
        receipts: Each with its copy, or None where there is no copy.
    """
    listed, submission = list(receipts), report.submission
    yield f"Submission {submission.submission_id}: {submission.state.value}"
    yield from _deadline(report)
    for shipment in submission.shipments:
        yield ""
        yield f"  {shipment.type.norwegian} ({shipment.type.value}), MsgId {shipment.msg_id}"
        own = [(receipt, copy) for receipt, copy in listed if receipt.msg_id in shipment.msg_ids]
        if not own and shipment.error_message is None:
            yield "    No receipt yet."
        for receipt, copy in own:
            yield from _indented(f"receipt {receipt.receipt_id}", _receipt(receipt, with_detail=True))
            yield from _indented("file", [] if copy is None else [str(copy)])
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
        yield from _indented(f"attempt {number}", _attempt(attempt))
    yield from _indented("sealed", [f"sha256 {shipment.sealed_sha256}", f"message-id {shipment.message_id}"])


def open_decisions(case: Case, *, letter: str) -> Iterator[str]:
    """Yield what a person can do about a shipment.

    Args:
        case: The shipment.
        letter: The text to send to FHI.
    """
    yield ""
    if awaits_answer(case.shipment):
        yield "  Run kpr-send wait first: a receipt that lies on the queue decides better than any person."
        yield "  Else send this to kpr@fhi.no, and decide by the answer:"
        yield _RULE
        yield letter.rstrip()
        yield _RULE
    if case.may_be_resent:
        yield f"  kpr-send resend {case.shipment.msg_id} --reason TEXT"
        yield f"      {_RESENDS[case.shipment.state]}"
    for decision in case.open_to:
        yield f"  kpr-send resolve {case.shipment.msg_id} --{decision.value} --reason TEXT"
        yield f"      {_question(case.shipment, decision)[1]}"


def unverified_receipts(shipment: Shipment) -> Iterator[str]:
    """Yield a line for each receipt that failed verification: it must be read before a decision."""
    for receipt in shipment.receipts:
        if receipt.in_question:
            yield sentence("Mind: a receipt has come that is not verified", receipt.problem)


def question(shipment: Shipment, decision: Decision) -> str:
    """Return what is asked before a decision is written."""
    return " ".join(_question(shipment, decision))


def _question(shipment: Shipment, decision: Decision) -> tuple[str, str]:
    """Return what is asked, and what follows."""
    if shipment.alarm and decision is Decision.SETTLED:
        return _OF_ALARM
    name = f"{shipment.type.norwegian} ({shipment.msg_id})"
    return _QUESTIONS[decision].format(name=name), _CONSEQUENCES[decision]


def resend_question(shipment: Shipment) -> str:
    """Return what is asked before a shipment's content is released to be sent again."""
    name = f"{shipment.type.norwegian} ({shipment.msg_id})"
    return f"Is what went wrong put right, and is the {name} to be sent again? {_RESENDS[shipment.state]}"


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
    verdict = f"{len(findings)} findings" if findings else "The journal is sound"
    yield f"{verdict}: {counts(counted) or 'nothing could be read'}."
    if error is not None:
        yield f"  What to do: {error.next_step}"


def finding_lines(findings: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each of the journal's findings."""
    return (f"{subject}: {text}" for subject, text in findings)


def accepted_lines(accepted: Accepted) -> Iterator[str]:
    """Yield what became of a journal that was restored from a backup, copied or lost."""
    yield f"Accepted: {accepted.found}"
    for msg_id in accepted.in_doubt:
        yield f"  {msg_id} was sealed and is in doubt now: it is not sent by itself."
    for begun in accepted.forgotten:
        yield f"  {begun.msg_id} ({begun.type}, {begun.year}) was begun, and is not in this journal."


def counts(counted: Mapping[str, int]) -> str:
    """Return numbers of things in one line, for example ``2 shipments, 9 events``."""
    return ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in counted.items())


def _with_place(error: KprError) -> str:
    return f"{error.where}: {error.what}" if error.where else error.what


def _heading(submission: Submission) -> str:
    bydel = "" if submission.bydel == "00" else f" bydel {submission.bydel}"
    replaces = f", replaces {submission.replaces}" if submission.replaces else ""
    return (
        f"  Submission {submission.submission_id}: kommunenummer {submission.kommunenummer}{bydel}, "
        f"{submission.year}, {submission.environment.value}{replaces}"
    )


def _shipment(shipment: Shipment, report: Report) -> Iterator[str]:
    yield f"  {shipment.type.norwegian} ({shipment.type.value}): {standing(shipment).words}"
    yield from _indented("MsgId", [shipment.msg_id])
    size = f"{shipment.sealed_bytes:,} bytes sealed"
    yield from _indented("sent", [f"{evidence(shipment)}, attempts {shipment.attempts}, {size}"])
    if shipment.certificates is not None:
        used = shipment.certificates
        text = f"encrypted for {_short(used.encryption)}, signed with {_short(used.signing)} (SHA-1 thumbprints)"
        yield from _indented("sealed", [text])
    for earlier in shipment.earlier:
        ids = f"MsgId {earlier.msg_id}, message-id {earlier.message_id}"
        yield from _indented("before", [f"{rfc3339(earlier.until)} {ids}"])
    decided = (one for one in report.decisions if one.msg_id in shipment.msg_ids)
    yield from _indented("decided", map(decision_line, decided))
    yield from _indented("alarm", [shipment.alarm] if shipment.alarm else [])
    if shipment.settled:
        yield from _indented("settled", ["by a person: nobody need look at it any more"])
    if shipment.pruned_at is not None:
        yield from _indented("pruned", [_PRUNED])
    for receipt in shipment.receipts:
        yield from _indented("receipt", _receipt(receipt))
    yield from _error_message(shipment.error_message)
    if shipment.last_error is not None and not shipment.receipts and shipment.error_message is None:
        yield from _indented("error", [shipment.last_error.text])


def decision_line(event: JournalEvent) -> str:
    """Return what a person decided, with time, name and reason."""
    more = ", ".join(f"{name} {value}" for name, value in event.details.items() if name in _TOLD)
    what = f"{event.what} ({more})" if more else event.what
    return f"{rfc3339(event.at)} {what}, by {event.who}{': ' if event.why else ''}{event.why}"


def log_screen(decided: Sequence[JournalEvent]) -> Iterator[str]:
    """Yield who decided what, and why: a line each, the oldest first."""
    yield f"{len(decided)} decisions." if decided else "No person has decided anything."
    for event in decided:
        yield f"  {decision_line(event)}"
        if event.msg_id:
            yield f"    MsgId {event.msg_id}"


def _error_message(message: ErrorMessage | None) -> Iterator[str]:
    """Yield what the error queue said, if it did."""
    if message is not None:
        yield from _indented("fault", [f"error queue, {rfc3339(message.at)} (not signed)", message.text])


def _receipt(receipt: Receipt, *, with_detail: bool = False) -> Iterator[str]:
    """Yield a receipt; OT only for the person who asks for it."""
    status = "unreadable" if receipt.status is None else f"{STATUS_WORDS[receipt.status]} (status {receipt.status})"
    yield f"{status}, {rfc3339(receipt.received_at)}{_standing(receipt)}"
    if receipt.problem:
        yield f"! {receipt.problem}"
    if receipt.pruned:
        yield Text("its bytes and its text were removed: see what was decided, in status")
    if receipt.signer is not None:
        yield f"signed with {_short(receipt.signer)}"
    for error in receipt.errors:
        yield _receipt_error(error) + (f" - {error.detail}" if with_detail and error.detail else "")


def _standing(receipt: Receipt) -> str:
    if receipt.verified:
        return ""
    return ", discarded" if receipt.discarded else ", NOT VERIFIED"


def _receipt_error(error: ReceiptError) -> str:
    system = f"({error.code_system})" if error.code_system else ""
    return " ".join(filter(None, (error.code, system, error.text)))


def _attempt(attempt: Attempt) -> Iterator[str]:
    begun, ended = attempt.begun, attempt.ended
    if ended is None:
        yield f"{rfc3339(begun.at)} begun by {begun.who}; it has not ended"
        return
    yield f"{rfc3339(begun.at)} to {rfc3339(ended.at)}, {ended.what}: {ended.why}"
    evidence = {name: value for name, value in ended.details.items() if name not in {"from", "to"} and value != ""}
    if evidence:
        yield ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in evidence.items())


def _short(certificate: CertificateName) -> str:
    """Return enough of a thumbprint to tell certificates apart; ``--json`` has all of it."""
    return f"{certificate.sha1[:_THUMBPRINT_DIGITS]}…"


def _indented(label: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield lines under each other, the label before the first."""
    for number, line in enumerate(lines):
        yield f"    {label if number == 0 else '':<10}{line}"

"""KPR's message server behind the sandbox's mail server: strict by HITS 1172, and with the same FHI behind it.

The rules:

1. Every mail is in the ledger before the mail server answers its sender, whatever becomes of it.
2. A mail is in ``edi/inbox`` until its answers are in the mailbox: after a restart it is answered again.
3. The same eb:MessageId again gets the same answer again; with other digests it is a fault (HITS 1172 5.8.2). A MsgId
   gets its receipts once.
4. What acknowledges or refuses is never answered with either (HITS 1171 8.1).
5. Nothing that goes wrong here reaches the mail server: it is logged without data.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kpr_sender.durable import new_file, sync_folder
from kpr_sender.ebxml.envelope import ErrorCode, Severity
from kpr_sender.messages import transport
from kpr_sender.sandbox import codes
from kpr_sender.sandbox.answers import receipts
from kpr_sender.sandbox.edi_answers import EdiAnswers, again
from kpr_sender.sandbox.edi_examine import EbxmlKind, ExaminedMail, MailExaminer
from kpr_sender.sandbox.edi_faults import AT_DOT, FAILED
from kpr_sender.sandbox.edi_letter import Letter
from kpr_sender.sandbox.edi_memory import Answered, EdiMemory
from kpr_sender.sandbox.edi_rules import Reply
from kpr_sender.sandbox.edi_rules_signed import acknowledged, repeated
from kpr_sender.sandbox.edi_smtp import AcceptedMail, Disposition
from kpr_sender.sandbox.faults import NO_FAULTS, FaultName, Faults
from kpr_sender.sandbox.ledger import Ledger, LedgerLine
from kpr_sender.sandbox.spool import Entry, Spool
from kpr_sender.settings.sample_file import MAILBOX

_OK: Final = "250 2.0.0 Ok: queued"
_NO_STORAGE: Final = "452 4.3.1 Insufficient system storage"
_TOO_LARGE: Final = "552 5.3.4 Message too big for system"
_GREYLISTED: Final = "451 4.7.1 Greylisting in action, please come back later"
_REFUSALS: Final = ((FaultName.REFUSE_452, _NO_STORAGE), (FaultName.REFUSE_552, _TOO_LARGE))
_FALSE_REPEAT: Final = "HITS 1172 5.8.2: the same MessageId came before with other digests"
_ON_DEMAND: Final = "fault on demand"
_LOST: Final = "lost"
_NUMBERS: Final = itertools.count()
_log = logging.getLogger("kpr_sender.sandbox")


class Step(enum.Enum):
    """One thing to be done about a mail."""

    FAULT = "SOAP Fault"
    ERROR = "MessageError"
    FALSE_REPEAT = "MessageError about a false repeat"
    REPEAT = "the earlier answer again"
    ACKNOWLEDGE = "acknowledgement"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True)
class MailFate:
    """What becomes of a complete mail.

    Attributes:
        stored: Whether the message server gets it.
        disposition: How the mail server goes on.
        text: For the ledger.
    """

    stored: bool
    disposition: Disposition
    text: str


_STORED: Final = MailFate(stored=True, disposition=Disposition(_OK), text=_OK)
_FATES: Final = (
    (
        FaultName.DROP_BEFORE_DISPOSITION,
        MailFate(stored=False, disposition=Disposition(drop=True), text="connection dropped, not stored"),
    ),
    (
        FaultName.DROP_AFTER_TRANSFER,
        MailFate(stored=True, disposition=Disposition(drop=True), text="stored, connection dropped"),
    ),
    (
        FaultName.HOLD_DISPOSITION,
        MailFate(stored=True, disposition=Disposition(_OK, hold=True), text="stored, answer held back"),
    ),
)


@dataclass(slots=True, eq=False)
class _PendingMail:
    """A mail that is not answered yet.

    Attributes:
        entry: Where it lies.
        since: When it was received or, after a restart, found again; monotonic, in seconds.
        steps: What is still to be done about it, in order.
    """

    entry: Entry
    examined: ExaminedMail
    since: float
    steps: list[Step]


class MessageServer:
    """Receives at one EDI address and answers into one mailbox.

    Args:
        folder: The sandbox's folder.
        examiner: Says what a mail is.
        answers: Builds the answers.
        apprec_version: Of the receipts, ``1.0`` or ``1.1``.
        ledger: What was received.
        now: The clock; aware.

    Attributes:
        maildir: The municipality's mailbox.
    """

    def __init__(
        self,
        folder: Path,
        *,
        examiner: MailExaminer,
        answers: EdiAnswers,
        apprec_version: str,
        ledger: Ledger,
        now: Callable[[], datetime],
    ) -> None:
        self._examiner = examiner
        self._answers = answers
        self._version = apprec_version
        self._ledger = ledger
        self._now = now
        self._inbox = Spool(folder / "edi" / "inbox", ".eml")
        self.memory = EdiMemory(folder / "edi")
        self.maildir = folder / MAILBOX
        for name in ("tmp", "new", "cur"):
            (self.maildir / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._pending: list[_PendingMail] = []
        self._greylisted: set[tuple[str, str]] = set()
        self.faults = NO_FAULTS

    def resume(self) -> None:
        """Continue with what was received and not answered before a restart."""
        while self._inbox.ready:
            entry = self._inbox.ready.popleft()
            self._receive(entry, self._examined(entry.read()), resumed=True)

    def has_mailbox(self, address: str) -> bool:
        """Tell whether an address is the receiver's."""
        return address.lower() == self._answers.own_address.lower()

    def at_stage(self, stage: str, sender: str, recipient: str) -> Disposition:
        """Decide at MAIL, RCPT and DATA, where nobody knows the message type yet."""
        pair = (sender.lower(), recipient.lower())
        if stage == "rcpt" and self.faults.find(FaultName.GREYLIST) and pair not in self._greylisted:
            self._greylisted.add(pair)
            return Disposition(_GREYLISTED)
        for name, reply in _REFUSALS:
            if (fault := self.faults.find(name)) and fault.value == stage:
                return Disposition(reply)
        return Disposition(drop=stage == "data" and self.faults.find(FaultName.DROP_BEFORE_DOT) is not None)

    def at_dot(self, mail: AcceptedMail) -> Disposition:
        """Examine a complete mail, write it into the ledger and say what becomes of it."""
        examined = self._examined(mail.data)
        letter = examined.letter
        fate = self._fate(letter.action)
        lost = self.faults.find(FaultName.LOST_BY_RECEIVER, letter.action) is not None and not letter.is_signal
        self._ledger.append(
            LedgerLine(
                at=self._now().astimezone(UTC).isoformat(timespec="milliseconds"),
                queue=mail.recipient,
                message_id=letter.message_id,
                msg_id=examined.msg_id,
                type=letter.action,
                sha256=hashlib.sha256(letter.soap).hexdigest(),
                size=len(mail.data),
                verdict=_LOST if lost else self._verdict(examined),
                disposition=fate.text,
            )
        )
        bounce = self.faults.find(FaultName.BOUNCE, letter.action)
        if bounce and fate.stored and not letter.is_signal and mail.wants_report:
            self._deliver(self._answers.bounce(mail, bounce.value))
        if fate.stored and not lost and not (bounce and bounce.value == FAILED):
            entry = self._inbox.append(mail.data)
            self._inbox.ready.remove(entry)
            self._receive(entry, examined)
        return fate.disposition

    def answer(self) -> float | None:
        """Answer what is due; return how long until the next is, in seconds, or None when none is in sight."""
        now = time.monotonic()
        for pending in self._pending:
            while pending.steps and (due := self._due(pending, self.faults)) is not None and due <= now:
                self._do(pending, pending.steps.pop(0))
            if not pending.steps:
                self._inbox.remove(pending.entry)
        self._pending = [pending for pending in self._pending if pending.steps]
        timed = [due for pending in self._pending if (due := self._due(pending, self.faults)) is not None]
        return max(0.0, min(timed) - now) if timed else None

    @staticmethod
    def _due(pending: _PendingMail, faults: Faults) -> float | None:
        step, action = pending.steps[0], pending.examined.letter.action
        if step is Step.RECEIPT and faults.find(FaultName.NO_ANSWER, action):
            return None
        name = {Step.ACKNOWLEDGE: FaultName.LATE_ACKNOWLEDGEMENT, Step.RECEIPT: FaultName.DELAY}.get(step)
        late = faults.find(name, action) if name else None
        return pending.since + (late.number if late else 0.0)

    def _fate(self, action: str) -> MailFate:
        for name, reply in _REFUSALS:
            if (fault := self.faults.find(name, action)) and fault.value == AT_DOT:
                return MailFate(stored=False, disposition=Disposition(reply), text=reply)
        return next((fate for name, fate in _FATES if self.faults.find(name, action)), _STORED)

    def _examined(self, data: bytes) -> ExaminedMail:
        try:
            return self._examiner.examine(data)
        except Exception as error:  # noqa: BLE001 - rule 5
            _log.error("examining a mail failed: %s", type(error).__name__)
            return ExaminedMail(Letter(data), EbxmlKind.OTHER)

    def _verdict(self, examined: ExaminedMail) -> str:
        letter = examined.letter
        if (
            examined.kind is EbxmlKind.PAYLOAD
            and not examined.rule
            and (before := self.memory.answer_to(letter.message_id))
        ):
            return "repeat" if before.digests == letter.digests else "false repeat"
        return examined.verdict

    def _receive(self, entry: Entry, examined: ExaminedMail, *, resumed: bool = False) -> None:
        """Decide what is to be done about a mail."""
        steps = self._steps(examined, resumed)
        if examined.kind is EbxmlKind.ACKNOWLEDGMENT and not examined.rule:
            self.memory.acknowledge(acknowledged(examined.letter), repeated(examined.letter))
        if steps:
            self._pending.append(_PendingMail(entry, examined, time.monotonic(), steps))
        else:
            self._inbox.remove(entry)

    def _steps(self, examined: ExaminedMail, resumed: bool) -> list[Step]:  # noqa: FBT001 - what it says
        letter, rule = examined.letter, examined.rule
        if rule is not None:
            by_reply = {Reply.FAULT: [Step.FAULT], Reply.ERROR: [] if letter.is_signal else [Step.ERROR]}
            return by_reply.get(rule.reply, [])
        if examined.kind is not EbxmlKind.PAYLOAD:
            return []
        awaited = any(one.examined.letter.message_id == letter.message_id for one in self._pending)
        before = self.memory.answer_to(letter.message_id)
        if before is None:
            return [] if awaited else self._first_steps(examined)  # what is awaited is answered soon
        unanswered = before.is_acknowledgment and not self.memory.has_receipt(transport.plain_id(examined.msg_id))
        if resumed and unanswered and not awaited:
            return [Step.RECEIPT]
        return [Step.REPEAT if before.digests == letter.digests else Step.FALSE_REPEAT]

    def _first_steps(self, examined: ExaminedMail) -> list[Step]:
        """Decide about a message that keeps the rules and was not answered before."""
        action = examined.letter.action
        if self.faults.find(FaultName.SOAP_FAULT, action):
            return [Step.FAULT]
        if examined.refusal or self.faults.find(FaultName.MESSAGE_ERROR, action):
            return [Step.ERROR]
        msg_id = transport.plain_id(examined.msg_id)
        awaited = any(transport.plain_id(one.examined.msg_id) == msg_id for one in self._pending)
        if awaited or self.memory.has_receipt(msg_id):
            return [Step.ACKNOWLEDGE]
        both = [Step.ACKNOWLEDGE, Step.RECEIPT]
        return both[::-1] if self.faults.find(FaultName.RECEIPT_FIRST, action) else both

    def _do(self, pending: _PendingMail, step: Step) -> None:
        try:
            match step:
                case Step.FAULT:
                    self._send_fault(pending.examined)
                case Step.ERROR:
                    self._send_error(pending.examined)
                case Step.FALSE_REPEAT:
                    self._refuse_false_repeat(pending.examined)
                case Step.REPEAT:
                    self._repeat(pending.examined)
                case Step.ACKNOWLEDGE:
                    self._acknowledge(pending.examined)
                case Step.RECEIPT:
                    self._send_receipts(pending.examined)
        except Exception as error:  # noqa: BLE001 - rule 5
            _log.error("answering a mail failed: %s", type(error).__name__)

    def _send_fault(self, examined: ExaminedMail) -> None:
        self._deliver(self._answers.soap_fault(examined.letter, str(examined.rule or _ON_DEMAND)))

    def _send_error(self, examined: ExaminedMail) -> None:
        letter = examined.letter
        on_demand = self.faults.find(FaultName.MESSAGE_ERROR, letter.action)
        if examined.rule is not None:
            code, why = examined.rule.code, str(examined.rule)
        elif examined.refusal is not None:
            spoofed = examined.refusal.condition.endswith(codes.SPOOFING)
            code, why = ErrorCode.INCONSISTENT if spoofed else ErrorCode.OTHER_XML, examined.refusal.description
        else:
            code, why = on_demand.value if on_demand else ErrorCode.UNKNOWN, _ON_DEMAND
        self._signal(letter, "ebXml error", self._answers.message_error(letter, code, Severity.ERROR, why))

    def _refuse_false_repeat(self, examined: ExaminedMail) -> None:
        soap = self._answers.message_error(examined.letter, ErrorCode.INCONSISTENT, Severity.ERROR, _FALSE_REPEAT)
        self._deliver(self._answers.signal_mail(soap, "ebXml error"))

    def _repeat(self, examined: ExaminedMail) -> None:
        before = self.memory.answer_to(examined.letter.message_id)
        if before is not None and not self.faults.find(FaultName.NO_ACKNOWLEDGEMENT, examined.letter.action):
            self._deliver(self._answers.signal_mail(before.soap, before.subject))

    def _acknowledge(self, examined: ExaminedMail) -> None:
        letter = examined.letter
        if self.faults.find(FaultName.NO_ACKNOWLEDGEMENT, letter.action):
            return
        warning = self.faults.find(FaultName.WARNING, letter.action)
        if warning or examined.remark:
            code = warning.value if warning else examined.remark.code if examined.remark else ""
            why = _ON_DEMAND if warning else str(examined.remark)
            soap = self._answers.message_error(letter, code, Severity.WARNING, why)
            self._signal(letter, "ebXml warning", soap, acknowledges=True)
        else:
            soap = self._answers.acknowledgment(letter, self.faults)
            self._signal(letter, "ebXml acknowledgment", soap, acknowledges=True)

    def _signal(self, letter: Letter, subject: str, soap: bytes, *, acknowledges: bool = False) -> None:
        """Send what acknowledges or refuses, and remember it for a repeat."""
        if letter.message_id:
            self.memory.remember(letter.message_id, Answered(letter.digests, subject, soap, acknowledges))
        self._deliver(self._answers.signal_mail(soap, subject))

    def _send_receipts(self, examined: ExaminedMail) -> None:
        letter, assessment = examined.letter, examined.assessment
        if assessment is None:
            return
        in_front = self.faults.find(FaultName.FOREIGN_IN_FRONT, letter.action)
        for number in range(int(in_front.number) if in_front else 0):
            self._deliver(self._answers.foreign(letter, number))
        self.memory.receipt_sent(transport.plain_id(examined.msg_id))
        for receipt in receipts(assessment, self.faults, version=self._version, at=self._now()):
            message_id, mail, digests = self._answers.receipt(letter, receipt.xml, self.faults)
            self.memory.wait_for(message_id, digests)
            self._deliver(mail)
            if self.faults.find(FaultName.ANSWER_TWICE, letter.action):
                self._deliver(again(mail))

    def _deliver(self, mail: bytes) -> None:
        deliver(self.maildir, mail)


def deliver(maildir: Path, mail: bytes) -> None:
    """Put a mail into a Maildir; it is on disk when this returns.

    Names are in order of arrival, which the standard library's are not: it writes microseconds without zeros in front.

    Args:
        maildir: Its folder, with ``tmp``, ``new`` and ``cur`` in it.
        mail: Headers and body.

    Raises:
        OSError: It cannot be written.
    """
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    name = f"{seconds}.M{rest // 1000:06}P{os.getpid()}Q{next(_NUMBERS):06}.sandbox"
    with new_file(maildir / "tmp" / name) as file:
        file.write(mail)
    (maildir / "tmp" / name).rename(maildir / "new" / name)
    sync_folder(maildir / "new")

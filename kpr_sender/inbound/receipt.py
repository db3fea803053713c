"""What a message from one of our queues means: match it to a shipment, verify it, record it.

The queue is the municipality's "Saksbehandling" queue: other systems' messages arrive there, too. The rules:

1. Ours is what names one of our shipments. Everything else is left unsettled and given back.
2. A receipt is verified only when it opens with our key, is signed with a certificate the registry holds for the
   receiver, comes from the HER-id we sent to and names our MsgId (promise G4).
3. What claims to be ours and cannot be verified is recorded and shown, and stays on the queue: when the reason was a
   certificate we did not hold yet, the next run verifies it.
4. Nothing is settled before what it says is durable.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.x509 import Certificate

from kpr_sender.bus.port import Inbound, Source
from kpr_sender.cms import certificates
from kpr_sender.cms.certificates import CertificateUse, named
from kpr_sender.cms.errors import NotForUs, ProtectionRefused
from kpr_sender.cms.port import Decrypter
from kpr_sender.cms.read import Policy, open_sealed
from kpr_sender.errors import AccessRefused, KeyUnavailable
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.journal.port import Journal
from kpr_sender.messages import apprec, error_queue
from kpr_sender.messages.apprec import AppRec
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.messages.transport import FROM_HER_ID, ORIGINAL_MSG_ID, plain_id
from kpr_sender.model import Receipt, ReceiptError, Shipment
from kpr_sender.registry.port import Counterpart
from kpr_sender.states import CAUSE_OF_STATUS, ReceiptStatus, awaits_answer
from kpr_sender.trust.policy import Trust

_ISSUE_DATE_TOLERANCE: Final = timedelta(days=1)  # what IssueDate may differ by: many write it without a zone
_SIGNER: Final = "its signing certificate"
_XML_SIGNATURE: Final = "http://www.w3.org/2000/09/xmldsig#"


class Handling(enum.StrEnum):
    """What the owner of the queue link does with the message now."""

    SETTLE = "settle"
    """Ours, and what it says is durable: accept it."""
    HOLD = "hold"
    """Not ours, or not verified: leave it unsettled."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a message turned out to be.

    Attributes:
        msg_ids: The shipments it is recorded for; empty when it is not ours.
        problem: Why it is not verified, or not ours: a clause with *it* for the message; empty when it is verified.
        new: Whether the journal holds something that it did not hold before.
    """

    handling: Handling
    msg_ids: tuple[str, ...] = ()
    problem: str = ""
    new: bool = False


@dataclass(frozen=True, slots=True)
class _Receipt:
    """A receipt that can be read and names one of our shipments; not verified yet.

    Attributes:
        xml: The AppRec document.
        sealed: As it was on the queue.
    """

    shipment: Shipment
    apprec: AppRec
    xml: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class ReceiptHandler:
    """Evaluates each message from our queues and records it in the journal.

    Attributes:
        counterpart: The receiver, with the certificates it may sign with.
        accept_unsealed: Whether this receiver is configured to answer without sealing.
        archive: Called with each verified receipt and its XML, after it is durable.
    """

    journal: Journal
    counterpart: Counterpart
    decrypters: Sequence[Decrypter]
    signing_use: CertificateUse
    trust: Trust
    policy: Policy
    accept_unsealed: bool
    now: Callable[[], datetime]
    observe: Observer
    archive: Callable[[Receipt, bytes], None]

    def handle(self, inbound: Inbound) -> Handling:
        """Evaluate a message, and say what to do with it. Raises as ``evaluate`` does."""
        return self.evaluate(inbound).handling

    def evaluate(self, inbound: Inbound) -> Evaluation:
        """Take one message as far as it can be taken, and record what it says.

        Raises:
            JournalUnwritable: What it says could not be made durable; it must not be settled.
            KeyUnavailable: Our key's token is away: an outage of ours, which says nothing about the message.
        """
        reached(FaultPoint.ANSWER_RECEIVED)
        if inbound.source is Source.ERRORS:
            return self._evaluate_error(inbound)
        if looks_like_xml(inbound.body):
            return self._evaluate_receipt(inbound, inbound.body, sealed_by=None)
        try:
            opened = open_sealed(
                inbound.body, decrypters=self.decrypters, signers=self.counterpart.signing, policy=self.policy
            )
        except NotForUs as error:
            return _not_ours(str(error))
        except KeyUnavailable:
            raise
        except (ProtectionRefused, AccessRefused) as error:
            return self._record_unopened(inbound, str(error))
        return self._evaluate_receipt(inbound, opened.content, sealed_by=opened.signer)

    def _evaluate_error(self, inbound: Inbound) -> Evaluation:
        """Record an error-queue message for the shipment it names. It is never signed: that is no receipt."""
        fault = error_queue.parse(inbound.properties, inbound.subject, inbound.body)
        shipment = self.journal.shipment_by_message_id(fault.original_message_id)
        if shipment is None:
            return _not_ours("it names no message of this journal")
        reached(FaultPoint.ANSWER_OPENED)
        faulted = self.journal.fault(
            shipment.msg_id, condition=fault.condition, description=fault.description, data=fault.data
        )
        said = "" if faulted.error_message is None else faulted.error_message.text
        self._report(EventKind.FAULTED, shipment, f"The receiver could not take the {_name(shipment)}: {said}.")
        return Evaluation(Handling.SETTLE, (shipment.msg_id,), new=True)

    # Match

    def _evaluate_receipt(self, inbound: Inbound, xml: bytes, *, sealed_by: Certificate | None) -> Evaluation:
        """Read a receipt, match it to a shipment, verify and record it.

        Args:
            inbound: As it came.
            xml: Its content.
            sealed_by: Whose signature the seal bears; None when it was not sealed.
        """
        signed, xml_problem, xml_signer = self._signed_part(xml)
        try:
            answer = apprec.parse(signed)
        except MessageRefused as error:
            problem = f"it is {'not sealed and' if sealed_by is None else 'signed by the receiver but'} {error}"
            named = self._named(inbound)
            return _not_ours(problem) if named is None else self._record_unverified(named, problem, inbound.body)
        shipment = self.journal.shipment(answer.original_msg_id)
        if shipment is None:
            return _not_ours("it answers a message that is not in this journal")
        receipt = _Receipt(shipment, answer, xml, inbound.body)
        if (
            problem := self._seal_problem(sealed_by)
            or xml_problem
            or _type_problem(receipt)
            or self._sender_problem(receipt)
        ):
            return self._record_unverified(shipment, problem, inbound.body, receipt)
        if answer.status is None:
            problem = "its status is none of 1, 2 and 3"
            unreadable = self._record_unverified(shipment, problem, inbound.body, receipt)
            # Signed by the receiver and about our message: ours, and no certificate will make it readable.
            return replace(unreadable, handling=Handling.SETTLE)
        return self._record_verified(receipt, answer.status, sealed_by or xml_signer)

    def _named(self, inbound: Inbound) -> Shipment | None:
        """Return the shipment that a message names outside its sealed bytes: a hint, and no proof of anything.

        NHN's .NET client writes the MsgId there; its correlation-id is the message's own id.
        """
        ids = [plain_id(one) for one in (inbound.correlation_id, inbound.message_id) if one]
        msg_id = plain_id(inbound.properties.get(ORIGINAL_MSG_ID, ""))
        by_message_id = (self.journal.shipment_by_message_id(one) for one in ids)
        return next(filter(None, by_message_id), None) or (self.journal.shipment(msg_id) if msg_id else None)

    def _awaiting(self) -> list[Shipment]:
        return [
            shipment
            for submission in self.journal.submissions()
            for shipment in submission.shipments
            if awaits_answer(shipment) and shipment.receiver_her_id == self.counterpart.her_id
        ]

    # Verify: each returns why a receipt cannot be verified, or nothing

    def _seal_problem(self, signer: Certificate | None) -> str:
        """A seal is missing, or its registered certificate may not be used now, mostly because it has expired.

        Nobody can tell when a message was signed but by the signer's own word, so the time that counts is now. It is
        recorded all the same: once the clock is right, or a new receipt has come, it is verified.
        """
        if signer is None:
            return "" if self.accept_unsealed else "it is not sealed"
        try:
            certificates.check(signer, self.signing_use, at=self.now(), name=_SIGNER)
            organisation = self.counterpart.organisation_number or None
            self.trust.require(signer, at=self.now(), name=_SIGNER, organisation=organisation)
        except AccessRefused as error:
            return f"{error.where}: {error.what.rstrip('.')}"
        return ""

    def _sender_problem(self, receipt: _Receipt) -> str:
        known = receipt.shipment.receiver_her_id in receipt.apprec.sender_her_ids
        return "" if known else "it comes from another HER-id than we sent to"

    def _remark(self, receipt: _Receipt) -> str:
        """Return what is odd about a receipt, and no reason not to believe it."""
        shipment, answer = receipt.shipment, receipt.apprec
        submission = self.journal.submission(shipment.submission_id)
        outside = self.journal.envelope(shipment.msg_id).properties
        ours = {outside.get(FROM_HER_ID, ""), str(submission.sender_her_id) if submission else ""}
        odd = []
        if not answer.original_type:
            odd.append("it does not say which type of message it answers")
        if answer.receiver_her_ids and not ours & set(map(str, answer.receiver_her_ids)):
            odd.append("it is addressed to another HER-id than we sent from")
        if (issued := _time(answer.original_issued_at)) and abs(issued - shipment.created_at) > _ISSUE_DATE_TOLERANCE:
            odd.append(f"it answers a message of {issued:%Y-%m-%d}, ours is of {shipment.created_at:%Y-%m-%d}")
        return "; ".join(odd)

    def _signed_part(self, xml: bytes) -> tuple[bytes, str, Certificate | None]:
        """Return what a receipt's XML signature covers, why that does not verify, and the certificate that verified it.

        Nothing else of a signed receipt may be read. One without a signature, as most are, is returned as it is.
        """
        if not any(_XML_SIGNATURE.encode(codec) in xml for codec in ("utf-8", "utf-16-le", "utf-16-be")):
            return xml, "", None
        # Only where there is one: signxml takes its time to be imported.
        from kpr_sender.messages.xml_signature import verify_enveloped  # noqa: PLC0415

        problem = ""
        for certificate in self.counterpart.signing:
            try:
                return verify_enveloped(xml, certificate), "", certificate
            except ProtectionRefused as error:
                problem = str(error)
        return xml, problem, None

    # Record

    def _record_verified(self, receipt: _Receipt, status: ReceiptStatus, signer: Certificate | None) -> Evaluation:
        shipment, errors = receipt.shipment, receipt.apprec.errors
        reached(FaultPoint.ANSWER_OPENED)
        remark = self._remark(receipt)
        recorded = self.journal.add_receipt(
            shipment.msg_id,
            status=status,
            errors=errors,
            verified=True,
            problem=remark,
            xml=receipt.xml,
            sealed=receipt.sealed,
            cause=CAUSE_OF_STATUS[status],
            signer=None if signer is None else named(signer),
        )
        if recorded is None:
            text = f"The receipt for {shipment.msg_id} came once more: harmless."
            self._report(EventKind.DUPLICATE, shipment, text)
            return Evaluation(Handling.SETTLE, (shipment.msg_id,))
        self.archive(recorded, receipt.xml)
        if recorded.problem != remark:
            text = f"The receipt for {shipment.msg_id}: {recorded.problem}."
            self._report(EventKind.CONTRADICTION, shipment, text)
        else:
            self._report(EventKind.RECEIPT, shipment, _result_text(shipment, status, errors), {"status": status})
        return Evaluation(Handling.SETTLE, (shipment.msg_id,), new=True)

    def _record_unverified(
        self, shipment: Shipment, problem: str, sealed: bytes, receipt: _Receipt | None = None
    ) -> Evaluation:
        """Record what cannot be verified, as far as it can be read, and leave it on the queue."""
        recorded = self.journal.add_receipt(
            shipment.msg_id,
            status=receipt.apprec.status if receipt else None,
            errors=receipt.apprec.errors if receipt else (),
            verified=False,
            problem=problem,
            xml=receipt.xml if receipt else None,
            sealed=sealed,
            cause=None,
        )
        if recorded is not None:
            text = f"A receipt for the {_name(shipment)} is stored but not verified: {problem}."
            self._report(EventKind.RECEIPT_UNVERIFIED, shipment, text)
        return Evaluation(Handling.HOLD, (shipment.msg_id,), problem, new=recorded is not None)

    def _record_unopened(self, inbound: Inbound, problem: str) -> Evaluation:
        """Record what could not be opened, when it names our message-id or claims to be from the receiver."""
        named = self._named(inbound)
        claims = inbound.properties.get(FROM_HER_ID, "").strip() == str(self.counterpart.her_id)
        concerned = [named] if named else self._awaiting() if claims else []
        recorded = [self._record_unverified(shipment, problem, inbound.body) for shipment in concerned]
        msg_ids = tuple(shipment.msg_id for shipment in concerned)
        return Evaluation(Handling.HOLD, msg_ids, problem, new=any(one.new for one in recorded))

    def _report(
        self, kind: EventKind, shipment: Shipment, text: str, details: dict[str, str | int] | None = None
    ) -> None:
        self.observe(Event(kind, text, shipment.msg_id, shipment.type, details or {}))


def _type_problem(receipt: _Receipt) -> str:
    """One that leaves the type out names our MsgId all the same; one that names another is about another message."""
    named = receipt.apprec.original_type
    return "" if named in {"", receipt.shipment.type.value} else "it names our MsgId as that of another type of message"


def _time(written: str) -> datetime | None:
    """Return a date as others write it; one without a zone as if in UTC. None where it cannot be read."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def looks_like_xml(body: bytes) -> bool:
    """Tell XML from CMS: a CMS message begins with a SEQUENCE (0x30), XML with ``<``, a BOM or white space."""
    return body.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] == b"<"


def _not_ours(problem: str) -> Evaluation:
    return Evaluation(Handling.HOLD, (), problem)


_RESULTS: Final = {
    ReceiptStatus.OK: "is delivered",
    ReceiptStatus.OK_WITH_ERRORS: "is delivered with errors (status 3)",
    ReceiptStatus.REJECTED: "is rejected",
}


def _result_text(shipment: Shipment, status: ReceiptStatus, errors: tuple[ReceiptError, ...]) -> str:
    codes = ", ".join(dict.fromkeys(f"{error.code} {error.text}".strip() for error in errors))
    return f"The {_name(shipment)} {_RESULTS[status]}{': ' + codes if codes else ''}."


def _name(shipment: Shipment) -> str:
    return f"{shipment.type.norwegian} ({shipment.msg_id})"

"""What to do with a message from one of our queues: believe it, keep it and disbelieve it, or leave it alone.

The queue is the municipality's "Saksbehandling" queue: other systems' messages come there, too. The rules:

1. Ours is what names one of our shipments. Everything else is held and given back, never settled.
2. A receipt is believed only when it opens with our key, is signed with a certificate the registry holds for the
   receiver, comes from the HER-id we sent to and names our MsgId (promise G4).
3. What claims to be ours and cannot be believed is kept and shown, and stays on the queue: when the reason was a
   certificate we did not hold yet, the next run believes it.
4. Nothing is settled before what it says is durable.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from cryptography.x509 import Certificate

from kpr_sender.bus.port import Inbound, Source
from kpr_sender.cms import certificates
from kpr_sender.cms.certificates import CertificateUse, named
from kpr_sender.cms.errors import NotForUs, ProtectionRefused
from kpr_sender.cms.port import Decrypter
from kpr_sender.cms.read import Opened, Policy, open_sealed
from kpr_sender.errors import AccessRefused, KeyUnavailable
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.journal.port import Journal
from kpr_sender.messages import apprec, error_queue
from kpr_sender.messages.apprec import AppRec
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.messages.transport import FROM_HER_ID
from kpr_sender.model import Receipt, ReceiptError, Shipment
from kpr_sender.registry.port import Counterpart
from kpr_sender.states import CAUSE_OF_STATUS, ReceiptStatus, awaits_answer
from kpr_sender.trust.policy import Trust

_SIGNER: Final = "its signing certificate"


class Handling(enum.StrEnum):
    """What the owner of the queue link does with the message now."""

    SETTLE = "settle"
    """Ours, and what it says is durable: accept it."""
    HOLD = "hold"
    """Not ours, or not believed: leave it unsettled."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be done with a message, and why.

    Attributes:
        msg_ids: The shipments it is kept for; empty when it is not ours.
        why: Why it is not believed, or not ours: a clause with *it* for the message; empty when it is believed.
        new: Whether the journal holds something that it did not hold before.
    """

    handling: Handling
    msg_ids: tuple[str, ...] = ()
    why: str = ""
    new: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """Reads what comes back.

    Attributes:
        counterpart: The receiver, with the certificates it may sign with.
        believe_unsealed: Whether this receiver is configured to answer without sealing.
        stored: Called with each believed receipt and its XML, after it is durable.
    """

    journal: Journal
    counterpart: Counterpart
    decrypters: Sequence[Decrypter]
    signing_use: CertificateUse
    trust: Trust
    policy: Policy
    believe_unsealed: bool
    now: Callable[[], datetime]
    observe: Observer
    stored: Callable[[Receipt, bytes], None]

    def handle(self, inbound: Inbound) -> Handling:
        """Take one message as far as it can be taken, and say what to do with it.

        Raises:
            JournalUnwritable: What it says could not be made durable; it must not be settled.
        """
        return self.judge(inbound).handling

    def judge(self, inbound: Inbound) -> Judgement:
        """Take one message as far as it can be taken, and say what came of it.

        Raises:
            JournalUnwritable: What it says could not be made durable; it must not be settled.
        """
        reached(FaultPoint.ANSWER_RECEIVED)
        if inbound.source is Source.ERRORS:
            return self._fault(inbound)
        if looks_like_xml(inbound.body):
            return self._unsealed(inbound)
        try:
            opened = open_sealed(
                inbound.body, decrypters=self.decrypters, signers=self.counterpart.signing, policy=self.policy
            )
        except NotForUs as error:
            return _foreign(str(error))
        except KeyUnavailable:
            raise  # An outage of ours says nothing about the message.
        except (ProtectionRefused, AccessRefused) as error:
            return self._disbelieve_claimed(inbound, str(error))
        return self._opened(inbound, opened)

    def _concern(self, signer: Certificate) -> str:
        """Why a registered certificate may not be believed now, mostly that it has expired; empty when it may.

        Nobody can tell when a message was signed but by the signer's own word, so the time that counts is now. What
        was signed rightly is kept all the same: with the clock put right, or by a new receipt, it is believed.
        """
        try:
            certificates.check(signer, self.signing_use, at=self.now(), name=_SIGNER)
            organisation = self.counterpart.organisation_number or None
            self.trust.require(signer, at=self.now(), name=_SIGNER, organisation=organisation)
        except AccessRefused as error:
            return f"{error.where}: {error.what.rstrip('.')}"
        return ""

    def _fault(self, inbound: Inbound) -> Judgement:
        fault = error_queue.parse(inbound.properties, inbound.subject, inbound.body)
        shipment = self.journal.shipment_by_message_id(fault.original_message_id)
        if shipment is None:
            return _foreign("it names no message of this journal")
        reached(FaultPoint.ANSWER_OPENED)
        self.journal.fault(shipment.msg_id, condition=fault.condition, description=fault.description)
        self._tell(
            EventKind.FAULTED,
            shipment,
            f"The receiver could not take the {shipment.type.norwegian} ({shipment.msg_id}): "
            f"{fault.condition} {fault.description}".strip(),
        )
        return Judgement(Handling.SETTLE, (shipment.msg_id,), new=True)

    def _opened(self, inbound: Inbound, opened: Opened) -> Judgement:
        signed, doubt, _ = self._signed_part(opened.content)
        try:
            answer = apprec.parse(signed)
        except MessageRefused as error:
            return self._disbelieve_named(inbound, f"it is signed by the receiver but {error}")
        shipment = self.journal.shipment(answer.original_msg_id)
        if shipment is None:
            return _foreign(_UNKNOWN_MSG_ID)
        if concern := self._concern(opened.signer) or doubt:
            return self._disbelieve(shipment, concern, sealed=inbound.body, xml=opened.content, answer=answer)
        return self._answered(shipment, answer, opened.content, inbound.body, opened.signer)

    def _unsealed(self, inbound: Inbound) -> Judgement:
        signed, doubt, signer = self._signed_part(inbound.body)
        try:
            answer = apprec.parse(signed)
        except MessageRefused as error:
            return self._disbelieve_named(inbound, f"it is not sealed and {error}")
        shipment = self.journal.shipment(answer.original_msg_id)
        if shipment is None:
            return _foreign(_UNKNOWN_MSG_ID)
        if concern := doubt if self.believe_unsealed else "it is not sealed":
            return self._disbelieve(shipment, concern, sealed=inbound.body, xml=inbound.body, answer=answer)
        return self._answered(shipment, answer, inbound.body, inbound.body, signer)

    def _signed_part(self, xml: bytes) -> tuple[bytes, str, Certificate | None]:
        """Return what a receipt's XML signature is over, the only thing to be read then, and why it is not believed.

        And the certificate that verified it.

        A receipt without one, as most are, is returned as it is.
        """
        if not any(_XML_SIGNATURE.encode(codec) in xml for codec in ("utf-8", "utf-16-le", "utf-16-be")):
            return xml, "", None
        # Only where there is one: signxml takes its time to be imported.
        from kpr_sender.messages.xml_signature import verify_enveloped  # noqa: PLC0415

        doubt = ""
        for certificate in self.counterpart.signing:
            try:
                return verify_enveloped(xml, certificate), "", certificate
            except ProtectionRefused as error:
                doubt = str(error)
        return xml, doubt, None

    def _answered(
        self, shipment: Shipment, answer: AppRec, xml: bytes, sealed: bytes, signer: Certificate | None
    ) -> Judgement:
        if shipment.receiver_her_id not in answer.sender_her_ids:
            return self._disbelieve(
                shipment, "it comes from another HER-id than we sent to", sealed=sealed, xml=xml, answer=answer
            )
        if answer.status is None:
            problem = "its status is none of 1, 2 and 3"
            kept = self._disbelieve(shipment, problem, sealed=sealed, xml=xml, answer=answer)
            # Signed by the receiver and about our message: ours, kept, and no certificate will make it readable.
            return replace(kept, handling=Handling.SETTLE)
        reached(FaultPoint.ANSWER_OPENED)
        receipt = self.journal.add_receipt(
            shipment.msg_id,
            status=answer.status,
            errors=answer.errors,
            verified=True,
            problem="",
            xml=xml,
            sealed=sealed,
            cause=CAUSE_OF_STATUS[answer.status],
            signer=None if signer is None else named(signer),
        )
        if receipt is None:
            self._tell(EventKind.DUPLICATE, shipment, f"The receipt for {shipment.msg_id} came once more: harmless.")
            return Judgement(Handling.SETTLE, (shipment.msg_id,))
        self.stored(receipt, xml)
        if receipt.problem:
            self._tell(EventKind.CONTRADICTION, shipment, f"The receipt for {shipment.msg_id}: {receipt.problem}.")
        else:
            self._tell(
                EventKind.RECEIPT, shipment, _said(shipment, answer.status, answer.errors), {"status": answer.status}
            )
        return Judgement(Handling.SETTLE, (shipment.msg_id,), new=True)

    def _disbelieve_claimed(self, inbound: Inbound, problem: str) -> Judgement:
        """Keep what could not be opened, when it names our message-id or claims to be from the receiver."""
        named = self._named(inbound)
        claims = inbound.properties.get(FROM_HER_ID, "").strip() == str(self.counterpart.her_id)
        concerned = [named] if named else self._awaiting() if claims else []
        kept = [self._disbelieve(shipment, problem, sealed=inbound.body) for shipment in concerned]
        msg_ids = tuple(shipment.msg_id for shipment in concerned)
        return Judgement(Handling.HOLD, msg_ids, problem, new=any(one.new for one in kept))

    def _disbelieve_named(self, inbound: Inbound, problem: str) -> Judgement:
        """Keep what could not be read, when it names our message-id; else it is somebody else's."""
        named = self._named(inbound)
        return _foreign(problem) if named is None else self._disbelieve(named, problem, sealed=inbound.body)

    def _named(self, inbound: Inbound) -> Shipment | None:
        return self.journal.shipment_by_message_id(inbound.correlation_id) if inbound.correlation_id else None

    def _awaiting(self) -> list[Shipment]:
        return [
            shipment
            for submission in self.journal.submissions()
            for shipment in submission.shipments
            if awaits_answer(shipment) and shipment.receiver_her_id == self.counterpart.her_id
        ]

    def _disbelieve(
        self,
        shipment: Shipment,
        problem: str,
        *,
        sealed: bytes,
        xml: bytes | None = None,
        answer: AppRec | None = None,
    ) -> Judgement:
        kept = self.journal.add_receipt(
            shipment.msg_id,
            status=answer.status if answer else None,
            errors=answer.errors if answer else (),
            verified=False,
            problem=problem,
            xml=xml,
            sealed=sealed,
            cause=None,
        )
        if kept is not None:
            self._tell(
                EventKind.RECEIPT_UNVERIFIED,
                shipment,
                f"A receipt for the {shipment.type.norwegian} ({shipment.msg_id}) is kept but not believed: {problem}.",
            )
        return Judgement(Handling.HOLD, (shipment.msg_id,), problem, new=kept is not None)

    def _tell(
        self, kind: EventKind, shipment: Shipment, text: str, details: dict[str, str | int] | None = None
    ) -> None:
        self.observe(Event(kind, text, shipment.msg_id, shipment.type, details or {}))


_XML_SIGNATURE: Final = "http://www.w3.org/2000/09/xmldsig#"
_UNKNOWN_MSG_ID: Final = "it answers a message that is not in this journal"


def _foreign(why: str) -> Judgement:
    return Judgement(Handling.HOLD, (), why)


def looks_like_xml(body: bytes) -> bool:
    """Tell XML from CMS: a CMS message begins with a SEQUENCE (0x30), XML with ``<``, a BOM or white space."""
    return body.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] == b"<"


_WORDS = {
    ReceiptStatus.OK: "is delivered",
    ReceiptStatus.OK_WITH_ERRORS: "is delivered with errors (status 3)",
    ReceiptStatus.REJECTED: "is rejected",
}


def _said(shipment: Shipment, status: ReceiptStatus, errors: tuple[ReceiptError, ...]) -> str:
    codes = ", ".join(f"{error.code} {error.text}" for error in errors)
    return f"The {shipment.type.norwegian} ({shipment.msg_id}) {_WORDS[status]}{': ' + codes if codes else ''}."

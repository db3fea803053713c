"""What the receiver answers: receipts in every shape that a fault can give them, error-queue messages, foreign ones."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.x509 import Certificate

from kpr_sender.cms.port import Signer
from kpr_sender.cms.write import seal
from kpr_sender.messages import transport
from kpr_sender.model import Party
from kpr_sender.sandbox import amqp_message, apprec
from kpr_sender.sandbox.amqp_message import BusMessage
from kpr_sender.sandbox.codes import E31, T02, Refusal, TransportFault
from kpr_sender.sandbox.examination import Finding, Original
from kpr_sender.sandbox.faults import FaultName, Faults

_CLEAR_TEXT: Final = "text/plain"  # what the reference client's unprotected messages say
_DOTNET_TIME: Final = "%m/%d/%Y %H:%M:%S"  # .NET's invariant culture, in which receiverTimeStamp comes
_FOREIGN_HER_ID: Final = 8_888_888
_FOREIGN_BYTES: Final = 600
_UNKNOWN_STATUS: Final = "7"
_POSITIVE: Final = ("1", None)
_REJECTED: Final = ("2", Refusal(T02, "fault on demand"))
_WITH_ERRORS: Final = ("3", Refusal(E31, "fault on demand"))

_STATUSES: Final = (
    (FaultName.REJECT, (_REJECTED,)),
    (FaultName.STATUS_3, (_WITH_ERRORS,)),
    (FaultName.UNKNOWN_STATUS, ((_UNKNOWN_STATUS, None),)),
    (FaultName.CONTRADICTION, (_POSITIVE, _REJECTED)),
)
"""Which receipts a fault makes of a good message."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One message to put on a queue."""

    queue: str
    message: bytes


@dataclass(frozen=True, slots=True)
class Answers:
    """Writes the answers of one receiver to one municipality.

    Attributes:
        party: The receiver's two levels.
        sender_her_id: The municipality's level 2.
        signer: The receiver's signing key.
        impostor: Makes a key that is not the receiver's, with the receiver's certificate in its chain.
        recipient: The municipality's encryption certificate.
        error_queue: The municipality's.
        apprec_version: ``1.0`` or ``1.1``.
        now: The clock; aware.
    """

    party: Party
    sender_her_id: int
    signer: Signer
    impostor: Callable[[], Signer]
    recipient: Certificate
    error_queue: str
    apprec_version: str
    now: Callable[[], datetime]

    def write(self, finding: Finding, faults: Faults) -> Iterator[Answer]:
        """Yield the answers, in the order they go onto their queues."""
        message = finding.message
        receipts = transport.queue_name(message.reply_to)
        if foreign := faults.find(FaultName.FOREIGN_IN_FRONT, message.subject):
            for _ in range(int(foreign.number or 0)):
                yield Answer(receipts, self._foreign(message))
        if faults.find(FaultName.ERROR_QUEUE, message.subject):
            yield self._error(message, TransportFault("transport:internal-error", "fault on demand"))
        elif finding.fault or not finding.original:
            yield self._error(message, finding.fault or TransportFault("transport:internal-error", ""))
        else:
            for status, refusal in self._statuses(finding, faults):
                answer = Answer(receipts, self._receipt(message, finding.original, status, refusal, faults))
                yield answer
                if faults.find(FaultName.ANSWER_TWICE, message.subject):
                    yield answer

    @staticmethod
    def _statuses(finding: Finding, faults: Faults) -> tuple[tuple[str, Refusal | None], ...]:
        for fault, statuses in _STATUSES:
            if faults.find(fault, finding.message.subject):
                return statuses
        return (("2", finding.refusal),) if finding.refusal else (_POSITIVE,)

    def _receipt(
        self, message: BusMessage, original: Original, status: str, refusal: Refusal | None, faults: Faults
    ) -> bytes:
        xml = self._apprec(original, status, refusal)
        if faults.find(FaultName.UNKNOWN_MSGID, message.subject):
            xml = xml.replace(original.msg_id.encode("utf-8"), str(uuid.uuid4()).encode("ascii"))
        if faults.find(FaultName.MALFORMED_ANSWER, message.subject):
            xml = xml[: len(xml) // 2]
        if faults.find(FaultName.UNSEALED_ANSWER, message.subject):
            return self._wrap(message, xml, _CLEAR_TEXT)
        wrong = faults.find(FaultName.WRONG_SIGNER, message.subject)
        return self._wrap(message, self._seal(xml, self.impostor() if wrong else self.signer), transport.CONTENT_TYPE)

    def _apprec(self, original: Original, status: str, refusal: Refusal | None) -> bytes:
        xml = apprec.build(
            version=self.apprec_version,
            apprec_id=str(uuid.uuid4()),
            generated_at=self.now().astimezone(UTC),
            status_code=status,
            errors=[refusal.as_error()] if refusal else [],
            original=original.hodemelding,
        )
        # A MsgId that is no UUID cannot be in a Hodemelding, and still must be named in what refuses it.
        return xml.replace(original.hodemelding.msg_id.encode("ascii"), original.msg_id.encode("utf-8"))

    def _seal(self, xml: bytes, signer: Signer) -> bytes:
        return b"".join(map(bytes, seal([xml], len(xml), signer=signer, recipient=self.recipient)))

    def _wrap(self, message: BusMessage, body: bytes, content_type: str) -> bytes:
        return amqp_message.write(
            BusMessage(
                message_id=str(uuid.uuid4()),
                subject=transport.SUBJECT_RECEIPT,
                to=transport.queue_name(message.reply_to),
                reply_to=message.to,
                correlation_id=message.correlation_id,
                content_type=content_type,
                properties=self._properties(),
                body=body,
            )
        )

    def _properties(self) -> dict[str, str]:
        return transport.application_properties(
            sender_her_id=self.party.service_her_id, receiver_her_id=self.sender_her_id, at=self.now()
        )

    def _error(self, message: BusMessage, fault: TransportFault) -> Answer:
        """The reference client's form: no content type, no correlation-id, no reply-to, an empty body."""
        error = BusMessage(
            message_id=uuid.uuid4().hex,
            subject=message.subject,
            to=self.error_queue,
            reply_to="",
            correlation_id="",
            content_type="",
            properties={
                **self._properties(),
                transport.ORIGINAL_MESSAGE_ID: message.message_id,
                transport.RECEIVER_TIME_STAMP: self.now().astimezone(UTC).strftime(_DOTNET_TIME),
                transport.ERROR_CONDITION: fault.condition,
                transport.ERROR_DESCRIPTION: fault.description,
            },
            body=b"",
        )
        return Answer(self.error_queue, amqp_message.write(error))

    def _foreign(self, message: BusMessage) -> bytes:
        """Something between another party and another system of the municipality: sealed, and none of ours to open."""
        properties = transport.application_properties(
            sender_her_id=_FOREIGN_HER_ID, receiver_her_id=self.sender_her_id, at=self.now()
        )
        foreign = BusMessage(
            message_id=str(uuid.uuid4()),
            subject="DIALOG_HELSEFAGLIG",
            to=transport.queue_name(message.reply_to),
            reply_to=f"{_FOREIGN_HER_ID}_async",
            correlation_id=str(uuid.uuid4()),
            content_type=transport.CONTENT_TYPE,
            properties=properties,
            body=secrets.token_bytes(_FOREIGN_BYTES),
        )
        return amqp_message.write(foreign)

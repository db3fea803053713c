"""Builds the answers: receipts in every shape that a fault can give them, error-queue messages, foreign messages.

On the wire they look as NHN's .NET client writes them (measured with 7.0.2; ``error-as-clone`` with the one before).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.x509 import Certificate

from kpr_sender.cms.port import Signer
from kpr_sender.cms.write import seal
from kpr_sender.messages import transport
from kpr_sender.messages.apprec import NAMESPACES
from kpr_sender.model import Party
from kpr_sender.sandbox import amqp_message, apprec, codes, foreign
from kpr_sender.sandbox.amqp_message import BusMessage
from kpr_sender.sandbox.codes import CONDITIONS, E31, T02, X99, Rejection, TransportFault
from kpr_sender.sandbox.evaluation import Assessment, Original
from kpr_sender.sandbox.faults import FaultName, Faults

_CLEAR_TEXT: Final = "text/plain"  # what the reference client's unprotected messages say
_DOTNET_TIME: Final = "%m/%d/%Y %H:%M:%S"  # .NET's invariant culture, in which receiverTimeStamp comes
_ENQUEUED_TIME: Final = "%Y-%m-%dT%H:%M:%S"  # in UTC, without saying so
_MSG_INFO: Final = "X-MessageInfo-"
_CLIENT: Final = {
    "X-ExecutingAssembly": "kpr-sender sandbox",
    "X-ExecutingAssemblyVersion": "7.0.2.0",
    "X-TargetFramework": ".NETCoreApp,Version=v8.0",
}
_UNKNOWN_STATUS: Final = "7"
_NOTATIONS: Final[Mapping[str, Callable[[str], str]]] = {
    "upper-case": str.upper,
    "braces": lambda msg_id: f"{{{msg_id}}}",
    "32-hex": lambda msg_id: msg_id.replace("-", ""),
    "urn": lambda msg_id: f"urn:uuid:{msg_id}",
}
_POSITIVE: Final = ("1", None)
_REJECTED: Final = ("2", Rejection(T02, "fault on demand"))
_WITH_ERRORS: Final = ("3", Rejection(E31, "fault on demand"))

_STATUSES: Final = (
    (FaultName.REJECT, (_REJECTED,)),
    (FaultName.STATUS_3, (_WITH_ERRORS,)),
    (FaultName.OK_WITH_ERROR, (("1", Rejection(X99, "fault on demand")),)),
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
class UnsealedReceipt:
    """One application receipt, not sealed yet.

    Attributes:
        id: Its own Id.
        answered: The MsgId that it names, as written.
        xml: The AppRec; broken off where a fault says so.
    """

    id: str
    answered: str
    xml: bytes


def receipts(evaluation: Assessment, faults: Faults, *, version: str, at: datetime) -> Iterator[UnsealedReceipt]:
    """Yield the receipts that answer a message, whatever carries them.

    Args:
        evaluation: Of a message that a receipt answers.
        faults: What goes wrong.
        version: ``1.0`` or ``1.1``.
        at: Now; aware.
    """
    subject, original = evaluation.message.subject, evaluation.original
    assert original is not None  # noqa: S101 - an error-queue message answers the others
    notation = faults.find(FaultName.MSGID_NOTATION, subject)
    sender_by = faults.find(FaultName.RECEIPT_SENDER, subject)
    for status, rejection in _statuses(evaluation, faults):
        answered = str(uuid.uuid4()) if faults.find(FaultName.UNKNOWN_MSGID, subject) else original.msg_id
        answered = _NOTATIONS[notation.value](answered) if notation else answered
        receipt_id = str(uuid.uuid4())
        xml = apprec.build(
            version=version,
            apprec_id=receipt_id,
            generated_at=at.astimezone(UTC),
            status_code=status,
            errors=[rejection.as_error()] if rejection else [],
            original=original.hodemelding,
            msg_id=answered,
            sender_by=sender_by.value if sender_by else "",
        )
        yield UnsealedReceipt(
            receipt_id, answered, xml[: len(xml) // 2] if faults.find(FaultName.MALFORMED_ANSWER, subject) else xml
        )


def _statuses(evaluation: Assessment, faults: Faults) -> tuple[tuple[str, Rejection | None], ...]:
    for fault, statuses in _STATUSES:
        if faults.find(fault, evaluation.message.subject):
            return statuses
    return (("2", evaluation.rejection),) if evaluation.rejection else (_POSITIVE,)


@dataclass(frozen=True, slots=True)
class Answers:
    """Builds the answers of one receiver to one municipality.

    Attributes:
        party: The receiver's two levels.
        sender_her_id: The municipality's level 2.
        signer: Returns the receiver's signing key at this moment.
        impostor: Makes a key that is not the receiver's, with the receiver's certificate in its chain.
        recipient: Returns the municipality's encryption certificate at this moment.
        error_queue: The municipality's.
        apprec_version: ``1.0`` or ``1.1``.
        now: The clock; aware.
    """

    party: Party
    sender_her_id: int
    signer: Callable[[], Signer]
    impostor: Callable[[], Signer]
    recipient: Callable[[], Certificate]
    error_queue: str
    apprec_version: str
    now: Callable[[], datetime]

    def write(self, evaluation: Assessment, faults: Faults) -> Iterator[Answer]:
        """Yield the answers, in the order they go onto their queues."""
        message = evaluation.message
        receipts_queue = transport.queue_name(message.reply_to)
        if in_front := faults.find(FaultName.FOREIGN_IN_FRONT, message.subject):
            for _ in range(int(in_front.number)):
                yield Answer(
                    receipts_queue, foreign.message(receipts_queue, to_her_id=self.sender_her_id, at=self.now())
                )
        if error_queue := faults.find(FaultName.ERROR_QUEUE, message.subject):
            yield self._error(message, CONDITIONS[error_queue.value], faults)
        elif evaluation.fault or not evaluation.original:
            yield self._error(message, evaluation.fault or CONDITIONS[codes.INTERNAL], faults)
        else:
            for receipt in receipts(evaluation, faults, version=self.apprec_version, at=self.now()):
                answer = Answer(receipts_queue, self._wrapped(message, evaluation.original, receipt, faults))
                yield answer
                if faults.find(FaultName.ANSWER_TWICE, message.subject):
                    yield answer

    def _wrapped(self, message: BusMessage, original: Original, receipt: UnsealedReceipt, faults: Faults) -> bytes:
        metadata = self._metadata(original, receipt.id, receipt.answered)
        if faults.find(FaultName.UNSEALED_ANSWER, message.subject):
            return self._wrap(message, receipt.xml, _CLEAR_TEXT, metadata)
        wrong = faults.find(FaultName.WRONG_SIGNER, message.subject)
        sealed = self._seal(receipt.xml, self.impostor() if wrong else self.signer())
        return self._wrap(message, sealed, transport.CONTENT_TYPE, metadata)

    def _metadata(self, original: Original, receipt_id: str, answered: str) -> dict[str, str]:
        """Return what NHN's client repeats of the receipt outside the sealed bytes, in clear."""
        sender, receiver = original.hodemelding.receiver, original.hodemelding.sender
        return {
            f"{_MSG_INFO}SchemaNamespace": NAMESPACES[self.apprec_version],
            f"{_MSG_INFO}Type": transport.SUBJECT_RECEIPT,
            f"{_MSG_INFO}MsgId": receipt_id,
            transport.ORIGINAL_MSG_ID: answered,
            f"{_MSG_INFO}OriginalMsgType": original.hodemelding.type.value,
            "X-Sender-Lvl1Id": str(sender.her_id),
            "X-Sender-Lvl2Id": str(sender.service_her_id),
            "X-Receiver-Lvl1Id": str(receiver.her_id),
            "X-Receiver-Lvl2Id": str(receiver.service_her_id),
        }

    def _seal(self, xml: bytes, signer: Signer) -> bytes:
        return b"".join(map(bytes, seal([xml], len(xml), signer=signer, recipient=self.recipient())))

    def _wrap(self, message: BusMessage, body: bytes, content_type: str, metadata: dict[str, str]) -> bytes:
        message_id = str(uuid.uuid4())
        return amqp_message.write(
            BusMessage(
                message_id=message_id,
                subject=transport.SUBJECT_RECEIPT,
                to=transport.queue_name(message.reply_to),
                reply_to=transport.queue_name(message.to),
                # A receipt is a message of its own to that client: nothing outside names what it answers but metadata.
                correlation_id=message_id,
                content_type=content_type,
                properties=self._properties() | metadata,
                body=body,
            )
        )

    def _properties(self) -> dict[str, str]:
        at = self.now().astimezone(UTC)
        named = transport.application_properties(
            sender_her_id=self.party.service_her_id, receiver_her_id=self.sender_her_id, at=at
        )
        return named | {"enqueuedTimeUtc": at.strftime(_ENQUEUED_TIME)} | _CLIENT

    def _error(self, message: BusMessage, fault: TransportFault, faults: Faults) -> Answer:
        about = {
            transport.ORIGINAL_MESSAGE_ID: message.message_id,
            transport.RECEIVER_TIME_STAMP: self.now().astimezone(UTC).strftime(_DOTNET_TIME),
            transport.ERROR_CONDITION: fault.condition,
            transport.ERROR_DESCRIPTION: fault.description,
        }
        if fault.data:
            about[transport.ERROR_CONDITION_DATA] = "".join(f"{part};" for part in fault.data)
        if faults.find(FaultName.ERROR_AS_CLONE, message.subject):
            return Answer(self.error_queue, amqp_message.write_as_clone(self._clone(message, about)))
        error = BusMessage(
            message_id=uuid.uuid4().hex,
            subject=message.subject,
            to=self.error_queue,
            reply_to="",
            correlation_id="",
            content_type="",
            properties=self._properties() | about,
            body=b"",
        )
        return Answer(self.error_queue, amqp_message.write(error))

    def _clone(self, message: BusMessage, about: dict[str, str]) -> BusMessage:
        """Return the sender's own message, ids and all, with the error in its properties and without its body."""
        return BusMessage(
            message_id=message.message_id,
            subject=message.subject,
            to=self.error_queue,
            reply_to=message.reply_to,
            correlation_id=message.correlation_id,
            content_type=message.content_type,
            properties={**message.properties, **self._properties(), **about},
            body=b"",
        )

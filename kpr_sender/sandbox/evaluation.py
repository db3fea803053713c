"""Evaluates an incoming message as the KPR receiver does, and says how it is answered. Nothing is sent from here.

In this order, and the first thing that is wrong decides (HITS 1216 2.2.3 to 2.2.6):

1. AMQP properties, sealing, signature, and the structure of the Hodemelding: error queue.
2. AMQP's sender against the Hodemelding's: error queue, as spoofing. AMQP's receiver against it: receipt with E10.
3. The rest of the addressing, and the payload: receipt.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn

from cryptography.x509 import Certificate
from lxml import etree

from kpr_sender.cms.algorithms import Policy
from kpr_sender.cms.port import Decrypter
from kpr_sender.errors import InputRefused
from kpr_sender.messages import safe_xml, transport
from kpr_sender.messages.hodemelding import NAMESPACE, Hodemelding
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.model import MessageType, Party
from kpr_sender.preflight import inspect
from kpr_sender.profiles import Profile
from kpr_sender.sandbox import codes, hodemelding
from kpr_sender.sandbox.amqp_message import BusMessage
from kpr_sender.sandbox.codes import E10, E21, T01, T02, T10, X99, Rejection, TransportFault, transport_fault
from kpr_sender.sandbox.hodemelding import StructureRefused
from kpr_sender.sandbox.opening import Opener, Unopened

_log = logging.getLogger("kpr_sender.sandbox")
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATE_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_MSG_ID: Final = re.compile(rb"<(?:\w+:)?MsgId\s*>\s*([^<>&]{1,100}?)\s*</")
_MH: Final = f"{{{NAMESPACE}}}"
_PERIOD: Final = ("{*}INNHINFO/{*}iiFraDato", "fraDatoPeriode")


@dataclass(frozen=True, slots=True)
class Original:
    """What a receipt answers.

    Attributes:
        hodemelding: As read, or a stand-in of what is known where it cannot be read.
        msg_id: MsgInfo/MsgId as written, also where it is not valid.
    """

    hodemelding: Hodemelding
    msg_id: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """How a message is answered.

    Attributes:
        original: What a receipt answers; None where no receipt is possible.
        rejection: Why the receipt is negative; None for a positive one.
        fault: Why there is an error-queue message instead of a receipt.
        silence: Why there is no answer at all; empty where there is one.
    """

    message: BusMessage
    original: Original | None = None
    rejection: Rejection | None = None
    fault: TransportFault | None = None
    silence: str = ""

    @property
    def verdict(self) -> str:
        """``1``, an error code, an error condition, or why there is silence."""
        if self.silence:
            return self.silence
        if self.fault:
            return self.fault.condition
        return self.rejection.code if self.rejection else "1"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Evaluates incoming messages.

    Attributes:
        party: The receiver's two levels.
        sender_her_id: The one municipality it knows, level 2.
        decrypters: Its keys for opening at this moment.
        signers: That municipality's signing certificates.
        known: Every certificate in the register.
        profiles: Of the years that are taken.
        queues: Where it may answer to.
    """

    party: Party
    sender_her_id: int
    decrypters: Callable[[], Sequence[Decrypter]]
    signers: tuple[Certificate, ...]
    known: Callable[[], Sequence[Certificate]]
    profiles: Mapping[int, Profile]
    queues: frozenset[str]
    policy: Policy

    def evaluate(self, message: BusMessage, at: datetime) -> Assessment:
        """Evaluate one message.

        Args:
            message: As it came from the bus.
            at: Now; aware.
        """
        try:
            self._check_properties(message)
            opener = Opener(self.decrypters(), self.signers, self.known(), self.policy)
            content = opener.open(message.body or b"", at=at)
        except Unopened as unopened:
            return Assessment(message, fault=unopened.fault)
        except Exception as error:  # noqa: BLE001 - an error of the receiver is answered as well
            _log.error("evaluating a message failed: %s", type(error).__name__)
            return Assessment(message, fault=transport_fault(codes.NOT_XML))
        return self.evaluate_content(content, message, at)

    def evaluate_content(self, content: bytes, message: BusMessage, at: datetime) -> Assessment:
        """Evaluate what was sealed.

        Args:
            content: The Hodemelding.
            message: What stood outside it; where another transport than the bus brought it, by the bus's names.
            at: Now; aware.
        """
        stand_in: Original | None = None
        try:
            stand_in = self._stand_in(content, message, at)
            head, payload = self._read(content, stand_in)
            original = Original(head, stand_in.msg_id if stand_in else head.msg_id)
            return Assessment(message, original, self._addressing(message, head) or self._payload(head, payload))
        except Unopened as unopened:
            return Assessment(message, stand_in, fault=unopened.fault)
        except _Refused as refused:
            rejection = refused.rejection
        except Exception as error:  # noqa: BLE001 - an error of the receiver is answered as well
            _log.error("evaluating a message failed: %s", type(error).__name__)
            rejection = Rejection(X99, "internal error")
        if stand_in is None:
            return Assessment(message, fault=transport_fault(codes.NOT_XML))
        return Assessment(message, stand_in, rejection)

    def _check_properties(self, message: BusMessage) -> None:
        wrong = [name for name, valid in _REQUIRED if not valid(message)]
        if wrong:
            _to_error_queue(codes.INVALID_FIELD, "One or more fields are missing or not valid", *wrong)
        if transport.queue_name(message.reply_to) not in self.queues:
            _to_error_queue(codes.INVALID_FIELD, "replyTo is not a queue of the sender", "replyTo")
        if message.content_type != transport.CONTENT_TYPE:
            _to_error_queue(codes.UNSUPPORTED, "contentType is not that of a sealed message")
        if not message.body:
            _to_error_queue(codes.INVALID_CMS, "The body is not one Data section with something in it")

    def _read(self, content: bytes, stand_in: Original | None) -> tuple[Hodemelding, etree._Element]:
        try:
            return hodemelding.read(content, max_bytes=self.policy.max_bytes)
        except StructureRefused as refused:
            _to_error_queue(codes.NOT_XML, f"The header is not valid: {refused}")
        except MessageRefused as refused:
            raise _Refused(self._why_unreadable(content, refused, stand_in)) from None

    def _why_unreadable(self, content: bytes, refused: MessageRefused, stand_in: Original | None) -> Rejection:
        try:
            root = safe_xml.parse(content, max_bytes=self.policy.max_bytes)
        except MessageRefused as malformed:
            return Rejection(T01, str(malformed))
        type_ = root.find(f"{_MH}MsgInfo/{_MH}Type")
        if type_ is not None and type_.get("V", "") not in set(MessageType):
            return Rejection(T10, "MsgInfo/Type is neither KPR_IPL nor KPR_IDE")
        if stand_in and not _GUID.fullmatch(stand_in.msg_id.lower()):
            return Rejection(E10, "MsgInfo/MsgId is not a GUID")
        return Rejection(T02, str(refused))

    def _addressing(self, message: BusMessage, head: Hodemelding) -> Rejection | None:
        named, sender = message.properties[transport.FROM_HER_ID], str(head.sender.service_her_id)
        if named != sender:
            _to_error_queue(codes.SPOOFING, "fromHerId and the Hodemelding's sender differ", named, sender)
        to_us = (self.party.her_id, self.party.service_her_id)
        table: tuple[tuple[bool, str, str], ...] = (
            (
                message.properties[transport.TO_HER_ID] == str(head.receiver.service_her_id),
                E10,
                "AMQP toHerId and the Hodemelding's receiver differ",
            ),
            ((head.receiver.her_id, head.receiver.service_her_id) == to_us, E21, "the Hodemelding's receiver"),
            (head.sender.service_her_id == self.sender_her_id, X99, "the Hodemelding's sender is not known here"),
            (message.subject == head.type, X99, "AMQP subject and MsgInfo/Type differ"),
        )
        return next((Rejection(code, text) for holds, code, text in table if not holds), None)

    def _payload(self, head: Hodemelding, payload: etree._Element) -> Rejection | None:
        name = etree.QName(payload)
        found = (name.namespace, name.localname, payload.get("versjon"))
        profile = self._profile(payload)
        if profile is None:
            return Rejection(T02, "its period is of no year that is taken here")
        if found not in {(each.namespace, each.root, each.version) for each in profile.formats[head.type]}:
            return Rejection(T10, "root, namespace or version of the payload")
        try:
            inspect([etree.tostring(payload, encoding="UTF-8")], head.type, name="the payload", profile=profile)
        except InputRefused as refused:
            return Rejection(T02, refused.what)
        return None

    def _profile(self, payload: etree._Element) -> Profile | None:
        """Return the profile of the payload's own year; any, where it does not say one: the inspection will."""
        element, attribute = _PERIOD
        begins = payload.findtext(element) or payload.get(attribute) or ""
        if not begins[:4].isdecimal():
            return next(iter(self.profiles.values()))
        return self.profiles.get(int(begins[:4]))

    def _stand_in(self, content: bytes, message: BusMessage, at: datetime) -> Original | None:
        """Return as much of the original as can be found without even understanding it."""
        found = _MSG_ID.search(content)
        if not found:
            return None
        sender = Party("", 0, "", self.sender_her_id)
        type_ = MessageType(message.subject) if message.subject in set(MessageType) else MessageType.KPR_IPL
        stand_in = Hodemelding(type_, "", str(uuid.UUID(int=0)), at.astimezone(UTC), sender, self.party, ack=True)
        return Original(stand_in, found[1].decode("utf-8", "replace"))


class _Refused(Exception):
    """A message that a receipt refuses."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.code)
        self.rejection = rejection


def _to_error_queue(condition: str, description: str, *data: str) -> NoReturn:
    raise Unopened(transport_fault(condition, description, *data))


# Named in errorConditionData as the reference client names them; "Label" is its word for the subject.
_REQUIRED: Final[tuple[tuple[str, Callable[[BusMessage], object]], ...]] = (
    ("messageId", lambda message: transport.is_guid(transport.plain_id(message.message_id))),
    ("correlationId", lambda message: message.correlation_id),
    ("Label", lambda message: message.subject),
    ("replyTo", lambda message: message.reply_to),
    ("to", lambda message: message.to),
    ("contentType", lambda message: message.content_type),
    (transport.FROM_HER_ID, lambda message: message.properties.get(transport.FROM_HER_ID, "").isdecimal()),
    (transport.TO_HER_ID, lambda message: message.properties.get(transport.TO_HER_ID, "").isdecimal()),
    (transport.TIME_STAMP, lambda message: _is_time(message.properties.get(transport.TIME_STAMP, ""))),
)


def _is_time(text: str) -> bool:
    """Tell whether a time is in UTC or has its offset (HITS 1216 2.1.2)."""
    if not _DATE_TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True

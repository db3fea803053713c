"""The KPR receiver's strict eyes: a message from the bus in, what is wrong with it out. Nothing is sent from here.

In this order: the AMQP properties, the sealing, the Hodemelding and its addressing, the properties against the
Hodemelding, the payload. The first thing that is wrong decides. What cannot be answered by a receipt, since nobody
knows which MsgId it answers, gives a message for the sender's error queue instead.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.x509 import Certificate
from lxml import etree

from kpr_sender.cms.algorithms import Policy
from kpr_sender.cms.errors import TELL_SENDER, AlgorithmRefused, CannotOpen, Malformed, NotForUs, ProtectionRefused
from kpr_sender.cms.port import Decrypter
from kpr_sender.errors import InputRefused
from kpr_sender.messages import safe_xml, transport
from kpr_sender.messages.hodemelding import NAMESPACE, Hodemelding
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.model import MessageType, Party
from kpr_sender.preflight import inspect
from kpr_sender.profiles import Profile
from kpr_sender.sandbox import codes, hodemelding
from kpr_sender.sandbox.amqp_message import BusMessage
from kpr_sender.sandbox.codes import E10, E21, T01, T02, T10, X99, Refusal, TransportFault
from kpr_sender.sandbox.opening import unseal

_log = logging.getLogger("kpr_sender.sandbox")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MSG_ID: Final = re.compile(rb"<(?:\w+:)?MsgId\s*>\s*([^<>&]{1,100}?)\s*</")
_MH: Final = f"{{{NAMESPACE}}}"
_PERIOD: Final = ("{*}INNHINFO/{*}iiFraDato", "fraDatoPeriode")

_CONDITIONS: Final[Mapping[type[ProtectionRefused], str]] = {
    NotForUs: codes.INVALID_CERTIFICATE,
    CannotOpen: codes.INVALID_CERTIFICATE,
    AlgorithmRefused: codes.UNSUPPORTED,
    Malformed: codes.UNSUPPORTED,
}


@dataclass(frozen=True, slots=True)
class Original:
    """What a receipt answers.

    Attributes:
        hodemelding: As read, or a stand-in of what is known where it cannot be read.
        msg_id: MsgInfo/MsgId as it stands, also where it is no right one.
    """

    hodemelding: Hodemelding
    msg_id: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What the receiver makes of a message: a fault, or an original with its refusal, or an original that is good."""

    message: BusMessage
    original: Original | None = None
    refusal: Refusal | None = None
    fault: TransportFault | None = None

    @property
    def verdict(self) -> str:
        """``1``, an error code, or an error condition."""
        if self.fault:
            return self.fault.condition
        return self.refusal.code if self.refusal else "1"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who receives, with what keys, from whom.

    Attributes:
        party: The receiver's two levels.
        sender_her_id: The one municipality it knows, level 2.
        decrypters: Its keys for opening at this moment.
        signers: That municipality's signing certificates.
        profiles: Of the years that are taken.
        queues: Where it may answer to.
    """

    party: Party
    sender_her_id: int
    decrypters: Callable[[], Sequence[Decrypter]]
    signers: tuple[Certificate, ...]
    profiles: Mapping[int, Profile]
    queues: frozenset[str]
    policy: Policy

    def examine(self, message: BusMessage, at: datetime) -> Finding:
        """Look at one message.

        Args:
            message: As it came from the bus.
            at: Now; aware.
        """
        fault = self._transport_fault(message)
        if fault:
            return Finding(message, fault=fault)
        try:
            opened = unseal(
                message.body or b"", decrypters=self.decrypters(), signers=self.signers, policy=self.policy, at=at
            )
        except ProtectionRefused as refused:
            return Finding(message, fault=TransportFault(_CONDITIONS.get(type(refused), codes.INTERNAL), TELL_SENDER))
        stand_in = self._stand_in(opened.content, message, at)
        if opened.refusal:
            return self._refused(message, stand_in, opened.refusal)
        try:
            head, payload = self._read(opened.content)
            refusal = self._addressing(message, head) or self._payload(head, payload)
        except _Refused as refused:
            return self._refused(message, stand_in, refused.refusal)
        except Exception as error:  # noqa: BLE001 - the receiver's own trouble is an answer, too
            _log.error("examining a message failed: %s", type(error).__name__)
            return self._refused(message, stand_in, Refusal(X99, "internal error"))
        return Finding(message, Original(head, head.msg_id), refusal)

    @staticmethod
    def _refused(message: BusMessage, original: Original | None, refusal: Refusal) -> Finding:
        if original:
            return Finding(message, original, refusal)
        return Finding(message, fault=TransportFault(codes.NOT_XML, TELL_SENDER))

    def _transport_fault(self, message: BusMessage) -> TransportFault | None:
        missing = next((name for name, present in _REQUIRED if not present(message)), None)
        if missing:
            return TransportFault(codes.INVALID_FIELD, f"{missing} is missing or not of the right form")
        if transport.queue_name(message.reply_to) not in self.queues:
            return TransportFault(codes.INVALID_FIELD, "replyTo is not a queue of the sender")
        if message.content_type != transport.CONTENT_TYPE:
            return TransportFault(codes.UNSUPPORTED, "contentType is not that of a sealed message")
        if not message.body:
            return TransportFault(codes.UNSUPPORTED, "the body is not one Data section")
        return None

    def _read(self, content: bytes) -> tuple[Hodemelding, etree._Element]:
        try:
            return hodemelding.read(content, max_bytes=self.policy.max_bytes)
        except MessageRefused as refused:
            raise _Refused(self._why_unreadable(content, refused)) from None

    def _why_unreadable(self, content: bytes, refused: MessageRefused) -> Refusal:
        try:
            root = safe_xml.parse(content, max_bytes=self.policy.max_bytes)
        except MessageRefused as malformed:
            return Refusal(T01, str(malformed))
        type_, msg_id = (root.find(f"{_MH}MsgInfo/{_MH}{name}") for name in ("Type", "MsgId"))
        if type_ is not None and type_.get("V", "") not in set(MessageType):
            return Refusal(T10, "MsgInfo/Type is neither KPR_IPL nor KPR_IDE")
        if msg_id is not None and not _UUID.fullmatch((msg_id.text or "").strip()):
            return Refusal(E10, "MsgInfo/MsgId is not a lower-case UUID")
        return Refusal(T02, str(refused))

    def _addressing(self, message: BusMessage, head: Hodemelding) -> Refusal | None:
        wanted = (self.party.her_id, self.party.service_her_id)
        table: tuple[tuple[bool, str, str], ...] = (
            ((head.receiver.her_id, head.receiver.service_her_id) == wanted, E21, "the Hodemelding's receiver"),
            (message.properties[transport.TO_HER_ID] == str(head.receiver.service_her_id), E21, "AMQP toHerId"),
            (head.sender.service_her_id == self.sender_her_id, X99, "the Hodemelding's sender is not known here"),
            (
                message.properties[transport.FROM_HER_ID] == str(head.sender.service_her_id),
                X99,
                "AMQP fromHerId and the Hodemelding's sender differ",
            ),
            (message.subject == head.type, X99, "AMQP subject and MsgInfo/Type differ"),
        )
        return next((Refusal(code, text) for holds, code, text in table if not holds), None)

    def _payload(self, head: Hodemelding, payload: etree._Element) -> Refusal | None:
        name = etree.QName(payload)
        found = (name.namespace, name.localname, payload.get("versjon"))
        profile = self._profile(payload)
        if profile is None:
            return Refusal(T02, "its period is of no year that is taken here")
        if found not in {(each.namespace, each.root, each.version) for each in profile.formats[head.type]}:
            return Refusal(T10, "root, namespace or version of the payload")
        try:
            inspect([etree.tostring(payload, encoding="UTF-8")], head.type, name="the payload", profile=profile)
        except InputRefused as refused:
            return Refusal(T02, refused.what)
        return None

    def _profile(self, payload: etree._Element) -> Profile | None:
        """Return the profile of the payload's own year; any, where it does not say one: the inspection will."""
        element, attribute = _PERIOD
        begins = payload.findtext(element) or payload.get(attribute) or ""
        if not begins[:4].isdecimal():
            return next(iter(self.profiles.values()))
        return self.profiles.get(int(begins[:4]))

    def _stand_in(self, content: bytes, message: BusMessage, at: datetime) -> Original | None:
        """Return as much of the original as can be told without trusting or even understanding it."""
        found = _MSG_ID.search(content)
        if not found:
            return None
        sender = Party("", 0, "", self.sender_her_id)
        type_ = MessageType(message.subject) if message.subject in set(MessageType) else MessageType.KPR_IPL
        stand_in = Hodemelding(type_, "", str(uuid.UUID(int=0)), at.astimezone(UTC), sender, self.party, ack=True)
        return Original(stand_in, found[1].decode("utf-8", "replace"))


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


_REQUIRED: Final[tuple[tuple[str, Callable[[BusMessage], object]], ...]] = (
    ("messageId", lambda message: _UUID.fullmatch(message.message_id)),
    ("correlationId", lambda message: message.correlation_id),
    ("subject", lambda message: message.subject),
    ("replyTo", lambda message: message.reply_to),
    ("to", lambda message: message.to),
    ("contentType", lambda message: message.content_type),
    (transport.FROM_HER_ID, lambda message: message.properties.get(transport.FROM_HER_ID, "").isdecimal()),
    (transport.TO_HER_ID, lambda message: message.properties.get(transport.TO_HER_ID, "").isdecimal()),
    (transport.TIME_STAMP, lambda message: _is_time(message.properties.get(transport.TIME_STAMP, ""))),
)


def _is_time(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", text))

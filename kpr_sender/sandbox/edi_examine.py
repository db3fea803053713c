"""Says what a mail is and how the message server answers it. Nothing is sent or stored from here."""

from __future__ import annotations

import dataclasses
import email
import email.policy
import enum
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from typing import Final

from kpr_sender.cms.algorithms import Policy
from kpr_sender.cms.port import Decrypter, ProtectionRefused
from kpr_sender.cms.read import decrypt
from kpr_sender.cms.read_signed import verify
from kpr_sender.messages import transport
from kpr_sender.sandbox.amqp_message import BusMessage
from kpr_sender.sandbox.codes import TransportFault
from kpr_sender.sandbox.edi_letter import Letter, decoded, encoding
from kpr_sender.sandbox.edi_rules import BEFORE_THE_REGISTER, EbxmlRule, Reply, broken
from kpr_sender.sandbox.edi_rules_signed import (
    ACKNOWLEDGMENT,
    ERROR,
    KIND,
    PAYLOAD,
    PAYLOAD_REMARKS,
    View,
    register_rules,
    signature_rules,
)
from kpr_sender.sandbox.edi_rules_versions import version_rules
from kpr_sender.sandbox.evaluation import Assessment, Receiver
from kpr_sender.sandbox.registered import Agreement, Level

_log = logging.getLogger("kpr_sender.sandbox")
_SEQUENCE: Final = 0x30
_INNER_MIME: Final = re.compile(rb"[A-Za-z-]+:[^<]*\r?\n\r?\n", re.DOTALL)
_INNER_ENCODINGS: Final = frozenset({"8bit", "binary", "quoted-printable", "base64"})
_CANNOT_OPEN: Final = EbxmlRule("263", Reply.ERROR, "the attachment is CMS that we can open", bool, "SecurityFailure")
_NO_ENCODING: Final = EbxmlRule("264", Reply.ERROR, "the inner MIME part has its encoding", bool, "MimeProblem")
_OTHER_ENCODING: Final = EbxmlRule("259", Reply.ERROR, "the inner MIME part's encoding is known", bool, "MimeProblem")


class EbxmlKind(enum.Enum):
    """What a mail is."""

    OTHER = "other mail"
    PAYLOAD = "payload message"
    ACKNOWLEDGMENT = "acknowledgement"
    ERROR = "error"
    PING = "neither payload, acknowledgement nor error"


@dataclass(frozen=True, slots=True)
class ExaminedMail:
    """What a mail is and what is against it.

    Attributes:
        letter: The mail.
        rule: The first rule that it breaks and that stops it; None where it may go on.
        remark: The first warning; None where there is none.
        notes: Numbers of the rules that it breaks and that only are written down.
        assessment: What FHI makes of its content; None for what is no payload message.
    """

    letter: Letter
    kind: EbxmlKind
    rule: EbxmlRule | None = None
    remark: EbxmlRule | None = None
    notes: tuple[str, ...] = ()
    assessment: Assessment | None = None

    @property
    def refusal(self) -> TransportFault | None:
        """What FHI refuses without a receipt."""
        return self.assessment.fault if self.assessment else None

    @property
    def msg_id(self) -> str:
        """MsgInfo/MsgId; empty where it was not read."""
        return self.assessment.original.msg_id if self.assessment and self.assessment.original else ""

    @property
    def verdict(self) -> str:
        """For the ledger."""
        noted = f", noted {' '.join(self.notes)}" if self.notes else ""
        if self.rule is not None:
            return f"rule {self.rule.number}{noted}"
        return (self.assessment.verdict if self.assessment else self.kind.value) + noted


@dataclass(frozen=True, slots=True)
class MailExaminer:
    """Examines mails.

    Attributes:
        own_her_id: Level 2 HER-id of the receiver.
        level: Returns who has a HER-id; None when nobody has.
        agreement: Returns the agreement that a UUID names; None where none is registered.
        decrypters: Returns its keys for opening at this moment.
        receiver: FHI, which evaluates what was sealed.
        policy: The bounds.
        now: The clock; aware.
    """

    own_her_id: int
    level: Callable[[int], Level | None]
    agreement: Callable[[str], Agreement | None]
    decrypters: Callable[[], Sequence[Decrypter]]
    receiver: Receiver
    policy: Policy
    now: Callable[[], datetime]

    def examine(self, data: bytes) -> ExaminedMail:
        """Examine one mail.

        Args:
            data: Headers and body.
        """
        letter = Letter(data)
        view = View(self.level, self.agreement, self.own_her_id, self.now())
        kind = _kind(letter)
        rules = (*BEFORE_THE_REGISTER, *register_rules(view), *signature_rules(view), *KIND)
        if rule := broken(letter, rules):
            return ExaminedMail(letter, kind, rule)
        if kind is not EbxmlKind.PAYLOAD:
            own = {EbxmlKind.ACKNOWLEDGMENT: ACKNOWLEDGMENT, EbxmlKind.ERROR: ERROR}.get(kind, ())
            return ExaminedMail(letter, kind, notes=_noted(letter, own))
        return self._payload(letter)

    def _payload(self, letter: Letter) -> ExaminedMail:
        found = ExaminedMail(letter, EbxmlKind.PAYLOAD, broken(letter, PAYLOAD))
        if found.rule:
            return found
        try:
            content = self._opened(letter)
        except _UnopenedMail as unopened:
            return dataclasses.replace(found, rule=unopened.rule)
        message = BusMessage(
            message_id=letter.message_id,
            subject=letter.action,
            to=str(letter.her_id("To")),
            reply_to=str(letter.her_id("From")),
            correlation_id=letter.named("ConversationId"),
            content_type="",
            properties={
                transport.FROM_HER_ID: str(letter.her_id("From")),
                transport.TO_HER_ID: str(letter.her_id("To")),
            },
            body=None,
        )
        return dataclasses.replace(
            found,
            remark=broken(letter, [rule for rule in PAYLOAD_REMARKS if rule.reply is Reply.WARNING]),
            notes=_noted(
                letter,
                [
                    *(rule for rule in PAYLOAD_REMARKS if rule.reply is Reply.NOTE),
                    *version_rules(self.receiver.profiles.values(), content),
                ],
            ),
            assessment=self.receiver.evaluate_content(content, message, self.now()),
        )

    def _opened(self, letter: Letter) -> bytes:
        part = letter.attachment(letter.hrefs[0])
        assert part is not None  # noqa: S101 - rule 23
        try:
            plain = bytes(decrypt(decoded(part), decrypters=self.decrypters(), policy=self.policy))
            if plain[:1] == bytes([_SEQUENCE]):  # a signature inside as well, as on the bus
                plain = bytes(verify(memoryview(plain), signers=self.receiver.signers, policy=self.policy).content)
        except ProtectionRefused:
            raise _UnopenedMail(_CANNOT_OPEN) from None
        return _of_inner_part(plain) if _INNER_MIME.match(plain) else plain


class _UnopenedMail(Exception):
    """An attachment that cannot be opened."""

    def __init__(self, rule: EbxmlRule) -> None:
        super().__init__(rule.number)
        self.rule = rule


def _kind(letter: Letter) -> EbxmlKind:
    if letter.message is None:
        return EbxmlKind.OTHER
    for name, kind in (
        ("Acknowledgment", EbxmlKind.ACKNOWLEDGMENT),
        ("ErrorList", EbxmlKind.ERROR),
        ("Manifest", EbxmlKind.PAYLOAD),
        ("AckRequested", EbxmlKind.PAYLOAD),
    ):
        if letter.block(name) is not None:
            return kind
    return EbxmlKind.PING


def _noted(letter: Letter, rules: Sequence[EbxmlRule]) -> tuple[str, ...]:
    return tuple(rule.number for rule in rules if not rule.holds(letter))


def _of_inner_part(plain: bytes) -> bytes:
    part: Message = email.message_from_bytes(plain, policy=email.policy.compat32)
    if not encoding(part):
        raise _UnopenedMail(_NO_ENCODING)
    if encoding(part) not in _INNER_ENCODINGS:
        raise _UnopenedMail(_OTHER_ENCODING)
    return decoded(part)

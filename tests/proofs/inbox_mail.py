"""Everything that can come to a municipality's EDI mailbox, each with what it means.

The mails are those of the sandbox's message server, signed and sealed with the stage's keys: genuine, or wrong in one
thing.
"""

from __future__ import annotations

import enum
import hashlib
import uuid
from dataclasses import replace
from datetime import datetime
from typing import Final

from kpr_sender.bus.port import MAIL, Inbound
from kpr_sender.ebxml.envelope import Severity
from kpr_sender.inbound.mails import stored_form
from kpr_sender.model import Transport
from kpr_sender.sandbox.edi_answers import EdiAnswers
from kpr_sender.sandbox.edi_faults import DELAYED, FAILED
from kpr_sender.sandbox.edi_letter import Letter as Mail
from kpr_sender.sandbox.edi_smtp import AcceptedMail
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.settings.sample_file import EDI_RECEIVER, EDI_SENDER
from kpr_sender.states import Cause
from tests.helpers.stage import Stage
from tests.proofs.model import Belief, Letter, Meaning


class MailKind(enum.Enum):
    """What comes."""

    ACKNOWLEDGMENT = enum.auto()
    ACKNOWLEDGMENT_OF_ANOTHER = enum.auto()
    ACKNOWLEDGMENT_UNSIGNED = enum.auto()
    ACKNOWLEDGMENT_BY_ANOTHER = enum.auto()
    MESSAGE_ERROR = enum.auto()
    WARNING = enum.auto()
    BOUNCE = enum.auto()
    DELAY = enum.auto()
    SOAP_FAULT = enum.auto()
    OK = enum.auto()
    OK_WITH_ERRORS = enum.auto()
    REJECTED = enum.auto()
    UNKNOWN_STATUS = enum.auto()
    WRONG_SIGNER = enum.auto()
    WRONG_HER_ID = enum.auto()
    UNKNOWN_MSG_ID = enum.auto()
    FOREIGN = enum.auto()
    FOREIGN_ACKNOWLEDGMENT = enum.auto()


_K = MailKind
_SIGNALS: Final = {
    _K.ACKNOWLEDGMENT: Cause.ACKNOWLEDGED,
    _K.ACKNOWLEDGMENT_OF_ANOTHER: Cause.SIGNAL_NOTED,
    _K.MESSAGE_ERROR: Cause.MESSAGE_ERROR,
    _K.WARNING: Cause.SIGNAL_NOTED,
    _K.BOUNCE: Cause.BOUNCED,
    _K.DELAY: Cause.SIGNAL_NOTED,
    _K.SOAP_FAULT: Cause.BOUNCED,
}
_RECEIPTS: Final = {
    _K.OK: ("1", Cause.RECEIPT_OK),
    _K.OK_WITH_ERRORS: ("3", Cause.RECEIPT_OK_WITH_ERRORS),
    _K.REJECTED: ("2", Cause.RECEIPT_REJECTED),
}
_ACKNOWLEDGMENTS: Final = {
    _K.ACKNOWLEDGMENT: NO_FAULTS,
    _K.ACKNOWLEDGMENT_OF_ANOTHER: Faults.parse(["wrong-digest"], Transport.EDI),
    _K.ACKNOWLEDGMENT_UNSIGNED: Faults.parse(["unsigned-acknowledgement"], Transport.EDI),
    _K.ACKNOWLEDGMENT_BY_ANOTHER: Faults.parse(["acknowledgement-signer"], Transport.EDI),
}
_WRONG_SIGNER: Final = Faults.parse(["wrong-signer"], Transport.EDI)
_REPORTS: Final = {_K.BOUNCE: FAILED, _K.DELAY: DELAYED}
_SEVERITIES: Final = {_K.MESSAGE_ERROR: Severity.ERROR, _K.WARNING: Severity.WARNING}
_FOREIGN: Final = {_K.FOREIGN: 0, _K.FOREIGN_ACKNOWLEDGMENT: 1}
_OTHER_HER_ID: Final = 122612


def mail(stage: Stage, kind: MailKind, letter: Letter, sent: bytes, at: datetime) -> tuple[Inbound, Meaning]:
    """Make a mail of a kind about a shipment.

    Args:
        stage: Has the keys.
        kind: What comes.
        letter: The shipment.
        sent: The mail that it is, as the receiver's message server gets it.
        at: When it is answered.
    """
    ours = Mail(sent)
    raw = _raw(stage, kind, letter, ours, at)
    inbound = replace(stage.inbound(raw), properties={}, subject="", content_type=MAIL)
    digest = hashlib.sha256(stored_form(raw)).hexdigest()
    if kind in _SIGNALS:
        cause = _SIGNALS[kind]
        return inbound, Meaning(Belief.BELIEVED, True, letter.msg_id, cause, digest, message_id=ours.message_id)
    if kind in _RECEIPTS:
        return inbound, Meaning(Belief.BELIEVED, True, letter.msg_id, _RECEIPTS[kind][1], digest)
    if kind is _K.UNKNOWN_MSG_ID:
        return inbound, Meaning(Belief.STRANGER, False, digest=digest)
    if kind in {_K.UNKNOWN_STATUS, _K.WRONG_SIGNER, _K.WRONG_HER_ID}:
        return inbound, Meaning(
            Belief.KEPT,
            kind is _K.UNKNOWN_STATUS,
            letter.msg_id,
            digest=digest,
            reads=kind is not _K.WRONG_SIGNER,  # what another signed is not opened
            acceptable=Cause.RECEIPT_OK if kind is _K.WRONG_HER_ID else None,
        )
    return inbound, Meaning(Belief.FOREIGN, False)


def _raw(stage: Stage, kind: MailKind, letter: Letter, ours: Mail, at: datetime) -> bytes:
    answers = EdiAnswers(
        own_address=EDI_RECEIVER,
        their_address=EDI_SENDER,
        signer=lambda: stage.fhi,
        impostor=lambda: stage.stranger,
        recipient=lambda: stage.kommune_encryption.certificate,
        now=lambda: at,
    )
    if kind in _ACKNOWLEDGMENTS:
        return answers.signal_mail(answers.acknowledgment(ours, _ACKNOWLEDGMENTS[kind]), "Acknowledgment")
    if kind in _SEVERITIES:
        soap = answers.message_error(ours, "SecurityFailure", _SEVERITIES[kind], "No.")
        return answers.signal_mail(soap, "MessageError")
    if kind in _REPORTS:
        envid = (ours.header("Message-ID") or "").strip("<>").partition("@")[0]
        return answers.bounce(AcceptedMail(EDI_SENDER, EDI_RECEIVER, envid, True, ours.data), _REPORTS[kind])
    if kind is _K.SOAP_FAULT:
        return answers.soap_fault(ours, "No.")
    if kind in _FOREIGN:
        return answers.foreign(ours, _FOREIGN[kind])
    faults = _WRONG_SIGNER if kind is _K.WRONG_SIGNER else NO_FAULTS
    _, raw, _ = answers.receipt(ours, _apprec(stage, kind, letter), faults)
    return raw


def _apprec(stage: Stage, kind: MailKind, letter: Letter) -> bytes:
    status = _RECEIPTS.get(kind, ("1", None))[0]
    msg_id = str(uuid.uuid4()) if kind is _K.UNKNOWN_MSG_ID else letter.msg_id
    xml = stage.apprec(msg_id, letter.type, status, her_id=_OTHER_HER_ID if kind is _K.WRONG_HER_ID else None)
    return xml.replace(b'Status V="1"', b'Status V="9"') if kind is _K.UNKNOWN_STATUS else xml

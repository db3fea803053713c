"""The names of the faults, and what is said of each: the rows are in ``faults`` and ``edi_faults``."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from kpr_sender.model import Transport
from kpr_sender.texts import Text


class FaultName(enum.StrEnum):
    """The faults, as ``--fault`` names them."""

    REJECT = "reject"
    STATUS_3 = "status-3"
    OK_WITH_ERROR = "ok-with-error"
    UNKNOWN_STATUS = "unknown-status"
    UNKNOWN_MSGID = "unknown-msgid"
    MSGID_NOTATION = "msgid-notation"
    RECEIPT_SENDER = "receipt-sender"
    CONTRADICTION = "contradiction"
    ANSWER_TWICE = "answer-twice"
    DELAY = "delay"
    NO_ANSWER = "no-answer"
    WRONG_SIGNER = "wrong-signer"
    MALFORMED_ANSWER = "malformed-answer"
    UNSEALED_ANSWER = "unsealed-answer"
    ERROR_QUEUE = "error-queue"
    ERROR_AS_CLONE = "error-as-clone"
    LOST_BY_RECEIVER = "lost-by-receiver"
    FOREIGN_IN_FRONT = "foreign-in-front"
    FOREIGN_OWNER = "foreign-owner"
    DELIVERY_LIMIT = "delivery-limit"
    HOLD_DISPOSITION = "hold-disposition"
    DROP_BEFORE_DISPOSITION = "drop-before-disposition"
    DROP_AFTER_TRANSFER = "drop-after-transfer"
    QUEUE_FULL = "queue-full"
    UNROUTABLE = "unroutable"
    REFUSE_LOGIN = "refuse-login"
    REGISTER_DOWN = "register-down"
    REGISTER_NEW_CERTIFICATE = "register-new-certificate"
    REGISTER_NEW_SIGNER = "register-new-signer"
    REGISTER_OTHER_FOR_US = "register-other-for-us"
    NO_ACKNOWLEDGEMENT = "no-acknowledgement"
    LATE_ACKNOWLEDGEMENT = "late-acknowledgement"
    RECEIPT_FIRST = "receipt-first"
    WRONG_DIGEST = "wrong-digest"
    UNSIGNED_ACKNOWLEDGEMENT = "unsigned-acknowledgement"
    ACKNOWLEDGEMENT_SIGNER = "acknowledgement-signer"
    MESSAGE_ERROR = "message-error"
    WARNING = "warning"
    SOAP_FAULT = "soap-fault"
    BOUNCE = "bounce"
    DROP_BEFORE_DOT = "drop-before-dot"
    REFUSE_452 = "refuse-452"
    REFUSE_552 = "refuse-552"
    GREYLIST = "greylist"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What a fault does.

    Attributes:
        text: One sentence for ``--help``.
        number: The number it takes when none is given; None when it takes none.
        choices: The words it takes instead of a number; the first one when none is given.
        typed: Whether it can be limited to one message type.
        then: What ``kpr-send`` makes of it and what a person does, for docs/sandbox.md.
        only: The one transport that has it; None where both have it.
    """

    text: Text
    number: float | None = None
    choices: tuple[str, ...] = ()
    typed: bool = True
    then: str = ""
    only: Transport | None = None

    @property
    def default(self) -> str:
        """What stands behind the equals sign when nothing is given; empty where nothing can."""
        return self.choices[0] if self.choices else "" if self.number is None else f"{self.number:g}"

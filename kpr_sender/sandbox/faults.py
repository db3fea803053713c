"""What can be made to go wrong, by name: one table for ``--fault``, its help and the tests."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kpr_sender.errors import UsageError
from kpr_sender.model import MessageType


class FaultName(enum.StrEnum):
    """The faults, as ``--fault`` names them."""

    REJECT = "reject"
    STATUS_3 = "status-3"
    UNKNOWN_STATUS = "unknown-status"
    UNKNOWN_MSGID = "unknown-msgid"
    CONTRADICTION = "contradiction"
    ANSWER_TWICE = "answer-twice"
    DELAY = "delay"
    NO_ANSWER = "no-answer"
    WRONG_SIGNER = "wrong-signer"
    MALFORMED_ANSWER = "malformed-answer"
    UNSEALED_ANSWER = "unsealed-answer"
    ERROR_QUEUE = "error-queue"
    FOREIGN_IN_FRONT = "foreign-in-front"
    HOLD_DISPOSITION = "hold-disposition"
    DROP_BEFORE_DISPOSITION = "drop-before-disposition"
    DROP_AFTER_TRANSFER = "drop-after-transfer"
    QUEUE_FULL = "queue-full"
    UNROUTABLE = "unroutable"
    REFUSE_LOGIN = "refuse-login"
    REGISTER_DOWN = "register-down"
    REGISTER_NEW_CERTIFICATE = "register-new-certificate"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What a fault does.

    Attributes:
        text: One sentence for ``--help``.
        number: The number it takes when none is given; None when it takes none.
        typed: Whether it can be limited to one message type.
    """

    text: str
    number: float | None = None
    typed: bool = True


FAULTS: Final[Mapping[FaultName, FaultKind]] = MappingProxyType(
    {
        FaultName.REJECT: FaultKind("The receipt says rejected (status 2, error T02)."),
        FaultName.STATUS_3: FaultKind("The receipt says OK with errors (status 3, error E31)."),
        FaultName.UNKNOWN_STATUS: FaultKind("The receipt has a status that kodeverk 8258 does not have."),
        FaultName.UNKNOWN_MSGID: FaultKind("The receipt names a MsgId that nobody sent."),
        FaultName.CONTRADICTION: FaultKind("A positive receipt is followed by a negative one."),
        FaultName.ANSWER_TWICE: FaultKind("The same receipt is put on the queue twice."),
        FaultName.DELAY: FaultKind("The answer comes this many seconds after the message.", number=30.0),
        FaultName.NO_ANSWER: FaultKind("No answer as long as the fault is on; the message is kept."),
        FaultName.WRONG_SIGNER: FaultKind("The receipt is signed with another key, FHI's certificate bundled with it."),
        FaultName.MALFORMED_ANSWER: FaultKind("The receipt is sealed rightly, but its XML breaks off."),
        FaultName.UNSEALED_ANSWER: FaultKind("The receipt comes as clear text."),
        FaultName.ERROR_QUEUE: FaultKind("A message on the sender's error queue instead of a receipt."),
        FaultName.FOREIGN_IN_FRONT: FaultKind("This many messages for somebody else come first.", number=1.0),
        FaultName.HOLD_DISPOSITION: FaultKind(
            "The message is stored, its disposition held back while the fault is on."
        ),
        FaultName.DROP_BEFORE_DISPOSITION: FaultKind(
            "After the whole transfer the connection drops; nothing is stored."
        ),
        FaultName.DROP_AFTER_TRANSFER: FaultKind(
            "The message is stored, then the connection drops without a disposition."
        ),
        FaultName.QUEUE_FULL: FaultKind("The message is rejected as by a full queue."),
        FaultName.UNROUTABLE: FaultKind("The queue is unknown to the exchange: lost by version 3, released by 4."),
        FaultName.REFUSE_LOGIN: FaultKind("Every login to the bus is refused.", typed=False),
        FaultName.REGISTER_DOWN: FaultKind("Adresseregisteret answers HTTP 503 and nothing else.", typed=False),
        FaultName.REGISTER_NEW_CERTIFICATE: FaultKind(
            "FHI has a new certificate for encryption, in Adresseregisteret too; it opens nothing with the old key.",
            typed=False,
        ),
    },
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that is on.

    Attributes:
        name: Which.
        type: Only for this message type; None for both.
        number: Seconds or a count, as its kind says; None where it takes none.
    """

    name: FaultName
    type: MessageType | None = None
    number: float | None = None

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read ``NAME[:TYPE][=NUMBER]``, for example ``reject:KPR_IDE`` or ``delay=30``.

        Raises:
            UsageError: No such fault or type, or a number where none belongs.
        """
        head, equals, number = text.partition("=")
        name, colon, type_ = head.partition(":")
        try:
            fault = FaultName(name)
        except ValueError:
            raise UsageError(
                f"There is no fault {name!r}.", where="--fault", next_step=f"The faults are: {', '.join(FaultName)}."
            ) from None
        kind = FAULTS[fault]
        if colon and not (kind.typed and type_ in set(MessageType)):
            raise UsageError(f"{fault} cannot be limited to {type_!r}.", where="--fault", next_step=_FORM)
        if equals and not (kind.number is not None and number.replace(".", "", 1).isdecimal()):
            raise UsageError(f"{fault} does not take the number {number!r}.", where="--fault", next_step=_FORM)
        return cls(fault, MessageType(type_) if colon else None, float(number) if equals else kind.number)

    def __str__(self) -> str:
        """The text that ``parse`` reads."""
        limited = f":{self.type}" if self.type else ""
        return f"{self.name}{limited}" + ("" if self.number is None else f"={self.number:g}")


@dataclass(frozen=True, slots=True)
class Faults:
    """All faults that are on; a value, so that switching them is one assignment."""

    active: tuple[Fault, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Faults:
        """Read several ``NAME[:TYPE][=NUMBER]``.

        Raises:
            UsageError: As for ``Fault.parse``.
        """
        return cls(tuple(Fault.parse(text) for text in texts))

    def find(self, name: FaultName, message_type: str = "") -> Fault | None:
        """Return the fault when it is on for messages of this type, else None.

        Args:
            name: Which.
            message_type: ``KPR_IPL``, ``KPR_IDE`` or whatever the message called itself.
        """
        return next(
            (fault for fault in self.active if fault.name is name and fault.type in {None, message_type}),
            None,
        )


NO_FAULTS: Final = Faults()

_FORM: Final = "The form is NAME[:KPR_IPL|:KPR_IDE][=NUMBER]; see kpr-send sandbox serve --help."


def describe() -> str:
    """Return the table for ``--help``: one line a fault."""
    width = max(len(name) for name in FAULTS)
    return "\n".join(
        f"{name:<{width}}  {kind.text}" + (f" Default {kind.number:g}." if kind.number is not None else "")
        for name, kind in FAULTS.items()
    )

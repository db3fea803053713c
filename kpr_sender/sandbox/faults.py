"""What can be made to go wrong, by name: one table for ``--fault``, its help, docs/sandbox.md and the tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kpr_sender.errors import UsageError
from kpr_sender.model import MessageType, Transport
from kpr_sender.sandbox.codes import CONDITIONS, INVALID_CERTIFICATE
from kpr_sender.sandbox.edi_faults import EDI_FAULTS
from kpr_sender.sandbox.fault_kinds import FaultKind, FaultName
from kpr_sender.texts import Text

__all__ = ["FAULTS", "NO_FAULTS", "ActiveFault", "FaultKind", "FaultName", "Faults"]

FAULTS: Final[Mapping[FaultName, FaultKind]] = MappingProxyType(
    {
        FaultName.REJECT: FaultKind(
            Text("The receipt says rejected (status 2, error T02)."),
            then="The half is *rejected*: 81, or 82 where the other half is delivered. `receipts` shows FHI's "
            "errors; then a new extract (`send --replaces`) or the same file again (`resend`).",
        ),
        FaultName.STATUS_3: FaultKind(
            Text("The receipt says OK with errors (status 3, error E31)."),
            then="*Delivered with errors*: 82 until a new extract replaces it or a person settles it (`resolve "
            "--settled`).",
        ),
        FaultName.OK_WITH_ERROR: FaultKind(
            Text("The receipt says OK (status 1) and has an error (X99) all the same."),
            then="*Delivered*, and 82: a receipt that says both needs a person, who asks FHI and settles it.",
        ),
        FaultName.UNKNOWN_STATUS: FaultKind(
            Text("The receipt has a status that kodeverk 8258 does not have."),
            then="Stored, not verified, and left on the queue: 76. FHI must say what it means; `receipts discard "
            "N` where it means nothing.",
        ),
        FaultName.UNKNOWN_MSGID: FaultKind(
            Text("The receipt names a MsgId that nobody sent."),
            then="Nothing of ours is answered, so the pair stays *published*; an answer to what this journal never "
            "sent is 82: somebody else may deliver for the municipality.",
        ),
        FaultName.MSGID_NOTATION: FaultKind(
            Text("The receipt writes the MsgId in this notation."),
            choices=("upper-case", "braces", "32-hex", "urn"),
            then="*Delivered*: a MsgId is compared in every notation of .NET's.",
        ),
        FaultName.RECEIPT_SENDER: FaultKind(
            Text("The receipt names its sender by this alone."),
            choices=("level-1", "organisation-number", "nothing"),
            then='With `level-1` it is not verified: 76; `receiver.receipt_sender = "level1"` or `receipts accept '
            "N` takes it. The same for the other two, by a person alone.",
        ),
        FaultName.CONTRADICTION: FaultKind(
            Text("A positive receipt is followed by a negative one."),
            then="The first verified receipt decides the state; that another says the opposite is 82, until a "
            "person has asked FHI and settles it.",
        ),
        FaultName.ANSWER_TWICE: FaultKind(
            Text("The same receipt is put on the queue twice."),
            then="*Delivered*: the second one is settled and noted as a duplicate.",
        ),
        FaultName.DELAY: FaultKind(
            Text("The answer comes this many seconds after the message."),
            number=30.0,
            then="*Published*, 80, until it comes; `wait` takes it. Overdue (84) after `report.overdue_after`.",
        ),
        FaultName.NO_ANSWER: FaultKind(
            Text("No answer as long as the fault is on; the message is stored."),
            then="*Published*, 80, then overdue, 84: ask FHI (`resolve MSGID` has the text); nothing is sent again "
            "by itself. When the fault ends the answer comes.",
        ),
        FaultName.WRONG_SIGNER: FaultKind(
            Text("The receipt is signed with another key, FHI's certificate bundled with it."),
            then="Stored, not verified, and left on the queue: 76. Never *delivered*, whatever it says (promise G4).",
        ),
        FaultName.MALFORMED_ANSWER: FaultKind(
            Text("The receipt is sealed and signed as it should be, but its XML breaks off."),
            then="Stored, not verified, 76: it cannot be read, so it cannot count.",
        ),
        FaultName.UNSEALED_ANSWER: FaultKind(
            Text("The receipt comes as clear text."),
            then="Stored, not verified, 76; `receiver.unsealed_receipts` lets it count outside produksjon.",
        ),
        FaultName.ERROR_QUEUE: FaultKind(
            Text("A message with this condition on the sender's error queue instead of a receipt."),
            choices=(INVALID_CERTIFICATE, *(name for name in CONDITIONS if name != INVALID_CERTIFICATE)),
            then="*Faulted*, 81, or 82 where the other half is delivered. Fix what the condition names, then "
            "`resend` and `send`; a verified receipt that comes later counts for more.",
            only=Transport.AMQP,
        ),
        FaultName.ERROR_AS_CLONE: FaultKind(
            Text("Error-queue messages are clones of the sender's message, as NHN's client once wrote them."),
            then="With `error-queue`: the same as without, since the message is known by its properties alone.",
            only=Transport.AMQP,
        ),
        FaultName.LOST_BY_RECEIVER: FaultKind(
            Text(
                "The receiver takes the message and loses it: it is never answered, and its message-id counts as seen."
            ),
            then="As `no-answer`, for good: 80, then overdue, 84; ask FHI, and after its word `resolve "
            "--not-arrived`: sent again under a new message-id.",
        ),
        FaultName.FOREIGN_IN_FRONT: FaultKind(
            Text("This many messages for another system come first."),
            number=1.0,
            then="*Delivered*: they are taken, given back untouched and counted; many of them, or those that stay, "
            "lead to 88 ([a shared queue](shared-queue.md)).",
        ),
        FaultName.FOREIGN_OWNER: FaultKind(
            Text(
                "That system reads its messages off the receipts queue every so many seconds; foreign.jsonl lists them."
            ),
            number=60.0,
            typed=False,
            then="With `foreign-in-front`: shows that others' messages stay within their owner's reach. 88 does "
            "not come, as somebody reads the queue.",
            only=Transport.AMQP,
        ),
        FaultName.DELIVERY_LIMIT: FaultKind(
            Text("A message that comes back more often than this goes to the dead letter queue."),
            number=10.0,
            typed=False,
            then="With `foreign-in-front`: shows that no look of ours is the one too many.",
            only=Transport.AMQP,
        ),
        FaultName.HOLD_DISPOSITION: FaultKind(
            Text("The message is stored, its disposition held back while the fault is on."),
            then="The bus does not say what became of the message within `bus.publish_timeout`: *in doubt*, 83, "
            "until its receipt comes.",
        ),
        FaultName.DROP_BEFORE_DISPOSITION: FaultKind(
            Text("After the complete transfer the connection drops; nothing is stored."),
            then="*In doubt*, 83: FHI does not have it, and nobody here can know. `resolve MSGID`, ask FHI, "
            "`--not-arrived`.",
        ),
        FaultName.DROP_AFTER_TRANSFER: FaultKind(
            Text("The message is stored, then the connection drops without a disposition."),
            then="*In doubt* at first; its receipt comes and makes it *delivered*.",
        ),
        FaultName.QUEUE_FULL: FaultKind(
            Text("The message is rejected as by a full queue."),
            then="Certainly not sent: tried again within `bus.reconnect_budget`, then *sealed*, 69. The next "
            "`send` sends the same bytes.",
            only=Transport.AMQP,
        ),
        FaultName.UNROUTABLE: FaultKind(
            Text("The queue is unknown to the exchange: lost by version 3, released by 4."),
            then="Version 3 says *accepted* and loses it: *published*, 80, overdue later. Version 4 gives it back: "
            "*sealed*, 78, check `receiver.queue`.",
            only=Transport.AMQP,
        ),
        FaultName.REFUSE_LOGIN: FaultKind(
            Text("Every login to the bus is refused."),
            typed=False,
            then="*Sealed*, 77. The login is not tried again for 15 minutes, so that no account is locked; "
            "`doctor` tries it once.",
        ),
        FaultName.REGISTER_DOWN: FaultKind(
            Text("Adresseregisteret answers HTTP 503 and nothing else."),
            typed=False,
            then="Nothing is sealed, 69, unless an earlier answer may still be used; receipts wait on the queue "
            "until their signer can be looked up.",
        ),
        FaultName.REGISTER_NEW_CERTIFICATE: FaultKind(
            Text(
                "FHI has a new certificate for encryption, in Adresseregisteret too; it opens nothing with the old key."
            ),
            typed=False,
            then="*Delivered*: it is sealed for the new one. What was sealed before and not sent is sealed anew, "
            "the MsgId stays. With `receiver.encryption_certificate` named it is refused: 78.",
        ),
        FaultName.REGISTER_NEW_SIGNER: FaultKind(
            Text("FHI signs with a new certificate, which Adresseregisteret has."),
            typed=False,
            then="*Delivered*: the register is asked once more past the cache when no signer fits. With "
            "`receiver.signing_certificates` named: 78.",
        ),
        FaultName.REGISTER_OTHER_FOR_US: FaultKind(
            Text(
                "Adresseregisteret has another encryption certificate of the municipality's than it holds the key of; "
                "receipts are sealed for it."
            ),
            typed=False,
            then="Nothing is sent, 77: receipts could not be opened. Where no register is asked, the receipt shows "
            "it: 77, `AnswerUnopened`.",
        ),
        **EDI_FAULTS,
    },
)


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """One fault that is on.

    Attributes:
        name: Which.
        type: Only for this message type; None for both.
        value: What stands behind the equals sign: a number or a word, as its kind says; empty where it takes none.
    """

    name: FaultName
    type: MessageType | None = None
    value: str = ""

    @property
    def number(self) -> float:
        """Seconds or a count; 0 where it takes none."""
        return float(self.value) if FAULTS[self.name].number is not None else 0.0

    @classmethod
    def parse(cls, text: str) -> ActiveFault:
        """Read ``NAME[:TYPE][=VALUE]``, as in ``reject:KPR_IDE``, ``delay=30``, ``error-queue=invalid-signature``.

        Raises:
            UsageError: No such fault, type or value, or a value where none belongs.
        """
        head, equals, value = text.partition("=")
        name, colon, type_ = head.partition(":")
        try:
            fault = FaultName(name)
        except ValueError:
            raise UsageError(
                Text("There is no fault {name!r}.", name=name),
                where="--fault",
                next_step=Text("The faults are: {faultname}.", faultname=", ".join(FaultName)),
            ) from None
        kind = FAULTS[fault]
        if colon and not (kind.typed and type_ in set(MessageType)):
            raise UsageError(
                Text("{fault} cannot be limited to {type!r}.", fault=fault, type=type_),
                where="--fault",
                next_step=_FORM,
            )
        return cls(fault, MessageType(type_) if colon else None, _value(fault, value) if equals else kind.default)

    def __str__(self) -> str:
        """The text that ``parse`` reads."""
        limited = f":{self.type}" if self.type else ""
        return f"{self.name}{limited}" + (f"={self.value}" if self.value else "")


def _value(fault: FaultName, value: str) -> str:
    kind = FAULTS[fault]
    if kind.choices:
        word = value.removeprefix("transport:").removeprefix("abuse:")
        if word not in kind.choices:
            choices = Text("It takes one of: {choices}.", choices=", ".join(kind.choices))
            raise UsageError(
                Text("{fault} does not take {value!r}.", fault=fault, value=value), where="--fault", next_step=choices
            )
        return word
    if kind.number is None or not value.replace(".", "", 1).isdecimal():
        raise UsageError(
            Text("{fault} does not take the value {value!r}.", fault=fault, value=value),
            where="--fault",
            next_step=_FORM,
        )
    return f"{float(value):g}"


@dataclass(frozen=True, slots=True)
class Faults:
    """All faults that are on; a value, so that switching them is one assignment."""

    active: tuple[ActiveFault, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str], transport: Transport = Transport.AMQP) -> Faults:
        """Read several ``NAME[:TYPE][=VALUE]``.

        Args:
            texts: One each.
            transport: Which sandbox they are for.

        Raises:
            UsageError: As for ``ActiveFault.parse``, and where that sandbox does not have a fault.
        """
        parsed = tuple(ActiveFault.parse(text) for text in texts)
        for fault in parsed:
            if FAULTS[fault.name].only not in {None, transport}:
                own = ", ".join(name for name, kind in FAULTS.items() if kind.only in {None, transport})
                raise UsageError(
                    Text("The transport {transport} has no fault {fault}.", transport=transport, fault=fault.name),
                    where="--fault",
                    next_step=Text("The faults are: {faultname}.", faultname=own),
                )
        return cls(parsed)

    def find(self, name: FaultName, message_type: str = "") -> ActiveFault | None:
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

_FORM: Final = Text("The form is NAME[:KPR_IPL|:KPR_IDE][=VALUE]; see kpr-send sandbox serve --help.")

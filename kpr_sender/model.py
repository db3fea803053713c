"""The values every layer speaks in: plain, frozen, without behaviour that needs a clock, a file or a socket."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from kpr_sender.states import Cause, Lifecycle, ReceiptStatus, ShipmentState, awaits_answer
from kpr_sender.texts import Text


class Environment(enum.StrEnum):
    """Where a run sends to. There is no default: the person or the cron line says it (promise G7)."""

    LOKAL = "lokal"
    VALIDERING = "validering"
    PRODUKSJON = "produksjon"
    AR_TEST = "ar-test"


class Language(enum.StrEnum):
    """What a person reads: bokmål or English. Programs read English always."""

    NB = "nb"
    EN = "en"


class Transport(enum.StrEnum):
    """Which way a submission goes: over NHN Tjenestebuss, or as EDI (ebXML over e-mail). Nobody above the bus asks."""

    AMQP = "amqp"
    EDI = "edi"


class MessageType(enum.StrEnum):
    """The two shipments of a submission, by their MsgInfo/Type V (FHI's letter 24/04733-1)."""

    KPR_IPL = "KPR_IPL"
    """The fagmelding: IPLOS 3.7, no national id in it."""
    KPR_IDE = "KPR_IDE"
    """The identmelding: XPR(ide), national ids and their local running numbers."""

    @property
    def norwegian(self) -> str:
        """What the users call it."""
        return "fagmelding" if self is MessageType.KPR_IPL else "identmelding"


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a Hodemelding in tjenestebasert adressering: an organisation and its service.

    Attributes:
        name: Level 1, as in Adresseregisteret.
        her_id: Level 1 HER-id.
        service_name: Level 2 (tjenestested), as in Adresseregisteret.
        service_her_id: Level 2 HER-id.
        organisation_number: Level 1 organisasjonsnummer, 9 digits; optional (Ident ``ENH``).
    """

    name: str
    her_id: int
    service_name: str
    service_her_id: int
    organisation_number: str | None = None


_ORGANISATION_NUMBER: Final = re.compile(r"([0-9]{9})0?")
_WEIGHTS: Final = (3, 2, 7, 6, 5, 4, 3, 2, 1)
_MODULUS: Final = 11
_ORDINARY, _TENOR = ("8", "9"), ("2", "3")
"""What organisation numbers begin with; Skatteetaten's synthetic ones as the latter, and no others."""


def organisation_number(written: str) -> str | None:
    """Return the nine digits of an organisation number, or None; a 0 may follow them, as IPLOS 3.7 has it."""
    found = _ORGANISATION_NUMBER.fullmatch(written)
    return found[1] if found else None


def is_organisation_number(written: str) -> bool:
    """Tell whether there can be an organisation of this number, as it stands or with a 0 after it."""
    nine = organisation_number(written)
    return nine is not None and nine.startswith(_ORDINARY + _TENOR) and has_check_digit(nine)


def has_check_digit(nine: str) -> bool:
    """Tell whether nine digits end in the check digit that Brønnøysundregistrene would give them (modulus 11)."""
    return sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, nine, strict=True)) % _MODULUS == 0


def is_synthetic_organisation(number: str) -> bool:
    """Tell whether a number, if it is valid, is that of a synthetic organisation."""
    return number.startswith(_TENOR)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands outside the sealed bytes on the bus. Fixed with them: a repeated attempt sends the same (promise G3).

    Attributes:
        queue: The receiver's queue as it stands in ``to``: the last part of its id in Adresseregisteret, or all of it.
        subject: ``KPR_IPL`` or ``KPR_IDE`` (kodeverk 8279).
        reply_to: Our own queue for receipts, likewise.
        properties: Application properties; all values are strings (NHN AMQP profile). With EDI what is fixed of the
            mail besides (``messages.transport``).
        transport: Which way it goes. With EDI ``queue`` and ``reply_to`` are both addresses, and the sealed bytes are
            the mail's body.
    """

    queue: str
    subject: str
    reply_to: str
    correlation_id: str
    content_type: str
    properties: Mapping[str, str]
    transport: Transport = Transport.AMQP


@dataclass(frozen=True, slots=True)
class CertificateName:
    """Which certificate it is, without whose: what the journal stores of one.

    Attributes:
        sha1: Thumbprint, 40 lower-case hexadecimal digits: what Windows and Adresseregisteret show.
        serial: Serial number in hexadecimal, as it stands in the certificate.
    """

    sha1: str
    serial: str


@dataclass(frozen=True, slots=True)
class Certificates:
    """Which certificates a shipment was sealed with.

    Attributes:
        encryption: The receiver's that it can be opened with.
        signing: Ours that it is signed with.
    """

    encryption: CertificateName
    signing: CertificateName


SEALED_FOR_ANOTHER: Final = Text("it is sealed for none of our decryption certificates")
"""How the problem of a receipt begins that we cannot open for want of the key."""
OTHER_SENDER: Final = "whom we sent to"
"""What the problem of a receipt says whose sender is all that speaks against it: a person may accept it."""


@dataclass(frozen=True, slots=True)
class ReceiptError:
    """One Error element of an AppRec, all of it stored.

    Attributes:
        code: ``V``, for example ``T02``. Vendor-specific codes are stored as they came.
        code_system: ``S``, an OID; may be empty.
        text: ``DN``.
        detail: ``OT``. May name a patient: shown to the person who asks, never logged (promise G6).
    """

    code: str
    code_system: str
    text: str
    detail: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One application receipt as the journal stores it.

    Attributes:
        receipt_id: Running number in the journal.
        msg_id: The shipment it answers, our MsgId.
        status: What it says, None where it could not be read.
        errors: All Error elements, in order.
        verified: True only after decryption, signature, sender and MsgId were all valid (promise G4).
        problem: Why it is not verified, or how it contradicts an earlier one; empty when all is well.
        received_at: When we took it, UTC.
        signer: The receiver's certificate that verified it; None where none did, or the journal did not store it then.
        discarded: Whether a person has discarded it, or it turned out to answer another shipment: it counts no more.
        pruned: Whether its bytes, its XML and its errors' OT were removed; what else it says stays.
    """

    receipt_id: int
    msg_id: str
    status: ReceiptStatus | None
    errors: tuple[ReceiptError, ...]
    verified: bool
    problem: str
    received_at: datetime
    signer: CertificateName | None = None
    discarded: bool = False
    pruned: bool = False

    @property
    def unopened(self) -> bool:
        """Whether it is sealed for a key that we do not have: nothing is known of what it says."""
        return self.problem.startswith(SEALED_FOR_ANOTHER)

    @property
    def in_question(self) -> bool:
        """Whether it is neither verified, discarded nor pruned: it is evaluated anew at each run."""
        return not self.verified and not self.discarded and not self.pruned


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """What last refused a shipment without being a receipt: a message on our error queue; with EDI what a mail said.

    Attributes:
        at: When we took it, UTC.
        condition: Its errorCondition, for example ``transport:invalid-certificate``; may be empty, as the others may.
        description: Its errorDescription, cut and clean.
        data: Its errorConditionData in words: thumbprints, field names.
        cause: ``error-queue``; with EDI ``message-error`` for one of the receiver's message server, ``bounced`` for a
            mail that came back or a SOAP Fault.
    """

    at: datetime
    condition: str
    description: str
    data: str
    cause: Cause = Cause.ERROR_QUEUE

    @property
    def is_signed(self) -> bool:
        """Whether its signature was verified: a MessageError counts only so, the others are evidence and no proof."""
        return self.cause is Cause.MESSAGE_ERROR

    @property
    def text(self) -> str:
        """All of it as one clause without a full stop."""
        said = ": ".join(filter(None, (self.condition, self.description.rstrip(" .;"))))
        return " ".join(filter(None, (said, f"({self.data})" if self.data else ""))) or Text("no more than that")


class NoteKind(enum.StrEnum):
    """What a mail can say of a shipment that moves nothing (EDI)."""

    DELAYED = "delayed"
    WARNING = "warning"
    UNCOUNTED = "uncounted"
    """An Acknowledgment that does not repeat the digests of what we sent."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class MailNote:
    """What mails of a kind say of a shipment under its present ids, which moves nothing.

    Attributes:
        since: When the first of them came, UTC.
        condition: The last one's code; may be empty, as ``description`` may.
    """

    kind: NoteKind
    since: datetime
    condition: str
    description: str


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The file that a shipment's payload was read from.

    Attributes:
        name: Its name without the folder, clean.
        sha256: Digest of its bytes as they lay on the disk, 64 hexadecimal digits.
    """

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Version:
    """What a shipment was before it was sealed anew or given another id.

    Attributes:
        since: When it became so, UTC.
        until: When it became something else, UTC.
    """

    msg_id: str
    message_id: str
    sealed_sha256: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment(Lifecycle):
    """One sealed Hodemelding and what is known of its way: its life, and what is fixed.

    Attributes:
        msg_id: MsgInfo/MsgId, lower-case UUID; names the shipment to people, too.
        message_id: AMQP message-id, independent of ``msg_id``; error-queue messages name this one. With EDI the
            eb:MessageId.
        sealed_bytes: Size of the sealed bytes in bytes.
        certificates: What it is sealed with; None for one that was sealed before the journal stored it.
        hodemelding_sha256: Digest of the Hodemelding round the payload; empty likewise.
        receipts: Those for its present MsgId, in order.
        lopenr: The EPJ's running number, as it stands in the payload.
        error_message: What our error queue, or with EDI a mail, refused it with last; None where nothing did.
        earlier: What it was before, the oldest first.
        file: Where its payload was read from; None for one that was sealed before the journal stored it.
        arrived_at: When a person last said that it has arrived; None where none did.
        pruned_at: When a person last had its sealed bytes and its receipts' content removed; None where none did.
        transport: Which way it goes under its present ids.
        noted: What mails say of it and moves nothing, one of each kind, the oldest first.
    """

    msg_id: str
    submission_id: str
    type: MessageType
    message_id: str
    receiver_her_id: int
    payload_sha256: str
    sealed_sha256: str
    sealed_bytes: int
    created_at: datetime
    receipts: tuple[Receipt, ...]
    certificates: Certificates | None = None
    hodemelding_sha256: str = ""
    lopenr: str = ""
    error_message: ErrorMessage | None = None
    earlier: tuple[Version, ...] = ()
    file: SourceFile | None = None
    arrived_at: datetime | None = None
    pruned_at: datetime | None = None
    transport: Transport = Transport.AMQP
    noted: tuple[MailNote, ...] = ()

    @property
    def id_is_sealed(self) -> bool:
        """Whether its message-id is within its sealed bytes, which then go again under that one alone."""
        return self.transport is Transport.EDI

    @property
    def msg_ids(self) -> frozenset[str]:
        """Each MsgId that it has or had."""
        return frozenset({self.msg_id, *(one.msg_id for one in self.earlier)})


_S = ShipmentState


class SubmissionState(enum.StrEnum):
    """What a pair of shipments amounts to: a function of their two states, nothing else (``PAIR_RULES``)."""

    IN_DOUBT = "in_doubt"
    DELIVERED = "delivered"
    PARTLY_DELIVERED = "partly_delivered"
    REJECTED = "rejected"
    DELIVERED_WITH_ERRORS = "delivered_with_errors"
    SEALED = "sealed"
    PUBLISHED = "published"
    CANCELLED = "cancelled"

    @staticmethod
    def of(states: tuple[ShipmentState, ...]) -> SubmissionState:
        """Return the pair's state: the first rule of ``PAIR_RULES`` that holds.

        Args:
            states: The shipments' states, in any order; at least one.
        """
        if not states:
            raise ValueError("a submission has at least one shipment")
        present = frozenset(states)
        return next(result for result, holds in PAIR_RULES if holds(present))


_LOST: Final = frozenset({_S.REJECTED, _S.FAULTED, _S.CANCELLED})
ARRIVED: Final = frozenset({_S.DELIVERED, _S.DELIVERED_WITH_ERRORS})
"""FHI has its data."""

# Worst first: the worst shipment decides, and a pair of which only one half arrived is a state of its own.
PAIR_RULES: Final[tuple[tuple[SubmissionState, Callable[[frozenset[ShipmentState]], bool]], ...]] = (
    (SubmissionState.IN_DOUBT, lambda present: bool(present & {_S.IN_DOUBT, _S.PUBLISHING})),
    (SubmissionState.PARTLY_DELIVERED, lambda present: bool(present & _LOST) and bool(present & ARRIVED)),
    (SubmissionState.REJECTED, lambda present: bool(present & {_S.REJECTED, _S.FAULTED})),
    (SubmissionState.CANCELLED, lambda present: _S.CANCELLED in present),
    (SubmissionState.SEALED, lambda present: _S.SEALED in present),
    (SubmissionState.DELIVERED_WITH_ERRORS, lambda present: _S.DELIVERED_WITH_ERRORS in present),
    (SubmissionState.PUBLISHED, lambda present: _S.PUBLISHED in present),
    (SubmissionState.DELIVERED, lambda present: present == {_S.DELIVERED}),
)


@dataclass(frozen=True, slots=True)
class Submission:
    """The pair for one sender, year and environment.

    Attributes:
        submission_id: Short stable id shown to people, for example ``2024-3b1f9c2e``.
        kommunenummer: Four digits, as in iiKomnr.
        bydel: Two digits, ``00`` where not used.
        replaces: The submission this one replaces after contact with FHI, or None.
        reason: Why it replaces, in the person's own words; empty when it replaces nothing.
    """

    submission_id: str
    environment: Environment
    sender_her_id: int
    kommunenummer: str
    bydel: str
    year: int
    created_at: datetime
    shipments: tuple[Shipment, ...]
    replaces: str | None = None
    reason: str = ""

    @property
    def state(self) -> SubmissionState:
        """A function of the two shipments' states, nothing else."""
        return SubmissionState.of(tuple(shipment.state for shipment in self.shipments))

    @property
    def awaits_answer(self) -> bool:
        """Whether a receipt or a message on the error queue is waited for, for one of the pair."""
        return any(awaits_answer(shipment) for shipment in self.shipments)

    @property
    def transport(self) -> Transport:
        """Which way it goes: that of what has not arrived yet; what has arrived may have gone another."""
        waiting = [one for one in self.shipments if one.state not in ARRIVED]
        return (waiting or self.shipments)[0].transport

    @property
    def own(self) -> tuple[Shipment, ...]:
        """The shipments that were made for it: all but a half that it keeps of what it replaces."""
        return tuple(one for one in self.shipments if one.submission_id == self.submission_id)


def rfc3339(at: datetime) -> str:
    """Write a time as RFC 3339 in UTC, whole seconds, for example ``2025-01-06T09:15:00Z``."""
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"

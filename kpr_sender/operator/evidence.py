"""Evidence of a submission, for the archive and the auditor: what belongs in it, and who may vouch for it.

The rules:

1. Nothing in it names a person whose data was sent, unless receipts are asked for in clear text. So a receipt's
   original is in it only where it is sealed: verified, and an EnvelopedData that nobody opens without our key. What
   came in clear text, or is unknown, is there as its digest.
2. Those who decided something are named, with their reasons: that is what evidence is for.
3. Genuine is an archive that the sender signed that is named in it: with a certificate of that organisation which leads
   to an authority that is trusted here, or with our own where it is ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kpr_sender.cms import asn1
from kpr_sender.cms.algorithms import ID_ENVELOPED_DATA, Policy
from kpr_sender.cms.certificates import organisation_number
from kpr_sender.cms.port import ProtectionRefused
from kpr_sender.errors import AccessRefused, EvidenceNotGenuine
from kpr_sender.journal.port import JournalView
from kpr_sender.journal.values import JournalEvent, ReceiptDocument
from kpr_sender.model import Envelope, Party, Submission
from kpr_sender.operator.bundle import versions
from kpr_sender.operator.evidence_archive import RECEIPTS, ReadArchive, read_archive
from kpr_sender.privacy import foreign_text
from kpr_sender.report import Report
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text
from kpr_sender.trust.port import Trust

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

FORMAT: Final = "kpr-sender evidence 1"
_SKEW: Final = timedelta(minutes=5)
"""How much clocks may differ."""
_ID_IN_BYTES: Final = re.compile(rb"[0-9]{11}")


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A receipt, and what of it is in the archive.

    Attributes:
        document: As the journal has it.
        sha256: Of the bytes that came; empty where they were pruned.
        original: The name of the file with the bytes as they came; empty where they are not enclosed.
        xml: The same of the opened receipt.
        why_not: Why the original is not enclosed; empty where it is.
    """

    document: ReceiptDocument
    sha256: str
    original: str
    xml: str
    why_not: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is said of a submission.

    Attributes:
        sender: Who submitted, as configured.
        envelopes: What stood outside the sealed bytes, by MsgId.
        history: The events of its shipments, the oldest first.
        journal_decisions: What persons decided of the journal as a whole, the oldest first.
        versions: Of what made the archive, by name.
    """

    made_at: datetime
    sender: Party
    report: Report
    envelopes: Mapping[str, Envelope]
    receipts: tuple[Enclosed, ...]
    history: tuple[JournalEvent, ...]
    journal_decisions: tuple[JournalEvent, ...]
    versions: Mapping[str, str]

    @property
    def submission(self) -> Submission:
        """What it is about."""
        return self.report.submission

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield the names and contents of the receipts that are enclosed."""
        for one in self.receipts:
            if one.original:
                yield one.original, one.document.sealed
            if one.xml and one.document.xml is not None:
                yield one.xml, one.document.xml


def gather(
    journal: JournalView, settings: Settings, submission: Submission, *, at: datetime, with_receipts: bool
) -> Evidence:
    """Collect what the journal knows of a submission.

    Args:
        journal: Which has it.
        settings: Who sends, and by which limits.
        submission: Which one.
        at: The time now; aware.
        with_receipts: Whether what may name a patient is enclosed, too.
    """
    documents = journal.receipt_documents(submission.submission_id)
    events = {
        (event.at, event.msg_id, event.what): event
        for shipment in submission.shipments
        for event in journal.events(shipment.msg_id)
    }
    return Evidence(
        made_at=at,
        sender=settings.sender.party,
        report=Report.of(settings, journal, submission, at=at),
        envelopes={one.msg_id: journal.envelope(one.msg_id) for one in submission.shipments},
        receipts=tuple(_enclosed(document, with_receipts=with_receipts) for document in documents),
        journal_decisions=journal.decisions(),
        history=tuple(sorted(events.values(), key=lambda event: event.at)),
        versions=versions(),
    )


_PRUNED: Final = Text("it was removed from the journal")
_CLEAR: Final = Text("it is not sealed, or not verified: it may name a patient (--with-receipts)")


def _enclosed(document: ReceiptDocument, *, with_receipts: bool) -> Enclosed:
    receipt, sealed = document.receipt, document.sealed
    number = receipt.receipt_id
    if receipt.pruned:
        return Enclosed(document, "", "", "", _PRUNED)
    safe = receipt.verified and is_sealed(sealed)
    return Enclosed(
        document,
        hashlib.sha256(sealed).hexdigest(),
        f"{RECEIPTS}{number}.p7m" if safe or with_receipts else "",
        f"{RECEIPTS}{number}.xml" if with_receipts and document.xml is not None else "",
        "" if safe or with_receipts else _CLEAR,
    )


def is_sealed(message: bytes) -> bool:
    """Tell whether a message is an EnvelopedData, so that nobody reads it without a key, and has no id beside that."""
    try:
        asn1.content_info(memoryview(message), ID_ENVELOPED_DATA, Policy())
    except (asn1.BerError, ProtectionRefused):
        return False
    return _ID_IN_BYTES.search(message) is None


@dataclass(frozen=True, slots=True)
class Genuine:
    """An archive that its sender signed.

    Attributes:
        submission_id: What it is about.
        sender: The sender's name as it says itself.
        signer: The certificate that signed it.
        signed_at: When, as the signer says.
        files: How many files it has.
    """

    submission_id: str
    sender: str
    signer: Certificate
    signed_at: datetime
    files: int


def verify_evidence(
    path: Path,
    settings: Settings,
    trust: Callable[[], Trust],
    *,
    is_ours: Callable[[Certificate], bool],
    at: datetime,
) -> Genuine:
    """Verify an archive: that nothing was altered, and that the sender that is named in it signed it.

    Args:
        path: The file.
        settings: Who we are, and whether authorities are configured.
        trust: Returns what is required of certificates.
        is_ours: Tells whether a certificate is or was ours for signing.
        at: The time now; aware.

    Raises:
        InputMissing: The file cannot be read.
        EvidenceNotGenuine: It was altered, or somebody else signed it.
        ConfigInvalid: The authorities that the configuration names cannot be read.
    """
    archive = read_archive(path)
    signature = archive.signature
    try:
        said = _said(archive)
        own = said.her_id == settings.sender.service_her_id
        organisation = settings.sender.organisation_number if own else said.organisation
        _require_signer(
            archive, settings, trust, organisation=organisation, ours=own and is_ours(signature.signer), at=at
        )
    except EvidenceNotGenuine as error:
        raise EvidenceNotGenuine(error.what, where=str(path)) from None
    return Genuine(said.submission_id, said.name, signature.signer, signature.signed_at, archive.files)


@dataclass(frozen=True, slots=True)
class _NamedSender:
    submission_id: str
    name: str
    her_id: int
    organisation: str | None


def _said(archive: ReadArchive) -> _NamedSender:
    try:
        facts: dict[str, Any] = json.loads(archive.facts)
        sender = facts["sender"]
        named = _NamedSender(
            foreign_text(facts["submission"]["submission_id"]),
            foreign_text(sender["name"]),
            int(sender["service_her_id"]),
            None if sender["organisation_number"] is None else str(sender["organisation_number"]),
        )
        known = facts["format"] == FORMAT
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):  # int(Infinity), too
        known = False
    if not known:
        raise EvidenceNotGenuine(Text("What it says of itself cannot be read."))
    return named


def _require_signer(
    archive: ReadArchive,
    settings: Settings,
    trust: Callable[[], Trust],
    *,
    organisation: str | None,
    ours: bool,
    at: datetime,
) -> None:
    signer = archive.signature.signer
    signed_at = archive.signature.signed_at
    if not signer.not_valid_before_utc <= signed_at <= signer.not_valid_after_utc or signed_at > at + _SKEW:
        raise EvidenceNotGenuine(Text("It was signed when its certificate was not valid, or in the future."))
    if not (ours or (settings.protection.roots and organisation is not None)):
        has = organisation_number(signer) or "-"
        raise EvidenceNotGenuine(
            Text(
                "Nobody here vouches for who signed it (organisation number {has}): it is no certificate of ours, and "
                "protection.roots names no authority, or the sender's organisation number is not known.",
                has=has,
            )
        )
    if not settings.protection.roots:
        return
    try:
        trust().require(
            signer,
            at=at if at <= signer.not_valid_after_utc else signed_at,
            name=Text("the signature"),
            organisation=organisation,
            intermediates=archive.signature.embedded,
        )
    except AccessRefused as error:
        raise EvidenceNotGenuine(
            Text("Somebody else signed it, or the certificate is not trusted: {reason}", reason=error.what)
        ) from None

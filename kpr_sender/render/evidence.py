"""Evidence of a submission as JSON, and as a page to read and print: what was sent, answered, decided and reviewed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kpr_sender.cms.certificates import describe
from kpr_sender.journal.values import CREATED, LOOK_ANYWAY, PRUNED, RECEIPT_DISCARDED, REVIEWED, JournalEvent
from kpr_sender.model import CertificateName, MessageType, Receipt, Shipment, rfc3339
from kpr_sender.operator.evidence import FORMAT, Enclosed, Evidence, Genuine
from kpr_sender.operator.evidence_archive import LIST, SIGNATURE, VERIFICATION, VERIFICATION_OF_ISSUER
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.privacy import shown
from kpr_sender.render.history import ID_ON_THE_WAY, REFUSED_BY, words_of_history
from kpr_sender.render.html import page
from kpr_sender.render.json import report_json
from kpr_sender.standing import standing, words_of_note
from kpr_sender.states import Cause
from kpr_sender.texts import Text

_ACCEPTED_FINDINGS: Final = "findings-accepted"
_WORDS_OF_STATUS: Final = {
    None: Text("unreadable"),
    1: Text("OK"),
    2: Text("rejected"),
    3: Text("OK, with errors in parts of it"),
}
_TYPES: Final = {
    MessageType.KPR_IPL: Text("Fagmelding (KPR_IPL)"),
    MessageType.KPR_IDE: Text("Identmelding (KPR_IDE)"),
}


_WORDS_OF_DECISIONS: Final = {
    Cause.PERSON_ARRIVED: Text("FHI has said that it arrived"),
    Cause.PERSON_NOT_ARRIVED: Text("FHI has said that it did not arrive: it may go again"),
    Cause.PERSON_CANCELS: Text("given up"),
    Cause.PERSON_RESENDS: Text("may go again, sealed anew"),
    Cause.PERSON_SETTLES: Text("settled: nobody need look at it any more"),
    _ACCEPTED_FINDINGS: Text("findings of the check accepted"),
    "receipt-accepted": Text("a receipt accepted whose sender is another"),
    RECEIPT_DISCARDED: Text("a receipt discarded that is not verified"),
    CREATED: Text("submitted in the place of another submission"),
    "replaced": Text("replaced by another submission"),
    "kept": Text("kept by the submission that replaces its own"),
    REVIEWED: Text("looked at in FHI's feedback view"),
    LOOK_ANYWAY: Text("one look more at a shared queue"),
    PRUNED: Text("its bytes removed from the journal"),
    "journal-accepted": Text("the journal goes on although it was restored or copied"),
    "released": Text("a shipment that the restored journal did not know no longer stands in the way"),
}
"""What a person decided, by the history's word."""


def evidence_json(evidence: Evidence) -> bytes:
    """Return all of it for programs: in English, times in RFC 3339, without what may name a patient."""
    submission, party, report = evidence.submission, evidence.sender, evidence.report
    shipments = report_json(report)["shipments"]
    for one, shipment in zip(shipments, submission.shipments, strict=True):
        envelope = evidence.envelopes[shipment.msg_id]
        one["created_at"] = rfc3339(shipment.created_at)
        one["receiver_her_id"] = shipment.receiver_her_id
        one["hodemelding_sha256"] = shipment.hodemelding_sha256
        one["envelope"] = {
            "transport": envelope.transport.value,
            "queue": envelope.queue,
            "subject": envelope.subject,
            "reply_to": envelope.reply_to,
            "content_type": envelope.content_type,
            "properties": dict(envelope.properties),
        }
    value = {
        "format": FORMAT,
        "made_at": rfc3339(evidence.made_at),
        "versions": dict(evidence.versions),
        "environment": submission.environment.value,
        "sender": {
            "name": party.name,
            "her_id": party.her_id,
            "organisation_number": party.organisation_number,
            "service_name": party.service_name,
            "service_her_id": party.service_her_id,
        },
        "submission": {
            "submission_id": submission.submission_id,
            "year": submission.year,
            "kommunenummer": submission.kommunenummer,
            "bydel": submission.bydel,
            "sender_her_id": submission.sender_her_id,
            "created_at": rfc3339(submission.created_at),
            "replaces": submission.replaces,
            "replaced_by": report.replacement and report.replacement.submission.submission_id,
            "reason": submission.reason,
            "state": submission.state.value,
            "result": report.text(),
        },
        "shipments": shipments,
        "receipts": [_receipt_json(one) for one in evidence.receipts],
        "accepted_findings": _accepted(evidence),
        "review": report.reviewed
        and {"at": rfc3339(report.reviewed.at), "by": report.reviewed.by, "note": report.reviewed.note},
        "decisions": [_event_json(one) for one in report.decisions],
        "journal_decisions": [_event_json(one) for one in evidence.journal_decisions],
        "history": [_event_json(one) for one in evidence.history],
    }
    return (json.dumps(shown(value), ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")


def _receipt_json(one: Enclosed) -> dict[str, Any]:
    receipt = one.document.receipt
    return {
        "number": receipt.receipt_id,
        "msg_id": receipt.msg_id,
        "status": receipt.status,
        "verified": receipt.verified,
        "discarded": receipt.discarded,
        "problem": receipt.problem,
        "received_at": rfc3339(receipt.received_at),
        "signer": receipt.signer and {"sha1": receipt.signer.sha1, "serial": receipt.signer.serial},
        "errors": [
            {"code": error.code, "code_system": error.code_system, "text": error.text} for error in receipt.errors
        ],
        "sha256": one.sha256 or None,
        "original": one.original or None,
        "xml": one.xml or None,
        "not_enclosed": str(one.why_not) or None,
    }


def _event_json(event: JournalEvent) -> dict[str, Any]:
    named = {"at": rfc3339(event.at), "what": event.what, "msg_id": event.msg_id or None, "by": event.who}
    return {**named, "why": event.why, "details": dict(event.details)}


def _accepted(evidence: Evidence) -> dict[str, int]:
    """Return how many findings of each rule of the check a person accepted."""
    found: dict[str, int] = {}
    for event in evidence.history:
        if event.what == _ACCEPTED_FINDINGS:
            found |= {rule: int(number) for rule, number in event.details.items()}
    return found


@dataclass(frozen=True, slots=True)
class _Table:
    """A part of the page: a heading, what is said above the table, the table's head and its rows."""

    heading: Text
    intro: Text | str
    head: tuple[Text, ...]
    rows: tuple[tuple[object, ...], ...]


def evidence_page(evidence: Evidence, names: Mapping[str, int]) -> bytes:
    """Return the page, in the language that is spoken.

    Args:
        evidence: What is known.
        names: The other files of the archive, the list and its signature excepted, with their sizes in bytes.
    """
    submission, report = evidence.submission, evidence.report
    title = Text("Evidence of submission {submission}", submission=submission.submission_id)
    made = page(
        "evidence.html",
        title=title,
        verdict=report.text(),
        tone="good" if report.exit_code == 0 else "bad",
        facts=_facts(evidence),
        shipments=[(_TYPES[one.type], tuple(_shipment(one))) for one in submission.shipments],
        sent=Text("What was sent"),
        tables=[table for table in _tables(evidence) if table.rows or table.intro],
        how=Text("How to verify this"),
        steps=_steps(len(names) + 3),
        note=_NOTE,
    )
    return made.encode("utf-8", "backslashreplace")


def _facts(evidence: Evidence) -> list[tuple[Text, object]]:
    submission, party = evidence.submission, evidence.sender
    replaced = evidence.report.replacement
    rows: list[tuple[Text, object]] = [
        (Text("Sender"), party.name),
        (Text("Organisation number"), party.organisation_number or "-"),
        (Text("HER-id"), f"{party.her_id} / {submission.sender_her_id}"),
        (Text("Kommunenummer"), f"{submission.kommunenummer} / {submission.bydel}"),
        (Text("Reporting year"), submission.year),
        (Text("Environment"), submission.environment.value),
        (Text("Submitted"), rfc3339(submission.created_at)),
    ]
    if submission.replaces:
        rows += [(Text("Replaces"), submission.replaces), (Text("Reason"), submission.reason)]
    if replaced is not None:
        rows.append((Text("Replaced by"), replaced.submission.submission_id))
    rows.append((Text("This was made"), rfc3339(evidence.made_at)))
    return rows


def _shipment(shipment: Shipment) -> Iterator[tuple[Text, object]]:
    yield Text("State"), standing(shipment).of(shipment)
    yield Text("MsgId"), shipment.msg_id
    yield ID_ON_THE_WAY[shipment.transport], shipment.message_id
    if shipment.published_at is not None:
        yield Text("Sent"), rfc3339(shipment.published_at)
    if shipment.acknowledged_at is not None:
        yield Text("Acknowledged by KPR's message server"), rfc3339(shipment.acknowledged_at)
    yield Text("To HER-id"), shipment.receiver_her_id
    if shipment.file is not None:
        yield Text("File"), shipment.file.name
        yield Text("SHA-256 of the file"), shipment.file.sha256
    yield Text("SHA-256 of the content"), shipment.payload_sha256
    if shipment.hodemelding_sha256:
        yield Text("SHA-256 of the Hodemelding"), shipment.hodemelding_sha256
    yield Text("SHA-256 as sent (sealed)"), shipment.sealed_sha256
    yield Text("Size as sent"), Text("{size:,} bytes", size=shipment.sealed_bytes)
    if shipment.certificates is not None:
        yield Text("Signed with"), _certificate(shipment.certificates.signing)
        yield Text("Encrypted for"), _certificate(shipment.certificates.encryption)
    for one in shipment.earlier:
        yield (
            Text("Before"),
            Text(
                "until {at}: MsgId {msg_id}, message-id {message_id}, sealed SHA-256 {sha256}",
                at=rfc3339(one.until),
                msg_id=one.msg_id,
                message_id=one.message_id,
                sha256=one.sealed_sha256,
            ),
        )
    if shipment.error_message is not None:
        yield REFUSED_BY[shipment.error_message.cause], shipment.error_message.text
    for note in shipment.noted:
        yield Text("Noted"), words_of_note(note, note.condition, note.description)
    if shipment.pruned_at is not None:
        yield Text("Removed"), Text("its bytes left the journal {at}", at=rfc3339(shipment.pruned_at))


def _certificate(name: CertificateName) -> Text:
    return Text("serial number {serial}, SHA-1 thumbprint {sha1}", serial=name.serial, sha1=name.sha1)


def _tables(evidence: Evidence) -> Iterator[_Table]:
    nothing = Text("None.")
    yield _Table(
        Text("FHI's receipts"),
        "" if evidence.receipts else nothing,
        (Text("No."), Text("For MsgId"), Text("Says"), Text("Came"), Text("Verified"), Text("Original")),
        tuple(tuple(_receipt(one)) for one in evidence.receipts),
    )
    decisions = sorted((*evidence.report.decisions, *evidence.journal_decisions), key=lambda one: one.at)
    yield _Table(
        Text("What persons decided"),
        "" if decisions else nothing,
        (Text("When"), Text("What"), Text("MsgId"), Text("By"), Text("Reason")),
        tuple(
            (rfc3339(one.at), _WORDS_OF_DECISIONS.get(one.what, one.what), one.msg_id, one.who, one.why)
            for one in decisions
        ),
    )
    accepted = _accepted(evidence)
    yield _Table(
        Text("Findings of the check that a person accepted"),
        "" if accepted else nothing,
        (Text("Rule"), Text("What it finds"), Text("Findings")),
        tuple((rule, RULES[rule].title if rule in RULES else "", number) for rule, number in accepted.items()),
    )
    reviewed = evidence.report.reviewed
    yield _Table(
        Text("FHI's feedback view"),
        Text("Nobody has noted that it was looked at.") if reviewed is None else "",
        (Text("When"), Text("By"), Text("Note")),
        () if reviewed is None else ((rfc3339(reviewed.at), reviewed.by, reviewed.note),),
    )
    yield _Table(
        Text("History"),
        "",
        (Text("When"), Text("MsgId"), Text("What"), Text("By"), Text("Why")),
        tuple((rfc3339(one.at), one.msg_id, words_of_history(one.what), one.who, one.why) for one in evidence.history),
    )
    yield _Table(Text("Made with"), "", (Text("What"), Text("Version")), tuple(evidence.versions.items()))


def _receipt(one: Enclosed) -> Iterator[object]:
    receipt = one.document.receipt
    yield receipt.receipt_id
    yield receipt.msg_id
    errors = "; ".join(f"{error.code} {error.text}" for error in receipt.errors)
    said = _WORDS_OF_STATUS[receipt.status]
    yield Text("{said}: {errors}", said=said, errors=errors) if errors else said
    yield rfc3339(receipt.received_at)
    yield _verified(receipt)
    if not one.original:
        yield Text("not here: {why}. SHA-256 {sha256}", why=one.why_not, sha256=one.sha256 or "-")
    elif one.xml:
        yield Text("{file} and {xml}, SHA-256 {sha256}", file=one.original, xml=one.xml, sha256=one.sha256)
    else:
        yield Text("{file}, SHA-256 {sha256}", file=one.original, sha256=one.sha256)


def _verified(receipt: Receipt) -> Text | str:
    if not receipt.verified:
        return Text("no: {problem}", problem=receipt.problem)
    return Text("yes") if receipt.signer is None else _certificate(receipt.signer)


_NOTE: Final = Text(
    "Persons whose data was sent are not named here, unless receipts in clear text are enclosed (receipts/*.xml). "
    "Employees who decided something are."
)


def _steps(files: int) -> list[tuple[Text, str]]:
    """Return what to do, each with its command; run where the archive is unpacked, with openssl and GNU's tools."""
    signature, certificate, digests, count = VERIFICATION
    return [
        (
            Text(
                "The municipality's signature ({signature}) over the list of digests ({list}). It must say: "
                "CMS Verification successful.",
                signature=SIGNATURE,
                list=LIST,
            ),
            signature,
        ),
        (
            Text(
                "Whose signature it is. Compare organisation number, serial number and fingerprint with the "
                "municipality's certificate for signing in Adresseregisteret."
            ),
            certificate,
        ),
        (
            Text(
                "Who issued it, where you have the issuer's root and issuing certificates from the issuer itself, in "
                "../roots.pem. It must say: CMS Verification successful."
            ),
            VERIFICATION_OF_ISSUER,
        ),
        (Text("That no file was altered or removed. It must say nothing."), digests),
        (Text("That no file was added. It must say: {files}", files=files), count),
    ]


def made_screen(path: str, evidence: Evidence, files: int) -> Iterator[str]:
    """Yield what was written."""
    yield Text(
        "{path} is written: {files} files about submission {submission}, signed.",
        path=path,
        files=files,
        submission=evidence.submission.submission_id,
    )
    if any(one.xml for one in evidence.receipts):
        yield Text("It holds receipts in clear text, which may name a patient.")
    for one in evidence.receipts:
        if one.why_not:
            yield Text(
                "The original of receipt {number} is not in it: {why}.",
                number=one.document.receipt.receipt_id,
                why=one.why_not,
            )


def genuine_screen(path: str, genuine: Genuine) -> Iterator[str]:
    """Yield that an archive is genuine, and whose it is."""
    yield Text(
        "{path} is genuine: nothing was altered, added or removed since {sender} signed it.",
        path=path,
        sender=genuine.sender,
    )
    yield Text("  Submission  {submission}", submission=genuine.submission_id)
    yield Text("  Signed      {at}", at=rfc3339(genuine.signed_at))
    yield Text("  With        {certificate}", certificate=describe(genuine.signer))


def genuine_json(genuine: Genuine) -> dict[str, Any]:
    """Return the same in plain values."""
    return {
        "submission": genuine.submission_id,
        "sender": genuine.sender,
        "signed_at": rfc3339(genuine.signed_at),
        "signer": describe(genuine.signer),
        "files": genuine.files,
    }

"""The one JSON object of ``--json``: an envelope that all commands share, and the values of a submission in it.

Times are RFC 3339 in UTC. No personal data (promise G6).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from kpr_sender.errors import EXIT_OK, KprError
from kpr_sender.journal.values import JournalEvent
from kpr_sender.model import CertificateName, ErrorMessage, Receipt, Shipment, rfc3339
from kpr_sender.privacy import shown
from kpr_sender.report import Report

SCHEMA: Final = 2
"""Raised when a key goes away or changes its meaning; a new key does not raise it."""


def envelope(error: KprError | None, /, **own: object) -> dict[str, Any]:
    """Return the object that a command prints with ``--json``.

    The exit code is taken from the error, so that the two cannot disagree (promise G5).

    Args:
        error: What the command's exit code stands for; None for 0.
        own: The command's own keys.

    Returns:
        ``schema``, ``exit_code`` and ``error`` (``code``, ``text`` and ``next_step``, or None), then the command's own.
    """
    return {
        "schema": SCHEMA,
        "exit_code": EXIT_OK if error is None else error.exit_code,
        "error": None if error is None else _error(error),
        **own,
    }


def nothing(
    error: KprError | None = None,
    *,
    environment: str | None,
    deadline: str | None = None,
    days_left: int | None = None,
    state: str | None = None,
) -> dict[str, Any]:
    """Return the object of a command that knows no submission: ``report_json`` with nothing in it.

    Args:
        error: Why, when it failed.
        environment: From ``--env``; None where it was not given or is unknown.
        deadline: The last day to report; None where the configuration was not read.
        days_left: Until then.
        state: ``waiting`` where the files are not there yet, as a schedule expects; None otherwise.
    """
    return envelope(
        error,
        environment=environment,
        submission=None,
        kommunenummer=None,
        year=None,
        state=state,
        replaced_by=None,
        deadline=deadline,
        days_left=days_left,
        reviewed=None,
        answers_to_others=0,
        next_look=None,
        shipments=[],
    )


def report_json(report: Report) -> dict[str, Any]:
    """Return what is known of a submission.

    Args:
        report: As the journal has it.
    """
    submission = report.submission
    return envelope(
        report.error,
        environment=submission.environment.value,
        submission=submission.submission_id,
        kommunenummer=submission.kommunenummer,
        year=submission.year,
        state=submission.state.value,
        replaced_by=report.replacement and report.replacement.submission.submission_id,
        **_deadline(report),
        reviewed=report.reviewed and {"at": rfc3339(report.reviewed.at)},  # not who: that stays in the journal
        answers_to_others=report.answers_to_others,
        next_look=report.next_look and rfc3339(report.next_look.at),
        shipments=[
            {**_shipment(one), "kept_of": None if one in submission.own else one.submission_id}
            for one in submission.shipments
        ],
    )


def receipts_json(report: Report, receipts: Iterable[tuple[Receipt, Path | None]]) -> dict[str, Any]:
    """Return a submission's receipts, without OT.

    Args:
        report: What is known of the submission.
        receipts: Each with its copy, or None where there is no copy.
    """
    submission = report.submission
    return envelope(
        report.error,
        environment=submission.environment.value,
        submission=submission.submission_id,
        kommunenummer=submission.kommunenummer,
        year=submission.year,
        state=submission.state.value,
        **_deadline(report),
        error_messages=[
            {"msg_id": shipment.msg_id, **_error_message(shipment.error_message)}
            for shipment in submission.shipments
            if shipment.error_message
        ],
        receipts=[
            {
                "number": receipt.receipt_id,
                "msg_id": receipt.msg_id,
                "status": receipt.status,
                "errors": _receipt_errors(receipt),
                "verified": receipt.verified,
                "discarded": receipt.discarded,
                "pruned": receipt.pruned,
                "problem": receipt.problem,
                "received_at": rfc3339(receipt.received_at),
                "file": None if copy is None else str(copy),
            }
            for receipt, copy in receipts
        ],
    )


def _deadline(report: Report) -> dict[str, Any]:
    known = report.deadline
    return {"deadline": known and known.day.isoformat(), "days_left": known and known.days_left(report.asked_at)}


def decision_json(event: JournalEvent) -> dict[str, Any]:
    """Return what a person decided, for whoever asks the journal for it: with name and reason."""
    named = {"at": rfc3339(event.at), "what": event.what, "msg_id": event.msg_id or None}
    return {**named, "by": event.who, "reason": event.why, "details": dict(event.details)}


def dumps(value: object) -> str:
    """Write a value on one line, without national ids and control characters; the values of known fields stay.

    What is no character stays readable as JSON's own escape: the names of files may be any bytes, and Python makes lone
    surrogates of those that are no UTF-8.
    """
    return json.dumps(shown(value), ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _error(error: KprError) -> dict[str, str]:
    place = f"{error.where}: " if error.where else ""
    return {"code": error.code, "text": f"{place}{error.what}", "next_step": error.next_step}


def _shipment(shipment: Shipment) -> dict[str, Any]:
    used = shipment.certificates
    return {
        "type": shipment.type.value,
        "state": shipment.state.value,
        "msg_id": shipment.msg_id,
        "message_id": shipment.message_id,
        "transport": shipment.transport.value,
        "earlier": [
            {
                "msg_id": one.msg_id,
                "message_id": one.message_id,
                "sealed_sha256": one.sealed_sha256,
                "since": rfc3339(one.since),
                "until": rfc3339(one.until),
            }
            for one in shipment.earlier
        ],
        "settled": shipment.settled,
        "attempts": shipment.attempts,
        "file": shipment.file and {"name": shipment.file.name, "sha256": shipment.file.sha256},
        "payload_sha256": shipment.payload_sha256,
        "sealed_sha256": shipment.sealed_sha256,
        "sealed_bytes": shipment.sealed_bytes,
        "published_at": shipment.published_at and rfc3339(shipment.published_at),
        "acknowledged_at": shipment.acknowledged_at and rfc3339(shipment.acknowledged_at),
        "arrived_at": shipment.arrived_at and rfc3339(shipment.arrived_at),
        "certificates": used and {"encryption": _certificate(used.encryption), "signing": _certificate(used.signing)},
        "pruned_at": shipment.pruned_at and rfc3339(shipment.pruned_at),
        "receipt": next((_receipt(receipt) for receipt in shipment.receipts if receipt.verified), None),
        "error_message": shipment.error_message and _error_message(shipment.error_message),
        "noted": [
            {
                "kind": one.kind.value,
                "since": rfc3339(one.since),
                "condition": one.condition,
                "description": one.description,
            }
            for one in shipment.noted
        ],
        "last_error": shipment.last_error and {"code": shipment.last_error.code, "text": shipment.last_error.text},
    }


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {
        "status": receipt.status,
        "errors": _receipt_errors(receipt),
        "received_at": rfc3339(receipt.received_at),
        "signer": receipt.signer and _certificate(receipt.signer),
    }


def _error_message(message: ErrorMessage) -> dict[str, str | bool]:
    return {
        "at": rfc3339(message.at),
        "from": message.cause.value,
        "signed": message.is_signed,
        "condition": message.condition,
        "description": message.description,
        "data": message.data,
    }


def _receipt_errors(receipt: Receipt) -> list[dict[str, str]]:
    # OT is left out: it may name a patient.
    return [{"code": error.code, "code_system": error.code_system, "text": error.text} for error in receipt.errors]


def _certificate(certificate: CertificateName) -> dict[str, str]:
    return {"sha1": certificate.sha1, "serial": certificate.serial}

"""The journal as values that may leave the machine: what happened, without payload and without persons (promise G6).

Left out on purpose: sealed bytes, AppRecs and their OT, what the error queue describes, who did something, and what
people wrote as their reason. ``status``, ``receipts`` and the journal itself have them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kpr_sender.journal import schema, sql
from kpr_sender.journal.database import Store, StoredRow
from kpr_sender.journal.rows import receipt_of
from kpr_sender.journal.values import CREATED, DECISIONS

_SUBMISSION: Final = (
    *("submission_id", "environment", "sender_her_id", "kommunenummer", "bydel", "year", "created_at", "replaces"),
)
_SHIPMENT: Final = (
    *("submission_id", "type", "msg_id", "message_id", "receiver_her_id", "state", "attempts", "created_at"),
    *("published_at", "payload_sha256", "payload_bytes", "lopenr", "sealed_sha256", "sealed_bytes", "needs_person"),
    *("last_error_code", "last_error_text", "earlier_attempts", "handed_over", "settled", "since"),
    *("hodemelding_sha256", "encryption_sha1", "encryption_serial", "signing_sha1", "signing_serial"),
)
_VERSION: Final = (
    *("msg_id", "message_id", "receiver_her_id", "sealed_sha256", "sealed_bytes", "since", "until"),
    *("hodemelding_sha256", "encryption_sha1", "encryption_serial", "signing_sha1", "signing_serial"),
)
_RECEIPT: Final = (
    *("receipt_id", "msg_id", "status", "problem", "received_at", "sealed_sha256", "signer_sha1", "signer_serial"),
)
_FORGOTTEN: Final = ("msg_id", "type", "sender_her_id", "kommunenummer", "bydel", "year", "noted_at", "released_at")
_IN_PEOPLES_WORDS: Final = (DECISIONS | {CREATED}) - {"findings-accepted"}
_LEFT_OUT: Final = frozenset({"description"})
"""Details in the words of another system."""


def lines(store: Store) -> Iterator[dict[str, Any]]:
    """Yield the journal in one consistent snapshot: itself, submissions, shipments, receipts, events, in their order.

    Args:
        store: The journal, open to read.

    Raises:
        JournalUnwritable: It cannot be read.
    """
    with store.reading() as connection:
        identity = connection.execute(sql.IDENTITY).fetchone()
        yield {"kind": "journal", "schema": schema.VERSION, **dict(identity)}
        for row in connection.execute("SELECT * FROM submission ORDER BY sequence"):
            yield {"kind": "submission", **_chosen(row, _SUBMISSION)}
        for row in connection.execute("SELECT * FROM shipment ORDER BY shipment_id"):
            flags = {name: bool(row[name]) for name in ("needs_person", "handed_over", "settled")}
            # A journal of an earlier version is exported as it is.
            acknowledged = row["acknowledged_at"] if "acknowledged_at" in row.keys() else None  # noqa: SIM118 - a row is no mapping
            yield {"kind": "shipment", **_chosen(row, _SHIPMENT), **flags, "acknowledged_at": acknowledged}
            for version in connection.execute(sql.VERSIONS_OF, (row["shipment_id"],)):
                yield {"kind": "version", "of": row["msg_id"], **_chosen(version, _VERSION)}
        for row in connection.execute(_RECEIPTS):
            yield _receipt(row)
        for row in connection.execute(sql.EVENTS):
            yield _event(row)
        for row in connection.execute(sql.FORGOTTEN):
            yield {"kind": "forgotten", **_chosen(row, _FORGOTTEN)}
        for row in connection.execute(sql.ACCEPTANCES):
            yield {"kind": "acceptance", "at": row["at"], "found": row["found"]}


_RECEIPTS: Final = f"""
    SELECT receipt_id, msg_id, status, errors, verified, problem, received_at, sealed_sha256, signer_sha1,
           signer_serial, {sql.PRUNED_FLAG}
    FROM receipt ORDER BY receipt_id
"""  # noqa: S608 - the program's own words


def _chosen(row: StoredRow, names: tuple[str, ...]) -> Mapping[str, Any]:
    return {name: row[name] for name in names}


def _receipt(row: StoredRow) -> dict[str, Any]:
    receipt = receipt_of(row)
    errors = [{"code": one.code, "code_system": one.code_system, "text": one.text} for one in receipt.errors]
    named = _chosen(row, _RECEIPT)
    return {"kind": "receipt", **named, "verified": receipt.verified, "pruned": receipt.pruned, "errors": errors}


def _event(row: StoredRow) -> dict[str, Any]:
    details = {name: value for name, value in json.loads(row["details"]).items() if name not in _LEFT_OUT}
    why = "" if row["what"] in _IN_PEOPLES_WORDS else row["why"]
    named = _chosen(row, ("event_id", "at", "msg_id", "what", "from_state", "to_state"))
    return {"kind": "event", **named, "why": why, "details": details}

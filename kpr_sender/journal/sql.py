"""Every statement that the journal runs on its tables, in words that SQLite and PostgreSQL both have.

What the two say differently is a method of ``database.Database``; ``rows`` reads what the statements return.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Final

from kpr_sender.journal.database import Database, StoredRow, Value
from kpr_sender.journal.stored_texts import stored
from kpr_sender.journal.values import PRUNED, RECEIPT_DISCARDED
from kpr_sender.privacy import MAX_TEXT, redact_text
from kpr_sender.states import ShipmentState

READ_ENVIRONMENT: Final = "SELECT environment FROM journal"
ADD_MIGRATION: Final = "INSERT INTO migration (version, name, applied_at) VALUES (?, ?, ?)"

SUBMISSION: Final = "SELECT * FROM submission WHERE submission_id = ?"
SUBMISSION_IDS: Final = "SELECT submission_id FROM submission ORDER BY sequence DESC"
SUBMISSION_ENTRIES: Final = """
    SELECT submission_id, kommunenummer, bydel, year, replaces FROM submission ORDER BY sequence DESC
"""
# Those of which ``result.error_of`` may say something, and some more.
PERHAPS_OPEN: Final = """
    SELECT submission_id FROM shipment WHERE state <> 'delivered' OR needs_person <> 0
    UNION SELECT submission_id FROM kept
    UNION SELECT submission_id FROM shipment JOIN receipt ON receipt.msg_id = shipment.msg_id WHERE errors <> '[]'
    UNION SELECT submission_id FROM shipment JOIN known_msg_id USING (shipment_id)
      JOIN event ON event.msg_id = known_msg_id.msg_id WHERE what = 'receipt-unknown'
"""
# Whichever HER-id it was sent from: that is configuration, and configuration is corrected (promise G1).
LATEST_SUBMISSION: Final = """
    SELECT submission_id FROM submission
    WHERE environment = :environment AND kommunenummer = :kommunenummer AND bydel = :bydel AND year = :year
    ORDER BY sequence DESC LIMIT 1
"""

# An alarm is the whole submission's. While it is open, a person's next word that something of it is settled ends it
# (``states``).
_WITH_ALARM: Final = """
    SELECT shipment.*, (
      SELECT CASE what WHEN 'receipt-unknown' THEN why END
      FROM shipment AS half JOIN known_msg_id AS known USING (shipment_id) JOIN event ON event.msg_id = known.msg_id
      WHERE half.submission_id = shipment.submission_id AND what IN ('receipt-unknown', 'person-settles')
      ORDER BY event_id DESC LIMIT 1) AS alarm
    FROM shipment
"""
ALL_SHIPMENTS: Final = f"{_WITH_ALARM} ORDER BY shipment_id"
OPEN_ALARM: Final = f"""
    SELECT alarm, msg_id FROM ({_WITH_ALARM}) AS alarmed WHERE alarm IS NOT NULL ORDER BY shipment_id DESC LIMIT 1
"""  # noqa: S608 - the program's own words
# Found by each id that it has or had.
SHIPMENT: Final = f"{_WITH_ALARM} JOIN known_msg_id USING (shipment_id) WHERE known_msg_id.msg_id = ?"
SHIPMENT_BY_MESSAGE_ID: Final = f"""{_WITH_ALARM}
    WHERE message_id = :message_id
      OR shipment_id IN (SELECT shipment_id FROM version WHERE message_id = :message_id)
"""  # noqa: S608 - the program's own words
SHIPMENTS_OF: Final = f"""{_WITH_ALARM}
    WHERE submission_id = :submission_id
      OR shipment_id IN (SELECT shipment_id FROM kept WHERE submission_id = :submission_id)
    ORDER BY type DESC, shipment_id
"""  # noqa: S608 - the program's own words
VERSIONS_OF: Final = "SELECT * FROM version WHERE shipment_id = ? ORDER BY version_id"
SHIPMENTS_IN_STATE: Final = "SELECT msg_id FROM shipment WHERE state = ? ORDER BY shipment_id"
# The submission that it was made for, and those that keep it. The HER-id may be corrected: it makes no other content of
# the same municipality's. What the unique index refuses, the same HER-id's, is found whatever the municipality.
HOLDERS_OF_PAYLOAD: Final = """
    SELECT made.submission_id, kept.submission_id AS kept_by
    FROM shipment JOIN submission AS made ON made.submission_id = shipment.submission_id
    LEFT JOIN kept ON kept.shipment_id = shipment.shipment_id
    WHERE made.environment = :environment AND made.year = :year AND type = :type AND payload_sha256 = :payload_sha256
      AND (made.sender_her_id = :sender_her_id OR (kommunenummer = :kommunenummer AND bydel = :bydel))
    ORDER BY made.sender_her_id <> :sender_her_id, made.sequence
"""
LET_GO_BEFORE: Final = """
    SELECT 1 FROM event JOIN known_msg_id USING (msg_id)
    WHERE shipment_id = ? AND what IN ('person-not-arrived', 'person-resends')
"""
ADD_MSG_ID: Final = "INSERT INTO known_msg_id (msg_id, shipment_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
KEEP: Final = "INSERT INTO kept (submission_id, shipment_id) VALUES (?, ?)"
VERSION_COLUMNS: Final = (
    *("msg_id", "message_id", "receiver_her_id", "envelope", "sealed_id", "sealed_sha256", "sealed_bytes"),
    *("hodemelding_sha256", "encryption_sha1", "encryption_serial", "signing_sha1", "signing_serial"),
)
"""What makes a version of a shipment."""

_DISCARDED: Final = f"""
    EXISTS (SELECT 1 FROM event WHERE event.msg_id = receipt.msg_id AND what = '{RECEIPT_DISCARDED}'
            AND CAST(json_extract(details, '$.receipt_id') AS TEXT) = CAST(receipt.receipt_id AS TEXT))
"""  # noqa: S608 - the program's own word
# No bytes, where some came: all that is removed of a receipt is removed with them.
_PRUNED: Final = f"(length(receipt.sealed) = 0 AND receipt.sealed_sha256 <> '{hashlib.sha256(b'').hexdigest()}')"
PRUNED_FLAG: Final = f"{_PRUNED} AS pruned"
_FLAGS: Final = f"{_DISCARDED} AS discarded, {PRUNED_FLAG}"
RECEIPT: Final = f"SELECT receipt.*, {_FLAGS} FROM receipt WHERE receipt_id = ?"  # noqa: S608
RECEIPTS_OF: Final = f"""
    SELECT receipt_id, msg_id, status, errors, verified, problem, received_at, signer_sha1, signer_serial,
           {_FLAGS}
    FROM receipt WHERE msg_id = ? ORDER BY receipt_id
"""  # noqa: S608 - as above
# Of several shipments at once (``glance``): ``of_each`` completes them.
RECEIPTS_OF_EACH: Final = f"""
    SELECT receipt_id, shipment_id, receipt.msg_id, status, errors, verified, problem, received_at, signer_sha1,
           signer_serial, {_FLAGS}
    FROM shipment JOIN receipt ON receipt.msg_id = shipment.msg_id WHERE shipment_id IN () ORDER BY receipt_id
"""  # noqa: S608 - as above
VERSIONS_OF_EACH: Final = "SELECT * FROM version WHERE shipment_id IN () ORDER BY version_id"
EVENTS_OF_EACH: Final = """
    SELECT at, event.msg_id, what, why, who, from_state, to_state, details, shipment_id
    FROM known_msg_id JOIN event ON event.msg_id = known_msg_id.msg_id
    WHERE shipment_id IN () ORDER BY event_id
"""
UNVERIFIED_RECEIPTS: Final = f"""
    SELECT receipt_id FROM receipt JOIN known_msg_id USING (msg_id) JOIN shipment USING (shipment_id)
    WHERE verified = 0 AND NOT {_DISCARDED} AND NOT {_PRUNED}
      AND EXISTS (SELECT 1 FROM shipment AS half
                  WHERE half.submission_id = shipment.submission_id AND half.state <> 'delivered')
    ORDER BY receipt_id
"""  # noqa: S608 - as above
_NAMES_NOBODY: Final = """
    EXISTS (SELECT 1 FROM event WHERE event.msg_id = receipt.msg_id
            AND CAST(json_extract(details, '$.names_nobody') AS TEXT) = '1'
            AND json_extract(details, '$.receipt_sha256') = receipt.sealed_sha256)
"""
UNVERIFIED_STORED: Final = f"""
    SELECT count(*) AS number, coalesce(sum(length(sealed) + coalesce(length(xml), 0)), 0) AS bytes
    FROM receipt JOIN known_msg_id USING (msg_id)
    WHERE verified = 0 AND CASE
      WHEN CAST(:msg_id AS TEXT) IS NULL THEN {_NAMES_NOBODY}
      ELSE shipment_id = (SELECT shipment_id FROM known_msg_id WHERE msg_id = :msg_id) AND NOT {_NAMES_NOBODY}
    END
"""  # noqa: S608 - as above
STORED_RECEIPT: Final = f"""
    SELECT receipt_id, msg_id, status, errors, verified, problem, received_at, signer_sha1, signer_serial,
           {_FLAGS}
    FROM receipt JOIN known_msg_id USING (msg_id) WHERE sealed_sha256 = :sealed_sha256
    ORDER BY shipment_id = (SELECT shipment_id FROM known_msg_id WHERE msg_id = :msg_id) DESC,
             verified DESC, discarded DESC
    LIMIT 1
"""  # noqa: S608 - as above
CHANGE_UNVERIFIED: Final = """
    UPDATE receipt SET status = :status, errors = :errors, problem = :problem, xml = :xml
    WHERE receipt_id = :receipt_id AND verified = 0
"""
RECEIPT_BY_SEALED: Final = "SELECT receipt_id, verified FROM receipt WHERE msg_id = ? AND sealed_sha256 = ?"
RECEIPT_DOCUMENTS: Final = f"""
    SELECT receipt.*, {_FLAGS}
    FROM receipt JOIN known_msg_id USING (msg_id) JOIN shipment USING (shipment_id)
    WHERE verified >= :verified
      AND (shipment.submission_id = :submission_id
           OR shipment_id IN (SELECT shipment_id FROM kept WHERE submission_id = :submission_id))
    ORDER BY receipt_id
"""  # noqa: S608 - as above
VERIFY_RECEIPT: Final = """
    UPDATE receipt SET status = :status, errors = :errors, verified = :verified, problem = :problem, xml = :xml,
                       sealed = :sealed, signer_sha1 = :signer_sha1, signer_serial = :signer_serial
    WHERE receipt_id = :receipt_id AND verified = 0
"""

ERROR_MESSAGE_OF: Final = """
    SELECT at, what, details FROM event
    WHERE msg_id = ? AND at >= ?
      AND (what LIKE 'error-queue%' OR what LIKE 'message-error%' OR what LIKE 'bounced%')
      AND what NOT LIKE '%-earlier'
    ORDER BY event_id DESC LIMIT 1
"""
# What the history knows of a shipment that no column has, the oldest first.
KNOWN_WHATS: Final = (
    *("created", "resealed", "person-resends", "person-arrived", "person-not-arrived", "signal-noted"),
    PRUNED,
)
KNOWN_BY_HISTORY: Final = f"""
    SELECT at, what, details FROM event
    WHERE what IN {KNOWN_WHATS} AND msg_id IN (
      SELECT msg_id FROM known_msg_id WHERE shipment_id = ?)
    ORDER BY event_id
"""  # noqa: S608 - the program's own word
# A mailbox may give the same mail again, also after it was taken.
SIGNAL: Final = """
    SELECT 1 FROM event JOIN known_msg_id USING (msg_id)
    WHERE shipment_id = (SELECT shipment_id FROM known_msg_id WHERE msg_id = :msg_id)
      AND json_extract(details, '$.signal_sha256') = :signal_sha256
"""
UNKNOWN_RECEIPT: Final = """
    SELECT 1 FROM event WHERE what = 'receipt-unknown' AND json_extract(details, '$.original_msg_id') = ?
"""
EVENTS: Final = "SELECT * FROM event ORDER BY event_id"
EVENTS_OF: Final = """
    SELECT * FROM event
    WHERE msg_id IN (
      SELECT other.msg_id FROM known_msg_id JOIN known_msg_id AS other USING (shipment_id)
      WHERE known_msg_id.msg_id = ?)
    ORDER BY event_id
"""

NOTICES: Final = "SELECT * FROM notice ORDER BY kind, subject"
FORGET_NOTICE: Final = "DELETE FROM notice WHERE kind = :kind AND subject = :subject"
NOTE_NOTICE: Final = """
    INSERT INTO notice (kind, subject, began_at, ended_at, waits, unsure, tried_at, begin_sent_at, end_sent_at)
    VALUES (:kind, :subject, :began_at, :ended_at, :waits, :unsure, :tried_at, :begin_sent_at, :end_sent_at)
"""

SEALED_OF: Final = """
    SELECT sealed_id FROM shipment WHERE shipment_id = :shipment_id
    UNION SELECT sealed_id FROM version WHERE shipment_id = :shipment_id
"""
RECEIPTS_LEFT: Final = f"""
    SELECT receipt_id, errors FROM receipt JOIN known_msg_id USING (msg_id)
    WHERE shipment_id = :shipment_id AND NOT {_PRUNED}
"""  # noqa: S608 - as above
PRUNE_RECEIPT: Final = """
    UPDATE receipt SET sealed = :nothing, xml = NULL, errors = :errors WHERE receipt_id = :receipt_id
"""
PRUNED_RECEIPTS: Final = f"""
    SELECT receipt_id, msg_id, status, errors, verified, problem, received_at, signer_sha1, signer_serial, {_FLAGS}
    FROM receipt WHERE {_PRUNED} ORDER BY receipt_id
"""  # noqa: S608 - as above
SET_UNFINISHED: Final = "UPDATE journal SET pruning_unfinished = ?"
IS_UNFINISHED: Final = "SELECT pruning_unfinished FROM journal"

IDENTITY: Final = "SELECT journal_id, step, backup_at, environment, created_at FROM journal"
COUNT_STEP: Final = "UPDATE journal SET step = step + 1"
BEGUN: Final = """
    SELECT msg_id, type, sender_her_id, kommunenummer, bydel, year, payload_sha256, attempts
    FROM (
      SELECT known_msg_id.msg_id, shipment.type, submission.sender_her_id, submission.kommunenummer, submission.bydel,
             submission.year, shipment.payload_sha256, shipment.attempts
      FROM shipment JOIN submission USING (submission_id) JOIN known_msg_id USING (shipment_id)
      WHERE shipment.attempts > 0
      UNION ALL
      SELECT msg_id, type, sender_her_id, kommunenummer, bydel, year, payload_sha256, attempts FROM forgotten
    ) AS begun
    ORDER BY msg_id
"""
ATTEMPTS: Final = """
    SELECT known_msg_id.msg_id, attempts FROM shipment JOIN known_msg_id USING (shipment_id) WHERE attempts > 0
    UNION ALL SELECT msg_id, attempts FROM forgotten
"""
FORGOTTEN: Final = "SELECT * FROM forgotten ORDER BY msg_id"
HAS_FORGOTTEN: Final = "SELECT 1 FROM forgotten WHERE msg_id = ?"
FORGOTTEN_IN_THE_WAY: Final = """
    SELECT msg_id FROM forgotten
    WHERE kommunenummer = :kommunenummer AND bydel = :bydel AND year = :year AND released_at IS NULL
    ORDER BY msg_id
"""
ADD_FORGOTTEN: Final = """
    INSERT INTO forgotten (msg_id, type, sender_her_id, kommunenummer, bydel, year, payload_sha256, attempts, noted_at)
    VALUES (:msg_id, :type, :sender_her_id, :kommunenummer, :bydel, :year, :payload_sha256, :attempts, :noted_at)
    ON CONFLICT DO NOTHING
"""
RELEASE_FORGOTTEN: Final = """
    UPDATE forgotten SET released_at = :at, released_by = :who, released_why = :why
    WHERE msg_id = :msg_id AND released_at IS NULL
"""
HAS_SOMETHING: Final = "SELECT 1 FROM submission UNION ALL SELECT 1 FROM acceptance LIMIT 1"
ACCEPTANCES: Final = "SELECT at, found, why, who FROM acceptance ORDER BY acceptance_id"
DECISIONS_OF_JOURNAL: Final = """
    SELECT at, '' AS msg_id, 'journal-accepted' AS what, why, who, found FROM acceptance
    UNION ALL
    SELECT released_at, msg_id, 'released', released_why, released_by, '' FROM forgotten WHERE released_at IS NOT NULL
    ORDER BY at
"""
NEW_IDENTITY: Final = "UPDATE journal SET journal_id = :journal_id, step = :step, backup_at = NULL"
MARK_AS_BACKUP: Final = "UPDATE journal SET backup_at = ?"


_NUMBERS: Final = {"submission": "sequence"}
"""What tables call the number of a row where that is not their name and ``_id``."""

_IN_WORDS: Final = frozenset({"why", "who", "reason", "created_by", "problem", "last_error_text", "lopenr", "found"})
"""Columns of words, of which others' may be a part; every other is a value of ours, or made by ``rows``."""


def of_each(statement: str, ids: Collection[Value]) -> str:
    """Return a statement that is complete for as many ids; none finds nothing, in SQLite."""
    return statement.replace("IN ()", f"IN ({', '.join('?' * len(ids))})")


def clean(columns: Mapping[str, Value]) -> dict[str, Value]:
    """Return a row's values as they may be stored: words are one line each, bounded and without ids (promise G6)."""
    return {
        name: stored(redact_text(value, MAX_TEXT)) if name in _IN_WORDS and isinstance(value, str) else value
        for name, value in columns.items()
    }


def change_shipment(
    connection: Database, shipment_id: int, columns: Mapping[str, Value], *, state_read: ShipmentState
) -> bool:
    """Change a shipment, the only way there is: by compare-and-set on the state it was read in.

    Args:
        connection: With a transaction open.
        shipment_id: Which shipment.
        columns: What changes.
        state_read: The state it was read in.

    Returns:
        Whether it still was in that state.
    """
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    statement = f"UPDATE shipment SET {changes} WHERE shipment_id = :shipment_id AND state = :state_read"  # noqa: S608 - the program's own words
    values = {**clean(columns), "shipment_id": shipment_id, "state_read": state_read.value}
    return connection.execute(statement, values).rowcount == 1


def store_version(connection: Database, row: StoredRow, until: str) -> None:
    """Store what a shipment is, before it becomes something else.

    Args:
        connection: With a transaction open.
        row: The shipment's.
        until: The time now, as text.
    """
    present = {name: row[name] for name in (*VERSION_COLUMNS, "shipment_id", "since")}
    insert(connection, "version", {**present, "until": until})


def insert(connection: Database, table: str, columns: Mapping[str, Value]) -> int:
    """Add a row to a table; return its number.

    Args:
        connection: With a transaction open.
        table: Its name.
        columns: The row's values by column.
    """
    columns = clean(columns)
    names, values = ", ".join(columns), ", ".join(f":{name}" for name in columns)
    statement = f"INSERT INTO {table} ({names}) VALUES ({values})"  # noqa: S608 - names are the program's own words
    return connection.insert(statement, columns, _NUMBERS.get(table, f"{table}_id"))

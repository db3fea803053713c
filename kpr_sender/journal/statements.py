"""Every statement the journal runs on its tables, in one place: what another database would have to say differently."""

from __future__ import annotations

from typing import Final

READ_ENVIRONMENT: Final = "SELECT environment FROM journal"
ADD_ENVIRONMENT: Final = """
    INSERT INTO journal (only_one, environment, created_at, journal_id) VALUES (1, ?, ?, lower(hex(randomblob(16))))
"""
ADD_MIGRATION: Final = "INSERT INTO migration (version, name, applied_at) VALUES (?, ?, ?)"

SUBMISSION: Final = "SELECT * FROM submission WHERE submission_id = ?"
SUBMISSIONS: Final = "SELECT * FROM submission ORDER BY sequence DESC"
LATEST_SUBMISSION: Final = """
    SELECT * FROM submission
    WHERE environment = :environment AND sender_her_id = :sender_her_id AND kommunenummer = :kommunenummer
      AND bydel = :bydel AND year = :year
    ORDER BY sequence DESC LIMIT 1
"""
ADD_SUBMISSION: Final = """
    INSERT INTO submission (submission_id, environment, sender_her_id, kommunenummer, bydel, year, created_at,
                            created_by, replaces, reason)
    VALUES (:submission_id, :environment, :sender_her_id, :kommunenummer, :bydel, :year, :created_at,
            :created_by, :replaces, :reason)
"""

SHIPMENT: Final = "SELECT * FROM shipment WHERE msg_id = ?"
SHIPMENT_BY_MESSAGE_ID: Final = "SELECT * FROM shipment WHERE message_id = ?"
SHIPMENTS_OF: Final = "SELECT * FROM shipment WHERE submission_id = ? ORDER BY shipment_id"
SHIPMENTS_IN_STATE: Final = "SELECT * FROM shipment WHERE state = ? ORDER BY shipment_id"
SHIPMENT_BY_PAYLOAD: Final = """
    SELECT * FROM shipment
    WHERE environment = :environment AND sender_her_id = :sender_her_id AND year = :year
      AND type = :type AND payload_sha256 = :payload_sha256
"""
ADD_SHIPMENT: Final = """
    INSERT INTO shipment (submission_id, environment, sender_her_id, year, type, msg_id, message_id, receiver_her_id,
                          envelope, payload_sha256, payload_bytes, lopenr, sealed_id, sealed_sha256, sealed_bytes,
                          created_at, state, hodemelding_sha256, encryption_sha1, encryption_serial, signing_sha1,
                          signing_serial)
    VALUES (:submission_id, :environment, :sender_her_id, :year, :type, :msg_id, :message_id, :receiver_her_id,
            :envelope, :payload_sha256, :payload_bytes, :lopenr, :sealed_id, :sealed_sha256, :sealed_bytes,
            :created_at, :state, :hodemelding_sha256, :encryption_sha1, :encryption_serial, :signing_sha1,
            :signing_serial)
"""
# The only way a shipment changes: compare-and-set on the state it was read in.
CHANGE_SHIPMENT: Final = """
    UPDATE shipment
    SET state = :state, attempts = :attempts, published_at = :published_at, last_error_code = :last_error_code,
        last_error_text = :last_error_text, needs_person = :needs_person, early_answer = :early_answer
    WHERE msg_id = :msg_id AND state = :state_read
"""
# But for this one, before any transfer: the schema's own trigger holds it to that, too.
RESEAL_SHIPMENT: Final = """
    UPDATE shipment
    SET sealed_id = :sealed_id, sealed_sha256 = :sealed_sha256, sealed_bytes = :sealed_bytes,
        encryption_sha1 = :encryption_sha1, encryption_serial = :encryption_serial,
        signing_sha1 = :signing_sha1, signing_serial = :signing_serial
    WHERE msg_id = :msg_id AND state = 'sealed' AND attempts = 0
"""

ADD_SEALED: Final = "INSERT INTO sealed (bytes) VALUES (zeroblob(?))"
SEALED_IS_THERE: Final = "SELECT 1 FROM sealed WHERE sealed_id = ?"

RECEIPT: Final = "SELECT * FROM receipt WHERE receipt_id = ?"
RECEIPTS_OF: Final = """
    SELECT receipt_id, msg_id, status, errors, verified, problem, received_at, signer_sha1, signer_serial
    FROM receipt WHERE msg_id = ? ORDER BY receipt_id
"""
RECEIPT_BY_SEALED: Final = "SELECT receipt_id, verified FROM receipt WHERE msg_id = ? AND sealed_sha256 = ?"
RECEIPT_DOCUMENTS: Final = """
    SELECT receipt.* FROM receipt JOIN shipment USING (msg_id)
    WHERE shipment.submission_id = ? ORDER BY receipt_id
"""
ADD_RECEIPT: Final = """
    INSERT INTO receipt (msg_id, status, errors, verified, problem, received_at, sealed_sha256, xml, sealed,
                         signer_sha1, signer_serial)
    VALUES (:msg_id, :status, :errors, :verified, :problem, :received_at, :sealed_sha256, :xml, :sealed,
            :signer_sha1, :signer_serial)
"""
VERIFY_RECEIPT: Final = """
    UPDATE receipt SET status = :status, errors = :errors, verified = :verified, problem = :problem, xml = :xml,
                       signer_sha1 = :signer_sha1, signer_serial = :signer_serial
    WHERE receipt_id = :receipt_id AND verified = 0
"""

ADD_EVENT: Final = """
    INSERT INTO event (at, msg_id, what, why, who, from_state, to_state, details)
    VALUES (:at, :msg_id, :what, :why, :who, :from_state, :to_state, :details)
"""
EVENTS: Final = "SELECT * FROM event ORDER BY event_id"
EVENTS_OF: Final = "SELECT * FROM event WHERE msg_id = ? ORDER BY event_id"

IDENTITY: Final = "SELECT journal_id, step, backup_at, environment, created_at FROM journal"
COUNT_STEP: Final = "UPDATE journal SET step = step + 1"
BEGUN: Final = """
    SELECT msg_id, type, sender_her_id, kommunenummer, bydel, year, payload_sha256, attempts
    FROM (
      SELECT shipment.msg_id, shipment.type, submission.sender_her_id, submission.kommunenummer, submission.bydel,
             submission.year, shipment.payload_sha256, shipment.attempts
      FROM shipment JOIN submission USING (submission_id) WHERE shipment.attempts > 0
      UNION ALL
      SELECT msg_id, type, sender_her_id, kommunenummer, bydel, year, payload_sha256, attempts FROM forgotten
    )
    ORDER BY msg_id
"""
FORGOTTEN: Final = "SELECT * FROM forgotten ORDER BY msg_id"
FORGOTTEN_IN_THE_WAY: Final = """
    SELECT msg_id FROM forgotten
    WHERE sender_her_id = :sender_her_id AND kommunenummer = :kommunenummer AND bydel = :bydel AND year = :year
      AND released_at IS NULL
    ORDER BY msg_id
"""
ADD_FORGOTTEN: Final = """
    INSERT INTO forgotten (msg_id, type, sender_her_id, kommunenummer, bydel, year, payload_sha256, attempts, noted_at)
    VALUES (:msg_id, :type, :sender_her_id, :kommunenummer, :bydel, :year, :payload_sha256, :attempts, :noted_at)
    ON CONFLICT (msg_id) DO NOTHING
"""
RELEASE_FORGOTTEN: Final = """
    UPDATE forgotten SET released_at = :at, released_by = :who, released_why = :why
    WHERE msg_id = :msg_id AND released_at IS NULL
"""
ADD_ACCEPTANCE: Final = "INSERT INTO acceptance (at, found, why, who) VALUES (:at, :found, :why, :who)"
ACCEPTANCES: Final = "SELECT at, found, why, who FROM acceptance ORDER BY acceptance_id"
NEW_IDENTITY: Final = """
    UPDATE journal SET journal_id = lower(hex(randomblob(16))), step = :step, backup_at = NULL
"""
MARK_AS_BACKUP: Final = "UPDATE journal SET backup_at = ?"

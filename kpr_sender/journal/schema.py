"""The journal's tables, as migrations. A migration that has been released is never edited: write the next one.

The lists of states, types and environments stand here as text, not generated from the enumerations: a journal made
last year must have the same rules as one made today. A test fails where they differ, and asks for a migration.
"""

from __future__ import annotations

from typing import Final

from kpr_sender.journal.schema_beginnings import (
    FIRST,
    SECOND,
    SIGNER,
    THIRD,
    Migration,
    event_table,
    receipt_table,
    refused,
)

APPLICATION_ID: Final = 0x4B505253  # ``KPRS``, in the file's header: tells a journal from any other SQLite file


def _sealed_stands(always: str, answered: str, same_certificate: str = "") -> str:
    """Return the trigger that lets sealed bytes and ids be exchanged only where that is no second message.

    Other bytes or ids only in a sealed shipment, and when what it was before is in ``version`` (promise G3): before any
    transfer under its message-id; or when a person lets it go again or has done so, who alone may do that once the bus
    may have had it (promise G1), and then never under a message-id that the bus may have seen.

    Args:
        always: What refuses it besides, whoever asks.
        answered: What refuses it while no person has let it go: that it is answered.
        same_certificate: The same: that it would be sealed for the certificate that it is sealed for.
    """
    return f"""
        CREATE TRIGGER shipment_sealed_stands BEFORE UPDATE OF
          msg_id, message_id, receiver_her_id, envelope, sealed_id, sealed_sha256, sealed_bytes, hodemelding_sha256,
          encryption_sha1, encryption_serial, signing_sha1, signing_serial, since ON shipment
        WHEN NEW.state <> 'sealed'
          OR NOT EXISTS (
            SELECT 1 FROM version
            WHERE version.shipment_id = OLD.shipment_id AND version.msg_id = OLD.msg_id
              AND version.message_id = OLD.message_id AND version.sealed_id = OLD.sealed_id
              AND version.since = OLD.since)
          OR CASE
            WHEN OLD.state = 'sealed' AND OLD.needs_person <> 0
              THEN NEW.msg_id <> OLD.msg_id OR NEW.message_id = OLD.message_id
            WHEN OLD.state = 'sealed'
              THEN NEW.msg_id <> OLD.msg_id OR NEW.attempts <> OLD.attempts
                OR NEW.sealed_id = OLD.sealed_id OR NEW.sealed_sha256 = OLD.sealed_sha256
                {always}OR (NEW.message_id = OLD.message_id AND OLD.attempts <> OLD.earlier_attempts)
                OR ((NEW.message_id <> OLD.message_id OR NEW.envelope <> OLD.envelope
                     {same_certificate}OR NEW.hodemelding_sha256 IS NOT OLD.hodemelding_sha256
                     {answered})
                    AND NOT EXISTS (
                      SELECT 1 FROM event JOIN known_msg_id USING (msg_id)
                      WHERE shipment_id = OLD.shipment_id AND what IN ('person-not-arrived', 'person-resends')))
            WHEN OLD.state = 'cancelled' AND OLD.handed_over = 0
              THEN 0
            ELSE OLD.state NOT IN ('published', 'in_doubt', 'rejected', 'faulted', 'cancelled')
              OR NEW.message_id = OLD.message_id
          END
        BEGIN SELECT RAISE (ABORT, 'what is sealed never changes'); END
        """  # noqa: S608 - the program's own words


# All ids and versions that a shipment ever had: what goes again gets another message-id or MsgId, and answers to the
# earlier ones must still be found. The tables are made anew, since SQLite changes no CHECK and no reference in place:
# first those that refer to others, so that nothing is ever left without what it refers to.
_FOURTH: Final = Migration(
    4,
    "all ids and versions of a shipment, and what a person lets go again or settles",
    (
        "DROP TRIGGER shipment_sealed_stands",
        """
        CREATE TABLE new_shipment (
          shipment_id        INTEGER PRIMARY KEY AUTOINCREMENT,
          submission_id      TEXT NOT NULL,
          environment        TEXT NOT NULL,
          sender_her_id      INTEGER NOT NULL,
          year               INTEGER NOT NULL,
          type               TEXT NOT NULL CHECK (type IN ('KPR_IPL', 'KPR_IDE')),
          msg_id             TEXT NOT NULL UNIQUE CHECK (msg_id <> '' AND msg_id = lower(msg_id))
                               REFERENCES known_msg_id (msg_id) DEFERRABLE INITIALLY DEFERRED,
          message_id         TEXT NOT NULL UNIQUE CHECK (message_id <> ''),
          receiver_her_id    INTEGER NOT NULL,
          envelope           TEXT NOT NULL,
          payload_sha256     TEXT NOT NULL CHECK (length(payload_sha256) = 64),
          payload_bytes      INTEGER NOT NULL,
          lopenr             TEXT NOT NULL,
          sealed_id          INTEGER NOT NULL UNIQUE REFERENCES sealed (sealed_id),
          sealed_sha256      TEXT NOT NULL CHECK (length(sealed_sha256) = 64),
          sealed_bytes       INTEGER NOT NULL CHECK (sealed_bytes > 0),
          created_at         TEXT NOT NULL,
          state              TEXT NOT NULL CHECK (state IN (
                               'sealed', 'publishing', 'published', 'in_doubt', 'delivered', 'delivered_with_errors',
                               'rejected', 'faulted', 'cancelled')),
          attempts           INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
          published_at       TEXT,
          last_error_code    TEXT,
          last_error_text    TEXT,
          needs_person       INTEGER NOT NULL DEFAULT 0 CHECK (needs_person IN (0, 1)),
          early_answer       TEXT CHECK (early_answer IS NULL OR (state = 'publishing' AND early_answer IN (
                               'receipt-ok', 'receipt-ok-with-errors', 'receipt-rejected', 'error-queue'))),
          hodemelding_sha256 TEXT CHECK (length(hodemelding_sha256) = 64),
          encryption_sha1    TEXT CHECK (length(encryption_sha1) = 40),
          encryption_serial  TEXT,
          signing_sha1       TEXT CHECK (length(signing_sha1) = 40),
          signing_serial     TEXT,
          since              TEXT NOT NULL,
          earlier_attempts   INTEGER NOT NULL DEFAULT 0 CHECK (earlier_attempts BETWEEN 0 AND attempts),
          handed_over        INTEGER NOT NULL DEFAULT 0 CHECK (handed_over IN (0, 1)),
          settled            INTEGER NOT NULL DEFAULT 0 CHECK (settled IN (0, 1)),
          UNIQUE (submission_id, type),
          CHECK ((last_error_code IS NULL) = (last_error_text IS NULL)),
          CHECK (state NOT IN ('publishing', 'published', 'in_doubt') OR attempts > earlier_attempts),
          FOREIGN KEY (submission_id, environment, sender_her_id, year)
            REFERENCES submission (submission_id, environment, sender_her_id, year)
        )
        """,
        # Each MsgId that a shipment has or had.
        """
        CREATE TABLE known_msg_id (
          msg_id      TEXT PRIMARY KEY,
          shipment_id INTEGER NOT NULL REFERENCES new_shipment (shipment_id)
        ) WITHOUT ROWID
        """,
        """
        INSERT INTO new_shipment
        SELECT shipment.*,
               coalesce((SELECT at FROM event WHERE event.msg_id = shipment.msg_id AND what = 'resealed'
                         ORDER BY event_id DESC LIMIT 1), created_at),
               0,
               EXISTS (SELECT 1 FROM event WHERE event.msg_id = shipment.msg_id
                       AND what IN ('accepted', 'no-outcome', 'person-arrived')),
               0
        FROM shipment
        """,
        "INSERT INTO known_msg_id SELECT msg_id, shipment_id FROM shipment",
        receipt_table("new_receipt", parent="known_msg_id", signer=SIGNER),
        "INSERT INTO new_receipt SELECT * FROM receipt",
        "DROP TABLE receipt",
        "ALTER TABLE new_receipt RENAME TO receipt",
        event_table("new_event", parent="known_msg_id"),
        "INSERT INTO new_event SELECT * FROM event",
        "DROP TABLE event",
        "ALTER TABLE new_event RENAME TO event",
        "DROP TABLE shipment",
        "ALTER TABLE new_shipment RENAME TO shipment",
        "CREATE INDEX event_shipment ON event (msg_id, event_id)",
        "CREATE UNIQUE INDEX shipment_payload ON shipment (environment, sender_her_id, year, type, payload_sha256)",
        "CREATE INDEX known_msg_id_shipment ON known_msg_id (shipment_id)",
        # What a shipment was before it was sealed anew or given another id. Several may share sealed bytes.
        """
        CREATE TABLE version (
          version_id         INTEGER PRIMARY KEY AUTOINCREMENT,
          shipment_id        INTEGER NOT NULL REFERENCES shipment (shipment_id),
          msg_id             TEXT NOT NULL REFERENCES known_msg_id (msg_id),
          message_id         TEXT NOT NULL,
          receiver_her_id    INTEGER NOT NULL,
          envelope           TEXT NOT NULL,
          sealed_id          INTEGER NOT NULL REFERENCES sealed (sealed_id),
          sealed_sha256      TEXT NOT NULL,
          sealed_bytes       INTEGER NOT NULL,
          hodemelding_sha256 TEXT,
          encryption_sha1    TEXT,
          encryption_serial  TEXT,
          signing_sha1       TEXT,
          signing_serial     TEXT,
          since              TEXT NOT NULL,
          until              TEXT NOT NULL
        )
        """,
        # What was exchanged before there was this table. Each event of these stands for the next sealed bytes.
        """
        INSERT INTO version (
          shipment_id, msg_id, message_id, receiver_her_id, envelope, sealed_id, sealed_sha256, sealed_bytes,
          hodemelding_sha256, encryption_sha1, encryption_serial, signing_sha1, signing_serial, since, until)
        SELECT shipment_id, msg_id, message_id, receiver_her_id, envelope, was.sealed_id,
               json_extract(details, '$.sealed_sha256'), was.sealed_bytes, hodemelding_sha256,
               json_extract(details, '$.encryption_sha1'), json_extract(details, '$.encryption_serial'),
               json_extract(details, '$.signing_sha1'), json_extract(details, '$.signing_serial'), at, until
        FROM (SELECT event_id, msg_id, at, details, row_number() OVER (ORDER BY event_id) AS place,
                     lead(at) OVER (PARTITION BY msg_id ORDER BY event_id) AS until
              FROM event WHERE what IN ('created', 'resealed'))
        JOIN (SELECT sealed_id, length(bytes) AS sealed_bytes, row_number() OVER (ORDER BY sealed_id) AS place
              FROM sealed) AS was USING (place)
        JOIN shipment USING (msg_id)
        WHERE until IS NOT NULL
        ORDER BY event_id
        """,
        "CREATE INDEX version_shipment ON version (shipment_id)",
        "CREATE INDEX version_message_id ON version (message_id)",
        # What a replacement keeps of the submission that it replaces: the half that is delivered.
        """
        CREATE TABLE kept (
          submission_id TEXT NOT NULL REFERENCES submission (submission_id),
          shipment_id   INTEGER NOT NULL REFERENCES shipment (shipment_id),
          PRIMARY KEY (submission_id, shipment_id)
        ) WITHOUT ROWID
        """,
        refused("UPDATE", "event", "the history is never changed"),
        refused("DELETE", "event", "the history is never shortened"),
        refused("UPDATE", "version", "what was sealed never changes"),
        refused("DELETE", "version", "what was sealed is never deleted"),
        refused("UPDATE", "known_msg_id", "a MsgId stays its shipment''s"),
        refused("DELETE", "known_msg_id", "a MsgId is never forgotten"),
        refused("UPDATE", "kept", "what a submission keeps never changes"),
        refused("DELETE", "kept", "what a submission keeps is never deleted"),
        refused("DELETE", "shipment", "a shipment is never deleted"),
        """
        CREATE TRIGGER shipment_stands BEFORE UPDATE OF
          shipment_id, submission_id, environment, sender_her_id, year, type, payload_sha256, payload_bytes, lopenr,
          created_at ON shipment
        BEGIN SELECT RAISE (ABORT, 'what is sealed never changes'); END
        """,
        _sealed_stands(
            "OR NEW.encryption_sha1 IS OLD.encryption_sha1\n                ",
            "OR EXISTS (SELECT 1 FROM receipt WHERE receipt.msg_id = OLD.msg_id)",
        ),
        # FHI has answered it: a transfer would be a second one (promise G1).
        """
        CREATE TRIGGER shipment_answered BEFORE UPDATE OF state ON shipment
        WHEN NEW.state = 'publishing' AND OLD.state = 'sealed'
          AND EXISTS (SELECT 1 FROM receipt WHERE receipt.msg_id = NEW.msg_id AND receipt.verified = 1)
        BEGIN SELECT RAISE (ABORT, 'what is answered is never sent'); END
        """,
    ),
)

# The sender's HER-id is configuration, and configuration is corrected: it makes no other content of the same (G1), and
# what a person lets go again is sealed anew for it, under the certificate that it was sealed under before.
_FIFTH: Final = Migration(
    5,
    "the same content is stored once, whichever HER-id it was sent from",
    (
        # Not an index: a journal may have two already, and must open all the same.
        """
        CREATE TRIGGER shipment_content AFTER INSERT ON shipment
        WHEN EXISTS (
          SELECT 1 FROM shipment AS other
            JOIN submission AS theirs ON theirs.submission_id = other.submission_id
            JOIN submission AS ours ON ours.submission_id = NEW.submission_id
          WHERE other.shipment_id <> NEW.shipment_id
            AND other.type = NEW.type AND other.payload_sha256 = NEW.payload_sha256
            AND theirs.environment = ours.environment AND theirs.year = ours.year
            AND theirs.kommunenummer = ours.kommunenummer AND theirs.bydel = ours.bydel)
        BEGIN SELECT RAISE (ABORT, 'the same content is stored once'); END
        """,
        "DROP TRIGGER shipment_sealed_stands",
        _sealed_stands(
            "",
            "OR EXISTS (SELECT 1 FROM receipt WHERE receipt.msg_id = OLD.msg_id)",
            "OR NEW.encryption_sha1 IS OLD.encryption_sha1\n                     ",
        ),
    ),
)

# What anybody can put on our queue must not keep a municipality from sealing anew (promise G2): only what is verified
# is an answer.
_SIXTH: Final = Migration(
    6,
    "a year is submitted once, whichever HER-id it is sent from; only a verified receipt is an answer",
    (
        # Not an index, for the same reason.
        """
        CREATE TRIGGER submission_year AFTER INSERT ON submission
        WHEN NEW.replaces IS NULL AND EXISTS (
          SELECT 1 FROM submission AS other
          WHERE other.sequence <> NEW.sequence AND other.environment = NEW.environment
            AND other.kommunenummer = NEW.kommunenummer AND other.bydel = NEW.bydel AND other.year = NEW.year)
        BEGIN SELECT RAISE (ABORT, 'a year is submitted once'); END
        """,
        "DROP TRIGGER shipment_sealed_stands",
        _sealed_stands(
            "",
            "OR EXISTS (SELECT 1 FROM receipt WHERE receipt.msg_id = OLD.msg_id AND receipt.verified = 1)",
            "OR NEW.encryption_sha1 IS OLD.encryption_sha1\n                     ",
        ),
    ),
)

# What was sent to whom is a number of an address's line: the addresses themselves are secrets. A row is an episode of a
# state, and the next episode takes its place: the history of a shipment is in ``event``.
_SEVENTH: Final = Migration(
    7,
    "which notices were sent, and which wait to be sent again",
    (
        """
        CREATE TABLE notice (
          kind          TEXT NOT NULL,
          subject       TEXT NOT NULL,
          began_at      TEXT NOT NULL,
          ended_at      TEXT,
          waits         TEXT NOT NULL,
          unsure        TEXT NOT NULL,
          tried_at      TEXT,
          begin_sent_at TEXT,
          end_sent_at   TEXT,
          PRIMARY KEY (kind, subject)
        ) WITHOUT ROWID
        """,
    ),
)

# What a municipality need not store any more is removed, all of it at once, and only of what a person had pruned: the
# row stays with its digest. What may still be sent is never among it (promise G3).
_EIGHTH: Final = Migration(
    8,
    "sealed bytes and receipts' content are removed by a person's decision",
    (
        "ALTER TABLE journal ADD COLUMN pruning_unfinished INTEGER NOT NULL DEFAULT 0",
        "DROP TRIGGER sealed_stands",
        """
        CREATE TRIGGER sealed_stands BEFORE UPDATE ON sealed
        WHEN NEW.sealed_id <> OLD.sealed_id OR length(NEW.bytes) <> 0
          OR NOT EXISTS (
            SELECT 1 FROM (SELECT shipment_id, sealed_id FROM shipment
                           UNION ALL SELECT shipment_id, sealed_id FROM version) AS used
              JOIN shipment USING (shipment_id) JOIN known_msg_id USING (shipment_id)
              JOIN event ON event.msg_id = known_msg_id.msg_id
            WHERE used.sealed_id = OLD.sealed_id AND event.what = 'pruned'
              AND shipment.state NOT IN ('sealed', 'publishing'))
        BEGIN SELECT RAISE (ABORT, 'sealed bytes never change'); END
        """,
    ),
)

# Nothing is rewritten: a sentence that is stored already stays the English it is, in the same columns. The number keeps
# an earlier kpr-sender, which would show templates, from the journal.
_NINTH: Final = Migration(9, "sentences are stored as template and values (journal/stored_texts.py)", ())

# With EDI. The number keeps an earlier kpr-sender, which would hand a mail to the bus, from the journal.
_TENTH: Final = Migration(
    10,
    "when the receiver's message server acknowledged a shipment",
    ("ALTER TABLE shipment ADD COLUMN acknowledged_at TEXT",),
)

MIGRATIONS: Final[tuple[Migration, ...]] = (
    *(FIRST, SECOND, THIRD, _FOURTH, _FIFTH, _SIXTH, _SEVENTH, _EIGHTH, _NINTH, _TENTH),
)
VERSION: Final = MIGRATIONS[-1].version


def since(version: int) -> tuple[Migration, ...]:
    """Return the migrations that a journal of a version lacks, in order; all of them for 0, a file that is empty."""
    return tuple(migration for migration in MIGRATIONS if migration.version > version)

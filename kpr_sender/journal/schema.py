"""The journal's tables, as migrations. A migration that has been released is never edited: write the next one.

The lists of states, types and environments stand here as text, not generated from the enumerations: a journal made
last year must have the same rules as one made today. A test fails where they differ, and asks for a migration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

APPLICATION_ID: Final = 0x4B505253  # ``KPRS``, in the file's header: tells a journal from any other SQLite file


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema, applied in one transaction; ``user_version`` is its version after it."""

    version: int
    name: str
    statements: tuple[str, ...]


def _refused(action: str, table: str, text: str) -> str:
    """Return the trigger that refuses a change of a table's rows."""
    name = {"UPDATE": "stands", "DELETE": "stays"}[action]
    return f"""
        CREATE TRIGGER {table}_{name} BEFORE {action} ON {table}
        BEGIN SELECT RAISE (ABORT, '{text}'); END
        """


def _event_table(name: str, *, parent: str) -> str:
    """Return the table of the history, whose MsgIds are those of another table."""
    return f"""
        CREATE TABLE {name} (
          event_id   INTEGER PRIMARY KEY AUTOINCREMENT,
          at         TEXT NOT NULL,
          msg_id     TEXT NOT NULL REFERENCES {parent} (msg_id),
          what       TEXT NOT NULL CHECK (what <> ''),
          why        TEXT NOT NULL,
          who        TEXT NOT NULL,
          from_state TEXT,
          to_state   TEXT,
          details    TEXT NOT NULL,
          CHECK (from_state IS NULL OR to_state IS NOT NULL)
        )
        """


def _receipt_table(name: str, *, parent: str, signer: str = "") -> str:
    """Return the table of the receipts, whose MsgIds are those of another table."""
    return f"""
        CREATE TABLE {name} (
          receipt_id    INTEGER PRIMARY KEY AUTOINCREMENT,
          msg_id        TEXT NOT NULL REFERENCES {parent} (msg_id),
          status        INTEGER CHECK (status IN (1, 2, 3)),
          errors        TEXT NOT NULL,
          verified      INTEGER NOT NULL CHECK (verified IN (0, 1)),
          problem       TEXT NOT NULL,
          received_at   TEXT NOT NULL,
          sealed_sha256 TEXT NOT NULL CHECK (length(sealed_sha256) = 64),
          xml           BLOB,
          sealed        BLOB NOT NULL,{signer}
          UNIQUE (msg_id, sealed_sha256)
        )
        """


_SIGNER: Final = "\n          signer_sha1   TEXT CHECK (length(signer_sha1) = 40),\n          signer_serial TEXT,"


_FIRST: Final = Migration(
    1,
    "submissions, shipments, receipts and their history",
    (
        """
        CREATE TABLE migration (
          version    INTEGER PRIMARY KEY,
          name       TEXT NOT NULL,
          applied_at TEXT NOT NULL
        )
        """,
        # One environment per journal (promise G7).
        """
        CREATE TABLE journal (
          only_one    INTEGER PRIMARY KEY CHECK (only_one = 1),
          environment TEXT NOT NULL CHECK (environment IN ('lokal', 'validering', 'produksjon', 'ar-test')),
          created_at  TEXT NOT NULL
        )
        """,
        # Order is by sequence, never by time: clocks jump.
        """
        CREATE TABLE submission (
          sequence      INTEGER PRIMARY KEY AUTOINCREMENT,
          submission_id TEXT NOT NULL UNIQUE CHECK (submission_id <> ''),
          environment   TEXT NOT NULL CHECK (environment IN ('lokal', 'validering', 'produksjon', 'ar-test')),
          sender_her_id INTEGER NOT NULL,
          kommunenummer TEXT NOT NULL,
          bydel         TEXT NOT NULL,
          year          INTEGER NOT NULL,
          created_at    TEXT NOT NULL,
          created_by    TEXT NOT NULL,
          replaces      TEXT UNIQUE REFERENCES submission (submission_id),
          reason        TEXT NOT NULL,
          UNIQUE (submission_id, environment, sender_her_id, year),
          CHECK (replaces IS NULL OR trim(reason) <> '')
        )
        """,
        # One first submission a year; every later one replaces its predecessor, each of which is replaced once.
        """
        CREATE UNIQUE INDEX submission_first
          ON submission (environment, sender_her_id, kommunenummer, bydel, year) WHERE replaces IS NULL
        """,
        # By itself, so that moving a shipment does not rewrite megabytes.
        """
        CREATE TABLE sealed (
          sealed_id INTEGER PRIMARY KEY AUTOINCREMENT,
          bytes     BLOB NOT NULL
        )
        """,
        """
        CREATE TABLE shipment (
          shipment_id     INTEGER PRIMARY KEY AUTOINCREMENT,
          submission_id   TEXT NOT NULL,
          environment     TEXT NOT NULL,
          sender_her_id   INTEGER NOT NULL,
          year            INTEGER NOT NULL,
          type            TEXT NOT NULL CHECK (type IN ('KPR_IPL', 'KPR_IDE')),
          msg_id          TEXT NOT NULL UNIQUE CHECK (msg_id <> '' AND msg_id = lower(msg_id)),
          message_id      TEXT NOT NULL UNIQUE CHECK (message_id <> ''),
          receiver_her_id INTEGER NOT NULL,
          envelope        TEXT NOT NULL,
          payload_sha256  TEXT NOT NULL CHECK (length(payload_sha256) = 64),
          payload_bytes   INTEGER NOT NULL,
          lopenr          TEXT NOT NULL,
          sealed_id       INTEGER NOT NULL UNIQUE REFERENCES sealed (sealed_id),
          sealed_sha256   TEXT NOT NULL CHECK (length(sealed_sha256) = 64),
          sealed_bytes    INTEGER NOT NULL CHECK (sealed_bytes > 0),
          created_at      TEXT NOT NULL,
          state           TEXT NOT NULL CHECK (state IN (
                            'sealed', 'publishing', 'published', 'in_doubt', 'delivered', 'delivered_with_errors',
                            'rejected', 'faulted', 'cancelled')),
          attempts        INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
          published_at    TEXT,
          last_error_code TEXT,
          last_error_text TEXT,
          needs_person    INTEGER NOT NULL DEFAULT 0 CHECK (needs_person IN (0, 1)),
          early_answer    TEXT CHECK (early_answer IS NULL OR (state = 'publishing' AND early_answer IN (
                            'receipt-ok', 'receipt-ok-with-errors', 'receipt-rejected', 'error-queue'))),
          UNIQUE (submission_id, type),
          CHECK ((last_error_code IS NULL) = (last_error_text IS NULL)),
          CHECK (state IN ('sealed', 'cancelled') OR attempts > 0),
          FOREIGN KEY (submission_id, environment, sender_her_id, year)
            REFERENCES submission (submission_id, environment, sender_her_id, year)
        )
        """,
        "CREATE UNIQUE INDEX shipment_payload ON shipment (environment, sender_her_id, year, type, payload_sha256)",
        _receipt_table("receipt", parent="shipment"),
        _event_table("event", parent="shipment"),
        "CREATE INDEX event_shipment ON event (msg_id, event_id)",
        _refused("UPDATE", "event", "the history is never changed"),
        _refused("DELETE", "event", "the history is never shortened"),
        # Writing through a blob handle, once, in the creating transaction, fires no trigger.
        _refused("UPDATE", "sealed", "sealed bytes never change"),
        _refused("DELETE", "sealed", "sealed bytes are never deleted"),
        """
        CREATE TRIGGER shipment_stands BEFORE UPDATE OF
          submission_id, environment, sender_her_id, year, type, msg_id, message_id, receiver_her_id, envelope,
          payload_sha256, payload_bytes, lopenr, sealed_id, sealed_sha256, sealed_bytes, created_at ON shipment
        BEGIN SELECT RAISE (ABORT, 'what is sealed never changes'); END
        """,
        _refused("DELETE", "shipment", "a shipment is never deleted"),
        _refused("DELETE", "submission", "a submission is never deleted"),
    ),
)

# What it takes to know a journal that was restored from backup, copied or lost: ``recovery`` has the rules.
_SECOND: Final = Migration(
    2,
    "what tells a restored journal from the one that was sent from",
    (
        "ALTER TABLE journal ADD COLUMN journal_id TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE journal ADD COLUMN step INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE journal ADD COLUMN backup_at TEXT",
        "UPDATE journal SET journal_id = lower(hex(randomblob(16)))",
        # Shipments that the mark says were begun, and that a restored journal does not have.
        """
        CREATE TABLE forgotten (
          msg_id         TEXT PRIMARY KEY,
          type           TEXT NOT NULL,
          sender_her_id  INTEGER NOT NULL,
          kommunenummer  TEXT NOT NULL,
          bydel          TEXT NOT NULL,
          year           INTEGER NOT NULL,
          payload_sha256 TEXT NOT NULL,
          attempts       INTEGER NOT NULL,
          noted_at       TEXT NOT NULL,
          released_at    TEXT,
          released_by    TEXT,
          released_why   TEXT,
          CHECK ((released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (released_why IS NULL))
        ) WITHOUT ROWID
        """,
        _refused("DELETE", "forgotten", "what was begun is never deleted"),
        """
        CREATE TABLE acceptance (
          acceptance_id INTEGER PRIMARY KEY AUTOINCREMENT,
          at            TEXT NOT NULL,
          found         TEXT NOT NULL,
          why           TEXT NOT NULL CHECK (trim(why) <> ''),
          who           TEXT NOT NULL CHECK (trim(who) <> '')
        )
        """,
        _refused("UPDATE", "acceptance", "the history is never changed"),
        _refused("DELETE", "acceptance", "the history is never shortened"),
    ),
)

# Which certificates were used, and the only way in which sealed bytes are ever exchanged. The old bytes stay: a
# certificate changes once in years, the history's old digest can be compared with them, and so no rule has to let
# anything be deleted.
_THIRD: Final = Migration(
    3,
    "which certificates were used, and sealing anew what was never offered to the bus",
    (
        "ALTER TABLE shipment ADD COLUMN hodemelding_sha256 TEXT CHECK (length(hodemelding_sha256) = 64)",
        *(
            f"ALTER TABLE {table} ADD COLUMN {column}"
            for table, use in (("shipment", "encryption"), ("shipment", "signing"), ("receipt", "signer"))
            for column in (f"{use}_sha1 TEXT CHECK (length({use}_sha1) = 40)", f"{use}_serial TEXT")
        ),
        "DROP TRIGGER shipment_stands",
        """
        CREATE TRIGGER shipment_stands BEFORE UPDATE OF
          submission_id, environment, sender_her_id, year, type, msg_id, message_id, receiver_her_id, envelope,
          payload_sha256, payload_bytes, lopenr, hodemelding_sha256, created_at ON shipment
        BEGIN SELECT RAISE (ABORT, 'what is sealed never changes'); END
        """,
        # All of it at once, and only before the first attempt and the first answer (promise G3).
        """
        CREATE TRIGGER shipment_sealed_stands BEFORE UPDATE OF
          sealed_id, sealed_sha256, sealed_bytes, encryption_sha1, encryption_serial, signing_sha1, signing_serial
          ON shipment
        WHEN OLD.state <> 'sealed' OR OLD.attempts <> 0 OR OLD.needs_person <> 0
          OR NEW.state <> 'sealed' OR NEW.attempts <> 0
          OR NEW.sealed_id = OLD.sealed_id OR NEW.sealed_sha256 = OLD.sealed_sha256
          OR NEW.encryption_sha1 IS OLD.encryption_sha1
          OR EXISTS (SELECT 1 FROM receipt WHERE receipt.msg_id = OLD.msg_id)
        BEGIN SELECT RAISE (ABORT, 'what is sealed never changes'); END
        """,
    ),
)

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
        _receipt_table("new_receipt", parent="known_msg_id", signer=_SIGNER),
        "INSERT INTO new_receipt SELECT * FROM receipt",
        "DROP TABLE receipt",
        "ALTER TABLE new_receipt RENAME TO receipt",
        _event_table("new_event", parent="known_msg_id"),
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
        _refused("UPDATE", "event", "the history is never changed"),
        _refused("DELETE", "event", "the history is never shortened"),
        _refused("UPDATE", "version", "what was sealed never changes"),
        _refused("DELETE", "version", "what was sealed is never deleted"),
        _refused("UPDATE", "known_msg_id", "a MsgId stays its shipment''s"),
        _refused("DELETE", "known_msg_id", "a MsgId is never forgotten"),
        _refused("UPDATE", "kept", "what a submission keeps never changes"),
        _refused("DELETE", "kept", "what a submission keeps is never deleted"),
        _refused("DELETE", "shipment", "a shipment is never deleted"),
        """
        CREATE TRIGGER shipment_stands BEFORE UPDATE OF
          shipment_id, submission_id, environment, sender_her_id, year, type, payload_sha256, payload_bytes, lopenr,
          created_at ON shipment
        BEGIN SELECT RAISE (ABORT, 'what is sealed never changes'); END
        """,
        # Other bytes or ids only in a sealed shipment, and when what it was before is in ``version`` (promise G3):
        # before any transfer under its message-id; or when a person lets it go again or has done so, who alone may do
        # that once the bus may have had it (promise G1), and then never under a message-id that the bus may have seen.
        """
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
                OR NEW.encryption_sha1 IS OLD.encryption_sha1
                OR (NEW.message_id = OLD.message_id AND OLD.attempts <> OLD.earlier_attempts)
                OR ((NEW.message_id <> OLD.message_id OR NEW.envelope <> OLD.envelope
                     OR NEW.hodemelding_sha256 IS NOT OLD.hodemelding_sha256
                     OR EXISTS (SELECT 1 FROM receipt WHERE receipt.msg_id = OLD.msg_id))
                    AND NOT EXISTS (
                      SELECT 1 FROM event JOIN known_msg_id USING (msg_id)
                      WHERE shipment_id = OLD.shipment_id AND what IN ('person-not-arrived', 'person-resends')))
            WHEN OLD.state = 'cancelled' AND OLD.handed_over = 0
              THEN 0
            ELSE OLD.state NOT IN ('published', 'in_doubt', 'rejected', 'faulted', 'cancelled')
              OR NEW.message_id = OLD.message_id
          END
        BEGIN SELECT RAISE (ABORT, 'what is sealed never changes'); END
        """,
        # FHI has answered it: a transfer would be a second one (promise G1).
        """
        CREATE TRIGGER shipment_answered BEFORE UPDATE OF state ON shipment
        WHEN NEW.state = 'publishing' AND OLD.state = 'sealed'
          AND EXISTS (SELECT 1 FROM receipt WHERE receipt.msg_id = NEW.msg_id AND receipt.verified = 1)
        BEGIN SELECT RAISE (ABORT, 'what is answered is never sent'); END
        """,
    ),
)

MIGRATIONS: Final[tuple[Migration, ...]] = (_FIRST, _SECOND, _THIRD, _FOURTH)
VERSION: Final = MIGRATIONS[-1].version

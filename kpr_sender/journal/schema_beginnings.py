"""The journal's first tables, and what migrations are made of; ``schema`` has those that followed, and the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema, applied in one transaction; ``user_version`` is its version after it."""

    version: int
    name: str
    statements: tuple[str, ...]


def refused(action: str, table: str, text: str) -> str:
    """Return the trigger that refuses a change of a table's rows."""
    name = {"UPDATE": "stands", "DELETE": "stays"}[action]
    return f"""
        CREATE TRIGGER {table}_{name} BEFORE {action} ON {table}
        BEGIN SELECT RAISE (ABORT, '{text}'); END
        """


def event_table(name: str, *, parent: str) -> str:
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


def receipt_table(name: str, *, parent: str, signer: str = "") -> str:
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


SIGNER: Final = "\n          signer_sha1   TEXT CHECK (length(signer_sha1) = 40),\n          signer_serial TEXT,"


FIRST: Final = Migration(
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
        receipt_table("receipt", parent="shipment"),
        event_table("event", parent="shipment"),
        "CREATE INDEX event_shipment ON event (msg_id, event_id)",
        refused("UPDATE", "event", "the history is never changed"),
        refused("DELETE", "event", "the history is never shortened"),
        # Writing through a blob handle, once, in the creating transaction, fires no trigger.
        refused("UPDATE", "sealed", "sealed bytes never change"),
        refused("DELETE", "sealed", "sealed bytes are never deleted"),
        """
        CREATE TRIGGER shipment_stands BEFORE UPDATE OF
          submission_id, environment, sender_her_id, year, type, msg_id, message_id, receiver_her_id, envelope,
          payload_sha256, payload_bytes, lopenr, sealed_id, sealed_sha256, sealed_bytes, created_at ON shipment
        BEGIN SELECT RAISE (ABORT, 'what is sealed never changes'); END
        """,
        refused("DELETE", "shipment", "a shipment is never deleted"),
        refused("DELETE", "submission", "a submission is never deleted"),
    ),
)

# What it takes to know a journal that was restored from backup, copied or lost: ``recovery`` has the rules.
SECOND: Final = Migration(
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
        refused("DELETE", "forgotten", "what was begun is never deleted"),
        """
        CREATE TABLE acceptance (
          acceptance_id INTEGER PRIMARY KEY AUTOINCREMENT,
          at            TEXT NOT NULL,
          found         TEXT NOT NULL,
          why           TEXT NOT NULL CHECK (trim(why) <> ''),
          who           TEXT NOT NULL CHECK (trim(who) <> '')
        )
        """,
        refused("UPDATE", "acceptance", "the history is never changed"),
        refused("DELETE", "acceptance", "the history is never shortened"),
    ),
)

# Which certificates were used, and the only way in which sealed bytes are ever exchanged. The old bytes stay: a
# certificate changes once in years, the history's old digest can be compared with them, and so no rule has to let
# anything be deleted.
THIRD: Final = Migration(
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

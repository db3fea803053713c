"""The columns of the journal's tables in PostgreSQL; ``postgres_schema`` has what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ENVIRONMENTS: Final = "('lokal', 'validering', 'produksjon', 'ar-test')"
_OWN: Final = "journal_no BIGINT NOT NULL DEFAULT own_journal() REFERENCES lease (journal_no)"


def _numbered(table: str, name: str = "") -> str:
    """Return the columns that name a row: its journal and its number in it, counted on in each journal by itself."""
    name = name or f"{table}_id"
    number = f"{name} BIGINT NOT NULL DEFAULT next_number('{table}', '{name}')"
    return f"{_OWN},\n        {number},\n        PRIMARY KEY (journal_no, {name})"


TABLES: Final[Mapping[str, str]] = {
    "journal": f"""
        {_OWN},
        environment        TEXT NOT NULL CHECK (environment IN {ENVIRONMENTS}),
        created_at         TEXT NOT NULL,
        journal_id         TEXT NOT NULL,
        step               BIGINT NOT NULL DEFAULT 0,
        backup_at          TEXT,
        pruning_unfinished INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (journal_no)
        """,
    "timeline": f"""
        {_OWN},
        system   TEXT NOT NULL,
        timeline BIGINT NOT NULL,
        known_at TEXT NOT NULL,
        PRIMARY KEY (journal_no, system, timeline)
        """,
    "note": f"""
        {_OWN},
        name    TEXT NOT NULL,
        content BYTEA NOT NULL,
        PRIMARY KEY (journal_no, name)
        """,
    "submission": f"""
        {_numbered("submission", "sequence")},
        submission_id TEXT NOT NULL CHECK (submission_id <> ''),
        environment   TEXT NOT NULL CHECK (environment IN {ENVIRONMENTS}),
        sender_her_id BIGINT NOT NULL,
        kommunenummer TEXT NOT NULL,
        bydel         TEXT NOT NULL,
        year          INTEGER NOT NULL,
        created_at    TEXT NOT NULL,
        created_by    TEXT NOT NULL,
        replaces      TEXT,
        reason        TEXT NOT NULL,
        UNIQUE (journal_no, submission_id),
        UNIQUE (journal_no, replaces),
        UNIQUE (journal_no, submission_id, environment, sender_her_id, year),
        CHECK (replaces IS NULL OR trim(reason) <> ''),
        FOREIGN KEY (journal_no, replaces) REFERENCES submission (journal_no, submission_id)
        """,
    "sealed": f"""
        {_numbered("sealed")},
        made_in XID8 NOT NULL DEFAULT pg_current_xact_id()
        """,
    # By itself and in chunks, so that nothing is ever handled as one value of many megabytes.
    "sealed_chunk": f"""
        {_OWN},
        sealed_id BIGINT NOT NULL,
        place     INTEGER NOT NULL,
        bytes     BYTEA NOT NULL,
        PRIMARY KEY (journal_no, sealed_id, place),
        FOREIGN KEY (journal_no, sealed_id) REFERENCES sealed (journal_no, sealed_id)
        """,
    "shipment": f"""
        {_numbered("shipment")},
        submission_id      TEXT NOT NULL,
        environment        TEXT NOT NULL,
        sender_her_id      BIGINT NOT NULL,
        year               INTEGER NOT NULL,
        type               TEXT NOT NULL CHECK (type IN ('KPR_IPL', 'KPR_IDE')),
        msg_id             TEXT NOT NULL CHECK (msg_id <> '' AND msg_id = lower(msg_id)),
        message_id         TEXT NOT NULL CHECK (message_id <> ''),
        receiver_her_id    BIGINT NOT NULL,
        envelope           TEXT NOT NULL,
        payload_sha256     TEXT NOT NULL CHECK (length(payload_sha256) = 64),
        payload_bytes      BIGINT NOT NULL,
        lopenr             TEXT NOT NULL,
        sealed_id          BIGINT NOT NULL,
        sealed_sha256      TEXT NOT NULL CHECK (length(sealed_sha256) = 64),
        sealed_bytes       BIGINT NOT NULL CHECK (sealed_bytes > 0),
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
        UNIQUE (journal_no, msg_id),
        UNIQUE (journal_no, message_id),
        UNIQUE (journal_no, sealed_id),
        UNIQUE (submission_id, type, journal_no),
        CHECK ((last_error_code IS NULL) = (last_error_text IS NULL)),
        CHECK (state NOT IN ('publishing', 'published', 'in_doubt') OR attempts > earlier_attempts),
        FOREIGN KEY (journal_no, sealed_id) REFERENCES sealed (journal_no, sealed_id),
        FOREIGN KEY (journal_no, submission_id, environment, sender_her_id, year)
          REFERENCES submission (journal_no, submission_id, environment, sender_her_id, year)
        """,
    "known_msg_id": f"""
        {_OWN},
        msg_id      TEXT NOT NULL,
        shipment_id BIGINT NOT NULL,
        PRIMARY KEY (journal_no, msg_id),
        FOREIGN KEY (journal_no, shipment_id) REFERENCES shipment (journal_no, shipment_id)
        """,
    "version": f"""
        {_numbered("version")},
        shipment_id        BIGINT NOT NULL,
        msg_id             TEXT NOT NULL,
        message_id         TEXT NOT NULL,
        receiver_her_id    BIGINT NOT NULL,
        envelope           TEXT NOT NULL,
        sealed_id          BIGINT NOT NULL,
        sealed_sha256      TEXT NOT NULL,
        sealed_bytes       BIGINT NOT NULL,
        hodemelding_sha256 TEXT,
        encryption_sha1    TEXT,
        encryption_serial  TEXT,
        signing_sha1       TEXT,
        signing_serial     TEXT,
        since              TEXT NOT NULL,
        until              TEXT NOT NULL,
        FOREIGN KEY (journal_no, shipment_id) REFERENCES shipment (journal_no, shipment_id),
        FOREIGN KEY (journal_no, msg_id) REFERENCES known_msg_id (journal_no, msg_id),
        FOREIGN KEY (journal_no, sealed_id) REFERENCES sealed (journal_no, sealed_id)
        """,
    "receipt": f"""
        {_numbered("receipt")},
        msg_id        TEXT NOT NULL,
        status        INTEGER CHECK (status IN (1, 2, 3)),
        errors        TEXT NOT NULL,
        verified      INTEGER NOT NULL CHECK (verified IN (0, 1)),
        problem       TEXT NOT NULL,
        received_at   TEXT NOT NULL,
        sealed_sha256 TEXT NOT NULL CHECK (length(sealed_sha256) = 64),
        xml           BYTEA,
        sealed        BYTEA NOT NULL,
        signer_sha1   TEXT CHECK (length(signer_sha1) = 40),
        signer_serial TEXT,
        UNIQUE (journal_no, msg_id, sealed_sha256),
        FOREIGN KEY (journal_no, msg_id) REFERENCES known_msg_id (journal_no, msg_id)
        """,
    # ``fence`` and ``stored_at`` are the database's: who wrote it, and when by one clock for all machines.
    "event": f"""
        {_numbered("event")},
        at         TEXT NOT NULL,
        msg_id     TEXT NOT NULL,
        what       TEXT NOT NULL CHECK (what <> ''),
        why        TEXT NOT NULL,
        who        TEXT NOT NULL,
        from_state TEXT,
        to_state   TEXT,
        details    TEXT NOT NULL,
        fence      BIGINT NOT NULL DEFAULT own_fence(),
        stored_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
        CHECK (from_state IS NULL OR to_state IS NOT NULL),
        FOREIGN KEY (journal_no, msg_id) REFERENCES known_msg_id (journal_no, msg_id)
        """,
    "kept": f"""
        {_OWN},
        submission_id TEXT NOT NULL,
        shipment_id   BIGINT NOT NULL,
        PRIMARY KEY (journal_no, submission_id, shipment_id),
        FOREIGN KEY (journal_no, submission_id) REFERENCES submission (journal_no, submission_id),
        FOREIGN KEY (journal_no, shipment_id) REFERENCES shipment (journal_no, shipment_id)
        """,
    "notice": f"""
        {_OWN},
        kind          TEXT NOT NULL,
        subject       TEXT NOT NULL,
        began_at      TEXT NOT NULL,
        ended_at      TEXT,
        waits         TEXT NOT NULL,
        unsure        TEXT NOT NULL,
        tried_at      TEXT,
        begin_sent_at TEXT,
        end_sent_at   TEXT,
        PRIMARY KEY (journal_no, kind, subject)
        """,
    "forgotten": f"""
        {_OWN},
        msg_id         TEXT NOT NULL,
        type           TEXT NOT NULL,
        sender_her_id  BIGINT NOT NULL,
        kommunenummer  TEXT NOT NULL,
        bydel          TEXT NOT NULL,
        year           INTEGER NOT NULL,
        payload_sha256 TEXT NOT NULL,
        attempts       INTEGER NOT NULL,
        noted_at       TEXT NOT NULL,
        released_at    TEXT,
        released_by    TEXT,
        released_why   TEXT,
        PRIMARY KEY (journal_no, msg_id),
        CHECK ((released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (released_why IS NULL))
        """,
    "acceptance": f"""
        {_numbered("acceptance")},
        at    TEXT NOT NULL,
        found TEXT NOT NULL,
        why   TEXT NOT NULL CHECK (trim(why) <> ''),
        who   TEXT NOT NULL CHECK (trim(who) <> '')
        """,
}

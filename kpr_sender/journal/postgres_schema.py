"""The journal's tables in PostgreSQL: those of ``schema`` as they are now, for all municipalities and environments.

Each row of each table belongs to one journal, by its ``journal_no``, and row-level security lets a connection see and
write the rows of its own journal alone (promise G7): the statements need not name it. A journal is named by environment
and receipts queue, in ``lease``, which a connection without a journal sees all of.

Migrations go forwards only, one at a time under a lock, by ``kpr-send journal migrate``. One that has been released is
never edited: write the next one.
"""

from __future__ import annotations

from typing import Final

from kpr_sender.journal.postgres_tables import ENVIRONMENTS, TABLES
from kpr_sender.journal.schema_beginnings import Migration

NAMESPACE: Final = "kpr_sender"
"""The schema of the database that the tables are in."""


def _own_rows(table: str) -> tuple[str, ...]:
    """Return what keeps a table's rows each to its journal; also from the tables' owner."""
    return (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY own ON {table} USING (journal_no = own_journal()) WITH CHECK (journal_no = own_journal())",
    )


def _refused(action: str, table: str, text: str, of: str = "") -> str:
    """Return the trigger that refuses a change of a table's rows."""
    name = {"UPDATE": "stands", "DELETE": "stays"}[action]
    return f"""
        CREATE TRIGGER {table}_{name} BEFORE {action} {f"OF {of} " if of else ""}ON {table}
        FOR EACH ROW EXECUTE FUNCTION refuse('{text}')
        """


def _checked(table: str, name: str, when: str, condition: str, text: str) -> tuple[str, str]:
    """Return the function and trigger that refuse a change of a row where a condition holds."""
    return (
        f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF ({condition}) THEN
            RAISE EXCEPTION '{text}' USING ERRCODE = 'KP001';
          END IF;
          RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
        END $$
        """,
        f"CREATE TRIGGER {name} {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()",
    )


_BEGINNING: Final = (
    "CREATE TABLE migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)",
    # Who may send for a journal: the advisory lock of its number, and the number that grows with each holder.
    f"""
    CREATE TABLE lease (
      journal_no  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      environment TEXT NOT NULL CHECK (environment IN {ENVIRONMENTS}),
      queue       TEXT NOT NULL CHECK (queue <> ''),
      fence       BIGINT NOT NULL DEFAULT 0,
      host        TEXT NOT NULL DEFAULT '',
      pid         BIGINT NOT NULL DEFAULT 0,
      since       TIMESTAMPTZ,
      UNIQUE (environment, queue)
    )
    """,
    """
    CREATE FUNCTION own_journal() RETURNS BIGINT LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('kpr.journal', true), '')::bigint $$
    """,
    "ALTER TABLE lease ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE lease FORCE ROW LEVEL SECURITY",
    "CREATE POLICY own ON lease USING (own_journal() IS NULL OR journal_no = own_journal())",
    """
    CREATE FUNCTION own_fence() RETURNS BIGINT LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('kpr.fence', true), '')::bigint $$
    """,
    # As SQLite has it, so that the statements are the same.
    """
    CREATE FUNCTION json_extract(document TEXT, path TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT document::json ->> substr(path, 3) $$
    """,
    """
    CREATE FUNCTION next_number(numbered TEXT, name TEXT) RETURNS BIGINT LANGUAGE plpgsql AS $$
    DECLARE number BIGINT;
    BEGIN
      EXECUTE format('SELECT coalesce(max(%I), 0) + 1 FROM %I', name, numbered) INTO number;
      RETURN number;
    END $$
    """,
    """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'KP001'; END $$
    """,
)

_INDEXES: Final = (
    """
    CREATE UNIQUE INDEX submission_first ON submission
      (journal_no, environment, sender_her_id, kommunenummer, bydel, year) WHERE replaces IS NULL
    """,
    """
    CREATE UNIQUE INDEX shipment_payload ON shipment
      (journal_no, environment, sender_her_id, year, type, payload_sha256)
    """,
    "CREATE INDEX event_shipment ON event (journal_no, msg_id, event_id)",
    "CREATE INDEX known_msg_id_shipment ON known_msg_id (journal_no, shipment_id)",
    "CREATE INDEX version_shipment ON version (journal_no, shipment_id)",
    "CREATE INDEX version_message_id ON version (journal_no, message_id)",
    "CREATE INDEX receipt_unverified ON receipt (journal_no, receipt_id) WHERE verified = 0",
)

_RULES: Final = (
    _refused("UPDATE", "event", "the history is never changed"),
    _refused("DELETE", "event", "the history is never shortened"),
    _refused("UPDATE", "version", "what was sealed never changes"),
    _refused("DELETE", "version", "what was sealed is never deleted"),
    _refused("UPDATE", "known_msg_id", "a MsgId stays its shipment''s"),
    _refused("DELETE", "known_msg_id", "a MsgId is never forgotten"),
    _refused("UPDATE", "kept", "what a submission keeps never changes"),
    _refused("DELETE", "kept", "what a submission keeps is never deleted"),
    _refused("UPDATE", "acceptance", "the history is never changed"),
    _refused("DELETE", "acceptance", "the history is never shortened"),
    _refused("DELETE", "forgotten", "what was begun is never deleted"),
    _refused("DELETE", "submission", "a submission is never deleted"),
    _refused("DELETE", "shipment", "a shipment is never deleted"),
    _refused("UPDATE", "sealed", "sealed bytes never change"),
    _refused("DELETE", "sealed", "sealed bytes are never deleted"),
    _refused("UPDATE", "sealed_chunk", "sealed bytes never change"),
    _refused(
        "UPDATE",
        "shipment",
        "what is sealed never changes",
        "shipment_id, journal_no, submission_id, environment, sender_her_id, year, type, payload_sha256, "
        "payload_bytes, lopenr, created_at",
    ),
    # A stale holder decides nothing, whatever its program says.
    *_checked(
        "shipment",
        "shipment_fenced",
        "BEFORE INSERT OR UPDATE",
        "own_fence() IS DISTINCT FROM (SELECT fence FROM lease WHERE lease.journal_no = NEW.journal_no)",
        "another holder has the lease",
    ),
    *_checked(
        "sealed_chunk",
        "sealed_chunk_added",
        "BEFORE INSERT",
        "NOT EXISTS (SELECT 1 FROM sealed WHERE sealed.sealed_id = NEW.sealed_id AND made_in = pg_current_xact_id())",
        "sealed bytes never change",
    ),
    *_checked(
        "sealed_chunk",
        "sealed_chunk_removed",
        "BEFORE DELETE",
        """NOT EXISTS (
            SELECT 1 FROM (SELECT shipment_id, sealed_id FROM shipment
                           UNION ALL SELECT shipment_id, sealed_id FROM version) AS used
              JOIN shipment USING (shipment_id) JOIN known_msg_id USING (shipment_id)
              JOIN event ON event.msg_id = known_msg_id.msg_id
            WHERE used.sealed_id = OLD.sealed_id AND event.what = 'pruned'
              AND shipment.state NOT IN ('sealed', 'publishing'))""",
        "sealed bytes are never deleted",
    ),
    *_checked(
        "shipment",
        "shipment_content",
        "AFTER INSERT",
        """EXISTS (
            SELECT 1 FROM shipment AS other
              JOIN submission AS theirs ON theirs.submission_id = other.submission_id
              JOIN submission AS ours ON ours.submission_id = NEW.submission_id
            WHERE other.shipment_id <> NEW.shipment_id
              AND other.type = NEW.type AND other.payload_sha256 = NEW.payload_sha256
              AND theirs.environment = ours.environment AND theirs.year = ours.year
              AND theirs.kommunenummer = ours.kommunenummer AND theirs.bydel = ours.bydel)""",
        "the same content is stored once",
    ),
    *_checked(
        "submission",
        "submission_year",
        "AFTER INSERT",
        """NEW.replaces IS NULL AND EXISTS (
            SELECT 1 FROM submission AS other
            WHERE other.sequence <> NEW.sequence AND other.environment = NEW.environment
              AND other.kommunenummer = NEW.kommunenummer AND other.bydel = NEW.bydel AND other.year = NEW.year)""",
        "a year is submitted once",
    ),
    *_checked(
        "shipment",
        "shipment_answered",
        "BEFORE UPDATE OF state",
        """NEW.state = 'publishing' AND OLD.state = 'sealed'
            AND EXISTS (SELECT 1 FROM receipt WHERE receipt.msg_id = NEW.msg_id AND receipt.verified = 1)""",
        "what is answered is never sent",
    ),
    # ``schema`` says which exchanges of sealed bytes are no second message.
    *_checked(
        "shipment",
        "shipment_sealed_stands",
        """BEFORE UPDATE OF msg_id, message_id, receiver_her_id, envelope, sealed_id, sealed_sha256, sealed_bytes,
             hodemelding_sha256, encryption_sha1, encryption_serial, signing_sha1, signing_serial, since""",
        """NEW.state <> 'sealed'
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
                OR (NEW.message_id = OLD.message_id AND OLD.attempts <> OLD.earlier_attempts)
                OR ((NEW.message_id <> OLD.message_id OR NEW.envelope <> OLD.envelope
                     OR NEW.encryption_sha1 IS NOT DISTINCT FROM OLD.encryption_sha1
                     OR NEW.hodemelding_sha256 IS DISTINCT FROM OLD.hodemelding_sha256
                     OR EXISTS (SELECT 1 FROM receipt WHERE receipt.msg_id = OLD.msg_id AND receipt.verified = 1))
                    AND NOT EXISTS (
                      SELECT 1 FROM event JOIN known_msg_id USING (msg_id)
                      WHERE shipment_id = OLD.shipment_id AND what IN ('person-not-arrived', 'person-resends')))
            WHEN OLD.state = 'cancelled' AND OLD.handed_over = 0
              THEN FALSE
            ELSE OLD.state NOT IN ('published', 'in_doubt', 'rejected', 'faulted', 'cancelled')
              OR NEW.message_id = OLD.message_id
          END""",
        "what is sealed never changes",
    ),
)

MIGRATIONS: Final = (
    Migration(
        1,
        "all tables, each row with its journal",
        (
            *_BEGINNING,
            *(f"CREATE TABLE {name} ({columns})" for name, columns in TABLES.items()),
            # Both refer to the other: a shipment's MsgId is known, and what is known is a shipment's.
            """
            ALTER TABLE shipment ADD FOREIGN KEY (journal_no, msg_id) REFERENCES known_msg_id (journal_no, msg_id)
              DEFERRABLE INITIALLY DEFERRED
            """,
            *(statement for table in TABLES for statement in _own_rows(table)),
            *_INDEXES,
            *_RULES,
        ),
    ),
    # By one clock for all machines, as an event's: a wait begins with it.
    Migration(
        2,
        "when a restored database was accepted, by the database's clock",
        ("ALTER TABLE acceptance ADD COLUMN stored_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()",),
    ),
    Migration(
        3,
        "when the receiver's message server acknowledged a shipment",
        ("ALTER TABLE shipment ADD COLUMN acknowledged_at TEXT",),
    ),
)
VERSION: Final = MIGRATIONS[-1].version

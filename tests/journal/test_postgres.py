"""The journal in PostgreSQL: a representative part of what ``test_sqlite_*`` prove of both, in every run."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest

from kpr_sender.errors import AlreadySubmitted, InternalError
from kpr_sender.journal.postgres import PostgresJournal
from kpr_sender.journal.postgres_connection import PostgresStore
from kpr_sender.journal.sql_journal import SqlJournal
from kpr_sender.journal.values import Signal
from kpr_sender.journal.verify_content import check_content
from kpr_sender.model import Environment, MessageType
from kpr_sender.states import Cause, ImpossibleTransition, ReceiptStatus, ShipmentState
from tests.helpers.postgres import PASSWORD, Database
from tests.helpers.repository import ROOT
from tests.journal import builders
from tests.journal.builders import (
    Clock,
    add_unverified,
    add_verified,
    brought_to,
    content_of,
    created,
    in_chunks,
    new_shipment,
    new_submission,
    resent,
    state_of,
)


def test_every_state_is_reached_read_back_verified_and_left_as_in_a_file(
    in_postgres: SqlJournal, in_file: SqlJournal, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same calls give the same values, the same history and the same export from both."""
    told = []
    for journal, storage in ((in_file, None), (in_postgres, postgres.storage())):
        journal._now = Clock()
        monkeypatch.setattr(builders, "_numbers", itertools.count(1000))
        large = new_shipment(MessageType.KPR_IDE, msg_id="a2", payload="p2", sealed_bytes=3_000_000)
        first = new_submission("2024-aaaa0001", shipments=(new_shipment(msg_id="a1", payload="p1"), large))
        assert journal.create(first) == journal.submission(first.submission_id)
        assert journal.sealed("a2") == content_of("a2", 3_000_000)
        journal.begin_publish("a1")
        journal.end_publish("a1", Cause.NO_OUTCOME, evidence={"reach": "handed-over"}, error=None)
        add_unverified(journal, "a1", sealed=b"who knows")
        assert journal.unverified_stored("a1") == (1, 9)
        assert journal.unverified_stored(None) == (0, 0)
        journal.discard_receipt(1, reason="not FHI's", by="kari")
        journal.let_go("a1", message_id="bus-again", reason="asked FHI", by="kari")
        journal.begin_publish("a1")
        journal.end_publish("a1", Cause.ACCEPTED, evidence={}, error=None)
        add_verified(journal, "a1", ReceiptStatus.REJECTED, sealed=b"no")
        again = resent(journal, first.shipments[0], msg_id="a3", message_id="bus-a3")
        assert (again.msg_id, again.state, len(again.earlier)) == ("a3", ShipmentState.SEALED, 2)
        journal.begin_publish("a3")
        journal.end_publish("a3", Cause.ACCEPTED, evidence={}, error=None)
        journal.fault("a3", condition="abc:tns-invalid", description="no", message_id="bus-a3")
        add_verified(journal, "a3", ReceiptStatus.OK, sealed=b"yes")
        journal.begin_publish("a2")
        journal.end_publish("a2", Cause.ACCEPTED, evidence={}, error=None)
        add_verified(journal, "a2", ReceiptStatus.OK, sealed=b"yes, too")
        assert journal.note_signal("a2", Cause.ACKNOWLEDGED, Signal(message_id="bus-a2", sha256="c" * 64))
        acknowledged = journal.shipment("a2")
        assert acknowledged is not None
        assert (acknowledged.state, acknowledged.acknowledged_at is None) == (ShipmentState.DELIVERED, False)
        with pytest.raises(AlreadySubmitted):
            journal.create(new_submission("2024-second"))
        journal.prune([first.submission_id], reason="over", by="kari")
        journal.finish_pruning()
        with journal._store.reading() as database:
            assert list(check_content(database, "it", {})) == []
        exported = [] if storage is None else list(storage.export())
        documents = journal.receipt_documents(first.submission_id)
        told.append((journal.submission(first.submission_id), journal.events(None), documents))
        assert storage is None or [line["kind"] for line in exported].count("receipt") == 4
    assert told[0] == told[1]


def test_g7_each_journal_sees_its_own_rows_alone(postgres: Database) -> None:
    """The same ids in two municipalities' journals, and in two environments', in the same tables."""
    names = itertools.product((Environment.LOKAL, Environment.VALIDERING), (postgres.queue, f"other-{postgres.queue}"))
    new = new_submission(shipments=(new_shipment(msg_id="one", payload="p"),))
    for environment, queue in names:
        shipment = dataclasses.replace(new.shipments[0], sealed=in_chunks(content_of("one", 5000)))
        with closing(postgres.storage(environment, queue=queue).open(who="vakt")) as journal:
            assert journal.submissions() == ()
            journal.create(dataclasses.replace(new, environment=environment, shipments=(shipment,)))
            assert [event.msg_id for event in journal.events(None)] == ["one"]
    with postgres.boss() as boss:
        for stored_for, count in (("lokal", 2), ("validering", 2)):
            stored = "SELECT count(*) FROM shipment WHERE environment = %s AND msg_id = 'one'"
            assert boss.execute(stored, (stored_for,)).fetchone() == (count,)


_REFUSED = [
    ("UPDATE event SET why = 'another'", "the history is never changed"),
    ("DELETE FROM event", "the history is never shortened"),
    ("DELETE FROM shipment", "a shipment is never deleted"),
    ("UPDATE sealed_chunk SET bytes = ''", "sealed bytes never change"),
    ("DELETE FROM sealed_chunk", "sealed bytes are never deleted"),
    ("INSERT INTO sealed_chunk (sealed_id, place, bytes) VALUES (1, 9, '')", "sealed bytes never change"),
    ("UPDATE shipment SET payload_sha256 = sealed_sha256", "what is sealed never changes"),
    ("UPDATE shipment SET envelope = ''", "what is sealed never changes"),
    ("UPDATE submission SET submission_id = 'other'", "violates foreign key"),
    (
        """INSERT INTO submission SELECT (jsonb_populate_record(s, '{"submission_id": "b", "sequence": 9}')).*
               FROM submission AS s""",
        "submission_first",
    ),
]


def test_the_tables_themselves_refuse(in_postgres: SqlJournal) -> None:
    """G1, G3: should a rule in the program ever be forgotten, the tables' own still stand."""
    created(in_postgres)
    for statement, why in _REFUSED:
        with pytest.raises(InternalError, match=why), in_postgres._store.writing() as database:
            database.execute(statement)


def test_g1_the_database_refuses_whatever_a_stale_holder_decides(in_postgres: SqlJournal, postgres: Database) -> None:
    msg_id = brought_to(in_postgres, ShipmentState.PUBLISHING).msg_id
    with postgres.boss() as boss:
        boss.execute("UPDATE lease SET fence = fence + 1 WHERE queue = %s", (postgres.queue,))
    assert isinstance(in_postgres, PostgresJournal)
    past_our_own_look = in_postgres._store.testifying()
    with pytest.raises(InternalError, match="another holder has the lease"), past_our_own_look as database:
        database.execute("UPDATE shipment SET state = 'published' WHERE msg_id = ?", (msg_id,))
    assert state_of(in_postgres, msg_id) is ShipmentState.PUBLISHING


def test_what_a_person_wrote_and_what_does_not_read_back(in_postgres: SqlJournal, postgres: Database) -> None:
    """Words with percent signs, quotes and question marks are words; a damaged text is named, not shown."""
    msg_id = created(in_postgres).msg_id
    words = "100 % :sure? 'ja' \\ $$ \N{SNOWMAN}"
    in_postgres.decide(msg_id, Cause.PERSON_CANCELS, reason=words, by="kari")
    assert in_postgres.events(msg_id)[-1].why == words
    with postgres.boss() as boss:
        boss.execute("ALTER TABLE event DISABLE TRIGGER event_stands")
        boss.execute("UPDATE event SET why = chr(30) || '{secret' WHERE msg_id = %s", (msg_id,))
        boss.execute("ALTER TABLE event ENABLE TRIGGER event_stands")
    with pytest.raises(Exception, match="The journal is damaged: a text does not read back") as raised:
        in_postgres.events(msg_id)
    assert "secret" not in str(raised.value)


def test_a_lost_connection_is_made_anew_for_the_next_transaction(in_postgres: SqlJournal, postgres: Database) -> None:
    msg_id = created(in_postgres).msg_id
    with in_postgres._store.reading() as database:
        pid = database.execute("SELECT pg_backend_pid()").fetchone()[0]
    postgres.cut(pid)
    with pytest.raises(Exception, match="connection to the journal's database was lost"):
        in_postgres.submissions()
    assert in_postgres.begin_publish(msg_id).state is ShipmentState.PUBLISHING


def test_a_transaction_that_was_committing_is_asked_about(
    in_postgres: SqlJournal, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is cut before and after the server has the COMMIT: what is said is what is so."""
    msg_id = created(in_postgres).msg_id
    real = psycopg.Connection.execute

    def cut(when: str) -> None:
        def execute(self: psycopg.Connection[Any], query: Any, *args: Any, **kwargs: Any) -> object:
            if query != "COMMIT":
                return real(self, query, *args, **kwargs)
            if when == "after":
                real(self, "COMMIT")
            monkeypatch.undo()
            postgres.cut(self.info.backend_pid)
            return real(self, "COMMIT")

        monkeypatch.setattr(psycopg.Connection, "execute", execute)

    cut("before")
    with pytest.raises(Exception, match="connection to the journal's database was lost"):
        in_postgres.begin_publish(msg_id)
    assert state_of(in_postgres, msg_id) is ShipmentState.SEALED
    cut("after")
    assert in_postgres.begin_publish(msg_id).state is ShipmentState.PUBLISHING
    assert state_of(in_postgres, msg_id) is ShipmentState.PUBLISHING


@pytest.mark.nightly
def test_g1_of_two_that_publish_the_same_at_once_one_does(in_postgres: SqlJournal, postgres: Database) -> None:
    """Even under one lease, on two connections: one moves it, the other is told that it is moved."""
    assert isinstance(in_postgres, PostgresJournal)
    msg_id, lease = created(in_postgres).msg_id, in_postgres._lease
    with (
        closing(PostgresStore(postgres.settings(), lease.number, lease.holder)) as store,
        ThreadPoolExecutor(2) as pool,
    ):
        other = PostgresJournal(store, Environment.LOKAL, lease, now=Clock(), who="other", quiet_seconds=0)
        start = threading.Barrier(2, timeout=30)

        def publish(journal: SqlJournal) -> type[BaseException] | None:
            start.wait()
            try:
                journal.begin_publish(msg_id)
            except Exception as error:  # noqa: BLE001 - handed to the test
                return type(error)
            return None

        for attempt in range(1, 21):
            assert set(pool.map(publish, (in_postgres, other))) == {None, ImpossibleTransition}
            back = in_postgres.end_publish(msg_id, Cause.NOT_SENT, evidence={}, error=None)
            assert back.attempts == attempt


_LARGE = """
import resource, sys
from pathlib import Path
from tests.helpers.bus_settings import bus_settings
from tests.helpers.postgres import settings
from kpr_sender.journal.postgres_storage import PostgresStorage
from kpr_sender.settings.secrets import Secret
from tests.journal.builders import *
block = bytes(range(256)) * 4096
def sealed():
    for _ in range(200):
        yield block
url, folder, queue, password = sys.argv[1:]
given = settings(url, Path(folder) / "journal.db", password=Secret(password))
journal = PostgresStorage(given, bus_settings(1, receipts_queue=queue), Environment.LOKAL, Clock()).open(who="vakt")
journal.create(new_submission("small", year=2023))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
new = new_shipment(sealed_bytes=200 * len(block), sealed=sealed())
journal.create(new_submission(shipments=(new,)))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
journal.close()
"""


@pytest.mark.nightly
def test_200_mb_are_written_with_flat_memory(own_postgres: Database) -> None:
    arguments = (own_postgres.url, str(own_postgres.folder), own_postgres.queue, PASSWORD)
    command = [sys.executable, "-c", _LARGE, *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 40, "MB of growth"
    with own_postgres.boss() as boss:
        assert boss.execute("SELECT max(length(bytes)), count(*) FROM sealed_chunk").fetchone() == (1 << 20, 202)

"""Who may send for a journal in PostgreSQL: one holder, who knows when it is over, and decides nothing after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from kpr_sender.errors import InDoubt, JournalLocked
from kpr_sender.journal import postgres_lease
from kpr_sender.journal.port import Journal
from kpr_sender.journal.postgres import PostgresJournal
from kpr_sender.states import Cause, ReceiptStatus, ShipmentState
from tests.helpers.command import until
from tests.helpers.postgres import Database, Server
from tests.journal.builders import add_verified, brought_to, created, new_submission, resent, state_of


def test_a_lease_that_another_holds_is_87_and_says_who(postgres: Database) -> None:
    assert postgres.storage().last_held() is None
    with closing(postgres.storage().open(who="vakt")):
        last = postgres.storage().last_held()
        assert last is not None
        assert abs(datetime.now(UTC) - last) < timedelta(minutes=1)
        with pytest.raises(JournalLocked, match=r"process [0-9]+ on .* has held it since 20") as raised:
            postgres.storage().open(who="vakt")
        assert raised.value.exit_code == 87
        postgres.storage(queue=f"other-{postgres.queue}").open(who="vakt").close()
        with postgres.storage().reading() as view:
            assert view is not None
            assert view.submissions() == ()
    postgres.storage().open(who="vakt").close()


def test_a_run_that_has_nothing_to_do_is_noted_and_makes_no_journal(postgres: Database) -> None:
    postgres.storage().note_run()

    last = postgres.storage().last_held()
    assert last is not None
    assert abs(datetime.now(UTC) - last) < timedelta(minutes=1)
    with postgres.storage().reading() as view:
        assert view is None or view.submissions() == ()
    with closing(postgres.storage().open(who="vakt")), pytest.raises(JournalLocked):
        postgres.storage().note_run()


def test_the_next_run_has_the_lease_though_the_server_has_not_noticed_the_last_one_s_end(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``kpr-send send && kpr-send wait`` beside a busy server ended with 87, now and then."""
    journal = postgres.storage().open(who="send")
    left = list[psycopg.Connection[Any]]()

    def leave(connection: psycopg.Connection[Any]) -> None:
        left.append(connection)

    with monkeypatch.context() as unnoticed:
        unnoticed.setattr(psycopg.Connection, "close", leave)
        journal.close()
    postgres.storage().open(who="wait").close()
    assert left
    for one in left:
        one.close()


def test_the_server_itself_ends_a_silent_holder(postgres: Database) -> None:
    journal = postgres.storage().open(who="vakt")
    assert isinstance(journal, PostgresJournal)
    with closing(journal):
        lease = journal._lease
        shown = lease._connection.execute("SHOW idle_session_timeout").fetchone()
        also = lease._connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert (shown and shown[0], also and also[0]) == ("1min", "1min")
        with journal._store.reading() as database:
            assert database.execute("SHOW idle_in_transaction_session_timeout").fetchone()[0] == "1min"


def test_g1_a_holder_that_was_lost_decides_nothing_and_its_outcome_is_stored_as_evidence(postgres: Database) -> None:
    lost = postgres.storage().open(who="lost")
    msg_id = brought_to(lost, ShipmentState.PUBLISHING).msg_id
    postgres.end_holder()
    with closing(lost), closing(postgres.storage().open(who="next")) as holder:
        assert holder.recover() == (msg_id,)
        other = next(one.msg_id for one in holder.submissions()[0].shipments if one.msg_id != msg_id)
        with pytest.raises(JournalLocked, match="lost the journal's lease"):
            lost.end_publish(msg_id, Cause.ACCEPTED, evidence={"reach": "outcome"}, error=None)
        with pytest.raises(JournalLocked, match="lost the journal's lease"):
            lost.begin_publish(other)
        with pytest.raises(JournalLocked, match="lost the journal's lease"):
            lost.decide(other, Cause.PERSON_CANCELS, reason="no", by="kari")
        assert (state_of(holder, msg_id), state_of(holder, other)) == (ShipmentState.IN_DOUBT, ShipmentState.SEALED)
        last = holder.events(msg_id)[-1]
        assert (last.what, last.who, last.details) == (
            "outcome-by-stale-holder",
            "lost",
            {"cause": "accepted", "reach": "outcome"},
        )
        lost.close()
        assert holder.submissions()[0].shipments[0].state is ShipmentState.IN_DOUBT
        holder.begin_publish(other)  # the lost one's end took nothing along


def test_g1_no_transfer_begins_when_the_last_heartbeat_is_older_than_the_lease(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that never jumps: the wall clock is not asked, and nobody has taken over yet."""
    with closing(postgres.storage().open(who="vakt")) as journal:
        msg_id = created(journal).msg_id
        at = postgres_lease._clock()
        monkeypatch.setattr(postgres_lease, "_clock", lambda: at + 59)
        journal.require_transfer_may_begin()
        monkeypatch.setattr(postgres_lease, "_clock", lambda: at + 61)
        for begins in (journal.require_transfer_may_begin, lambda: journal.begin_publish(msg_id)):
            with pytest.raises(JournalLocked, match="lost the journal's lease"):
                begins()
        assert state_of(journal, msg_id) is ShipmentState.SEALED


def test_a_heartbeat_keeps_the_lease_fresh_and_notices_that_it_is_over(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_lease, "HEARTBEAT_SECONDS", 0.05)
    journal = postgres.storage().open(who="vakt")
    assert isinstance(journal, PostgresJournal)
    with closing(journal):
        lease, first = journal._lease, journal._lease._beaten_at
        until(lambda: lease._beaten_at > first)
        assert lease.is_fresh
        postgres.end_holder()
        until(lambda: not lease.is_fresh)
        with pytest.raises(JournalLocked):
            journal.require_transfer_may_begin()


def test_g1_what_a_lost_holder_began_is_not_let_go_before_it_has_certainly_ended(postgres: Database) -> None:
    lost = postgres.storage().open(who="lost")
    msg_id = brought_to(lost, ShipmentState.PUBLISHING).msg_id
    postgres.end_holder()
    with closing(lost), closing(postgres.storage().open(who="next")) as holder:
        holder.recover()
        with pytest.raises(InDoubt, match=r"before 1[23][0-9] seconds have passed"):  # 60 + 10 + 60
            _let_go(holder, msg_id)
    with postgres.boss() as boss:  # time passes, by the database's clock
        boss.execute("ALTER TABLE event DISABLE TRIGGER event_stands")
        boss.execute("UPDATE event SET stored_at = stored_at - interval '131 s' WHERE msg_id = %s", (msg_id,))
        boss.execute("ALTER TABLE event ENABLE TRIGGER event_stands")
    with closing(postgres.storage().open(who="next")) as holder:
        _let_go(holder, msg_id)
        assert state_of(holder, msg_id) is ShipmentState.SEALED


def test_what_our_own_run_left_in_doubt_is_let_go_at_once(postgres: Database) -> None:
    with closing(postgres.storage().open(who="vakt")) as journal:
        msg_id = brought_to(journal, ShipmentState.IN_DOUBT).msg_id
        _let_go(journal, msg_id)
        assert state_of(journal, msg_id) is ShipmentState.SEALED


@pytest.fixture
def taken_over(postgres: Database) -> Iterator[list[Server]]:
    """The standbys that a test lets take over."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.stop()


def test_g1_a_run_that_reaches_a_server_that_took_over_decides_nothing(
    postgres: Database, taken_over: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease counts as fresh, and the standby has the lease's row and lacks the last transaction."""
    journal = postgres.storage().open(who="vakt")
    assert isinstance(journal, PostgresJournal)
    with closing(journal):
        began = brought_to(journal, ShipmentState.PUBLISHING).msg_id
        other = next(one.msg_id for one in journal.submissions()[0].shipments if one.msg_id != began)
        taken_over.append(postgres.server.taken_over())
        new = dataclasses.replace(postgres, server=taken_over[0])
        with new.boss() as boss:
            for _ in range(50):  # the numbers that the first server gives next are other transactions' here
                boss.execute("SELECT pg_current_xact_id()")
        _fails_over_while_it_commits(monkeypatch, journal, postgres, new)
        with pytest.raises(JournalLocked, match="lost the journal's lease"):
            journal.begin_publish(other)
        journal.require_transfer_may_begin()  # it does not know by the lease
        for decides in (
            lambda: journal.begin_publish(other),
            journal.submissions,
            lambda: journal.end_publish(began, Cause.ACCEPTED, evidence={}, error=None),
            lambda: journal.end_publish("not there", Cause.ACCEPTED, evidence={}, error=None),
            journal.submissions,
        ):
            with pytest.raises(JournalLocked, match="lost the journal's lease"):
                decides()
        with new.boss() as boss:
            stored = "SELECT state FROM shipment JOIN lease USING (journal_no) WHERE queue = %s ORDER BY shipment_id"
            assert boss.execute(stored, (new.queue,)).fetchall() == [("publishing",), ("sealed",)]
            late = (
                "SELECT msg_id FROM event JOIN lease USING (journal_no) "
                "WHERE queue = %s AND what = 'outcome-by-stale-holder'"
            )
            assert boss.execute(late, (new.queue,)).fetchall() == [(began,)]


def _fails_over_while_it_commits(
    monkeypatch: pytest.MonkeyPatch, journal: PostgresJournal, old: Database, new: Database
) -> None:
    """Cut the run's next COMMIT; what it connects to from then on is the new server."""
    real = psycopg.Connection.execute

    def execute(self: psycopg.Connection[Any], query: Any, *args: Any, **kwargs: Any) -> object:
        if query == "COMMIT":
            monkeypatch.undo()
            journal._store._settings = new.settings()
            old.cut(self.info.backend_pid)
        return real(self, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)


def test_g1_a_run_whose_lease_s_session_has_ended_decides_nothing(postgres: Database) -> None:
    """Also before its heartbeat notices, and before another holder has raised the number."""
    journal = postgres.storage().open(who="vakt")
    with closing(journal):
        msg_id = created(journal).msg_id
        postgres.end_holder()
        assert state_of(journal, msg_id) is ShipmentState.SEALED
        with pytest.raises(JournalLocked, match="lost the journal's lease"):
            journal.begin_publish(msg_id)


def test_g1_nothing_is_let_go_before_the_wait_that_begins_when_a_failed_over_journal_is_accepted(
    own_postgres: Database,
) -> None:
    """Also what was in doubt or rejected already: what its last holder did since is nowhere."""
    storage = own_postgres.storage()
    with closing(storage.open(who="vakt")) as journal:
        rejected, doubted = new_submission().shipments
        journal.create(new_submission(shipments=(rejected, doubted)))
        for one, cause in ((rejected, Cause.ACCEPTED), (doubted, Cause.NO_OUTCOME)):
            journal.begin_publish(one.msg_id)
            journal.end_publish(one.msg_id, cause, evidence={}, error=None)
        add_verified(journal, rejected.msg_id, ReceiptStatus.REJECTED, sealed=b"no")
    with own_postgres.boss() as boss:
        boss.execute("UPDATE timeline SET timeline = timeline + 7")
    storage.accept(reason="asked FHI", by="kari")
    with closing(storage.open(who="vakt")) as journal:
        for again in (
            lambda: _let_go(journal, doubted.msg_id),
            lambda: resent(journal, rejected, msg_id="anew", message_id="bus-anew"),
            lambda: journal.release("forgotten", reason="asked FHI", by="kari"),
        ):
            with pytest.raises(InDoubt, match=r"before 1[23][0-9] seconds have passed"):  # 60 + 10 + 60
                again()
    with own_postgres.boss() as boss:  # time passes, by the database's clock
        boss.execute("SET session_replication_role = replica")
        boss.execute("UPDATE acceptance SET stored_at = stored_at - interval '131 s'")
    with closing(storage.open(who="vakt")) as journal:
        _let_go(journal, doubted.msg_id)
        assert state_of(journal, doubted.msg_id) is ShipmentState.SEALED
        assert resent(journal, rejected, msg_id="anew", message_id="bus-anew").state is ShipmentState.SEALED


def _let_go(journal: Journal, msg_id: str) -> None:
    journal.let_go(msg_id, message_id=f"again-{msg_id}", reason="asked FHI", by="kari")

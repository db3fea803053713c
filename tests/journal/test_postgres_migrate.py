"""The journal's tables in PostgreSQL change when no run is under way, and refuse programs of the other version."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from kpr_sender.errors import JournalLocked, JournalUnwritable
from kpr_sender.journal import postgres_migrate, postgres_schema
from kpr_sender.journal.postgres_migrate import migrate
from kpr_sender.states import Cause, ShipmentState
from tests.helpers.command import until
from tests.helpers.fleet import fleet
from tests.helpers.postgres import PASSWORD, Database
from tests.helpers.repository import ROOT
from tests.journal.builders import brought_to, created, new_submission, state_of


@contextmanager
def _migrating(database: Database) -> Iterator[subprocess.Popen[str]]:
    """Run ``journal migrate`` of the next version."""
    made = fleet(database.folder, "1103", files=False)
    url = f'[journal]\nurl = "{database.url}"\npassword_env = "KPR_TEST_DATABASE"\n'
    made.path.write_text(made.path.read_text("utf-8").replace("[journal]\n", url), "utf-8")
    options = ("--env", "lokal", "--config", str(made.path), "--municipality", "1103")
    command = [sys.executable, "-m", "tests.helpers.next_version", *options, "journal", "migrate"]
    variables = {"KPR_TEST_DATABASE": PASSWORD, "PYTHONPATH": str(ROOT), "PATH": ""}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables) as process:
        try:
            yield process
        finally:
            process.kill()


def _waits(database: Database) -> bool:
    with database.boss() as boss:
        found = boss.execute("SELECT 1 FROM pg_locks WHERE mode = 'ShareLock' AND relation = 'lease'::regclass")
        return found.fetchone() is not None


def test_runs_under_way_end_before_the_tables_change_and_none_begins(own_postgres: Database) -> None:
    other = own_postgres.storage(queue="other_async")
    with closing(own_postgres.storage().open(who="old")) as run, _migrating(own_postgres) as migration:
        first = created(run).msg_id
        until(lambda: _waits(own_postgres))
        with pytest.raises(JournalLocked, match="tables are being changed") as begins:
            other.open(who="old")
        assert begins.value.exit_code == 87, "nobody's move"
        run.begin_publish(first)
        run.end_publish(first, Cause.ACCEPTED, evidence={}, error=None)
        assert state_of(run, first) is ShipmentState.PUBLISHED, "what is under way is finished"
        assert migration.poll() is None
        run.close()
        out, err = migration.communicate(timeout=60)
    assert (migration.returncode, err) == (0, ""), out

    for uses in (
        lambda: other.open(who="old"),
        own_postgres.storage().last_held,
        lambda: migrate(own_postgres.settings(), now=other.now),
    ):
        with pytest.raises(JournalUnwritable, match="newer version") as refused:
            uses()
        assert refused.value.exit_code == 73
        assert "do not send with this one" in refused.value.next_step
    with pytest.raises(JournalUnwritable, match="newer version"), own_postgres.storage().reading():
        pass


def test_a_run_that_does_not_end_is_named_and_nothing_is_changed(
    own_postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_migrate, "LONGEST_RUN", 0.5)
    with own_postgres.boss() as boss:
        boss.execute("DELETE FROM migration WHERE version = (SELECT max(version) FROM migration)")
    monkeypatch.setattr("kpr_sender.journal.postgres_schema.VERSION", postgres_schema.VERSION - 1)
    with closing(own_postgres.storage().open(who="old")) as run:
        brought_to(run, ShipmentState.PUBLISHING)
        monkeypatch.undo()
        monkeypatch.setattr(postgres_migrate, "LONGEST_RUN", 0.5)
        with pytest.raises(JournalLocked, match=r"does not end: process [0-9]+ on ") as stays:
            migrate(own_postgres.settings(), now=own_postgres.storage().now)
        assert stays.value.exit_code == 87
        run.create(new_submission("2025-bbbb0002", year=2025))  # nobody keeps it away any more

"""The engine of workers: its tables, tasks that are deferred and followed, and workers that take them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from procrastinate.schema import SchemaManager

from kpr_sender.errors import ConfigInvalid, JournalUnwritable
from kpr_sender.journal.postgres_migrate import migrating
from kpr_sender.model import Environment
from kpr_sender.tasks.procrastinate_engine import ProcrastinateEngine, channel_of, cron_of
from tests.helpers.command import until
from tests.helpers.postgres import Database
from tests.helpers.workers import engine_of, rows, working

LOKAL, TEST = Environment.LOKAL, Environment.VALIDERING


def numbers(*deferred: Mapping[str, frozenset[int]]) -> set[int]:
    return {number for each in deferred for found in each.values() for number in found}


def test_tables_are_made_by_migrate_alone_and_required(own_postgres: Database) -> None:
    engine = ProcrastinateEngine(own_postgres.settings(), LOKAL)
    with pytest.raises(ConfigInvalid, match="no tables for the workers' tasks") as missing:
        engine.require_tables()
    assert "kpr-send journal migrate" in missing.value.next_step

    done = [threading.Thread(target=engine.migrate) for _ in range(2)]
    with migrating(own_postgres.settings()):
        for one in done:
            one.start()
        assert not rows(own_postgres, "SELECT 1 FROM pg_namespace WHERE nspname = 'kpr_tasks'"), (
            "our lock keeps it away"
        )
    for one in done:
        one.join()
    engine.require_tables()

    with own_postgres.boss() as boss:
        last = boss.execute("DELETE FROM kpr_tasks.applied WHERE name LIKE '03.04%50%' RETURNING name").fetchone()
        with pytest.raises(JournalUnwritable, match="earlier version"):
            engine.require_tables()
        boss.execute("INSERT INTO kpr_tasks.applied VALUES (%s), ('99.00.00_01_new.sql')", last)
    for refused in (engine.require_tables, engine.migrate):
        with pytest.raises(JournalUnwritable, match="newer version"):
            refused()


@pytest.mark.parametrize("release", ["03.00", "03.02"])
def test_tables_of_an_earlier_release_become_those_of_today(own_postgres: Database, release: str) -> None:
    """Whoever upgrades has the same tables as whoever begins today; what waited is carried out."""
    engine = ProcrastinateEngine(own_postgres.settings(), LOKAL)
    files = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    earlier = [file for file in files if file.name[:5] <= release]
    with migrating(own_postgres.settings()) as ours:
        ours.execute(b"CREATE SCHEMA kpr_tasks; CREATE TABLE kpr_tasks.applied (name text PRIMARY KEY)")
        ours.execute(b"SET search_path TO kpr_tasks")
        ours.commit()
        for file in earlier:
            ours.execute(file.read_text(encoding="utf-8").encode())
            ours.execute("INSERT INTO applied VALUES (%s)", [file.name])
            ours.commit()  # a value of an enum is usable in the next transaction only
        ours.execute(b"INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('other', 'waits')")
        ours.commit()
    with pytest.raises(JournalUnwritable, match="earlier version"):
        engine.require_tables()

    engine.migrate()

    engine.require_tables()
    assert rows(own_postgres, "SELECT status::text FROM kpr_tasks.procrastinate_jobs") == [("todo",)]
    upgraded = _tables(own_postgres)
    with own_postgres.boss() as boss:
        boss.execute("DROP SCHEMA kpr_tasks CASCADE")
    engine.migrate()
    assert upgraded == _tables(own_postgres)


def _tables(database: Database) -> dict[str, list[tuple[str, ...]]]:
    """What a program can tell of the tables for tasks: the order of columns and old names are no difference."""
    return {
        what: sorted(rows(database, f"{sql} AND n.nspname = 'kpr_tasks'"))
        for what, sql in {
            "columns": """SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
                coalesce(pg_get_expr(d.adbin, d.adrelid), '')
                FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
                WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped""",
            "functions": """SELECT p.proname, pg_get_function_identity_arguments(p.oid), p.prosrc
                FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE true""",
            "triggers": """SELECT t.tgname, pg_get_triggerdef(t.oid)
                FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE NOT t.tgisinternal""",
            "indexes": """SELECT c.relname, pg_get_indexdef(c.oid)
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'i'""",
        }.items()
    }


def test_a_task_waits_once_and_one_that_is_under_way_gets_a_successor(own_postgres: Database) -> None:
    engine = engine_of(own_postgres)
    with engine.opened() as tasks:
        first, again = tasks.defer(["1_async", "2_async"], "5s"), tasks.defer(["1_async"], "5s")
        assert again["1_async"] == first["1_async"]
        assert tasks.left(numbers(first)) == numbers(first)
        assert not tasks.has_workers()
        rows(
            own_postgres,
            "UPDATE procrastinate_jobs SET status = 'doing' WHERE queueing_lock = 'lokal/1_async'",
        )
        successor = tasks.defer(["1_async"], "5s")["1_async"]
        assert successor > first["1_async"], "both: the journal may be held by the first"

    tasks_left = rows(own_postgres, "SELECT lock, args->>'wait' FROM procrastinate_jobs")
    assert tasks_left == [(None, "5s")] * 3, "the journal's lease excludes, no lock of the engine's"


def test_workers_of_one_environment_share_its_queues_and_take_nothing_else(own_postgres: Database) -> None:
    engine = engine_of(own_postgres)
    both = ("1_async", "2_async")
    with engine.opened() as tasks, ProcrastinateEngine(own_postgres.settings(), TEST).opened() as others:
        foreign = others.defer(["1_async"], "5s")
        unknown = tasks.defer(["3_async"], "5s")
        with (
            working(engine, "1_async", "2_async", every=60) as one,
            working(engine, "1_async", "2_async", every=60) as two,
        ):
            until(lambda: tasks.has_workers() and len({*one.queues, *two.queues}) == 2)
            assert not others.has_workers()
            looked = len(one.looks) + len(two.looks)
            asked = tasks.defer(both, "7s")
            until(lambda: not tasks.left(numbers(asked)))
            assert len(one.looks) + len(two.looks) >= looked + len(both)
            assert {wait for _, wait in [*one.looks, *two.looks]} <= {None, "7s"}
        until(lambda: not tasks.has_workers())  # the server has noticed that their sessions have ended
        assert tasks.left(numbers(foreign, unknown)) == numbers(foreign, unknown)


def test_what_workers_leave_out_is_known_once_they_have_looked_at_others(own_postgres: Database) -> None:
    engine = engine_of(own_postgres)
    three = ("1_async", "2_async", f"{'9' * 60}_async")
    with engine.opened() as tasks, ProcrastinateEngine(own_postgres.settings(), TEST).opened() as others:
        assert tasks.left_out(three, 60) == frozenset()
        with working(engine, "1_async", three[2], every=1) as worker:
            until(lambda: {"1_async", three[2]} <= {*worker.queues})
            assert tasks.left_out(three, 60) == {"2_async"}
            assert others.left_out(three, 60) == frozenset(), "another environment's are no sign"
        rows(own_postgres, "UPDATE procrastinate_periodic_defers SET defer_timestamp = defer_timestamp - 100")
        assert tasks.left_out(three, 60) == frozenset(), "all are gone: the next ones may be others"


def test_the_schedule_looks_again_and_a_look_that_fails_is_not_tried_again(own_postgres: Database) -> None:
    engine = engine_of(own_postgres)

    def fail(_queue: str, _wait: str | None) -> None:
        raise OSError

    with working(engine, "1_async", every=1, look=fail) as one:
        until(lambda: len(one.looks) >= 3)
    statuses = rows(own_postgres, "SELECT status, attempts FROM procrastinate_jobs WHERE status <> 'todo'")
    assert {status for status, _ in statuses} == {"failed"}
    assert {attempts for _, attempts in statuses} == {1}


def test_a_worker_that_has_lost_its_database_ends_and_says_so(own_postgres: Database) -> None:
    engine = engine_of(own_postgres)
    with working(engine, "1_async", every=60) as one:
        until(lambda: bool(one.looks))
        rows(own_postgres, "ALTER SCHEMA kpr_tasks RENAME TO away")
        with pytest.raises(JournalUnwritable, match="database of the tasks"):
            one.ended()


def test_names_fit_what_the_engine_may_have() -> None:
    long = "q" * 200
    assert channel_of(LOKAL, "900201_async") == "lokal/900201_async"
    assert len(channel_of(Environment.PRODUKSJON, long)) <= 40
    assert channel_of(LOKAL, long) != channel_of(LOKAL, f"{long}r")
    assert [cron_of(every) for every in (5.0, 60.0, 300.0)] == ["* * * * * */5", "*/1 * * * *", "*/5 * * * *"]

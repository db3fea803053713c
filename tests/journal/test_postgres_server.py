"""What is required of the database server, and each refusal with its exit code; no password in any of them."""

from __future__ import annotations

import types
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from kpr_sender.errors import KprError
from kpr_sender.journal import postgres_schema, postgres_server
from kpr_sender.journal.postgres_errors import of_connecting
from kpr_sender.journal.postgres_server import connect
from kpr_sender.settings.secrets import Secret
from tests.helpers.postgres import PASSWORD, USER, Database, Server, settings
from tests.journal.builders import new_submission

_GOOD = {
    "version": 150_000,
    "standby": False,
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "remote_apply",
    "encoding": "UTF8",
    "sees_all": False,
}


@pytest.mark.parametrize(
    ("fact", "value", "words"),
    [
        ("version", 149_999, "older than PostgreSQL 15"),
        ("standby", True, "is a standby"),
        ("fsync", "off", "fsync is off"),
        ("full_page_writes", "off", "full_page_writes is off"),
        ("synchronous_commit", "local", "synchronous_commit"),
        ("synchronous_commit", "remote_write", "synchronous_commit"),
        ("encoding", "SQL_ASCII", "not UTF8"),
        ("sees_all", True, "BYPASSRLS"),
    ],
)
def test_a_server_that_may_lose_or_mix_what_it_stores_is_refused(fact: str, value: Any, words: str) -> None:
    postgres_server._require(_GOOD, "here")
    with pytest.raises(KprError, match=words) as raised:
        postgres_server._require({**_GOOD, fact: value}, "here")
    assert raised.value.exit_code == 78


def test_a_real_server_is_asked_for_these_facts(postgres: Database, postgres_server: Server, tmp_path: Path) -> None:
    connect(postgres.settings()).close()
    latin = postgres_server.database("ENCODING 'LATIN1'", "LC_COLLATE 'C'", "LC_CTYPE 'C'")
    full = postgres_server.database("CONNECTION LIMIT 0")
    wrong: list[tuple[str, dict[str, Any], int, str]] = [
        (postgres.url, {"password": Secret("another")}, 77, "refused the login"),
        (postgres.url, {"password": None}, 77, "refused the login"),
        (postgres_server.address("nowhere"), {}, 78, "no such database"),
        (postgres_server.address(full), {}, 73, "no connection left"),
        (postgres_server.address(latin), {}, 78, "not UTF8"),
        (postgres_server.address(postgres.name, "boss"), {}, 78, "BYPASSRLS"),
        ("postgresql://kpr@127.0.0.1:1/kpr", {}, 73, "not reached"),
        ("postgresql://kpr@127.0.0.1:port/kpr", {}, 78, "address is not valid"),
        (f"{postgres.url}?sslmode=verify", {}, 78, "address is not valid"),
        (f"{postgres.url}?nonsense=1", {}, 78, "address is not valid"),
        (f"{postgres.url}?service=nowhere", {}, 78, "address is not valid"),
        (f"{postgres.url}?target_session_attrs=mostly", {}, 78, "address is not valid"),
        (f"{postgres.url}?options=-cnonsense%3D1", {}, 78, "address is not valid"),
        (postgres_server.address(postgres.name, "stranger"), {}, 77, "lets nobody in from here"),
        (f"{postgres.url}?options=-csynchronous_commit%3Doff", {}, 78, "synchronous_commit"),
    ]
    for url, changed, code, words in wrong:
        with pytest.raises(KprError, match=words) as raised:
            connect(settings(url, tmp_path / "journal.db", **changed))
        assert raised.value.exit_code == code, url
        assert PASSWORD not in str(raised.value)
        assert "another" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "code", "next_step"),
    [
        ('FATAL:  too many connections for role "kpr"', 73, "fleet.jobs"),
        ("FATAL:  sorry, too many clients already", 73, "fleet.jobs"),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", 73, "fleet.jobs"),
        ("FATAL:  no more connections allowed (max_client_conn)", 73, "fleet.jobs"),
        ("FATAL:  no such database: kpr", 78, "Check journal.url"),
        ('FATAL:  role "kpr" is not permitted to log in', 77, "Check the user"),
        ("FATAL:  the database system is starting up", 73, "See that the database runs"),
        ("could not receive data from server: Connection refused", 73, "See that the database runs"),
    ],
)
def test_what_a_server_or_a_pooler_says_to_whom_it_does_not_let_in(line: str, code: int, next_step: str) -> None:
    error = of_connecting("here", psycopg.OperationalError(f"connection failed: at port 5432 failed: {line}\n"))
    assert (error.exit_code, next_step in error.next_step, " ".join(line.split()) in error.what) == (code, True, True)


@pytest.mark.nightly
def test_a_server_that_is_really_older_is_refused_and_nothing_is_made_in_it(
    older_server: Server, tmp_path: Path
) -> None:
    older = Database(older_server, older_server.database(), tmp_path)
    for use in (older.storage().migrate, lambda: older.storage().open(who="vakt"), older.storage().verify):
        with pytest.raises(KprError, match="older than PostgreSQL 15") as raised:
            use()
        assert (raised.value.exit_code, "Have it upgraded" in raised.value.next_step) == (78, True)
    with older.boss() as boss:
        assert boss.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'kpr_sender'").fetchone() is None


def test_a_user_without_rights_is_refused_by_name_of_what_it_may_not(bare_postgres: Database) -> None:
    storage = bare_postgres.storage()
    with bare_postgres.boss() as boss:
        boss.execute(f"ALTER DATABASE {bare_postgres.name} OWNER TO boss".encode())
        _is_not_allowed(storage.migrate, f"permission denied for database {bare_postgres.name}")
        boss.execute(f"GRANT CREATE ON DATABASE {bare_postgres.name} TO {USER}".encode())
        storage.migrate()
        storage.open(who="vakt").close()
        boss.execute(f"REVOKE UPDATE ON lease FROM {USER}".encode())
        _is_not_allowed(lambda: storage.open(who="vakt"), "permission denied for table lease")
        boss.execute(f"GRANT UPDATE ON lease TO {USER}".encode())
        boss.execute(f"REVOKE INSERT ON shipment FROM {USER}".encode())
        with closing(storage.open(who="vakt")) as journal:
            _is_not_allowed(lambda: journal.create(new_submission()), "permission denied for table shipment")
            assert journal.submissions() == ()
        boss.execute(f"REVOKE CONNECT ON DATABASE {bare_postgres.name} FROM PUBLIC, {USER}".encode())
        _is_not_allowed(storage.verify, "may not use this database")


def _is_not_allowed(use: Callable[[], object], words: str) -> None:
    with pytest.raises(KprError, match=words) as raised:
        use()
    assert (raised.value.exit_code, "grant it" in raised.value.next_step) == (77, True)


def test_tables_are_made_by_migrate_alone_and_those_of_another_version_refused(bare_postgres: Database) -> None:
    storage = bare_postgres.storage()
    read: tuple[Callable[[], object], ...] = (storage.verify, lambda: storage.open(who="vakt"))
    for use in read:
        with pytest.raises(KprError, match="no tables") as raised:
            use()
        assert (raised.value.exit_code, "kpr-send journal migrate" in raised.value.next_step) == (78, True)
    assert storage.migrate() == (0, postgres_schema.VERSION)
    assert storage.migrate() == (postgres_schema.VERSION, postgres_schema.VERSION)
    storage.open(who="vakt").close()
    with bare_postgres.boss() as boss:
        boss.execute("INSERT INTO migration VALUES (%s, 'a later one', '')", (postgres_schema.VERSION + 1,))
    written: tuple[Callable[[], object], ...] = (storage.migrate, lambda: list(storage.export()))
    for use in written:
        with pytest.raises(KprError, match="newer version") as raised:
            use()
        assert (raised.value.exit_code, "kpr-send journal migrate" in raised.value.next_step) == (73, True)
    with bare_postgres.boss() as boss:
        boss.execute("DELETE FROM migration WHERE version >= 1")
        boss.execute("INSERT INTO migration VALUES (0, 'an earlier one', %s)", (datetime.now(UTC).isoformat(),))
    with pytest.raises(KprError, match="no tables"):
        storage.open(who="vakt")


def test_tables_of_an_earlier_version_are_refused_until_they_are_migrated(
    bare_postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = bare_postgres.storage()
    with monkeypatch.context() as earlier:
        earlier.setattr(postgres_schema, "MIGRATIONS", postgres_schema.MIGRATIONS[:1])
        earlier.setattr(postgres_schema, "VERSION", 1)
        assert storage.migrate() == (0, 1)
    uses: tuple[Callable[[], object], ...] = (
        lambda: list(storage.export()),
        lambda: storage.open(who="vakt"),
        storage.require_safe,
    )
    for use in uses:
        with pytest.raises(KprError, match="earlier version") as raised:
            use()
        assert (raised.value.exit_code, "kpr-send journal migrate" in raised.value.next_step) == (73, True)
    assert storage.migrate() == (1, postgres_schema.VERSION)
    with closing(storage.open(who="vakt")) as journal:
        assert journal.create(new_submission()).shipments


class _Pooler:
    """Gives its clients' statements to the server's sessions as PgBouncer does; the latest that is free comes first."""

    def __init__(self, database: Database, *, by_session: bool) -> None:
        self._database = database
        self._by_session = by_session
        self.free: list[Any] = []
        self.opened: list[Any] = []

    def connect(self, _settings: object) -> Any:
        return _Client(self)

    def take(self) -> Any:
        if not self.free:
            self.opened.append(self._database.boss())
            self.free.append(self.opened[-1])
        return self.free.pop()

    @property
    def by_session(self) -> bool:
        return self._by_session


class _Client:
    """A client's connection to the pooler, with the number that the pooler has made up for it."""

    def __init__(self, pooler: _Pooler) -> None:
        self._pooler = pooler
        self._pinned: Any = None
        self.info = types.SimpleNamespace(backend_pid=-1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pinned is not None:
            self._pooler.free.append(self._pinned)

    def execute(self, statement: str, values: Any = None) -> Any:
        session = self._pinned or self._pooler.take()
        found = session.execute(statement, values)
        if self._pooler.by_session or statement == "BEGIN" or (self._pinned and statement != "ROLLBACK"):
            self._pinned = session
        else:
            self._pinned = None
            self._pooler.free.append(session)
        return found


def test_a_pooler_is_refused_where_clients_take_turns_on_a_session_and_taken_where_not(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.boss() as alone:
        postgres_server.require_own_sessions(postgres.settings(), alone)  # none at all
    for by_session in (True, False):
        pooler = _Pooler(postgres, by_session=by_session)
        monkeypatch.setattr(postgres_server, "bare", pooler.connect)
        if by_session:
            postgres_server.require_own_sessions(postgres.settings(), pooler.connect(None))
        else:
            with pytest.raises(KprError, match="take turns on one session") as raised:
                postgres_server.require_own_sessions(postgres.settings(), pooler.connect(None))
            assert (raised.value.exit_code, "pool_mode = session" in raised.value.next_step) == (78, True)
        for session in pooler.opened:
            session.close()

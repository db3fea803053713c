"""A real PostgreSQL of the test run's own: a free loopback port, its own data folder, an unprivileged user.

Tests ask for ``postgres``, a database with the journal's tables in it, or for ``bare_postgres``, an empty one. The
server is the product's: fsync, full_page_writes and synchronous_commit are on. Where it cannot be had the tests skip.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import psycopg
import pytest

from kpr_sender.journal.postgres_migrate import migrate
from kpr_sender.journal.postgres_server import LOCK_CLASS
from kpr_sender.journal.postgres_storage import PostgresStorage
from kpr_sender.model import Environment
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.settings.secrets import Secret
from tests.helpers.bus_settings import bus_settings
from tests.helpers.command import until
from tests.helpers.debian_folder import DebianFolder
from tests.helpers.process_state import state_of

NO_POSTGRES: Final = "no PostgreSQL 15 here: apt-get install postgresql"
USER: Final = "kpr"
PASSWORD: Final = secrets.token_hex(8)
QUEUE: Final = "8140000_async"

_START_SECONDS: Final = 60.0
_INSTALLED: Final = "usr/lib/postgresql/*/bin"
_TEMPLATE: Final = "kpr_template"
_queues: Final = itertools.count(9_000_000)
# A server ends with the thread that began it (``--pdeathsig``), and some tests restart one on a thread that ends.
_starts: Final = ThreadPoolExecutor(1, thread_name_prefix="kpr-postgres")
_CONFIGURATION: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 32MB
max_connections = 80
autovacuum = off
fsync = on
full_page_writes = on
synchronous_commit = on
password_encryption = md5  # SCRAM takes a hundredth of a second for each of a thousand connections
"""
_ACCESS: Final = f"""
host all boss 127.0.0.1/32 trust
host replication boss 127.0.0.1/32 trust
host all {USER} 127.0.0.1/32 md5
"""


def programs() -> Path | None:
    """Return the folder of the newest installed server's programs, 15 or later; None where there is none."""
    found = {int(folder.parent.name): folder for folder in Path("/").glob(_INSTALLED) if (folder / "initdb").exists()}
    newest = max((version for version in found if version >= 15), default=None)
    return None if newest is None else found[newest]


def as_unprivileged() -> tuple[str, ...]:
    """Return what runs a program as a user who is not root, and ends it with us."""
    ends_with_us = ("setpriv", "--pdeathsig=QUIT")  # also where the test run is killed
    if os.geteuid() != 0:
        return ends_with_us
    uid, gid = _unprivileged()
    return (*ends_with_us, f"--reuid={uid}", f"--regid={gid}", "--clear-groups")


def own_folder(folder: Path | None = None) -> Path:
    """Give a folder to that user: a new one; not below pytest's, through which that user may not pass."""
    folder = folder or Path(tempfile.mkdtemp(prefix="kpr-postgres-"))
    if os.geteuid() == 0:
        os.chown(folder, *_unprivileged())
    return folder


def free_port() -> int:
    """Return a port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """One server. ``start`` it, use it, ``kill`` it, ``stop`` it."""

    bin: Path
    folder: Path
    port: int = field(default_factory=free_port)
    debian: DebianFolder | None = None
    """Another Debian's files, in which its programs run; ``bin`` is then as it is called in there."""
    _process: subprocess.Popen[bytes] | None = None
    _databases: int = 0

    @classmethod
    def made(
        cls,
        bin_: Path,
        *options: str,
        debian: DebianFolder | None = None,
        folder: Path | None = None,
        more: str = "",
        access: str = "",
    ) -> Self:
        """Return a new server with an empty data folder.

        Args:
            bin_: Where its programs are.
            options: More of initdb's.
            debian: As the attribute.
            folder: An empty one for all of it; else it makes one.
            more: Lines of its configuration.
            access: Lines that come first in pg_hba.conf.
        """
        server = cls(bin_, own_folder(folder), debian=debian)
        initdb = ("--username=boss", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", *options, "-D")
        server._run("initdb", *initdb, str(server.data))
        for name, text in (("postgresql.conf", _CONFIGURATION + more), ("pg_hba.conf", access + _ACCESS)):
            with (server.data / name).open("w" if name == "pg_hba.conf" else "a", encoding="utf-8") as file:
                file.write(text)
        return server

    def standby(self) -> Server:
        """Return another server: this one's standby, with all that this one has now and gets from now on."""
        server = Server(self.bin, own_folder(), debian=self.debian)
        copy = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--no-manifest", "-D", str(server.data))
        server._run("pg_basebackup", f"--dbname={self.address('postgres', 'boss')}", *copy)
        try:
            return server.start()
        except BaseException:
            server.stop()
            raise

    def taken_over(self) -> Server:
        """Return another server: this one's standby, with all that this one has now, after it has taken over."""
        server = self.standby()
        try:
            server.promote()
        except BaseException:
            server.stop()
            raise
        return server

    def promote(self) -> None:
        """Let a standby take over."""
        with self.boss() as boss:
            assert boss.execute("SELECT pg_promote()").fetchone() == (True,)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Server:
        """Start it, and wait until it takes connections."""
        command = self._command("postgres", "-D", str(self.data), "-p", str(self.port))
        with (self.folder / "log").open("ab") as log:
            begun = _starts.submit(subprocess.Popen, command, stdout=log, stderr=log, cwd="/")
            self._process = begun.result()
        ends = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(psycopg.OperationalError), self.boss():
                return self
            if time.monotonic() > ends or self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text(encoding="utf-8"))
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a loss of power would: every process of it, at once."""
        assert self._process is not None
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii").split()
        for pid in (self.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        # A new server does not start before.
        until(lambda: {state_of(Path("/proc", pid)) for pid in children} <= set("ZX"))

    def stop(self) -> None:
        """End it, and remove all of it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def version(self) -> int:
        """The version of it that runs, as ``server_version_num``."""
        with self.boss() as boss:
            return boss.info.server_version

    def boss(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect as the one who may do everything."""
        return psycopg.connect(self.address(database, "boss"), autocommit=True)

    def address(self, database: str, user: str = USER) -> str:
        """Return a database's address."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def database(self, *options: str, template: str = "template0") -> str:
        """Make a database of the journal's user; return its name."""
        self._databases += 1
        name = f"test_{os.getpid()}_{self._databases}"
        with self.boss() as boss:
            if boss.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (USER,)).fetchone() is None:
                boss.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'".encode())
            boss.execute(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE {template} {' '.join(options)}".encode())
        return name

    def with_tables(self) -> str:
        """Make a database with the journal's tables; they are migrated once in a run."""
        with self.boss() as boss:
            there = boss.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_TEMPLATE,)).fetchone()
        if there is None:
            made = self.database()
            migrate(settings(self.address(made), Path("/nonexistent/journal.db")), now=lambda: datetime.now(UTC))
            with self.boss() as boss:
                boss.execute(f"ALTER DATABASE {made} RENAME TO {_TEMPLATE}".encode())
        return self.database(template=_TEMPLATE)

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = (*as_unprivileged(), str(self.bin / program), *arguments)
        if self.debian is None:
            return [*command]
        return self.debian.command(command, shared=self.folder, also=(Path("/etc/passwd"),))

    def _run(self, program: str, *arguments: str) -> None:
        command = self._command(program, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Database:
    """A database of the run's server.

    Attributes:
        folder: For what belongs to the machine that uses it.
        queue: The test's own: it names a journal of its own, in whichever database.
    """

    server: Server
    name: str
    folder: Path
    queue: str = QUEUE

    @property
    def url(self) -> str:
        """Its address, as journal.url has it."""
        return self.server.address(self.name)

    def settings(self, **changed: Any) -> JournalSettings:
        """Return a configuration's ``[journal]`` with it."""
        return settings(changed.pop("url", self.url), self.folder / "journal.db", **changed)

    def storage(
        self,
        environment: Environment = Environment.LOKAL,
        *,
        queue: str = "",
        now: Any = lambda: datetime.now(UTC),
        **changed: Any,
    ) -> PostgresStorage:
        """Return a journal's storage in it; ``changed`` is of ``[journal]``."""
        return PostgresStorage(
            self.settings(**changed), bus_settings(1, receipts_queue=queue or self.queue), environment, now
        )

    def until_free(self, *, but: int = 0) -> None:
        """Wait until no session of the journal's user is left in it, ``but`` so many."""
        left = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND usename = %s"
        with self.server.boss() as boss:
            until(lambda: boss.execute(left, (self.name, USER)).fetchone() == (but,))

    def cut(self, pid: int) -> None:
        """End a session, as a lost connection does."""
        with self.boss() as boss:
            boss.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    def end_holder(self, boss: psycopg.Connection[Any] | None = None) -> bool:
        """End the lease's session, as ``idle_session_timeout`` does with a holder that is stopped or cut off.

        Args:
            boss: ``boss()``, where there is one already.

        Returns:
            Whether there was one.
        """
        with self._boss(boss) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pg_locks.pid, 5000) FROM pg_locks JOIN lease ON objid = journal_no "
                "WHERE locktype = 'advisory' AND classid = %s AND queue = %s",
                (LOCK_CLASS, self.queue),
            )
            return ended.rowcount > 0

    def time_passes(self, boss: psycopg.Connection[Any] | None = None, *, seconds: int = 131) -> None:
        """Let all that is stored have been stored so long before: by default longer than a lost holder may send on."""
        with self._boss(boss) as connection, connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")  # the history is never changed, else
            for table in ("event", "acceptance"):
                earlier = f"UPDATE {table} SET stored_at = stored_at - make_interval(secs => %s)"  # noqa: S608 - ours
                connection.execute(earlier.encode(), (seconds,))

    def set_aside(self) -> None:
        """Give every journal in it another name: the next run finds none, as in a new database."""
        with self.boss() as boss:
            boss.execute("UPDATE lease SET queue = queue || '-' || journal_no")

    def _boss(self, there: psycopg.Connection[Any] | None) -> AbstractContextManager[psycopg.Connection[Any]]:
        return self.boss() if there is None else contextlib.nullcontext(there)

    def boss(self) -> psycopg.Connection[Any]:
        """Connect to it as the one who may do everything, and sees every row."""
        connection = self.server.boss(self.name)
        connection.execute("SET search_path = kpr_sender")
        return connection


def settings(url: str, path: Path, **changed: Any) -> JournalSettings:
    """Return a configuration's ``[journal]`` with a database."""
    given = {"url": url, "password": Secret(PASSWORD), "path": path, "receipts_dir": path.parent / "receipts"}
    return JournalSettings(**{**given, **changed})


@pytest.fixture(scope="session")
def installed_server() -> Iterator[Server]:
    """A server of the run's own, of the machine's PostgreSQL."""
    bin_ = programs()
    if bin_ is None or (os.geteuid() == 0 and _unprivileged() is None):
        pytest.skip(NO_POSTGRES)
    server = Server.made(bin_)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Server:
    """The server that the tests of a run use: at night the newest, too, each in a process of its own."""
    server: Server = request.getfixturevalue(getattr(request, "param", "installed_server"))
    return server


@pytest.fixture(scope="session")
def shared_database(postgres_server: Server) -> str:
    """The database that the tests of a run share, each with a queue of its own."""
    return postgres_server.with_tables()


@pytest.fixture
def postgres(postgres_server: Server, shared_database: str, tmp_path: Path) -> Database:
    """A database with the journal's tables, and other tests' journals in them."""
    return Database(postgres_server, shared_database, _machine(tmp_path), f"{next(_queues)}_async")


@pytest.fixture
def own_postgres(postgres_server: Server, tmp_path: Path, pg_tools: None) -> Database:
    """A database with the journal's tables that no other test has."""
    return Database(postgres_server, postgres_server.with_tables(), _machine(tmp_path))


@pytest.fixture
def bare_postgres(postgres_server: Server, tmp_path: Path) -> Database:
    """A database without tables."""
    return Database(postgres_server, postgres_server.database(), tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what uses one server."""
    for item in items:
        if "postgres_server" in getattr(item, "fixturenames", ()):
            asked = getattr(item, "callspec", None)
            server = asked.params.get("postgres_server") if asked else None
            item.add_marker(pytest.mark.xdist_group("postgres18" if server == "newest_server" else "postgres"))


def _machine(folder: Path) -> Path:
    machine = folder / "machine"
    machine.mkdir(mode=0o700)
    return machine


def _unprivileged() -> Any:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return found.pw_uid, found.pw_gid
    return None

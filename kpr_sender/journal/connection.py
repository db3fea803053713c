"""The journal's file: making it, opening it, bringing its schema up to date, and one transaction at a time on it."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from kpr_sender.durable import sync_folder
from kpr_sender.errors import ConfigInvalid, InternalError, JournalUnwritable
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.journal import schema, sql
from kpr_sender.journal.sql import time_text
from kpr_sender.journal.sqlite_errors import damaged, of_os, translated
from kpr_sender.model import Environment

_PAGE_BYTES: Final = 16_384  # megabytes of sealed bytes go in a third faster than with SQLite's 4096
_BUSY_SECONDS: Final = 10.0
_CACHE_KIB: Final = 16_384  # a pair of usual size stays in memory until its commit
_WAL_KEPT_BYTES: Final = 16 * 1024 * 1024  # what is left of the -wal after one large pair

_EMPTY: Final = 0


class Store:
    """One open journal file, shared by the threads of one process."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Made by ``open_to_write`` and ``open_to_read`` only."""
        self.path = path
        self._connection = connection
        self._guard = threading.RLock()
        self._pid = os.getpid()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction: committed and fsynced on the way out, rolled back on any exception."""
        with self._guard, translated(self.path):
            self._demand_same_process()
            with _transaction(self._connection, "BEGIN IMMEDIATE"):
                yield self._connection
                reached(FaultPoint.BEFORE_COMMIT)
            reached(FaultPoint.AFTER_COMMIT)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read one consistent picture."""
        with self._guard, translated(self.path):
            self._demand_same_process()
            with _transaction(self._connection, "BEGIN DEFERRED"):
                yield self._connection

    def back_up_to(self, target: sqlite3.Connection) -> None:
        """Copy one consistent picture to an empty database, beside whoever writes."""
        with self._guard, translated(self.path):
            self._demand_same_process()
            self._connection.backup(target)

    def close(self) -> None:
        """Close the file; twice is harmless."""
        with self._guard, translated(self.path):
            self._connection.close()

    def _demand_same_process(self) -> None:
        # SQLite must not be carried across a fork: parent and child would share locks and corrupt the file.
        if self._pid != os.getpid():
            raise InternalError(
                "The journal was opened before a fork and cannot be used in the child.",
                where=str(self.path),
                next_step="Open the Client in the process that uses it.",
            )


def open_to_write(path: Path, environment: Environment, *, now: Callable[[], datetime]) -> Store:
    """Open the journal, made where missing.

    Args:
        path: The file. Its folder is made with mode 0700, the file with 0600; SQLite gives -wal and -shm the same.
        environment: The only one this journal is for.
        now: The clock, for the schema's own history.

    Raises:
        JournalUnwritable: It cannot be made, opened or written, is damaged, from a newer version, or no journal.
        ConfigInvalid: It is another environment's (promise G7).
    """
    try:
        _make_private(path)
        _demand_file(path)
    except OSError as error:
        raise of_os(path, error) from error
    connection = _connect(path, "rw")
    try:
        with translated(path):
            _demand_ours(connection, path)
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # counts for a file that is still empty
            _demand_wal(connection, path)
            for setting in (
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
                f"PRAGMA cache_size = -{_CACHE_KIB}",
                f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}",
            ):
                connection.execute(setting)
            _bring_up_to_date(connection, environment, time_text(now()))
            _demand_environment(connection, path, environment)
    except BaseException:
        connection.close()
        raise
    return Store(path, connection)


def open_to_read(path: Path, environment: Environment) -> Store | None:
    """Open the journal for reading only; None where there is none yet.

    Args:
        path: The file.
        environment: The only one this journal is for.

    Raises:
        JournalUnwritable: It cannot be read, is damaged, from another version, or no journal.
        ConfigInvalid: It is another environment's (promise G7).
    """
    try:
        _demand_file(path)
        if path.stat().st_size == 0:
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise of_os(path, error) from error
    connection = _connect(path, "ro")
    try:
        with translated(path):
            version = _demand_ours(connection, path)
            if version == _EMPTY:
                connection.close()
                return None
            _demand_up_to_date(version, path)
            _demand_environment(connection, path, environment)
    except BaseException:
        connection.close()
        raise
    return Store(path, connection)


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back already (disk full), and a second error must not hide the first.
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        # Receipts in it may name persons (promise G6): a copy put back with wider rights is narrowed again.
        if os.name == "posix" and path.stat().st_mode & 0o077 and path.is_file():
            path.chmod(0o600)
        return
    os.close(descriptor)
    sync_folder(path.parent)  # the name must be as durable as what will be written under it


def _demand_file(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise JournalUnwritable(
            "The journal's path is not a file.", where=str(path), next_step="Check journal.path or --journal."
        )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    with translated(path):
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.row_factory = sqlite3.Row
        return connection


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _demand_ours(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema's version, 0 for a file that is still empty."""
    version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if version == _EMPTY and application == 0 and tables == 0:
        return _EMPTY
    if application != schema.APPLICATION_ID:
        raise JournalUnwritable(
            "The file is an SQLite database, but not a kpr-sender journal.",
            where=str(path),
            next_step="Check the path in journal.path or --journal.",
        )
    if version > schema.VERSION:
        raise JournalUnwritable(
            f"The journal is from a newer version of kpr-sender (schema {version}, this one knows {schema.VERSION}).",
            where=str(path),
            next_step="Run the newer version; nothing was changed.",
        )
    return version


def _demand_wal(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise JournalUnwritable(
            "This file system cannot hold the journal safely (no write-ahead log).",
            where=str(path),
            next_step="Put the journal on a local disk, then run the same command again.",
        )


def _bring_up_to_date(connection: sqlite3.Connection, environment: Environment, at: str) -> None:
    with _transaction(connection, "BEGIN IMMEDIATE"):
        version = _pragma(connection, "user_version")
        for migration in schema.MIGRATIONS:
            if migration.version <= version:
                continue
            for statement in migration.statements:
                connection.execute(statement)
            connection.execute(sql.ADD_MIGRATION, (migration.version, migration.name, at))
            connection.execute(f"PRAGMA user_version = {migration.version}")
        if version == _EMPTY:
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            connection.execute(sql.ADD_ENVIRONMENT, (environment.value, at))
        reached(FaultPoint.BEFORE_COMMIT)
    reached(FaultPoint.AFTER_COMMIT)


def _demand_up_to_date(version: int, path: Path) -> None:
    if version < schema.VERSION:
        raise JournalUnwritable(
            "The journal is from an earlier version of kpr-sender.",
            where=str(path),
            next_step="Run kpr-send send or wait once: it brings the journal up to date.",
        )


def _demand_environment(connection: sqlite3.Connection, path: Path, environment: Environment) -> None:
    with closing(connection.execute(sql.READ_ENVIRONMENT)) as cursor:
        row = cursor.fetchone()
    if row is None:
        raise damaged(path, "it does not say which environment it is for")
    if row["environment"] != environment.value:
        raise ConfigInvalid(
            f"This journal is for the environment {row['environment']}, not for {environment.value}.",
            where=str(path),
            next_step="Name another file in journal.path or --journal: each environment has its own journal.",
        )

"""The journal's file: make it, open it, copy it, bring its schema up to date, and run one transaction at a time on it.

Before a journal of an earlier version is migrated, it is copied beside itself. Nothing is changed, and nothing made
beside it, before a file is known to be ours.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kpr_sender.durable import sync_folder
from kpr_sender.errors import ConfigInvalid, InternalError, JournalUnwritable
from kpr_sender.fault_points import FaultPoint, reached
from kpr_sender.journal import schema, sql
from kpr_sender.journal.file_errors import CHECK_NAME, NO_JOURNAL, OTHER_DATABASE, damaged, of_os, of_sqlite, translated
from kpr_sender.journal.location import beside, narrow
from kpr_sender.journal.rows import time_text
from kpr_sender.journal.sqlite_database import SqliteDatabase
from kpr_sender.journal.stored_texts import loaded
from kpr_sender.model import Environment
from kpr_sender.regular_file import open_regular
from kpr_sender.texts import Text

_PAGE_BYTES: Final = 16_384  # megabytes of sealed bytes go in a third faster than with SQLite's 4096
_BUSY_SECONDS: Final = 10.0
_CACHE_KIB: Final = 16_384  # a pair of usual size stays in memory until its commit
_WAL_KEPT_BYTES: Final = 16 * 1024 * 1024  # what is left of the -wal after one large pair

MOVED: Final = 0x4B50524D
"""``KPRM``, in the file's header: the journal was moved to a database (``postgres_move``)."""

_EMPTY: Final = 0
_ADD_ENVIRONMENT: Final = """
    INSERT INTO journal (only_one, environment, created_at, journal_id) VALUES (1, ?, ?, lower(hex(randomblob(16))))
"""
_MADE_BEFORE: Final = (".lock", ".mark")  # one of them is there before we make a journal
_WAL_HEADER: Final = 32  # bytes
_WAL_FRAME_HEADER: Final = 24
_APPLICATION_ID_ENDS: Final = 72  # in the first page


class SqliteStore:
    """One open journal file, shared by the threads of one process."""

    def __init__(self, path: Path, connection: SqliteDatabase) -> None:
        """Made by ``open_to_write`` and ``open_to_read`` only."""
        self.path = path
        self._connection = connection
        self._guard = threading.RLock()
        self._pid = os.getpid()

    @property
    def place(self) -> str:
        """What errors call it."""
        return str(self.path)

    @property
    def marks(self) -> Path:
        """Beside which file its mark is."""
        return self.path

    def damaged(self, what: str) -> JournalUnwritable:
        """Return the error for content that is not as it was written."""
        return damaged(self.path, what)

    @contextmanager
    def writing(self) -> Iterator[SqliteDatabase]:
        """Run one transaction: committed and fsynced on the way out, rolled back on any exception."""
        with self._guard, translated(self.path):
            self._require_same_process()
            with _transaction(self._connection, "BEGIN IMMEDIATE"):
                yield self._connection
                reached(FaultPoint.BEFORE_COMMIT)
            reached(FaultPoint.AFTER_COMMIT)

    @contextmanager
    def reading(self) -> Iterator[SqliteDatabase]:
        """Read one consistent snapshot."""
        with self._guard, translated(self.path):
            self._require_same_process()
            with _transaction(self._connection, "BEGIN DEFERRED"):
                yield self._connection

    @contextmanager
    def copied_to(self, target: Path) -> Iterator[SqliteDatabase]:
        """Copy one consistent snapshot to a new file, beside whoever writes; as ``_copied``."""
        with self._guard, translated(self.path):
            self._require_same_process()
            with _copied(self._connection, target) as copy:
                yield copy

    def compact(self) -> None:
        """Write the file anew without what was removed from it, and empty its ``-wal``: no byte of that is left.

        Raises:
            JournalUnwritable: Another process is reading what was removed, or there is no room.
        """
        with self._guard, translated(self.path):
            self._require_same_process()
            self._connection.execute("PRAGMA temp_store = MEMORY")  # what stays is in no folder of others' meanwhile
            self._connection.execute("VACUUM")
            if self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise JournalUnwritable(
                    Text("Another process is reading the journal: what was removed is still in its -wal file."),
                    where=str(self.path),
                    next_step=Text("Let it finish, then run the same command again."),
                )

    def close(self) -> None:
        """Close the file; twice is harmless."""
        with self._guard, translated(self.path):
            self._connection.close()

    def _require_same_process(self) -> None:
        # SQLite must not be carried across a fork: parent and child would share locks and corrupt the file.
        if self._pid != os.getpid():
            raise InternalError(
                Text("The journal was opened before a fork and cannot be used in the child."),
                where=str(self.path),
                next_step=Text("Open the Client in the process that uses it."),
            )


def require_journal(path: Path) -> None:
    """Refuse a file that is something else, before anything is changed or made beside it.

    What is not there yet or cannot be read passes: whoever opens it says so.

    Raises:
        JournalUnwritable: It is no journal of ours.
    """
    with suppress(OSError):
        _require_file(path)
        size = path.stat().st_size
        if size == 0 and not any(beside(path, end).exists() for end in _MADE_BEFORE):
            raise JournalUnwritable(
                Text("The file is empty, and kpr-sender has not made it."),
                where=str(path),
                next_step=Text(
                    "{check_name} Where a journal is to begin there, delete the empty file.", check_name=CHECK_NAME
                ),
            )
        if size == 1:  # SQLite takes that for an empty file, and would write over it
            raise JournalUnwritable(NO_JOURNAL, where=str(path), next_step=CHECK_NAME)
        try:
            # SQLite reads nothing but this file then, locks nothing and makes no -wal or -shm beside it.
            with closing(connect(path, "ro&immutable=1")) as connection:
                ours = _pragma(connection, "application_id") in {schema.APPLICATION_ID, MOVED}
                if not ours and _require_ours(connection, path) == _EMPTY:
                    _require_our_wal(path)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                raise of_sqlite(path, error) from error


def _require_our_wal(path: Path) -> None:
    """Refuse an empty database all of which is in its ``-wal`` still, unless it is ours: that run was killed.

    Ours begins with the page that names us (https://sqlite.org/fileformat2.html#walformat).
    """
    with suppress(FileNotFoundError), open_regular(beside(path, "-wal")) as wal:
        length = _WAL_HEADER + _WAL_FRAME_HEADER + _APPLICATION_ID_ENDS
        begins = wal.read(length)
        page, application = int.from_bytes(begins[_WAL_HEADER:][:4]), int.from_bytes(begins[-4:])
        if len(begins) == length and (page, application) != (1, schema.APPLICATION_ID):
            raise JournalUnwritable(OTHER_DATABASE, where=str(path), next_step=CHECK_NAME)


def open_to_write(path: Path, environment: Environment, *, now: Callable[[], datetime]) -> SqliteStore:
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
        _require_file(path)
    except OSError as error:
        raise of_os(path, error) from error
    connection = connect(path, "rw")
    try:
        with translated(path):
            version = _require_ours(connection, path)
            narrow(path)
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # counts for a file that is still empty
            _require_wal(connection, path)
            for setting in (
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
                "PRAGMA secure_delete = ON",  # what is removed is overwritten, not only forgotten
                f"PRAGMA cache_size = -{_CACHE_KIB}",
                f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}",
            ):
                connection.execute(setting)
            if version != _EMPTY:
                require_environment(connection, path, environment)
            if _EMPTY < version < schema.VERSION:
                _copy_before_migration(connection, path, now())
            _bring_up_to_date(connection, environment, time_text(now()))
            require_environment(connection, path, environment)
    except BaseException:
        connection.close()
        raise
    return SqliteStore(path, connection)


def open_to_read(path: Path, environment: Environment) -> SqliteStore | None:
    """Open the journal for reading only; None where there is none yet.

    Raises:
        JournalUnwritable: It cannot be read, is damaged, from another version, or no journal.
        ConfigInvalid: It is another environment's (promise G7).
    """
    require_journal(path)
    try:
        _require_file(path)
        if path.stat().st_size == 0:
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise of_os(path, error) from error
    connection = connect(path, "ro")
    try:
        with translated(path):
            version = _require_ours(connection, path)
            if version == _EMPTY:
                connection.close()
                return None
            _require_up_to_date(version, path)
            require_environment(connection, path, environment)
    except BaseException:
        connection.close()
        raise
    return SqliteStore(path, connection)


@contextmanager
def _transaction(connection: SqliteDatabase, begin: str) -> Iterator[None]:
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
        return
    os.close(descriptor)
    sync_folder(path.parent)  # the name must be as durable as what will be written under it


def _require_file(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise JournalUnwritable(Text("The journal's path is not a file."), where=str(path), next_step=CHECK_NAME)


def connect(path: Path, mode: str) -> SqliteDatabase:
    """Connect to a file; nothing of it is read yet. ``mode`` is the URI's."""
    with translated(path):
        connection = sqlite3.connect(
            f"{(path.resolve() if path.is_symlink() else path.absolute()).as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=SqliteDatabase,
        )
        connection.row_factory, connection.text_factory = sqlite3.Row, loaded
        return connection


def _pragma(connection: SqliteDatabase, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _require_ours(connection: SqliteDatabase, path: Path) -> int:
    """Return the schema's version, 0 for a file that is still empty."""
    version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if version == _EMPTY and application == 0 and tables == 0:
        return _EMPTY
    if application == MOVED:
        raise JournalUnwritable(
            Text("This journal was moved to a database: the file is not used any more."),
            where=str(path),
            next_step=Text("Name the database in journal.url, as kpr-send journal move --to URL said; keep the file."),
        )
    if application != schema.APPLICATION_ID:
        raise JournalUnwritable(OTHER_DATABASE, where=str(path), next_step=CHECK_NAME)
    if version > schema.VERSION:
        raise JournalUnwritable(
            Text(
                "The journal is from a newer version of kpr-sender (schema {version}, this one knows {version_2}).",
                version=version,
                version_2=schema.VERSION,
            ),
            where=str(path),
            next_step=Text(
                "Nothing was changed. Install the newer version of kpr-sender again and run the same command; do "
                "not send with this one."
            ),
        )
    return version


def _require_wal(connection: SqliteDatabase, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise JournalUnwritable(
            Text("This file system cannot hold the journal safely (no write-ahead log)."),
            where=str(path),
            next_step=Text("Put the journal on a local disk, then run the same command again."),
        )


def _bring_up_to_date(connection: SqliteDatabase, environment: Environment, at: str) -> None:
    with _transaction(connection, "BEGIN IMMEDIATE"):
        version = _pragma(connection, "user_version")
        for migration in schema.since(version):
            for statement in migration.statements:
                connection.execute(statement)
            connection.execute(sql.ADD_MIGRATION, (migration.version, migration.name, at))
            connection.execute(f"PRAGMA user_version = {migration.version}")
        if version == _EMPTY:
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            connection.execute(_ADD_ENVIRONMENT, (environment.value, at))
        reached(FaultPoint.BEFORE_COMMIT)
    reached(FaultPoint.AFTER_COMMIT)


def _copy_before_migration(connection: SqliteDatabase, path: Path, at: datetime) -> None:
    """Copy the journal beside itself, ``<journal>.before-<version>-<time>``; nothing is ever overwritten."""
    resolved = path.resolve()
    name = f"{resolved.name}.before-{schema.VERSION}-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    for number in itertools.count(1):
        with (
            suppress(FileExistsError),
            _copied(connection, resolved.with_name(f"{name}-{number}" if number > 1 else name)),
        ):
            return


@contextmanager
def _copied(source: SqliteDatabase, target: Path) -> Iterator[SqliteDatabase]:
    """Copy a journal to a new file, what is in its ``-wal`` included; the file is removed again on any error.

    By SQLite's own backup (https://sqlite.org/backup.html), never by copying files. Receipts in it may name persons: it
    is made with mode 0600. It is durable when the context is left.

    Args:
        source: The journal; nobody else need stop writing.
        target: Must not exist.

    Yields:
        A connection to the copy, to change or check it.

    Raises:
        FileExistsError: There is a file of that name.
        JournalUnwritable: It cannot be written.
    """
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise
    except OSError as error:
        raise of_os(target, error) from error
    try:
        with translated(target), closing(sqlite3.connect(target, isolation_level=None, factory=SqliteDatabase)) as copy:
            source.backup(copy)
            copy.row_factory, copy.text_factory = sqlite3.Row, loaded
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, not three
            copy.execute("PRAGMA synchronous = FULL")
            yield copy
        _sync(target)
    except BaseException:
        for leftover in (target, target.with_name(target.name + "-journal")):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)
        raise


def _sync(file: Path) -> None:
    try:
        descriptor = os.open(file, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(file.resolve().parent)
    except OSError as error:
        raise of_os(file, error) from error


def _require_up_to_date(version: int, path: Path) -> None:
    if version < schema.VERSION:
        raise JournalUnwritable(
            Text("The journal is from an earlier version of kpr-sender."),
            where=str(path),
            next_step=Text("Run kpr-send send or wait once: it brings the journal up to date."),
        )


def require_environment(connection: SqliteDatabase, path: Path, environment: Environment) -> None:
    """Refuse another environment's journal (promise G7)."""
    with closing(connection.execute(sql.READ_ENVIRONMENT)) as cursor:
        row = cursor.fetchone()
    if row is None:
        raise damaged(path, Text("it does not say which environment it is for"))
    if row["environment"] != environment.value:
        raise ConfigInvalid(
            Text(
                "This journal is for the environment {row}, not for {environment}.",
                row=row["environment"],
                environment=environment.value,
            ),
            where=str(path),
            next_step=Text("Name another file in journal.path or --journal: each environment has its own journal."),
        )

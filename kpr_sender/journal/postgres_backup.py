"""A copy of one journal in PostgreSQL: a dump of its rows, made by PostgreSQL's own ``pg_dump``.

Row-level security lets the dump see no other journal's rows, so that it is this municipality's alone. A copy of all is
the database administrator's (docs/fleet.md).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from kpr_sender.durable import sync_folder
from kpr_sender.errors import JournalUnwritable, UsageError
from kpr_sender.journal.postgres_connection import PostgresStore
from kpr_sender.journal.postgres_schema import NAMESPACE
from kpr_sender.journal.postgres_server import place_of
from kpr_sender.journal.verify_content import check_content
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.texts import Text

_MOST_SECONDS: Final = 60 * 60
_MOST_WORDS: Final = 300


def back_up(settings: JournalSettings, store: PostgresStore | None, target: Path) -> Mapping[str, int]:
    """Dump a journal to a new file in pg_dump's custom format, and have pg_restore read it through.

    Args:
        settings: Where the database is.
        store: The journal; None where there is none.
        target: The new file; must not exist.

    Returns:
        How much is in the journal, by kind.

    Raises:
        UsageError: There is no journal, or the target exists.
        JournalUnwritable: It cannot be dumped, or is not sound: the file is removed again.
    """
    if store is None:
        raise UsageError(
            Text("There is no journal yet: nothing to back up."),
            where=place_of(settings),
            next_step=Text("Nothing to do."),
        )
    counted: dict[str, int] = {}
    with closing(store), store.reading() as database:
        finding = next(iter([*check_content(database, store.place, counted)]), None)
        if finding is not None:
            raise JournalUnwritable(
                Text("The journal is not sound: {subject}: {finding}", subject=finding.subject, finding=finding.text),
                where=store.place,
                next_step=Text("Run kpr-send journal verify: it says all that is wrong."),
            )
        number = database.execute("SELECT current_setting('kpr.journal')").fetchone()[0]
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise UsageError(
            Text("The file is there already, and is not overwritten."),
            where=str(target),
            next_step=Text("Name a new file."),
        ) from None
    except OSError as error:
        raise _failed(target, error.strerror or "") from None
    try:
        dump = ("pg_dump", "--format=custom", "--enable-row-security", f"--schema={NAMESPACE}", "--no-owner")
        _run(settings, target, (*dump, f"--file={target}", f"--dbname={_named(settings)}"), number)
        _run(settings, target, ("pg_restore", "--list", str(target)), number)
        sync_folder(target.resolve().parent)
    except BaseException:
        with suppress(OSError):
            target.unlink(missing_ok=True)
        raise
    return counted


def journal_in(dump: Path) -> str | None:
    """Return the id of the journal that a dump is of; None where that cannot be read."""
    table = ("pg_restore", "--data-only", "--table=journal", f"--schema={NAMESPACE}", "--file=-", str(dump))
    try:
        read = subprocess.run(table, capture_output=True, text=True, check=True, timeout=_MOST_SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    lines = read.stdout.splitlines()
    start = next((place for place, line in enumerate(lines) if line.startswith("COPY ")), None)
    if start is None or start + 1 >= len(lines):
        return None
    columns = lines[start].partition("(")[2].partition(")")[0].split(", ")
    values = lines[start + 1].split("\t")
    return values[columns.index("journal_id")] if "journal_id" in columns[: len(values)] else None


def _run(settings: JournalSettings, target: Path, command: tuple[str, ...], number: str) -> None:
    if shutil.which(command[0]) is None:
        raise _failed(target, Text("{command} is not installed (Debian: postgresql-client)", command=command[0]))
    environ = {**os.environ, "PGOPTIONS": f"-c kpr.journal={int(number)}", "LC_ALL": "C"}
    if settings.password is not None:
        environ["PGPASSWORD"] = settings.password.reveal()
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=_MOST_SECONDS)  # noqa: S603
    if "server version mismatch" in done.stderr:
        raise _failed(
            target,
            Text("pg_dump here is older than the server: install the server's version (Debian: postgresql-client)"),
        )
    if done.returncode:
        raise _failed(target, done.stderr.strip()[:_MOST_WORDS])


def _named(settings: JournalSettings) -> str:
    """Return the address as libpq's own words, without a password: other processes see it."""
    named = conninfo_to_dict(settings.url or "")
    return make_conninfo(**{name: str(value) for name, value in named.items() if name != "password"})


def _failed(target: Path, why: str) -> JournalUnwritable:
    return JournalUnwritable(
        Text("The journal cannot be copied: {why}.", why=why),
        where=str(target),
        next_step=Text("Fix that and run the same command again; the journal itself is as it was."),
    )

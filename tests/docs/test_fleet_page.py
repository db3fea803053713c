"""docs/fleet.md: the database is made, dumped and restored by the words of the page."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from kpr_sender.errors import JournalUnwritable
from kpr_sender.journal.port import JournalStorage
from kpr_sender.model import Environment
from kpr_sender.states import ShipmentState
from kpr_sender.tasks.procrastinate_engine import ProcrastinateEngine
from tests.helpers.postgres import USER, Database, Server
from tests.helpers.repository import ROOT
from tests.journal.builders import brought_to

_PAGE: Final = (ROOT / "docs" / "fleet.md").read_text("utf-8")
_BACKUP: Final = _PAGE.partition("\n### Backup\n")[2].partition("\n### ")[0]
_DUMP, _RESTORE, _RESTORE_ONE = (
    [line.partition("#")[0].strip() for line in block.splitlines()]
    for block in re.findall(r"```sh\n(.*?)```", _BACKUP, flags=re.DOTALL)
)
_MADE: Final = next(line for line in _PAGE.splitlines() if line.startswith("CREATE DATABASE"))


@pytest.fixture
def database(postgres_server: Server, tmp_path: Path, pg_tools: None) -> Iterator[Database]:
    """A database that is made as the page says."""
    postgres_server.database()  # and the user
    machine = tmp_path / "machine"
    machine.mkdir(mode=0o700)
    with postgres_server.boss() as boss:
        boss.execute(_MADE.encode())
        yield Database(postgres_server, USER, machine)
        for name in (USER, "kpr_lost", "kpr_0301"):
            boss.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def _run(lines: list[str], server: Server, folder: Path) -> None:
    """Run what the page says, as the database's administrator."""
    environment = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "boss"}
    for line in lines:
        done = subprocess.run(
            shlex.split(line), env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stderr)


def _content(storage: JournalStorage) -> list[object]:
    verified = storage.verify()
    assert verified is not None
    assert verified.findings == ()
    return list(storage.export())


def test_what_was_dumped_is_there_again_and_who_saw_more_says_so(database: Database, tmp_path: Path) -> None:
    storage = database.storage()
    storage.migrate()
    engine = ProcrastinateEngine(database.settings(), Environment.LOKAL)
    engine.migrate()
    other = dataclasses.replace(database, folder=tmp_path / "other", queue="8150000_async")
    other.folder.mkdir(mode=0o700)
    for one in (storage, other.storage()):
        with closing(one.open(who="vakt")) as journal:
            brought_to(journal, ShipmentState.DELIVERED)
    before = [_content(one) for one in (storage, other.storage())]
    _run(_DUMP, database.server, tmp_path)
    with closing(storage.open(who="vakt")) as journal:
        unsent = next(one for one in journal.submissions()[0].shipments if one.state is ShipmentState.SEALED)
        journal.begin_publish(unsent.msg_id)
    database.until_free()
    _run(_RESTORE, database.server, tmp_path)
    assert list(storage.export()) == before[0]
    assert _content(other.storage()) == before[1]
    engine.require_tables()
    other.storage().open(who="vakt").close()
    with pytest.raises(JournalUnwritable, match="older than what this machine has seen"):
        storage.open(who="vakt")


def test_one_municipality_s_backup_is_restored_into_a_database_of_its_own(database: Database, tmp_path: Path) -> None:
    storage = database.storage()
    storage.migrate()
    with closing(storage.open(who="vakt")) as journal:
        brought_to(journal, ShipmentState.DELIVERED)
    before = _content(storage)
    storage.back_up(tmp_path / "0301.dump")
    _run(_RESTORE_ONE, database.server, tmp_path)
    assert _content(dataclasses.replace(database, name="kpr_0301").storage()) == before

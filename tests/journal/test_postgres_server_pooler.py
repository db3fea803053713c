"""PgBouncer itself between us and the server: a session for each client, or refused."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid, JournalLocked
from kpr_sender.journal.postgres_storage import PostgresStorage
from kpr_sender.states import ShipmentState
from tests.helpers.command import until
from tests.helpers.postgres import PASSWORD, USER, Database, as_unprivileged, free_port, own_folder
from tests.journal.builders import brought_to, state_of

_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_MODES = ("session", "transaction", "statement")
_CONFIGURATION = """
[databases]
{databases}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = md5
auth_file = {users}
default_pool_size = 6
"""


@pytest.fixture
def pooler(postgres: Database) -> Iterator[int]:
    """The port of a PgBouncer that has the database once for each mode, under its name."""
    if _PROGRAM is None:
        pytest.skip("no PgBouncer here: apt-get install pgbouncer")
    folder, port = own_folder(), free_port()
    server = f"host=127.0.0.1 port={postgres.server.port} dbname={postgres.name}"
    databases = "\n".join(f"{mode} = {server} pool_mode={mode}" for mode in _MODES)
    users, configuration = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"{USER}" "{PASSWORD}"\n', encoding="ascii")
    configuration.write_text(_CONFIGURATION.format(databases=databases, port=port, users=users), encoding="ascii")
    command = (*as_unprivileged(), _PROGRAM, "-q", str(configuration))
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd="/") as process:
        try:
            until(lambda: _listens(port) or process.poll() is not None)
            assert process.poll() is None, (folder / "log").read_text("utf-8")
            yield port
        finally:
            process.terminate()
    shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_a_pooler_is_taken_in_session_mode_and_refused_where_clients_take_turns_on_a_session(
    postgres: Database, pooler: int, tmp_path: Path
) -> None:
    def behind(mode: str, machine: str = "machine") -> PostgresStorage:
        folder = tmp_path / machine
        folder.mkdir(mode=0o700, exist_ok=True)
        url = f"postgresql://{USER}@127.0.0.1:{pooler}/{mode}"
        return dataclasses.replace(postgres, folder=folder).storage(url=url)

    storage = behind("session")
    with closing(storage.open(who="vakt")) as journal:
        msg_id = brought_to(journal, ShipmentState.PUBLISHED).msg_id
        with pytest.raises(JournalLocked):
            behind("session", "another").open(who="vakt")
        for refused in map(behind, ("transaction", "statement")):
            uses: tuple[Callable[[], object], ...] = (
                lambda used=refused: used.open(who="vakt"),  # type: ignore[misc]
                lambda used=refused: used.reading().__enter__(),  # type: ignore[misc] # G7: it may be another's session
                refused.require_safe,
                refused.migrate,
            )
            for use in uses:
                with pytest.raises(ConfigInvalid, match="take turns on one session") as raised:
                    use()
                assert (raised.value.exit_code, "pool_mode = session" in raised.value.next_step) == (78, True)
        assert state_of(journal, msg_id) is ShipmentState.PUBLISHED
    with storage.reading() as view:
        assert view is not None
        assert view.shipment(msg_id) is not None
    verified = storage.verify()
    assert verified is not None
    assert verified.findings == ()

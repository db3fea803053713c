"""G1, G2: the database server's disk is full at a statement of a run; nothing is lost, and nothing is sent twice.

A full disk under the data refuses a statement; one under the write-ahead log ends the server, which does not start
before there is room. Runs that find it so say so, and the next one goes on once there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kpr_sender.errors import KprError
from kpr_sender.journal import postgres_connection
from kpr_sender.model import MessageType
from tests.helpers.figures import figure
from tests.helpers.nightly import scaled
from tests.helpers.postgres import Database, Server
from tests.helpers.postgres_disk import SmallDiskServer, on_small_disk
from tests.helpers.stage import Stage, stage, strike
from tests.proofs.postgres_life import Counts, Life, OnStage, Scene, Taken, keys_loaded, statements, watched

# A server that ends takes the session of the lease along: 87.
_SAID = {
    "data": ({73}, "^The database server's disk is full"),
    "log": ({73, 87}, "disk is full|connection to the journal's database was lost|is not reached|lost the .*lease"),
}
_CASES = 24
_PARTS = 4  # no test may take five minutes


class OnFullDisk:
    """A world whose disk is full from a statement on; two runs meet it so, then somebody makes room.

    Attributes:
        said: What those runs ended with.
    """

    def __init__(self, stage: Stage, server: SmallDiskServer, database: Database, number: int) -> None:
        self._inner = OnStage(stage, Scene.DELIVERED)
        self.times: Mapping[MessageType, int] = self._inner.times
        self.said: list[KprError] = []
        self._server, self._database = server, database
        self._left, self._full = number, False

    def taken(self) -> Sequence[Taken]:
        return self._inner.taken()

    def run(self, life: Life) -> int:
        with watched(self._happens):
            for _ in range(2):
                try:
                    code = self._inner.run(life)
                except KprError as error:
                    if not self._full:
                        raise
                    self.said.append(error)
                except psycopg.Error:  # what the test itself reads in between
                    assert self._full
                else:
                    if not self._full:
                        return code
        self._full = False
        self._server.make_room()
        life.boss.close()
        life.boss = self._database.boss()
        return self._inner.run(life)

    def _happens(self, carry_out: Callable[[], object], _connection: psycopg.Connection[Any], _text: str) -> object:
        """Stand in for a statement."""
        self._left -= 1
        if self._left == 0:
            self._full = True
            self._server.fill()
        return carry_out()


@pytest.fixture(params=["data", "log"])
def server(request: pytest.FixtureRequest, installed_server: Server) -> Iterator[SmallDiskServer]:
    with on_small_disk(installed_server.bin, request.param) as server:
        yield server


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(_PARTS))
def test_the_disk_is_full_at_a_statement_and_the_next_runs_go_on(
    server: SmallDiskServer, part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "_ASKED_FOR", 1.0)  # seconds, for a server that is gone
    database = Database(server, server.with_tables(), tmp_path)
    on, said = stage(), list[KprError]()
    with keys_loaded(on), database.boss() as boss:
        most = statements(OnStage(on, Scene.DELIVERED), database, boss)
        database.set_aside()
    for number in range(1 + part, most, max(1, most // scaled(_CASES)) * _PARTS):
        found, world = Counts(broken=1), OnFullDisk(on, server, database, number)
        life = Life(world, database, database.boss(), found, f"full at {number}")
        with keys_loaded(on):
            life.until_over()
        life.boss.close()
        database.until_free()
        database.set_aside()
        said += world.said
        figure("PostgreSQL: disk full at a statement", **found.figures("cases"))
        assert not found.wrong, found.wrong
        assert (found.lost, found.duplicated) == (0, 0)
    strike(on)
    assert said
    for error in said:
        codes, words = _SAID[server.what]
        assert error.exit_code in codes, error
        assert re.search(words, error.what), error

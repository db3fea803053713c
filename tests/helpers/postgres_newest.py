"""PostgreSQL 18 at night: whatever every run does on the machine's own PostgreSQL is done on it, too; and an older one.

They come from the packages of other Debians, unpacked in folders as RabbitMQ's are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.helpers.debian_packages import NotToBeHad, unpacked
from tests.helpers.postgres import Server

_NEWEST_SUITE: Final = "forky"
_OLDER_SUITE: Final = "bullseye"
_TOOL: Final = """\
#!{python}
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.helpers.debian_folder import DebianFolder
shared = Path({shared!r})
here = Path.cwd() if Path.cwd().is_relative_to(shared) else shared
command = ("env", f"--chdir={{here}}", {program!r}, *sys.argv[1:])
command = DebianFolder(Path({debian!r})).command(command, shared=shared)
os.execvp(command[0], command)
"""


@pytest.fixture(scope="session")
def newest_server() -> Iterator[Server]:
    """One of PostgreSQL 18."""
    with _of_debian(_NEWEST_SUITE, 18) as server:
        yield server


@pytest.fixture(scope="session")
def older_server() -> Iterator[Server]:
    """One of PostgreSQL 13, which is too old."""
    with _of_debian(_OLDER_SUITE, 13) as server:
        yield server


@contextmanager
def _of_debian(suite: str, version: int) -> Iterator[Server]:
    """Run a server from another Debian's packages, in a folder that is made once on each machine."""
    missing = f"no PostgreSQL {version} here"
    if os.geteuid() != 0:
        pytest.skip(f"{missing}: in a folder of its own it would be root, which PostgreSQL refuses")
    try:
        debian = unpacked(suite, name="postgres", packages=(f"postgresql-{version}", "util-linux"))
    except NotToBeHad as error:
        pytest.skip(f"{missing}: {error}")
    server = Server.made(Path(f"/usr/lib/postgresql/{version}/bin"), debian=debian)
    try:
        assert server.start().version // 10_000 == version
        yield server
    finally:
        server.stop()


@pytest.fixture
def pg_tools(postgres_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own pg_dump and pg_restore are found first: older ones do not speak with it."""
    if postgres_server.debian is None:
        return
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("pg_dump", "pg_restore"):
        tool = tools / name
        tool.write_text(
            _TOOL.format(
                python=sys.executable,
                root=str(Path(__file__).parents[2]),
                debian=str(postgres_server.debian.path),
                program=str(postgres_server.bin / name),
                shared=str(tmp_path),
            ),
            encoding="utf-8",
        )
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """At night, do on the newest version whatever every run does on the machine's own."""
    if (
        "postgres_server" in metafunc.fixturenames
        and metafunc.config.getoption("--nightly")
        and not metafunc.definition.get_closest_marker("nightly")
    ):
        servers = ["installed_server", pytest.param("newest_server", id="18", marks=pytest.mark.nightly)]
        metafunc.parametrize("postgres_server", servers, indirect=True, scope="session")

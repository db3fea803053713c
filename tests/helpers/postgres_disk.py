"""A server whose data, or whose write-ahead log, lies on a small disk of its own, which others can fill.

The disk is memory, mounted in a mount namespace that a process holds: it vanishes with that process, however it ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import psycopg
import pytest

from tests.helpers.postgres import Server

NO_SMALL_DISK: Final = "no small disk here"
_SIZE: Final = {"data": "128m", "log": "24m"}
_LOG: Final = "pg_wal"
_MOUNT: Final = """
cp -a {disk} {disk}.before
mount -t tmpfs -o size={size},mode=0700 none {disk}
cp -a {disk}.before/. {disk}
chown --reference={disk}.before {disk}
rm -r {disk}.before
echo there
exec sleep infinity
"""
_PIECES: Final = (1 << 20, 1 << 12)
_SETTINGS: Final = """
min_wal_size = 2MB
max_wal_size = 16MB
restart_after_crash = on
"""


@dataclass
class SmallDiskServer(Server):
    """A server; ``fill`` its disk and ``make_room``."""

    what: Literal["data", "log"] = "data"
    inside: tuple[str, ...] = ()
    """What runs a program where the disk is."""
    ballast: Path = Path()

    def fill(self) -> None:
        """Let others take all that is left: also of the write-ahead log where that is on the disk."""
        with self.ballast.open("ab", buffering=0) as file:
            for piece in _PIECES:
                with contextlib.suppress(_Full), _full():
                    while True:
                        file.write(bytes(piece))
        if self.what == "log":
            with contextlib.suppress(psycopg.Error), self.boss() as boss:
                while True:
                    boss.execute("SELECT pg_logical_emit_message(true, 'others', repeat('x', 100000))")

    def make_room(self) -> None:
        """Let them give it back; start the server again where it has ended."""
        self.ballast.unlink()
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
            self.start()

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [*self.inside, *super()._command(program, *arguments)]


class _Full(Exception):
    """There is no room left."""


@contextmanager
def _full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _Full from None


@contextmanager
def on_small_disk(bin_: Path, what: Literal["data", "log"]) -> Iterator[SmallDiskServer]:
    """Run a server with its data, or with its write-ahead log, on a small disk; the other one has room."""
    if os.geteuid() != 0:
        pytest.skip(f"{NO_SMALL_DISK}: only root mounts one, and PostgreSQL refuses whom a user namespace makes root")
    server = SmallDiskServer.made(bin_, "--wal-segsize=1", more=_SETTINGS)
    (server.data / _LOG).rename(server.folder / _LOG)
    (server.data / _LOG).symlink_to(server.folder / _LOG)
    disk = server.data if what == "data" else server.folder / _LOG
    script = _MOUNT.format(disk=shlex.quote(str(disk)), size=_SIZE[what])
    holds = ("setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--propagation", "private", "sh", "-ec")
    with subprocess.Popen([*holds, script], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            if holder.stdout.readline() != b"there\n":
                pytest.skip(f"{NO_SMALL_DISK}: this machine lets nobody mount one")
            server.what = what
            server.inside = ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt")
            server.ballast = Path(f"/proc/{holder.pid}/root{disk}/ballast")
            yield server.start()  # type: ignore[misc] # it returns itself
        finally:
            server.stop()
            holder.kill()

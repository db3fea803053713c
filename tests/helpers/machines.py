"""Machines on one machine: each has a network, processes, mounts and a host name of its own, and a clock that is off.

A machine's network is its loopback and nothing else. What it must reach outside listens there under the same port: the
sockets are the machine's, and whoever accepts connections on them is a ``Forwarder`` out here, which passes them on,
holds them up or resets them. With the loopback switched off packets are dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import platform
import random
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from tests.helpers import machine_init
from tests.helpers.debian_packages import NotToBeHad, unpacked
from tests.helpers.repository import ROOT

NO_MACHINES: Final = "no network namespaces here"
"""Begins as tests/conftest.py knows it, which sees to it that the run says so aloud."""

_NAMESPACES: Final = ("--net", "--pid", "--uts", "--mount", "--fork", "--kill-child=SIGKILL", "--mount-proc")
_WAYS: Final = (("unshare", *_NAMESPACES), ("unshare", "--user", "--map-root-user", *_NAMESPACES))
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - libfaketime names what it has there by a process's number
_RESET: Final = struct.pack("ii", 1, 0)
_PIECE: Final = 1024  # bytes
_SECONDS: Final = 30.0
_ROUNDS_TO_CONNECT: Final = 10
"""Of the event loop: four, as it is written."""


@functools.cache
def way_in() -> tuple[str, ...] | None:
    """Return the command that begins a machine; None where this one allows none."""
    for way in _WAYS:
        probe = [*way, "mount", "-t", "tmpfs", "none", str(_MEMORY)]
        with contextlib.suppress(OSError):
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return way
    return None


def clock_off() -> Path:
    """Return the library that shows a process another time, from the packages of this machine's own Debian.

    Raises:
        NotToBeHad: It is not to be had.
    """
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian":
        raise NotToBeHad("not a Debian, whose faketime would be used")
    folder = unpacked(release["VERSION_CODENAME"], name="faketime", packages=("libfaketime",)).path
    return next(folder.glob("usr/lib/*/faketime/libfaketime.so.1"))


@dataclass(eq=False)
class Road:
    """A machine's way to one thing outside: open, held up, or reset.

    Attributes:
        bandwidth: Bytes a second in each direction, for each connection; 0 for as fast as it goes.
        cut_share: The share of connections that are reset after some of the client's bytes.
        resets: How many connections were reset.
    """

    loop: asyncio.AbstractEventLoop
    bandwidth: int = 0
    cut_share: float = 0.0
    cut_within: int = 20_000
    resets: int = 0
    _refuses: bool = False
    _passable: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)

    def open(self) -> None:
        """Let everything through, also what was held up."""
        self._on_loop(self._opened)

    def hold_up(self) -> None:
        """Let nothing through, and keep what comes."""
        self._on_loop(self._passable.clear)

    def reset(self) -> None:
        """Reset every connection, and each new one."""
        self._on_loop(self._reset)

    def _on_loop(self, what: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(what)

    def _opened(self) -> None:
        self._refuses = False
        self._passable.set()

    def _reset(self) -> None:
        self._refuses = True
        self._passable.set()
        for end in tuple(self._ends):
            self._abort(end)

    def _abort(self, end: asyncio.StreamWriter) -> None:
        self.resets += 1
        with contextlib.suppress(OSError):
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.transport.abort()

    async def pass_on(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of the machine's."""
        self._ends.add(writer)
        other: asyncio.StreamWriter | None = None
        try:
            await self._passable.wait()
            if self._refuses:
                self._abort(writer)
                return
            back, other = await asyncio.open_connection("127.0.0.1", port)
            self._ends.add(other)
            cut = random.randint(0, self.cut_within) if random.random() < self.cut_share else None
            await asyncio.gather(self._carry(reader, other, cut, writer), self._carry(back, writer, None, other))
        except (OSError, asyncio.CancelledError):  # cancelled with the forwarder; asyncio would say so aloud
            pass
        finally:
            for end in (writer, other):
                if end is not None:
                    self._ends.discard(end)
                    end.transport.abort()

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, cut: int | None, back: asyncio.StreamWriter
    ) -> None:
        passed = 0
        while data := await source.read(_PIECE):
            await self._passable.wait()
            if self.bandwidth:
                await asyncio.sleep(len(data) / self.bandwidth)
            target.write(data)
            await target.drain()
            passed += len(data)
            if cut is not None and passed >= cut:
                for end in (target, back):
                    self._abort(end)
                raise ConnectionResetError
        await self._passable.wait()
        target.write_eof()


class Forwarder:
    """Accepts what machines ask for on their own loopback, and passes it on; a context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers = list[asyncio.Server]()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._no_more(), self._loop).result(_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()

    async def _no_more(self) -> None:
        """Let go of what is being passed on, and of the machines' sockets."""
        # asyncio leaves open what it has accepted and not yet made a connection of when the server is closed: first
        # nothing more is accepted, and then it has the rounds that it takes.
        for one in (listening for server in self._servers for listening in server.sockets):
            self._loop.remove_reader(one.fileno())
        for _ in range(_ROUNDS_TO_CONNECT):
            await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed in the loop's next round

    def road(self, listening: Mapping[int, socket.socket], **how: float) -> Road:
        """Return the way to the ports that a machine's sockets stand for."""
        made = Road(self._loop, **how)  # type: ignore[arg-type]  # whole numbers are floats, too
        made.open()

        async def serve() -> None:
            for port, one in listening.items():
                self._servers.append(await asyncio.start_server(functools.partial(made.pass_on, port), sock=one))

        asyncio.run_coroutine_threadsafe(serve(), self._loop).result(_SECONDS)
        return made


@dataclass
class Machine:
    """One machine: ``start`` it, kill what runs on it, ``end`` it as a loss of power does.

    Attributes:
        name: Its host name.
        folder: What is shared with the other machines and the tests; nothing else of /dev/shm is seen there.
        ports: What it reaches outside.
        command: Its service.
        hours: How far its clock is off.
    """

    name: str
    folder: Path
    ports: Sequence[int]
    command: Sequence[str]
    environment: Mapping[str, str]
    hours: float = 0.0
    _process: subprocess.Popen[bytes] | None = None
    _outside: socket.socket | None = None

    @property
    def log(self) -> Path:
        """What its service prints."""
        return self.folder / f"{self.name}.log"

    def start(self) -> dict[int, socket.socket]:
        """Start it; return the sockets that it listens on, by port."""
        way = way_in()
        assert way is not None
        ours, theirs = socket.socketpair()
        environment = dict(self.environment)
        if self.hours:
            environment |= self._clock_off()
        order = json.dumps(
            {
                "name": self.name,
                "ports": list(self.ports),
                "outside": theirs.fileno(),
                "command": list(self.command),
                "environment": environment,
                "log": str(self.log),
            }
        )
        script = _MEMORY_OF_ITS_OWN.format(memory=_MEMORY, folder=shlex.quote(str(self.folder)))
        begin = shlex.join([sys.executable, "-m", "tests.helpers.machine_init", order])
        shell = ("sh", "-e", "-c", f"{script if _MEMORY in self.folder.parents else ''}\nexec {begin}")
        self._process = subprocess.Popen(
            [*way, *shell], pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, cwd=ROOT, env=_own_environment()
        )
        theirs.close()
        ours.settimeout(_SECONDS)
        self._outside = ours
        found = list[int]()
        while len(found) < len(self.ports):
            said, more, _, _ = socket.recv_fds(ours, 1, machine_init.MOST_AT_ONCE)
            assert said, "the machine did not begin"
            found += more
        return {port: socket.socket(fileno=one) for port, one in zip(self.ports, found, strict=True)}

    def _clock_off(self) -> dict[str, str]:
        start_up = self.folder / f"{self.name}-start-up"
        start_up.mkdir(exist_ok=True)
        (start_up / "sitecustomize.py").write_text(_SLEEP, "utf-8")
        return {
            "LD_PRELOAD": str(clock_off()),
            "FAKETIME": f"{self.hours:+g}h",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": os.pathsep.join((str(start_up), str(ROOT))),
        }

    def cable(self, *, whole: bool) -> None:
        """Cut its cable, or mend it: without it its packets are dropped."""
        assert self._outside is not None
        self._outside.send(machine_init.WHOLE if whole else machine_init.CUT)
        assert self._outside.recv(1) == machine_init.DONE

    @property
    def services(self) -> list[int]:
        """The service's process, by its number out here; none while it is started again."""
        assert self._process is not None
        return [one for first in _children(self._process.pid) for one in _children(first)]

    @property
    def runs(self) -> list[int]:
        """What the service has started, and what that has."""
        found, left = list[int](), [one for service in self.services for one in _children(service)]
        while left:
            found.append(left.pop())
            left += _children(found[-1])
        return found

    def end(self) -> None:
        """End it: every process of it, at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._outside is not None:
            self._outside.close()
            self._outside = None


def signalled(pid: int, number: signal.Signals) -> bool:
    """Signal a process, if it is there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _children(pid: int) -> list[int]:
    found = list[int]()
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text("ascii").split())
    return found


def _own_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


# Debian 12's libfaketime takes the end of Python's sleep, a time of the monotonic clock, for one of the other clock's.
_SLEEP: Final = """\
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
_MEMORY_OF_ITS_OWN: Final = """\
exec 3<{folder}
mount -t tmpfs none {memory}
mkdir -p {folder}
mount --no-canonicalize --bind /proc/self/fd/3 {folder}
exec 3<&-
"""

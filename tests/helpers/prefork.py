"""The command in a process of its own that need not import it first: forked from one that has everything loaded.

Starting Python and importing the product takes longer than most runs do. A forked run has its own pid, signals, working
directory, environment and standard streams, and ends as any Python program does.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, Self

_LENGTH: Final = struct.Struct("!I")
_INTEGER: Final = struct.Struct("!i")


class Forked:
    """A run: what tests use of ``subprocess.Popen``."""

    def __init__(self, arguments: Sequence[str], cwd: Path | None, environ: Mapping[str, str]) -> None:
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        self._status, status_end = os.pipe()
        order = json.dumps({"argv": list(arguments), "cwd": str(cwd or Path.cwd()), "environ": dict(environ)}).encode()
        ends = [out_end, err_end, status_end]
        server = _server()
        socket.send_fds(server, [_LENGTH.pack(len(order))], ends)
        server.sendall(order)
        for end in ends:
            os.close(end)
        self.stdout: IO[str] = os.fdopen(out, encoding="utf-8")
        self.stderr: IO[str] = os.fdopen(err, encoding="utf-8")
        self.returncode: int | None = None
        self.pid = _INTEGER.unpack(os.read(self._status, _INTEGER.size))[0]

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the run has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def poll(self) -> int | None:
        """Return the exit code, minus the signal's number, or None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Raises:
            subprocess.TimeoutExpired: It did not end in time.
        """
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("kpr-send", timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read both streams to their ends, and wait for the run's.

        Raises:
            subprocess.TimeoutExpired: It did not end in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        read = {stream.fileno(): b"" for stream in (self.stdout, self.stderr)}
        with selectors.DefaultSelector() as ready:
            for number in read:
                ready.register(number, selectors.EVENT_READ)
            while ready.get_map():
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                events = ready.select(left)
                if not events and left is not None:
                    raise subprocess.TimeoutExpired("kpr-send", timeout or 0)
                for key, _ in events:
                    chunk = os.read(key.fd, 65536)
                    read[key.fd] += chunk
                    if not chunk:
                        ready.unregister(key.fd)
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        self.stdout.close()
        self.stderr.close()
        out, err = (content.decode("utf-8") for content in read.values())
        return out, err

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            with selectors.DefaultSelector() as ready:
                ready.register(self._status, selectors.EVENT_READ)
                if ready.select(timeout):
                    self.returncode = _INTEGER.unpack(os.read(self._status, _INTEGER.size))[0]
                    os.close(self._status)
        return self.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdout.close()
        self.stderr.close()
        self.wait()


@cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        server = subprocess.Popen([sys.executable, "-m", "tests.helpers.prefork", str(number)], pass_fds=[number])

    def stop() -> None:
        ours.close()
        server.wait()

    atexit.register(stop)
    return ours


def _serve(number: int) -> None:
    """Fork for each order until the other end is closed."""
    import kpr_sender  # noqa: PLC0415 - the tests' own process need not have it

    for module in pkgutil.walk_packages(kpr_sender.__path__, "kpr_sender."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    # Ctrl-C is for the run and for pytest. Whoever ended is reaped by the system.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=number) as orders:
        while (received := socket.recv_fds(orders, _LENGTH.size, 3))[0]:
            length, descriptors = _LENGTH.unpack(received[0])[0], received[1]
            order = json.loads(orders.recv(length, socket.MSG_WAITALL))
            if not os.fork():
                orders.close()
                _supervise(order, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


def _supervise(order: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Run the order in a child; pass on its pid and how it ended."""
    out, err, status = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if not child:
        os.close(status)
        _run(order, out, err)
    os.close(out)
    os.close(err)
    os.write(status, _INTEGER.pack(child))
    _, how = os.waitpid(child, 0)
    os.write(status, _INTEGER.pack(os.waitstatus_to_exitcode(how)))
    os._exit(0)


def _run(order: dict[str, Any], out: int, err: int) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, standard in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environ"])
    time.tzset()
    sys.argv = ["kpr-send", *order["argv"]]
    from kpr_sender.cli.main import main  # noqa: PLC0415 - only the server's process has it

    main()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))

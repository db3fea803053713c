"""``python -m tests.helpers.machine_init ORDER``: the first process of a machine that ``tests.helpers.machines`` makes.

It runs in namespaces of its own, whose only way out are the sockets that it listens on and hands over. It starts the
machine's service, and starts it again whenever it ends, as systemd does with ``Restart=always``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Any, Final

CUT: Final = b"c"
WHOLE: Final = b"w"
DONE: Final = b"."
MOST_AT_ONCE: Final = 200
"""File descriptors in one message; Linux takes 253."""

_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 0x1
_RESTART_SECONDS: Final = 1.0


def loopback(*, up: bool) -> None:
    """Switch the machine's loopback on or off: off, its packets are dropped, as with a cable that is cut."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP if up else 0))


def main(written: str) -> None:
    """Make the machine, hand its sockets over, and run its service until the machine is gone."""
    order: dict[str, Any] = json.loads(written)
    socket.sethostname(order["name"])
    loopback(up=True)
    outside = socket.socket(fileno=order["outside"])
    listening = [socket.create_server(("127.0.0.1", port), backlog=50) for port in order["ports"]]
    for begin in range(0, len(listening), MOST_AT_ONCE):
        socket.send_fds(outside, [DONE], [one.fileno() for one in listening[begin : begin + MOST_AT_ONCE]])
    for one in listening:
        one.close()
    threading.Thread(target=_obey, args=(outside,), daemon=True).start()
    environment = {**os.environ, **order["environment"]}
    while True:
        with open(order["log"], "ab") as log:  # noqa: PTH123 - nothing but what is needed is loaded here
            service = subprocess.Popen(
                order["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        while os.waitpid(-1, 0)[0] != service.pid:
            pass  # whose parent was killed is the first process's to bury
        time.sleep(_RESTART_SECONDS)


def _obey(outside: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while said := outside.recv(1):
            loopback(up=said == WHOLE)
            outside.send(DONE)
    os._exit(0)  # whoever made it is gone, and with its first process the machine is


if __name__ == "__main__":
    main(sys.argv[1])

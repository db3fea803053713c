"""What a RabbitMQ node of our own is started with: ports, configuration, and a municipality's exchange and queues."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

EXCHANGE: Final = "NHNTESTServiceBus"
KOMMUNE_HER_ID: Final = 8094001
KPR_HER_ID: Final = 171479

USERS: Final = {
    "admin": "admin-passord",
    "kommune": "kommune-passord",
    "fhi": "fhi-passord",
    "noperm": "noperm-passord",
    "readonly": "readonly-passord",
}
# User: configure, write, read. A municipality may write to the exchange and read its own queues, never KPR's.
PERMISSIONS: Final = {
    "admin": (".*", ".*", ".*"),
    "kommune": ("^$", f"^{EXCHANGE}$", f"^(?!{KPR_HER_ID}_)[0-9]+_.*$"),
    "fhi": ("^$", f"^{EXCHANGE}$", f"^{KPR_HER_ID}_.*$"),
    "readonly": ("^$", "^$", f"^{KOMMUNE_HER_ID}_.*$"),
}
FULL_QUEUE: Final = f"{KPR_HER_ID}_full"
QUEUES: Final[dict[str, dict[str, str | int]]] = {
    f"{KPR_HER_ID}_async": {},
    f"{KPR_HER_ID}_error": {},
    f"{KOMMUNE_HER_ID}_async": {},
    f"{KOMMUNE_HER_ID}_error": {},
    FULL_QUEUE: {"x-max-length": 2, "x-overflow": "reject-publish"},
}


@dataclass(frozen=True)
class Ports:
    """Every port the node needs, all on loopback."""

    amqp: int
    tls: int
    dist: int
    epmd: int

    @staticmethod
    def free() -> Ports:
        """Return four ports that are free now, and that nobody gets who only asks for a port.

        The kernel gives those out to every connection made, also to one that tries to reach a node while it is down:
        its port would be taken when it starts again.
        """
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        with contextlib.ExitStack() as bound:
            sockets: list[socket.socket] = []
            while len(sockets) < len(fields(Ports)):
                with contextlib.suppress(OSError):
                    candidate = ("127.0.0.1", random.randrange(lowest // 2, lowest))
                    sockets.append(bound.enter_context(socket.create_server(candidate)))
            return Ports(*(one.getsockname()[1] for one in sockets))


def definitions() -> str:
    """Return users, permissions, exchange, queues and bindings in RabbitMQ's own JSON."""
    return json.dumps(
        {
            "vhosts": [{"name": "/"}],
            "users": [_user(name, password) for name, password in USERS.items()],
            "permissions": [
                {"user": user, "vhost": "/", "configure": configure, "write": write, "read": read}
                for user, (configure, write, read) in PERMISSIONS.items()
            ],
            "exchanges": [
                {"name": EXCHANGE, "vhost": "/", "type": "direct", "durable": True}
                | {"auto_delete": False, "internal": False, "arguments": {}}
            ],
            "queues": [
                {"name": name, "vhost": "/", "durable": True, "auto_delete": False}
                | {"arguments": {"x-queue-type": "classic", **arguments}}
                for name, arguments in QUEUES.items()
            ],
            "bindings": [
                {"source": EXCHANGE, "vhost": "/", "destination": name, "destination_type": "queue"}
                | {"routing_key": name, "arguments": {}}
                for name in QUEUES
            ],
        }
    )


def configuration(
    ports: Ports, folder: Path, certificate: Path, key: Path, ca_file: Path, *, with_plugin: bool
) -> Mapping[str, str]:
    """Return the node's files by name. TLS listens on 127.0.0.2, too: an address its certificate does not bear."""
    settings = {
        "listeners.tcp.1": f"127.0.0.1:{ports.amqp}",
        "listeners.ssl.1": f"127.0.0.1:{ports.tls}",
        "listeners.ssl.2": f"127.0.0.2:{ports.tls}",
        "ssl_options.cacertfile": ca_file,
        "ssl_options.certfile": certificate,
        "ssl_options.keyfile": key,
        "ssl_options.verify": "verify_none",
        "ssl_options.fail_if_no_peer_cert": "false",
        "ssl_options.versions.1": "tlsv1.2",
        "ssl_options.versions.2": "tlsv1.3",
        "loopback_users": "none",
        "load_definitions": folder / "definitions.json",
        "log.console": "false",
        "disk_free_limit.absolute": "10MB",
    }
    return {
        "rabbitmq.conf": "".join(f"{key} = {value}\n" for key, value in settings.items()),
        "advanced.config": "[{kernel,[{inet_dist_use_interface,{127,0,0,1}}]}].\n",
        "enabled_plugins": "[rabbitmq_amqp1_0].\n" if with_plugin else "[].\n",
        "definitions.json": definitions(),
    }


def _user(name: str, password: str) -> dict[str, str]:
    salt = hashlib.sha256(name.encode()).digest()[:4]
    digest = hashlib.sha256(salt + password.encode()).digest()
    return {
        "name": name,
        "password_hash": base64.b64encode(salt + digest).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": "",
    }

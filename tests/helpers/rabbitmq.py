"""A real RabbitMQ of the test run's own: free loopback ports, its own epmd, its own folder, stopped by its own pid.

Tests use the fixtures of ``tests/conftest.py``: ``rabbitmq`` is the machine's own package (3.10 on Debian 12),
``rabbitmq4`` and ``rabbitmq43`` are 4.0 and 4.3 in folders of their own. Each skips where it is not to be had, and
empties every queue before each test.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from proton import Message
from proton.utils import BlockingConnection

from tests.helpers.command import until
from tests.helpers.debian_folder import DebianFolder
from tests.helpers.debian_packages import folder_of
from tests.helpers.process_state import state_of
from tests.helpers.rabbitmq_files import (
    EXCHANGE,
    FULL_QUEUE,
    KOMMUNE_HER_ID,
    KPR_HER_ID,
    PERMISSIONS,
    QUEUES,
    USERS,
    Ports,
    configuration,
)
from tests.helpers.tls_certificates import make_authority

__all__ = [
    "EXCHANGE",
    "FULL_QUEUE",
    "KOMMUNE_HER_ID",
    "KPR_HER_ID",
    "RabbitMq",
    "Taken",
    "installed",
    "unpacked_version",
]

_START_SECONDS: Final = 60.0
_NODE: Final = "kpr@localhost"
_SERVERS: Final = "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"
_EPMDS: Final = "usr/lib/erlang/erts-*/bin/epmd"
_FIRST_WITHOUT_PLUGIN: Final = 4  # major version; AMQP 1.0 is built in from there
_FIRST_TO_DENY_VERSION_1: Final = (4, 3)  # of addresses
# Evaluates one line of Erlang on the node and answers with one line: milliseconds, where rabbitmqctl takes a second.
_CONTROL_LOOP: Final = """
Loop = fun Loop() -> case io:get_line("") of
  Line when is_list(Line) ->
    Answer = try
      {ok, Tokens, _} = erl_scan:string(Line),
      {ok, Expressions} = erl_parse:parse_exprs(Tokens),
      {value, Value, _} = erpc:call(list_to_atom(os:getenv("KPR_NODE")), erl_eval, exprs, [Expressions, []], 20000),
      {ok, Value}
    catch _:Reason -> {error, Reason} end,
    io:format("~0p~n", [Answer]), Loop();
  _ -> halt(0) end end,
Loop().
"""


def installed() -> Path | None:
    """Return the newest installed RabbitMQ's ``sbin``, or None."""
    found = sorted(Path("/").glob(_SERVERS))
    return found[-1].parent if found and shutil.which("erl") else None


def unpacked_version(suite: str) -> str:
    """Return the version of the RabbitMQ that is unpacked from one of Debian's suites; empty where none is."""
    found = list(folder_of(suite).glob(_SERVERS))
    return found[0].parents[1].name.removeprefix("rabbitmq_server-") if found else ""


@dataclass(frozen=True)
class Taken:
    """A message as a test takes it from a queue."""

    message_id: object
    to: str | None
    subject: str | None
    reply_to: str | None
    correlation_id: object
    content_type: str | None
    content_encoding: str | None
    user_id: bytes
    durable: bool
    data_section: bool
    properties: Mapping[str, object]
    body: bytes = field(repr=False)


class RabbitMq:
    """One node. ``start`` it, use it, ``stop`` it.

    Args:
        sbin: Where its programs are; inside ``debian`` where that is given.
        folder: For its own files; empty.
        debian: Another Debian's files, in which every process of the node shall run.
    """

    def __init__(self, sbin: Path, folder: Path, debian: DebianFolder | None = None) -> None:
        self._sbin = sbin
        self._folder = folder
        self._debian = debian
        self._authority = make_authority(folder / "tls")
        self.ca_file = self._authority.ca_file
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._control: subprocess.Popen[str] | None = None
        self._ports = Ports.free()

    @property
    def version(self) -> str:
        """The broker's version."""
        return self._sbin.parent.name.removeprefix("rabbitmq_server-")

    @classmethod
    def of(cls, debian: DebianFolder, folder: Path) -> RabbitMq:
        """Return the node of the RabbitMQ that is installed in another Debian's files."""
        server = next(debian.path.glob(_SERVERS))
        return cls(Path("/") / server.relative_to(debian.path).parent, folder, debian)

    @property
    def major(self) -> int:
        """The broker's major version."""
        return int(self.version.partition(".")[0])

    @property
    def behaves_as(self) -> str:
        """The version that is known here and that it behaves as: of a newer one, the newest that is known."""
        if self.major < _FIRST_WITHOUT_PLUGIN:
            return "3.10"
        return "4.0" if tuple(map(int, self.version.split(".")[:2])) < _FIRST_TO_DENY_VERSION_1 else "4.3"

    @property
    def host(self) -> str:
        """Where it listens; 127.0.0.2 listens with TLS, too, and is not in the certificate."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The AMQP port without TLS."""
        return self._ports.amqp

    @property
    def tls_port(self) -> int:
        """The AMQP port with TLS."""
        return self._ports.tls

    @staticmethod
    def password(user: str) -> str:
        """Return the password of ``admin``, ``kommune``, ``fhi``, ``noperm`` or ``readonly``."""
        return USERS[user]

    # Its life

    def start(self) -> RabbitMq:
        """Write its files, start epmd and the node, and wait until it listens."""
        certificate, key = self._authority.issue(self._folder / "tls", "localhost", "127.0.0.1")
        for name, text in configuration(
            self._ports, self._folder, certificate, key, self.ca_file, with_plugin=self.major < _FIRST_WITHOUT_PLUGIN
        ).items():
            (self._folder / name).write_text(text)
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(10))
        cookie.chmod(0o400)
        root = self._debian.path if self._debian else Path("/")
        epmd = f"/{next(root.glob(_EPMDS)).relative_to(root)}"
        self._epmd = subprocess.Popen(
            self._inside(epmd, "-port", str(self._ports.epmd), "-address", "127.0.0.1"),
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait_for_port(self._ports.epmd)
        self._start_node()
        return self

    def stop(self) -> None:
        """End the node, the control process and epmd, each by its own pid."""
        self._end_control()
        for process in (self._process, self._epmd):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(10)
        self._process = self._epmd = None

    def kill9(self) -> None:
        """SIGKILL the node as it stands."""
        assert self._process is not None
        self._end_control()
        self._process.kill()
        self._process.wait(10)

    def pause(self) -> None:
        """Stop the node in the middle of whatever it does: its sockets stay, and nothing is read from them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # On a busy machine some of its threads go on for as long as the one that takes the signal waits for a core.
        threads = Path(f"/proc/{self._process.pid}/task")
        until(lambda: {*map(state_of, threads.iterdir())} <= set("TZX"))

    def resume(self) -> None:
        """Let a paused node go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Start the node again with what it had on disk."""
        assert self._process is not None
        if self._process.poll() is None:
            self.evaluate("rabbit:stop()")
            self.kill9()
        self._start_node()

    def alive(self) -> bool:
        """Whether the node runs."""
        return self._process is not None and self._process.poll() is None

    def fresh(self) -> RabbitMq:
        """Make it run, with every queue of a municipality there and empty; return it."""
        if not self.alive():
            self.restart()
        for name, arguments in QUEUES.items():
            self.declare_queue(name, **arguments)
        self.evaluate("[rabbit_amqqueue:purge(Q) || Q <- rabbit_amqqueue:list()]")
        return self

    # Its queues

    def declare_queue(self, name: str, **arguments: str | int) -> None:
        """Declare a durable queue and bind it to the exchange by its name; arguments as ``x_max_length=2``."""
        table = ",".join(f'{{<<"{key.replace("_", "-")}">>,{_typed(value)}}}' for key, value in arguments.items())
        self.evaluate(
            f"rabbit_amqqueue:declare({_queue(name)}, true, false, [{table}], none, <<>>), "
            f'rabbit_binding:add({{binding, rabbit_misc:r(<<$/>>, exchange, <<"{EXCHANGE}">>), <<"{name}">>, '
            f'{_queue(name)}, []}}, <<"test">>)'
        )

    def delete_queue(self, name: str) -> None:
        """Delete a queue with everything in it."""
        self.evaluate(
            f'{{ok, Q}} = rabbit_amqqueue:lookup({_queue(name)}), rabbit_amqqueue:delete(Q, false, false, <<"test">>)'
        )

    def purge(self, name: str) -> None:
        """Empty a queue of what is ready in it."""
        self.evaluate(f"{{ok, Q}} = rabbit_amqqueue:lookup({_queue(name)}), rabbit_amqqueue:purge(Q)")

    def depth(self, name: str) -> int:
        """Return how many messages a queue holds, delivered and not settled ones included."""
        return self._count(name, "messages")

    def ready(self, name: str) -> int:
        """Return how many messages wait in a queue for a consumer; also of a quorum queue, whose counts lag behind."""
        return int(
            self.evaluate(
                f"{{ok, Q}} = rabbit_amqqueue:lookup({_queue(name)}), {{ok, Ready, _}} = rabbit_amqqueue:stat(Q), Ready"
            )
        )

    def consumers(self, name: str) -> int:
        """Return how many consumers a queue has."""
        return self._count(name, "consumers")

    def wait_for(self, name: str, *, ready: int, seconds: float = 10.0) -> None:
        """Wait until exactly ``ready`` messages are ready in a queue."""
        deadline = time.monotonic() + seconds
        while (now := self.ready(name)) != ready:
            assert time.monotonic() < deadline, f"{name} has {now} ready messages, not {ready}"
            time.sleep(0.02)

    def get(self, name: str) -> Taken | None:
        """Take one message off a queue for good; None when none is ready."""
        if not self.ready(name):
            return None
        with self._connection() as connection:
            receiver = connection.create_receiver(self._address(f"/queues/{name}", f"/amq/queue/{name}"))
            message = receiver.receive(timeout=10)
            receiver.accept()
        body = message.body
        properties: Any = message.properties  # None where there are none, whatever its annotation says
        return Taken(
            message_id=message.id,
            to=message.address,
            subject=message.subject,
            reply_to=message.reply_to,
            correlation_id=message.correlation_id,
            content_type=_symbol(message.content_type),
            content_encoding=_symbol(message.content_encoding),
            user_id=message.user_id,
            durable=bool(message.durable),
            data_section=bool(message.inferred),
            properties=properties or {},
            body=bytes(body) if isinstance(body, bytes | memoryview) else b"",
        )

    def drain(self, name: str) -> list[Taken]:
        """Take everything off a queue for good."""
        return list(iter(lambda: self.get(name), None))

    def put(self, name: str, *messages: Message) -> None:
        """Put messages on a queue, as anybody on the bus may."""
        with self._connection() as connection:
            sender = connection.create_sender(
                self._address(f"/exchanges/{EXCHANGE}/{name}", f"/exchange/{EXCHANGE}/{name}")
            )
            for message in messages:
                sender.send(message, timeout=10)

    # What an operator does to it

    @contextlib.contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """Have the node think it has no memory left, and hold back whoever publishes."""
        limit = self.evaluate("vm_memory_monitor:get_vm_memory_high_watermark()")
        self.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.0)")
        try:
            self.wait_until("rabbit_alarm:get_alarms() =/= []")
            yield
        finally:
            self.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({limit})")
            self.wait_until("rabbit_alarm:get_alarms() =:= []")

    @contextlib.contextmanager
    def message_limit(self, size: int) -> Iterator[None]:
        """Have the node take messages up to a size in bytes: 4 announces it to whoever attaches, 3.10 to nobody."""
        set_to, usual = "application:set_env(rabbit, max_message_size, ~)", "134217728"
        if self.major >= _FIRST_WITHOUT_PLUGIN:
            set_to, usual = "persistent_term:put(max_message_size, ~)", "16777216"
        self.evaluate(set_to.replace("~", str(size)))
        try:
            yield
        finally:
            self.evaluate(set_to.replace("~", usual))

    @contextlib.contextmanager
    def without_permissions(self, user: str) -> Iterator[None]:
        """Take a user's permissions away, and give them back."""
        configure, write, read = PERMISSIONS[user]
        change = f'rabbit_auth_backend_internal:set_permissions(<<"{user}">>, <<"/">>, '
        self.evaluate(change + '<<"^$">>, <<"^$">>, <<"^$">>, <<"test">>)')
        try:
            yield
        finally:
            self.evaluate(change + f'<<"{configure}">>, <<"{write}">>, <<"{read}">>, <<"test">>)')

    def wait_until(self, erlang: str, seconds: float = 10.0) -> None:
        """Wait until an Erlang expression is true on the node."""
        deadline = time.monotonic() + seconds
        while self.evaluate(erlang) != "true":
            assert time.monotonic() < deadline, f"{erlang} did not come true"
            time.sleep(0.02)

    # Beneath

    def evaluate(self, erlang: str) -> str:
        """Evaluate Erlang expressions on the node and return the value as text."""
        if self._control is None:
            self._control = subprocess.Popen(
                self._inside(
                    *("erl", "-noshell", "-hidden", "-sname", f"control{os.getpid()}@localhost"),
                    *("+S", "1:1", "+sbwt", "none", "-kernel", "inet_dist_use_interface", "{127,0,0,1}"),
                    *("-eval", _CONTROL_LOOP.replace("\n", " ")),
                ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=self._environment(),
                text=True,
            )
        assert self._control.stdin is not None
        assert self._control.stdout is not None
        self._control.stdin.write(erlang.replace("\n", " ") + ".\n")
        self._control.stdin.flush()
        answer = self._control.stdout.readline().strip()
        assert answer.startswith("{ok,"), f"{erlang}: {answer}"
        return answer[len("{ok,") : -1]

    def _count(self, name: str, item: str) -> int:
        return int(
            self.evaluate(
                f"{{ok, Q}} = rabbit_amqqueue:lookup({_queue(name)}), "
                f"proplists:get_value({item}, rabbit_amqqueue:info(Q, [{item}]))"
            )
        )

    def _address(self, version2: str, version1: str) -> str:
        """Return an address as the broker takes it: 4.3 denies version 1, and 3.10 has no version 2."""
        return version1 if self.major < _FIRST_WITHOUT_PLUGIN else version2

    def _inside(self, *command: str) -> list[str]:
        return self._debian.command(command, shared=self._folder) if self._debian else list(command)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[BlockingConnection]:
        connection = BlockingConnection(
            f"127.0.0.1:{self.port}", user="admin", password=USERS["admin"], allowed_mechs="PLAIN", timeout=20
        )
        try:
            yield connection
        finally:
            connection.close()

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return {
            "PATH": DebianFolder.PATH if self._debian else os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "KPR_NODE": _NODE,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._ports.epmd),
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_DIST_PORT": str(self._ports.dist),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
            "RUNNING_UNDER_SYSTEMD": "1",  # the script then replaces itself, so that the pid is the node's own
        }

    def _start_node(self) -> None:
        with (self._folder / "start.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._inside(str(self._sbin / "rabbitmq-server")),
                env=self._environment() | self._at_once(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_for_port(self.port)
        self._wait_for_port(self.tls_port)
        self.wait_until("rabbit:is_running()", _START_SECONDS)  # it listens a moment earlier
        if not self._modules.exists():
            loaded = self.evaluate("[Module || {Module, File} <- code:all_loaded(), is_list(File)]")
            self._modules.write_text(f"{loaded}.\n")

    @property
    def _modules(self) -> Path:
        return self._folder / "modules"

    def _at_once(self) -> dict[str, str]:
        """Have a node load at once what it had loaded the last time: one by one takes twice the processor's time."""
        if not self._modules.exists():
            return {}
        path = list(map(ord, str(self._modules)))  # a string of Erlang's without quotes, which the shell would take
        load = f"code:ensure_modules_loaded(hd(element(2,file:consult({path}))))"
        return {"ERL_AFLAGS": f"-eval {load}".replace(", ", ",")}

    def _wait_for_port(self, port: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                ended = self._process is not None and self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    log = (self._folder / "start.log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"RabbitMQ did not start: {log}") from None
                time.sleep(0.05)
            else:
                return

    def _end_control(self) -> None:
        if self._control is None:
            return
        assert self._control.stdin is not None
        assert self._control.stdout is not None
        self._control.stdin.close()
        self._control.stdout.close()
        self._control.kill()
        self._control.wait(10)
        self._control = None


def _queue(name: str) -> str:
    return f'rabbit_misc:r(<<$/>>, queue, <<"{name}">>)'


def _typed(value: str | int) -> str:
    return f"long, {value}" if isinstance(value, int) else f'longstr, <<"{value}">>'


def _symbol(value: object) -> str | None:
    """Proton gives the symbol ``None`` where the field is not set."""
    return None if str(value) == "None" else str(value)

"""Reaching the bus: what is final at once, what is tried again and how long, and what never leaks."""

from __future__ import annotations

import dataclasses
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Source, Verdict
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, InternalError, KprError
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.values import BusSettings
from tests.helpers.bus_settings import NO_QUEUES, bus_settings, outbound
from tests.helpers.fake_time import FakeTime
from tests.helpers.loopback import black_hole
from tests.helpers.scripted_bus import Script, ScriptedBus
from tests.helpers.tls_certificates import Authority, make_authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def server_context(authority: Authority, folder: Path, *names: str, expired: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(folder, *names, expired=expired))
    return context


def refusal(settings: BusSettings) -> KprError:
    with AmqpBus(dataclasses.replace(settings, **NO_QUEUES)) as bus:
        try:
            bus.connect()
        except KprError as error:
            assert bus.publish(outbound()).verdict is Verdict.NOT_SENT
            return error
    raise AssertionError("it connected")


def test_tls_with_our_own_authority(authority: Authority, tmp_path: Path) -> None:
    context = server_context(authority, tmp_path, "localhost", "127.0.0.1")
    with ScriptedBus(context=context) as server:
        settings = bus_settings(server.port, tls=True, ca_file=authority.ca_file, **NO_QUEUES)
        with AmqpBus(settings) as bus:
            assert bus.publish(outbound(bytes(500_000))).verdict is Verdict.ACCEPTED
        assert server.saw.closed_properly == 1
    assert server.saw.tls_ended == 1


@pytest.mark.parametrize(
    ("names", "expired", "trusted", "words"),
    [
        (("127.0.0.1",), False, False, "authority"),
        (("bus.example",), False, True, "another host name"),
        (("127.0.0.1",), True, True, "expired"),
    ],
    ids=["unknown-ca", "wrong-host", "expired"],
)
def test_a_certificate_that_is_not_believed_is_final_and_says_why(
    authority: Authority, tmp_path: Path, names: tuple[str, ...], words: str, *, expired: bool, trusted: bool
) -> None:
    other = make_authority(tmp_path / "other", "another authority")
    context = server_context(authority, tmp_path, *names, expired=expired)
    with ScriptedBus(context=context) as server:
        ca_file = (authority if trusted else other).ca_file
        error = refusal(bus_settings(server.port, tls=True, ca_file=ca_file, reconnect_budget=20.0))
        assert isinstance(error, AccessRefused)
        assert words in error.what
        assert server.saw.login == []
        assert server.saw.connections == 2  # connect, and publish: no attempt repeated


def test_old_tls_is_refused(authority: Authority, tmp_path: Path) -> None:
    context = server_context(authority, tmp_path, "127.0.0.1")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with ScriptedBus(context=context) as server:
        error = refusal(bus_settings(server.port, tls=True, ca_file=authority.ca_file))
        assert isinstance(error, AccessRefused)
        assert "1.2" in error.what


def test_tls_to_a_plain_port_and_plain_to_a_tls_port(authority: Authority, tmp_path: Path) -> None:
    with ScriptedBus() as plain:
        error = refusal(bus_settings(plain.port, tls=True, ca_file=authority.ca_file))
    assert isinstance(error, ConfigInvalid | BusUnreachable)
    with ScriptedBus(context=server_context(authority, tmp_path, "127.0.0.1")) as with_tls:
        error = refusal(bus_settings(with_tls.port))
    assert isinstance(error, ConfigInvalid | BusUnreachable)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_unusable_ca_file_is_named(tmp_path: Path, closed_port: int, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    error = refusal(bus_settings(closed_port, tls=True, ca_file=path))
    assert isinstance(error, ConfigInvalid)
    assert error.where == f"bus.ca_file: {path}"


@pytest.mark.parametrize("host", ["tb.test.nhn.no", "192.0.2.1", "2001:db8::1", "0.0.0.0"])  # noqa: S104 - refused
def test_the_password_never_goes_out_without_tls(host: str) -> None:
    error = refusal(bus_settings(5672, host=host))
    assert isinstance(error, ConfigInvalid)
    assert error.where == "bus.tls"


def test_a_wrong_password_is_final_at_once_and_is_not_in_the_message() -> None:
    with ScriptedBus(Script(login=False)) as server:
        settings = bus_settings(server.port, reconnect_budget=20.0, password=Secret("galt-passord"))
        error = refusal(settings)
        assert isinstance(error, AccessRefused)
        assert "galt-passord" not in str(error)
        assert server.saw.connections == 2
        assert b"PLAIN" in server.saw.login[0]


@pytest.mark.parametrize("outcome", [2, 3, 4, 7], ids=["sys", "sys-perm", "sys-temp", "not-defined"])
def test_a_login_that_the_bus_could_not_check_says_nothing_about_the_password(outcome: int) -> None:
    with ScriptedBus(Script(login_outcome=outcome)) as server:
        error = refusal(bus_settings(server.port))
    assert isinstance(error, BusUnreachable), "else the next run would not even try for a quarter of an hour"


def test_a_host_name_that_does_not_exist() -> None:
    error = refusal(bus_settings(5671, host="finnes-ikke.invalid", tls=True))
    assert isinstance(error, BusUnreachable)
    assert error.where == "finnes-ikke.invalid:5671"


def test_refused_connections_are_tried_again_within_the_budget_and_no_longer(closed_port: int) -> None:
    began = time.monotonic()
    with AmqpBus(bus_settings(closed_port, reconnect_budget=1.0)) as bus, pytest.raises(BusUnreachable):
        bus.connect()
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("script", [None, Script(open=False)], ids=["no-sasl", "no-open"])
def test_a_silent_server_is_given_up_in_time(silent_port: int, script: Script | None) -> None:
    with ScriptedBus(script) as server:
        port = silent_port if script is None else server.port
        began = time.monotonic()
        error = refusal(bus_settings(port, connect_timeout=0.3))
        assert isinstance(error, BusUnreachable)
        assert "no answer in time" in error.what
        assert time.monotonic() - began < 8


def test_a_bus_that_comes_back_within_the_budget_is_reached(closed_port: int) -> None:
    with AmqpBus(bus_settings(closed_port, reconnect_budget=20.0, **NO_QUEUES)) as bus:
        outcomes: list[Verdict] = []

        def publish() -> None:
            bus.connect()
            outcomes.append(bus.publish(outbound()).verdict)

        thread = threading.Thread(target=publish)
        thread.start()
        time.sleep(0.3)
        server = ScriptedBus()
        server._listener.close()
        server._listener, server.port = socket.create_server(("127.0.0.1", closed_port)), closed_port
        with server:
            thread.join(20)
        assert outcomes == [Verdict.ACCEPTED]


@pytest.mark.parametrize(("timeout", "budget"), [(0.0, 60.0), (0.3, 60.0), (0.3, 0.0)])
def test_could_not_look_is_another_answer_than_nothing_arrived_and_takes_the_time_it_was_given(
    closed_port: int, timeout: float, budget: float
) -> None:
    with AmqpBus(bus_settings(closed_port, reconnect_budget=budget)) as bus:
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(BusUnreachable, match="refused"):
                bus.receive(timeout)
            assert timeout <= time.monotonic() - began < timeout + 8


def test_a_look_takes_at_least_one_attempt_however_long_the_outage_was_bounded_by_connect_timeout() -> None:
    with ScriptedBus(Script(open=False)) as server, AmqpBus(bus_settings(server.port, connect_timeout=0.2)) as bus:
        for number in range(1, 4):
            with pytest.raises(BusUnreachable, match="no answer in time"):
                bus.receive(0)
            assert server.saw.connections == number
        server.script.open = True
        assert bus.receive(0) is None


def test_closing_ends_another_threads_attempts_and_the_reason_is_the_bus_s(closed_port: int) -> None:
    bus = AmqpBus(bus_settings(closed_port, reconnect_budget=60.0))
    errors: list[KprError | None] = []

    def connect() -> None:
        try:
            bus.connect()
        except KprError as error:
            errors.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    time.sleep(0.2)
    bus.close()
    thread.join(5)
    assert [type(error) for error in errors] == [BusUnreachable]
    assert "refused" in str(errors[0])
    assert isinstance(bus.publish(outbound()).error, BusUnreachable)


@contextmanager
def mute() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def nameless() -> Iterator[int]:
    ended = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(20))
        yield 1
    ended.set()


@contextmanager
def opens_nothing() -> Iterator[int]:
    with ScriptedBus(Script(open=False)) as server:
        yield server.port


@pytest.mark.parametrize(
    ("there", "tls"),
    [(nameless, False), (black_hole, False), (mute, True), (mute, False), (opens_nothing, False)],
    ids=["name", "address", "TLS", "login", "open"],
)
def test_a_stop_is_heard_within_a_second_of_connecting(
    there: Callable[[], AbstractContextManager[int]], *, tls: bool
) -> None:
    closing = threading.Event()
    with there() as port, ExitStack() as stack:
        bus = AmqpBus(bus_settings(port, tls=tls, connect_timeout=20.0), closing=closing)
        stop = threading.Timer(0.2, closing.set)
        stop.start()
        stack.callback(stop.join)
        began = time.monotonic()
        with pytest.raises(BusUnreachable, match="told to stop"):
            bus.receive(20)
        assert time.monotonic() - began < 8


def test_only_an_unreachable_bus_is_tried_again() -> None:
    clock = FakeTime()
    with ScriptedBus(Script(login=False)) as server:
        bus = AmqpBus(bus_settings(server.port, reconnect_budget=60.0), closing=clock, monotonic=clock)
        with pytest.raises(AccessRefused):
            bus.connect()
        assert (server.saw.connections, clock.pauses) == (1, [])


def test_pauses_grow_are_jittered_and_bounded_and_the_budget_is_one(closed_port: int) -> None:
    clock = FakeTime()
    bus = AmqpBus(bus_settings(closed_port, reconnect_budget=600.0), closing=clock, monotonic=clock)
    with pytest.raises(BusUnreachable, match="refused"):
        bus.connect()
    assert 0.1 <= clock.pauses[0] <= 0.2
    assert 0.8 <= clock.pauses[3] <= 1.6
    assert all(15 <= pause <= 30 for pause in clock.pauses[8:])
    assert len(set(clock.pauses)) == len(clock.pauses)
    assert 600 - 30 <= clock.at <= 600


def test_attempts_to_publish_go_on_within_one_budget_connecting_included() -> None:
    clock = FakeTime()
    with ScriptedBus(Script(credit=0)) as server:
        settings = bus_settings(server.port, reconnect_budget=20.0, publish_timeout=0.05, **NO_QUEUES)
        bus = AmqpBus(settings, closing=clock, monotonic=clock)
        outcomes = [bus.publish(outbound()) for _ in bus.attempts()]
        assert all(outcome.may_be_repeated for outcome in outcomes)
        assert 5 <= len(outcomes) <= 12
        assert len(outcomes) == len(clock.pauses) + 1
        assert clock.at <= 20.0
        for _ in bus.attempts():
            clock.set()  # told to stop: the pause ends, and no further attempt is begun
        assert len(clock.pauses) <= len(outcomes)
        bus.close()


def test_what_the_bus_does_not_take_keeps_nobody_from_reading() -> None:
    """The pause before the next attempt to publish is no outage: reading was refused for its time."""
    clock = FakeTime()
    with ScriptedBus(Script(credit=0)) as server:
        settings = bus_settings(server.port, reconnect_budget=20.0, publish_timeout=0.05)
        with AmqpBus(settings, closing=clock, monotonic=clock) as bus:
            for _ in bus.attempts():
                bus.publish(outbound())
            bus.detach()
            assert bus.receive(0.1) is None


def test_a_wait_over_a_long_outage_makes_few_attempts(closed_port: int) -> None:
    """Thirty minutes of looks, five seconds each: the pauses grow over them, as if they were one, to 30 seconds."""
    clock, attempts = FakeTime(), list[float]()
    bus = AmqpBus(bus_settings(closed_port), closing=clock, monotonic=clock)
    connect = bus._connect_once

    def counted(attached: Collection[Source] = frozenset(Source)) -> Any:
        attempts.append(clock())
        return connect(attached)

    bus._connect_once = counted  # type: ignore[method-assign]
    for _ in range(360):
        with pytest.raises(BusUnreachable):
            bus.receive(5.0)
    assert clock.at == pytest.approx(1800)
    assert 60 <= len(attempts) <= 130
    assert max(later - earlier for earlier, later in pairwise(attempts)) <= 30, "receipts are no later than that"
    with pytest.raises(BusUnreachable):
        bus.receive(0)
    assert attempts[-1] == clock(), "who has no time at all is given one attempt"
    with pytest.raises(BusUnreachable):
        bus.connect()
    assert attempts[-1] == clock(), "what is to be published does not wait for a pause of the reading"


def test_connect_does_nothing_while_the_connection_stands() -> None:
    with ScriptedBus() as server, AmqpBus(bus_settings(server.port)) as bus:
        for _ in range(3):
            bus.connect()
        assert server.saw.connections == 1


def test_close_gives_a_mute_bus_two_seconds_and_then_closes_the_socket() -> None:
    with ScriptedBus() as server:
        bus = AmqpBus(bus_settings(server.port))
        bus.connect()
        server.tell(lambda _: time.sleep(3.5))
        began = time.monotonic()
        bus.close()
        assert 1.5 < time.monotonic() - began < 3.2
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("kpr-sender-")]


def test_a_fault_on_the_io_thread_ends_the_connection_and_hangs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret payload")

    with ScriptedBus() as server, AmqpBus(bus_settings(server.port, **NO_QUEUES)) as bus:
        monkeypatch.setattr("kpr_sender.bus.io_thread.IoThread._handle_open", broken)
        with pytest.raises(InternalError) as caught:
            bus.connect()
        assert "secret" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is not there on this system")
def test_a_child_process_leaves_its_parents_connection_alone() -> None:
    with ScriptedBus() as server, AmqpBus(bus_settings(server.port, **NO_QUEUES)) as bus:
        assert bus.publish(outbound(message_id="before")).verdict is Verdict.ACCEPTED
        child = os.fork()
        if child == 0:
            code = 9
            try:
                code = 0 if bus.publish(outbound(message_id="child")).verdict is Verdict.ACCEPTED else 1
                bus.close()
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert bus.publish(outbound(message_id="after")).verdict is Verdict.ACCEPTED
        assert server.saw.connections == 2


def test_proton_prints_nothing_whatever_the_environment_says() -> None:
    """G6: with these variables proton prints frames, the login's password among them."""
    program = """
import sys
from kpr_sender.bus.amqp import AmqpBus
from tests.helpers.bus_settings import bus_settings, outbound
with AmqpBus(bus_settings(int(sys.argv[1]))) as bus:
    print(bus.publish(outbound()).verdict)
"""
    traces = {"PN_TRACE_FRM": "1", "PN_TRACE_RAW": "1", "PN_TRACE_DRV": "1", "PN_LOG": "all+"}
    with ScriptedBus() as server:
        done = subprocess.run(
            [sys.executable, "-c", program, str(server.port)],
            env=os.environ | traces | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.stdout, done.stderr, done.returncode) == ("accepted\n", "", 0)

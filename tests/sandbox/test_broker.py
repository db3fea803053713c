"""The bus: logins, TLS, addresses of both RabbitMQ versions, refusals, durable queues, redelivery, large messages."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from proton import ConnectionException, Delivery, Message

from kpr_sender.errors import JournalLocked
from kpr_sender.messages import apprec
from kpr_sender.model import MessageType
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.ledger import Ledger
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from tests.sandbox.bus_client import BusClient, SessionEnded
from tests.sandbox.conftest import SENDER, Municipality

Run = Callable[..., Sandbox]
Connect = Callable[[Sandbox], BusClient]
V3, V4, V43 = (
    Behaviour(tls=False),
    Behaviour(tls=False, version="4.0.5"),
    Behaviour(tls=False, version="4.3.0", v1_permitted=False),
)
OWN = "900002_async"


def _small(name: str = "1", body: bytes = b"small") -> Message:
    return Message(body=body, inferred=True, id=name, durable=True, subject="DIALOG")


@pytest.mark.parametrize(("user", "password"), [("kommune", "wrong"), ("kommune", ""), ("guest", None), ("", "")])
def test_a_wrong_login_is_refused_at_once(run: Run, folder: Path, user: str, password: str | None) -> None:
    sandbox = run()
    right = (folder / "bus-password").read_text(encoding="ascii")
    began = time.monotonic()
    with pytest.raises(ConnectionException, match="unauthorized-access"):
        BusClient(sandbox.port, right if password is None else password, user or "x")
    assert time.monotonic() - began < 8
    assert (folder / "bus-password").stat().st_mode & 0o777 == 0o600


def test_it_listens_on_loopback_only_with_a_certificate_for_it(run: Run, folder: Path) -> None:
    sandbox = run(behaviour=Behaviour())
    context = ssl.create_default_context(cafile=folder / "pki" / "ca.pem")
    for name in ("127.0.0.1", "localhost"):
        with (
            socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as sock,
            context.wrap_socket(sock, server_hostname=name) as tls,
        ):
            assert tls.version() in {"TLSv1.2", "TLSv1.3"}
            tls.sendall(b"AMQP\x03\x01\x00\x00")
            assert tls.recv(8) == b"AMQP\x03\x01\x00\x00"
            assert b"PLAIN" in tls.recv(64)
    with (
        socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as sock,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(sock, server_hostname="tb.nhn.no")
    with pytest.raises(OSError, match=r"."):
        socket.create_connection((_address_of_this_machine(), sandbox.port), timeout=1)


def _address_of_this_machine() -> str:
    """An address that is this machine's own and yet not what the sandbox binds."""
    return "127.0.0.2"


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b"AMQP\x00\x01\x00\x00", b"AMQP\x03\x01\x00\x00" + b"\xff" * 64]
)
def test_who_does_not_speak_the_protocol_is_let_go_and_nobody_else_suffers(
    run: Run, connect: Connect, garbage: bytes
) -> None:
    sandbox = run()
    client = connect(sandbox)
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as sock:
        sock.sendall(garbage)
        while sock.recv(4096):
            pass
    assert client.take(sandbox.receipts_queue, 0) == []


@pytest.mark.parametrize(
    ("behaviour", "address"),
    [
        (V3, f"/exchange/NHNTESTServiceBus/{OWN}"),
        (V3, f"/amq/queue/{OWN}"),
        (V4, f"/exchange/NHNTESTServiceBus/{OWN}"),
        (V4, f"/exchanges/NHNTESTServiceBus/{OWN}"),
        (V4, f"/queues/{OWN}"),
        (V43, f"/exchanges/NHNTESTServiceBus/{OWN.replace('_', '%5F')}"),
    ],
)
def test_addresses_to_send_to(run: Run, connect: Connect, behaviour: Behaviour, address: str) -> None:
    sandbox = run(behaviour=behaviour)
    assert connect(sandbox).publish(address, _small()) == Delivery.ACCEPTED
    assert sandbox.depth(OWN) == 1


@pytest.mark.parametrize(
    ("behaviour", "address", "condition"),
    [
        (V3, "/exchanges/NHNTESTServiceBus/q", "amqp:invalid-field"),
        (V3, "/exchange/NHNTestServiceBus/q", "amqp:not-found"),
        (V3, "/exchange/NHNTESTServiceBus", "amqp:invalid-field"),
        (V4, "/exchanges/elsewhere/q", "amqp:not-found"),
        (V4, "/queues/missing", "amqp:not-found"),
        (V43, f"/exchange/NHNTESTServiceBus/{OWN}", "amqp:invalid-field"),
        (V4, "bare", "amqp:unauthorized-access"),
    ],
)
def test_refusals_to_send_end_the_session(
    run: Run, connect: Connect, behaviour: Behaviour, address: str, condition: str
) -> None:
    with pytest.raises(SessionEnded) as ended:
        connect(run(behaviour=behaviour)).publish(address, _small())
    assert ended.value.condition == condition


@pytest.mark.parametrize(
    ("behaviour", "address", "condition"),
    [
        (V3, "/amq/queue/missing", "amqp:not-found"),
        (V3, "/amq/queue/171479_async", "amqp:unauthorized-access"),
        (V3, f"/queues/{OWN}", "amqp:invalid-field"),
        (V4, "/queues/missing", "amqp:not-found"),
        (V43, f"/amq/queue/{OWN}", "amqp:invalid-field"),
    ],
)
def test_refusals_to_read_end_the_session(
    run: Run, connect: Connect, behaviour: Behaviour, address: str, condition: str
) -> None:
    with pytest.raises(SessionEnded) as ended:
        connect(run(behaviour=behaviour)).create_receiver(address)
    assert ended.value.condition == condition


@pytest.mark.parametrize(("behaviour", "state"), [(V3, Delivery.ACCEPTED), (V4, Delivery.RELEASED)])
def test_what_no_queue_is_bound_for(run: Run, connect: Connect, behaviour: Behaviour, state: int) -> None:
    sandbox = run(behaviour=behaviour)
    assert connect(sandbox).publish("/exchange/NHNTESTServiceBus/122612_async", _small()) == state
    assert [line.queue for line in sandbox.ledger.lines()] == ["122612_async"]


@pytest.mark.parametrize("behaviour", [V3, V4])
def test_it_announces_its_version(run: Run, connect: Connect, behaviour: Behaviour) -> None:
    connection: Any = connect(run(behaviour=behaviour)).conn
    properties = connection.remote_properties
    assert properties["version"] == behaviour.version
    assert properties["product"] == "RabbitMQ-compatible sandbox"


@pytest.mark.parametrize(
    ("version", "announced", "condition"),
    [("3.10.8", 0, "amqp:precondition-failed"), ("4.0.5", 100_000, "amqp:link:message-size-exceeded")],
)
def test_a_message_that_is_too_large_ends_the_session(
    run: Run, connect: Connect, version: str, announced: int, condition: str
) -> None:
    sandbox = run(behaviour=Behaviour(tls=False, version=version, max_message_size=100_000))
    client = connect(sandbox)
    sender = client.create_sender(f"/exchange/NHNTESTServiceBus/{OWN}")
    assert sender.link.remote_max_message_size == announced
    with pytest.raises(SessionEnded) as ended:
        client.publish(f"/amq/queue/{OWN}", _small(body=bytes(200_000)))
    assert ended.value.condition == condition
    assert sandbox.depth(OWN) == 0


def test_a_message_of_the_largest_size_goes_through_in_time_that_grows_with_it(run: Run, connect: Connect) -> None:
    sandbox = run()
    client = connect(sandbox)
    seconds = {}
    for size in (12_000_000, 48_000_000):
        message = _small(body=bytes(size))
        began = time.monotonic()
        assert client.publish(f"/exchange/NHNTESTServiceBus/{OWN}", message) == Delivery.ACCEPTED
        seconds[size] = time.monotonic() - began
    assert seconds[48_000_000] < 10 * seconds[12_000_000] + 1  # quadratic would be 16 times
    assert [len(message.body) for message in client.take(OWN, 2)] == [12_000_000, 48_000_000]


def test_messages_survive_a_restart_in_order_and_only_what_was_accepted_is_gone(
    run: Run, connect: Connect, folder: Path
) -> None:
    first = run()
    client = connect(first)
    for name in "abc":
        client.publish(f"/exchange/NHNTESTServiceBus/{OWN}", _small(name))
    assert [message.id for message in client.take(OWN)] == ["a"]
    first.close()
    assert len(list((folder / "queues" / OWN).iterdir())) == 2
    second = run()
    assert [message.id for message in connect(second).take(OWN, 2)] == ["b", "c"]
    _until(lambda: not list((folder / "queues" / OWN).iterdir()))


def test_a_message_is_on_disk_before_it_is_accepted(run: Run, connect: Connect, folder: Path) -> None:
    """Promise G1 rests on it: accepted means that the bus has it."""
    sandbox = run(faults=Faults.parse(["no-answer"]))
    connect(sandbox).publish(f"/exchange/NHNTESTServiceBus/{OWN}", _small("kept"))
    shutil.copytree(folder, folder.parent / "copy")  # as a crash right now would leave it
    with Sandbox(folder.parent / "copy", sender_her_id=SENDER.service_her_id, behaviour=V3) as copy:
        assert [message.id for message in connect(copy).take(OWN)] == ["kept"]


def test_what_was_accepted_and_not_answered_is_answered_after_a_restart(
    run: Run, connect: Connect, municipality: Municipality
) -> None:
    first = run(faults=Faults.parse(["no-answer"]))
    head = municipality.hodemelding(MessageType.KPR_IPL)
    connect(first).publish("/exchange/NHNTESTServiceBus/171479_async", municipality.message(head))
    first.close()
    second = run()
    (answer,) = connect(second).take(OWN)
    assert apprec.parse(municipality.open(answer.body)).original_msg_id == head.msg_id
    second.close()
    assert run().depth(OWN) == 0, "answered once"


def test_a_receipt_survives_a_restart(run: Run, connect: Connect, municipality: Municipality, folder: Path) -> None:
    first = run()
    head = municipality.hodemelding(MessageType.KPR_IDE)
    connect(first).publish("/exchange/NHNTESTServiceBus/171479_async", municipality.message(head))
    _until(lambda: first.depth(OWN) == 1)
    first.close()
    assert [line.msg_id for line in Ledger.read(folder)] == [head.msg_id]
    (answer,) = connect(run()).take(OWN)
    assert apprec.parse(municipality.open(answer.body)).original_msg_id == head.msg_id


@pytest.mark.parametrize("behaviour", [V3, V4, V43])
@pytest.mark.parametrize("way", ["release", "close the link", "drop the connection"])
def test_what_is_not_settled_comes_back_in_its_place(
    run: Run, connect: Connect, way: str, behaviour: Behaviour
) -> None:
    """As measured on quorum queues of 3.10.8 and 4.0.5; 4.3 as its documentation says."""
    sandbox = run(behaviour=behaviour)
    prefix = "/queues/" if behaviour is V43 else "/amq/queue/"
    client = connect(sandbox)
    for name in "abc":
        sandbox.put(OWN, _small(name).encode())
    reader = connect(sandbox)
    receiver: Any = reader.create_receiver(prefix + OWN)
    assert receiver.receive(timeout=5).id == "a"
    if way == "release":
        receiver.release(delivered=False)
        receiver.close()
    elif way == "close the link":
        receiver.close()
    else:
        reader.close()
    messages = client.take(OWN, 3, prefix)
    assert [message.id for message in messages] == ["a", "b", "c"]
    failed = int(way != "release")
    shown = {
        "3.10.8": (0, {}),
        "4.0.5": (failed, {"x-delivery-count": 1}),
        "4.3.0": (failed, {"x-delivery-count": failed, "x-acquired-count": 1}),
    }
    assert (messages[0].delivery_count, messages[0].annotations or {}) == shown[behaviour.version]
    assert [message.first_acquirer for message in messages] == [False, True, True]
    assert [(message.delivery_count, message.annotations) for message in messages[1:]] == [(0, None)] * 2


def test_two_readers_share_a_queue(run: Run, connect: Connect) -> None:
    sandbox = run()
    client, other = connect(sandbox), connect(sandbox)
    one: Any = client.create_receiver(f"/amq/queue/{OWN}", credit=2)
    two: Any = other.create_receiver(f"/amq/queue/{OWN}", credit=2)
    for name in "abcd":
        client.publish(f"/exchange/NHNTESTServiceBus/{OWN}", _small(name))
    seen = [one.receive(timeout=5).id for _ in range(2)] + [two.receive(timeout=5).id for _ in range(2)]
    assert sorted(seen) == ["a", "b", "c", "d"]


def test_close_frees_the_port_and_leaves_no_thread(run: Run, connect: Connect) -> None:
    sandbox = run()
    connect(sandbox)
    names = {thread.name for thread in threading.enumerate()}
    assert "kpr-sandbox-bus" in names
    port = sandbox.port
    sandbox.close()
    sandbox.close()
    assert "kpr-sandbox-bus" not in {thread.name for thread in threading.enumerate()}
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_second_sandbox_in_the_folder_is_refused(run: Run, folder: Path) -> None:
    first = run()
    with pytest.raises(JournalLocked, match="Another sandbox") as locked:
        run()
    assert locked.value.where == str(folder)
    first.close()
    run()


def test_a_port_that_is_taken_leaves_nothing_behind(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for _ in range(2):  # the second fails for the same reason: the first kept no lock
            with pytest.raises(OSError, match="in use"):
                run(port=taken.getsockname()[1])
    run()


def test_faults_may_be_set_from_any_thread_while_messages_come(run: Run, connect: Connect) -> None:
    sandbox = run()
    client = connect(sandbox)
    stop = threading.Event()

    def switch() -> None:
        while not stop.is_set():
            sandbox.faults = Faults.parse(["delay=1"])
            sandbox.faults = NO_FAULTS

    thread = threading.Thread(target=switch)
    thread.start()
    try:
        for number in range(50):
            assert client.publish(f"/amq/queue/{OWN}", _small(str(number))) == Delivery.ACCEPTED
    finally:
        stop.set()
        thread.join()
    assert [message.id for message in client.take(OWN, 50)] == [str(number) for number in range(50)]


def _until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)

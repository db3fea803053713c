"""How an attempt to publish is judged: every end of a transfer, at every moment (G1)."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections.abc import Iterator

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.codec import Decoded
from kpr_sender.bus.dial import dial
from kpr_sender.bus.port import Outcome, Reach, Verdict
from kpr_sender.deadline import Stopped
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, InDoubt, InputRefused, KprError
from kpr_sender.settings.values import BusSettings
from tests.helpers.bus_settings import KPR_QUEUE, NO_QUEUES, bus_settings, outbound
from tests.helpers.scripted_bus import Script, ScriptedBus

LARGE = bytes(20_000_000)  # more than the sockets between us hold


@pytest.fixture
def server() -> Iterator[ScriptedBus]:
    with ScriptedBus() as server:
        yield server


def publish(server: ScriptedBus, body: bytes = b"sealed", **changes: object) -> Outcome:
    with AmqpBus(bus_settings(server.port, **changes, **NO_QUEUES)) as bus:
        return bus.publish(outbound(body))


def test_accepted_is_success_and_the_message_is_whole(server: ScriptedBus) -> None:
    body = os.urandom(700_001)
    outcome = publish(server, body)
    assert (outcome.verdict, outcome.reach, outcome.error) == (Verdict.ACCEPTED, Reach.OUTCOME, None)
    assert outcome.bytes_handed_over == len(server.saw.messages[0])
    assert Decoded(server.saw.messages[0]).body == body


@pytest.mark.parametrize(
    ("transfer", "condition", "verdict", "reach", "error"),
    [
        ("released", "", Verdict.NOT_SENT, Reach.OUTCOME, ConfigInvalid),
        ("rejected", "", Verdict.NOT_SENT, Reach.OUTCOME, BusUnreachable),
        ("rejected", "amqp:resource-limit-exceeded", Verdict.NOT_SENT, Reach.OUTCOME, BusUnreachable),
        ("modified", "", Verdict.NOT_SENT, Reach.OUTCOME, BusUnreachable),
        ("settled-without-state", "", Verdict.IN_DOUBT, Reach.HANDED_OVER, InDoubt),
        ("unknown-state", "", Verdict.IN_DOUBT, Reach.HANDED_OVER, InDoubt),
        ("drop", "", Verdict.IN_DOUBT, Reach.HANDED_OVER, InDoubt),
        ("close", "amqp:connection:forced", Verdict.IN_DOUBT, Reach.HANDED_OVER, InDoubt),
        ("close", "amqp:unauthorized-access", Verdict.IN_DOUBT, Reach.HANDED_OVER, InDoubt),
        ("end-session", "amqp:unauthorized-access", Verdict.NOT_SENT, Reach.OUTCOME, AccessRefused),
        ("end-session", "amqp:not-found", Verdict.NOT_SENT, Reach.OUTCOME, ConfigInvalid),
        ("end-session", "amqp:link:message-size-exceeded", Verdict.NOT_SENT, Reach.OUTCOME, InputRefused),
        ("end-session", "amqp:precondition-failed", Verdict.IN_DOUBT, Reach.HANDED_OVER, InDoubt),
        ("end-session", "amqp:invalid-field", Verdict.IN_DOUBT, Reach.HANDED_OVER, InDoubt),
        ("end-session", "amqp:internal-error", Verdict.IN_DOUBT, Reach.HANDED_OVER, InDoubt),
        ("end-session", "amqp:resource-limit-exceeded", Verdict.IN_DOUBT, Reach.HANDED_OVER, InDoubt),
        ("detach", "amqp:not-found", Verdict.NOT_SENT, Reach.OUTCOME, ConfigInvalid),
        ("detach", "amqp:link:detach-forced", Verdict.IN_DOUBT, Reach.HANDED_OVER, InDoubt),
        ("detach", "amqp:resource-deleted", Verdict.IN_DOUBT, Reach.HANDED_OVER, InDoubt),
    ],
)
def test_after_the_whole_message_left(
    server: ScriptedBus, transfer: str, condition: str, verdict: Verdict, reach: Reach, error: type[KprError]
) -> None:
    server.script.transfer, server.script.condition = transfer, condition
    outcome = publish(server)
    assert (outcome.verdict, outcome.reach, type(outcome.error)) == (verdict, reach, error)
    assert outcome.bytes_handed_over == len(server.saw.messages[0])
    assert len(server.saw.messages) == 1
    if condition and transfer != "drop":
        assert outcome.condition == condition
        assert condition in str(outcome.error)


def test_a_refused_size_on_rabbitmq_3_is_told_by_its_words(server: ScriptedBus) -> None:
    server.script.transfer, server.script.condition = "end-session", "amqp:precondition-failed"
    server.script.description = (
        "PRECONDITION_FAILED - message size 20000000 is larger than configured max size 16777216"
    )
    outcome = publish(server)
    assert (outcome.verdict, type(outcome.error)) == (Verdict.NOT_SENT, InputRefused)


@pytest.mark.parametrize("transfer", ["released", "rejected", "modified", "end-session", "detach", "close", "drop"])
def test_before_the_whole_message_left_it_is_certain_and_the_rest_never_leaves(
    server: ScriptedBus, transfer: str
) -> None:
    server.script.transfer, server.script.partial, server.script.condition = transfer, True, "amqp:internal-error"
    server.script.read_at_most = 100_000
    with AmqpBus(bus_settings(server.port, **NO_QUEUES)) as bus:
        outcome = bus.publish(outbound(LARGE))
        assert outcome.verdict is Verdict.NOT_SENT
        assert outcome.reach in (Reach.INCOMPLETE, Reach.OUTCOME)
        assert 0 < outcome.bytes_handed_over < len(LARGE)
        server.script.read_at_most = None  # it reads on, with the bus still open
        time.sleep(0.3)
        assert server.saw.messages == []


@pytest.mark.parametrize("transfer", ["released", "end-session"])
def test_a_last_frame_that_waits_for_room_in_the_socket_never_leaves_after_the_verdict(
    monkeypatch: pytest.MonkeyPatch, transfer: str
) -> None:
    def narrow_dial(settings: BusSettings, deadline: float, stopped: Stopped) -> socket.socket:
        connected = dial(settings, deadline, stopped)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return connected

    monkeypatch.setattr("kpr_sender.bus.connection.dial", narrow_dial)
    script = Script(transfer=transfer, partial=True, read_at_most=100_000, condition="amqp:internal-error")
    with (
        ScriptedBus(script, receive_buffer=4096) as server,
        AmqpBus(bus_settings(server.port, **NO_QUEUES)) as bus,
    ):
        outcome = bus.publish(outbound(bytes(250_000)))
        assert outcome.verdict is Verdict.NOT_SENT
        assert 0 < outcome.bytes_handed_over < 250_000
        server.script.read_at_most = None
        time.sleep(0.3)
        assert server.saw.transfers.message_bytes <= outcome.bytes_handed_over
        assert not server.saw.transfers.handed_over(250_000)


@pytest.mark.parametrize("transfer", ["accepted", "settled-without-state", "unknown-state"])
def test_an_answer_to_half_a_message_is_no_answer_to_rely_on(server: ScriptedBus, transfer: str) -> None:
    server.script.transfer, server.script.partial, server.script.read_at_most = transfer, True, 100_000
    outcome = publish(server, LARGE)
    assert (outcome.verdict, type(outcome.error)) == (Verdict.IN_DOUBT, InDoubt)


def test_no_credit_is_certainly_not_sent(server: ScriptedBus) -> None:
    server.script.credit = 0
    outcome = publish(server, publish_timeout=0.3)
    assert (outcome.verdict, outcome.reach) == (Verdict.NOT_SENT, Reach.NO_CREDIT)
    assert isinstance(outcome.error, BusUnreachable)
    assert outcome.bytes_handed_over == 0


def test_silence_after_the_whole_message_is_in_doubt(server: ScriptedBus) -> None:
    server.script.transfer = "silence"
    outcome = publish(server, publish_timeout=0.3)
    assert (outcome.verdict, outcome.reach, outcome.condition) == (
        Verdict.IN_DOUBT,
        Reach.HANDED_OVER,
        "local:timeout",
    )


def test_a_bus_that_stops_reading_gets_no_more_when_we_have_given_up(server: ScriptedBus) -> None:
    server.script.read_at_most = 200_000
    outcome = publish(server, bytes(20_000_000), publish_timeout=0.5)
    assert (outcome.verdict, outcome.reach) == (Verdict.NOT_SENT, Reach.INCOMPLETE)
    assert 200_000 <= outcome.bytes_handed_over < 20_000_000
    server.script.read_at_most = None
    time.sleep(0.1)
    assert server.saw.messages == []


def test_a_late_outcome_is_not_taken_for_the_next_messages(server: ScriptedBus) -> None:
    server.script.transfer = "silence"
    with AmqpBus(bus_settings(server.port, publish_timeout=0.3, **NO_QUEUES)) as bus:
        assert bus.publish(outbound(message_id="first")).verdict is Verdict.IN_DOUBT
        server.script.transfer = "released"
        assert bus.publish(outbound(message_id="second")).condition == "released"
    assert server.saw.connections == 2


def test_a_message_above_the_links_limit_is_not_begun(server: ScriptedBus) -> None:
    server.script.max_message_size = 1000
    outcome = publish(server, bytes(1001))
    assert (outcome.verdict, outcome.reach, type(outcome.error)) == (
        Verdict.NOT_SENT,
        Reach.NOT_BEGUN,
        InputRefused,
    )
    assert "1000" in str(outcome.error)
    assert server.saw.messages == []


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ("amqp:not-found", ConfigInvalid),
        ("amqp:unauthorized-access", AccessRefused),
        ("amqp:precondition-failed", ConfigInvalid),
        ("amqp:internal-error", BusUnreachable),
    ],
)
def test_a_refused_link_is_certain_and_names_the_brokers_condition(
    server: ScriptedBus, condition: str, error: type[KprError]
) -> None:
    server.script.refuse = lambda _: condition
    outcome = publish(server)
    assert (outcome.verdict, outcome.reach, type(outcome.error)) == (Verdict.NOT_SENT, Reach.NOT_BEGUN, error)
    assert condition in str(outcome.error)
    assert KPR_QUEUE in str(outcome.error)


def test_g1_whoever_may_not_begin_sends_no_byte_and_may_later(server: ScriptedBus) -> None:
    """Asked when there is credit, right before the first byte; the link serves the next message."""
    asked = []

    def not_yet() -> bool:
        asked.append(len(server.saw.messages))
        return False

    with AmqpBus(bus_settings(server.port, **NO_QUEUES)) as bus:
        outcome = bus.publish(dataclasses.replace(outbound(), may_begin=not_yet))
        assert (outcome.verdict, outcome.reach, outcome.condition) == (Verdict.NOT_SENT, Reach.NOT_BEGUN, "local:lease")
        assert (asked, outcome.bytes_handed_over) == ([0], 0)
        assert bus.publish(outbound()).verdict is Verdict.ACCEPTED
    assert len(server.saw.messages) == 1


def test_one_link_serves_many_messages_and_a_lost_one_is_made_anew(server: ScriptedBus) -> None:
    with AmqpBus(bus_settings(server.port, **NO_QUEUES)) as bus:
        for number in range(3):
            assert bus.publish(outbound(message_id=str(number))).verdict is Verdict.ACCEPTED
        assert len(server.saw.attached) == 1
        server.script.transfer, server.script.condition = "detach", "amqp:link:detach-forced"
        assert bus.publish(outbound()).verdict is Verdict.IN_DOUBT
        server.script.transfer = "accepted"
        assert bus.publish(outbound()).verdict is Verdict.ACCEPTED
        assert bus.publish(outbound(queue="171479_other")).verdict is Verdict.ACCEPTED
    assert len(server.saw.attached) == 3
    assert server.saw.connections == 1


def test_publish_never_raises_for_the_bus_and_repeats_no_transfer() -> None:
    with ScriptedBus(Script(transfer="drop")) as server:
        outcome = publish(server, reconnect_budget=5.0)
        assert outcome.verdict is Verdict.IN_DOUBT
        assert len(server.saw.messages) == 1
        port = server.port
    outcome = AmqpBus(bus_settings(port, **NO_QUEUES)).publish(outbound())
    assert (outcome.verdict, outcome.reach) == (Verdict.NOT_SENT, Reach.NO_CONNECTION)


CLIENT_STREAM = 900  # bytes; the whole conversation up to and including a small message is shorter


@pytest.mark.parametrize("cut", range(1, CLIENT_STREAM, 7))
def test_cut_anywhere_the_verdict_agrees_with_what_the_bus_has(cut: int) -> None:
    """G1: not sent is said only when the bus has nothing, accepted only when it has the message."""
    with ScriptedBus(Script(hang_up_after=cut)) as server:
        outcome = publish(server, bytes(300), connect_timeout=5.0)
        has = len(server.saw.messages)
    assert has == 0 or outcome.verdict is not Verdict.NOT_SENT
    assert has == 1 or outcome.verdict is not Verdict.ACCEPTED

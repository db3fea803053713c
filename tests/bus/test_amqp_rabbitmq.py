"""The bus against a real RabbitMQ: 3.10 with its AMQP 1.0 plugin in every run, 4.0 and 4.3 at night."""

from __future__ import annotations

import gc
import os
import resource
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Inbound, Outcome, Reach, Source, Verdict
from kpr_sender.bus.proton_engine import Message
from kpr_sender.errors import (
    AccessRefused,
    BusUnreachable,
    ConfigInvalid,
    InDoubt,
    InputRefused,
    KprError,
    LoginRefused,
)
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.values import AddressForm
from tests.helpers.bus_settings import (
    CONTENT_TYPE,
    ERRORS,
    KPR_QUEUE,
    NO_QUEUES,
    RECEIPTS,
    bus_settings,
    outbound,
    tls_settings,
)
from tests.helpers.rabbitmq import FULL_QUEUE, KOMMUNE_HER_ID, KPR_HER_ID, RabbitMq


def receipt(name: str) -> Message:
    return Message(
        id=name, subject="APPREC", body=name.encode(), inferred=True, durable=True, content_type=CONTENT_TYPE
    )


def receive(bus: AmqpBus, timeout: float = 10.0) -> Inbound:
    inbound = bus.receive(timeout)
    assert inbound is not None
    return inbound


def publish(node: RabbitMq, queue: str = KPR_QUEUE, body: bytes = b"sealed", **changes: Any) -> Outcome:
    with AmqpBus(bus_settings(node.port, **changes, **NO_QUEUES)) as bus:
        return bus.publish(outbound(body, queue=queue))


@pytest.mark.parametrize("settings", [bus_settings, tls_settings], ids=["tcp", "tls"])
def test_a_message_arrives_whole_with_what_the_profile_asks_for_and_nothing_more(
    every_broker: RabbitMq, settings: Callable[..., Any]
) -> None:
    body = os.urandom(3_000_000)
    with AmqpBus(settings(every_broker if settings is tls_settings else every_broker.port)) as bus:
        outcome = bus.publish(outbound(body))
    assert (outcome.verdict, outcome.reach) == (Verdict.ACCEPTED, Reach.OUTCOME)
    taken = every_broker.get(KPR_QUEUE)
    assert taken is not None
    expected = outbound(body)
    assert taken.body == body
    assert taken.data_section
    assert taken.durable
    assert (taken.message_id, taken.correlation_id) == (expected.message_id, expected.message_id)
    assert (taken.to, taken.subject, taken.reply_to) == (KPR_QUEUE, "KPR_IPL", RECEIPTS)
    assert (taken.content_type, taken.content_encoding, taken.user_id) == (CONTENT_TYPE, None, b"")
    assert taken.properties == {"fromHerId": str(KOMMUNE_HER_ID), "toHerId": str(KPR_HER_ID)}


def test_an_accepted_message_survives_the_brokers_death(a_broker: RabbitMq) -> None:
    assert publish(a_broker).verdict is Verdict.ACCEPTED
    a_broker.kill9()
    a_broker.restart()
    assert a_broker.depth(KPR_QUEUE) == 1


_NOT_FOUND = (ConfigInvalid, Reach.NOT_BEGUN, "amqp:not-found")
_NO_SUCH_FORM = (ConfigInvalid, Reach.NOT_BEGUN, "amqp:invalid-field")
_MAY_NOT_WRITE = (AccessRefused, Reach.NOT_BEGUN, "amqp:unauthorized-access")
_TOLD_AFTERWARDS = (AccessRefused, Reach.OUTCOME, "amqp:unauthorized-access")
_NOT_LET_IN = (LoginRefused, Reach.NO_CONNECTION, "amqp:unauthorized-access")
_HUNG_UP_ON = (BusUnreachable, Reach.NO_CONNECTION, "bus-unreachable")  # and only that can be known


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exchange": "nhntestservicebus"}, {"3.10": _NOT_FOUND, "4.0": _MAY_NOT_WRITE, "4.3": _MAY_NOT_WRITE}),
        ({"address_form": AddressForm.V2}, {"3.10": _NO_SUCH_FORM}),
        ({"address_form": AddressForm.V1}, {"4.3": _NO_SUCH_FORM}),
        ({"username": "readonly"}, {"3.10": _TOLD_AFTERWARDS, "4.0": _MAY_NOT_WRITE, "4.3": _MAY_NOT_WRITE}),
        ({"username": "noperm"}, {"3.10": _NOT_LET_IN, "4.0": _HUNG_UP_ON, "4.3": _HUNG_UP_ON}),
    ],
    ids=["unknown-exchange", "wrong-form", "earlier-form", "write-refused", "no-permission"],
)
def test_a_refusal_is_certain_and_final(
    a_broker: RabbitMq, changes: dict[str, Any], expected: dict[str, tuple[type[KprError], Reach, str]]
) -> None:
    if "username" in changes:
        changes = changes | {"password": Secret(a_broker.password(changes["username"]))}
    outcome = publish(a_broker, reconnect_budget=20.0, **changes)
    if a_broker.behaves_as not in expected:
        assert (outcome.verdict, a_broker.depth(KPR_QUEUE)) == (Verdict.ACCEPTED, 1)
        return
    error, reach, condition = expected[a_broker.behaves_as]
    assert (outcome.verdict, type(outcome.error)) == (Verdict.NOT_SENT, error)
    assert (outcome.reach, outcome.condition) == (reach, condition)
    assert a_broker.depth(KPR_QUEUE) == 0


def test_a_wrong_password_is_final_and_named_although_the_broker_waits_and_hangs_up(a_broker: RabbitMq) -> None:
    with AmqpBus(tls_settings(a_broker, password=Secret("galt"), reconnect_budget=30.0)) as bus:
        began = time.monotonic()
        with pytest.raises(AccessRefused, match="amqp:unauthorized-access"):
            bus.connect()
        assert time.monotonic() - began < 6  # RabbitMQ delays its refusal by three seconds


@pytest.mark.parametrize(
    ("changes", "words"), [({"ca_file": None}, "authority"), ({"host": "127.0.0.2"}, "another host name")]
)
def test_a_certificate_that_is_not_believed(a_broker: RabbitMq, changes: dict[str, Any], words: str) -> None:
    with AmqpBus(tls_settings(a_broker, **changes)) as bus, pytest.raises(AccessRefused, match=words):
        bus.connect()


def test_the_tls_switch_and_the_port_must_agree(a_broker: RabbitMq) -> None:
    for settings in (tls_settings(a_broker, port=a_broker.port), bus_settings(a_broker.tls_port)):
        with AmqpBus(settings) as bus, pytest.raises(ConfigInvalid, match="TLS"):
            bus.connect()


@pytest.mark.parametrize(
    ("changes", "error", "where"),
    [
        ({"receipts_queue": "1_async"}, ConfigInvalid, "bus.receipts_queue 1_async"),
        ({"error_queue": "1_error"}, ConfigInvalid, "bus.error_queue 1_error"),
        ({"receipts_queue": KPR_QUEUE}, AccessRefused, f"bus.receipts_queue {KPR_QUEUE}"),
    ],
    ids=["unknown-receipts", "unknown-errors", "not-ours"],
)
def test_queues_to_read_are_checked_when_connecting(
    a_broker: RabbitMq, changes: dict[str, Any], error: type[KprError], where: str
) -> None:
    with AmqpBus(bus_settings(a_broker.port, **changes)) as bus, pytest.raises(error) as caught:
        bus.connect()
    assert caught.value.where == where


def test_accepted_is_no_proof_of_routing_on_this_broker(rabbitmq: RabbitMq) -> None:
    """RabbitMQ 3.x accepts an unknown routing key and loses the message: *published* is never *delivered*."""
    assert publish(rabbitmq, "1_async").verdict is Verdict.ACCEPTED


def test_a_full_queue_crashes_the_plugin_and_is_honestly_in_doubt(rabbitmq: RabbitMq) -> None:
    outcomes = [publish(rabbitmq, FULL_QUEUE) for _ in range(3)]
    assert [outcome.verdict for outcome in outcomes] == [Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.IN_DOUBT]
    assert isinstance(outcomes[2].error, InDoubt)
    assert rabbitmq.depth(FULL_QUEUE) == 2


def test_a_message_above_the_brokers_limit_is_refused_for_certain(a_broker: RabbitMq) -> None:
    with a_broker.message_limit(100_000):
        outcome = publish(a_broker, body=bytes(200_000))
    assert (outcome.verdict, type(outcome.error)) == (Verdict.NOT_SENT, InputRefused)
    assert a_broker.depth(KPR_QUEUE) == 0


@pytest.mark.parametrize("queue", [RECEIPTS, ERRORS])
def test_a_receipt_is_read_and_settled(a_broker: RabbitMq, queue: str) -> None:
    a_broker.put(queue, receipt("one"))
    with AmqpBus(tls_settings(a_broker)) as bus:
        inbound = receive(bus)
        assert inbound.source is (Source.RECEIPTS if queue == RECEIPTS else Source.ERRORS)
        assert (inbound.message_id, inbound.subject, inbound.content_type) == ("one", "APPREC", CONTENT_TYPE)
        assert inbound.body == b"one"
        bus.settle(inbound)
    assert a_broker.depth(queue) == 0


def test_messages_of_others_are_held_and_every_one_given_back(a_broker: RabbitMq) -> None:
    a_broker.put(RECEIPTS, *[receipt(f"foreign {number}") for number in range(30)], receipt("ours"))
    with AmqpBus(bus_settings(a_broker.port)) as bus:
        while (inbound := receive(bus)).message_id != "ours":
            bus.hold(inbound)
        assert bus.held == 30
        bus.settle(inbound)
    a_broker.wait_for(RECEIPTS, ready=30)
    assert a_broker.consumers(RECEIPTS) == 0


def test_detached_a_held_message_goes_back_and_comes_again(a_broker: RabbitMq) -> None:
    a_broker.put(RECEIPTS, receipt("foreign"))
    with AmqpBus(bus_settings(a_broker.port)) as bus:
        bus.hold(receive(bus))
        bus.detach()
        a_broker.wait_for(RECEIPTS, ready=1)
        assert receive(bus).message_id == "foreign"
        assert bus.held == 0
    a_broker.wait_for(RECEIPTS, ready=1)


def test_a_queue_is_attached_when_it_is_asked_for_and_not_before(a_broker: RabbitMq) -> None:
    a_broker.put(RECEIPTS, receipt("one"))
    with AmqpBus(bus_settings(a_broker.port)) as bus:
        assert bus.receive(0.2, {Source.ERRORS}) is None
        assert (a_broker.consumers(RECEIPTS), a_broker.consumers(ERRORS)) == (0, 1)
        inbound = bus.receive(10, {Source.RECEIPTS})
        assert inbound is not None
        assert bus.settle(inbound)
    a_broker.wait_for(RECEIPTS, ready=0)


def test_g8_what_its_reader_does_not_decide_on_is_on_the_queue_again_in_time(
    a_broker: RabbitMq, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpr_sender.bus.receiver.LONGEST_HOLD", 0.5)
    a_broker.put(RECEIPTS, *(receipt(f"r{number}") for number in range(3)))
    with AmqpBus(bus_settings(a_broker.port)) as bus:
        slow = receive(bus)
        a_broker.wait_for(RECEIPTS, ready=3)
        assert not bus.settle(slow)
        assert [receive(bus).message_id for _ in range(2)] == ["r1", "r2"]
        assert bus.receive(5) is None
        assert [bus.settle(receive(bus)) for _ in range(3)] == [True] * 3
    a_broker.wait_for(RECEIPTS, ready=0)


def test_a_broker_killed_while_we_wait_is_reached_again_and_unsettled_messages_come_again(a_broker: RabbitMq) -> None:
    a_broker.put(RECEIPTS, receipt("one"))
    with AmqpBus(bus_settings(a_broker.port, reconnect_budget=60.0)) as bus:
        first = receive(bus)
        a_broker.kill9()
        a_broker.restart()
        again = receive(bus, 60)
        assert again.message_id == first.message_id == "one"
        bus.settle(first)
        bus.settle(again)
    a_broker.wait_for(RECEIPTS, ready=0)
    assert a_broker.depth(RECEIPTS) == 0


def test_a_queue_deleted_while_we_wait_is_told(a_broker: RabbitMq) -> None:
    with AmqpBus(bus_settings(a_broker.port, reconnect_budget=20.0)) as bus:
        # RabbitMQ 3.10 tells a consumer only from its first credit on, which this shows to have arrived.
        a_broker.put(ERRORS, receipt("one"))
        bus.settle(receive(bus))
        a_broker.delete_queue(ERRORS)
        with pytest.raises(ConfigInvalid, match="amqp:not-found"):
            bus.receive(20)


def test_memory_stays_flat_beside_the_message_itself(a_broker: RabbitMq) -> None:
    body = os.urandom(64_000_000)
    with a_broker.message_limit(134_217_728), AmqpBus(tls_settings(a_broker, **NO_QUEUES)) as bus:
        bus.publish(outbound(bytes(1_000_000)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert bus.publish(outbound(body)).verdict is Verdict.ACCEPTED
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 16 * 1024  # KiB


def test_every_proton_object_is_gone_with_its_thread(a_broker: RabbitMq) -> None:
    """Left to the garbage collector they would be freed on another thread, and crash the process some day."""
    a_broker.put(RECEIPTS, receipt("one"), receipt("two"))
    gc.collect()
    before = proton_objects()
    gc.disable()
    try:
        with AmqpBus(bus_settings(a_broker.port)) as bus:
            bus.publish(outbound())
            bus.settle(receive(bus))
            bus.hold(receive(bus))
        with AmqpBus(bus_settings(a_broker.port, password=Secret("galt"))) as bus:
            bus.publish(outbound())
        assert proton_objects() == before
    finally:
        gc.enable()


def proton_objects() -> int:
    return sum(str(type(one).__module__).startswith("proton") for one in gc.get_objects())


def test_callers_on_many_threads_do_no_harm(a_broker: RabbitMq) -> None:
    verdicts: list[Verdict] = []
    with AmqpBus(tls_settings(a_broker)) as bus:

        def send(thread: int) -> None:
            verdicts.extend(bus.publish(outbound(message_id=f"{thread}-{one}")).verdict for one in range(50))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert verdicts == [Verdict.ACCEPTED] * 200
    assert a_broker.depth(KPR_QUEUE) == 200

"""The bus against a real RabbitMQ 3.10 with its AMQP 1.0 plugin: what NHN's broker is made of."""

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
from kpr_sender.errors import AccessRefused, ConfigInvalid, InDoubt, InputRefused, KprError
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
    rabbitmq: RabbitMq, settings: Callable[..., Any]
) -> None:
    body = os.urandom(3_000_000)
    with AmqpBus(settings(rabbitmq if settings is tls_settings else rabbitmq.port)) as bus:
        outcome = bus.publish(outbound(body))
    assert (outcome.verdict, outcome.reach) == (Verdict.ACCEPTED, Reach.OUTCOME)
    taken = rabbitmq.get(KPR_QUEUE)
    assert taken is not None
    expected = outbound(body)
    assert taken.body == body
    assert taken.data_section
    assert taken.durable
    assert (taken.message_id, taken.correlation_id) == (expected.message_id, expected.message_id)
    assert (taken.to, taken.subject, taken.reply_to) == (KPR_QUEUE, "KPR_IPL", RECEIPTS)
    assert (taken.content_type, taken.content_encoding, taken.user_id) == (CONTENT_TYPE, None, b"")
    assert taken.properties == {"fromHerId": str(KOMMUNE_HER_ID), "toHerId": str(KPR_HER_ID)}


def test_an_accepted_message_survives_the_brokers_death(rabbitmq: RabbitMq) -> None:
    assert publish(rabbitmq).verdict is Verdict.ACCEPTED
    rabbitmq.kill9()
    rabbitmq.restart()
    assert rabbitmq.depth(KPR_QUEUE) == 1


@pytest.mark.parametrize(
    ("changes", "queue", "error", "reach", "condition"),
    [
        ({"exchange": "nhntestservicebus"}, KPR_QUEUE, ConfigInvalid, Reach.NOT_BEGUN, "amqp:not-found"),
        ({"address_form": AddressForm.V2}, KPR_QUEUE, ConfigInvalid, Reach.NOT_BEGUN, "amqp:invalid-field"),
        ({"username": "readonly"}, KPR_QUEUE, AccessRefused, Reach.OUTCOME, "amqp:unauthorized-access"),
        ({"username": "noperm"}, KPR_QUEUE, AccessRefused, Reach.NO_CONNECTION, "amqp:unauthorized-access"),
    ],
    ids=["unknown-exchange", "wrong-form", "write-refused", "no-permission"],
)
def test_a_refusal_is_certain_and_final(
    rabbitmq: RabbitMq, changes: dict[str, Any], queue: str, error: type[KprError], reach: Reach, condition: str
) -> None:
    if "username" in changes:
        changes = changes | {"password": Secret(rabbitmq.password(changes["username"]))}
    outcome = publish(rabbitmq, queue, reconnect_budget=20.0, **changes)
    assert (outcome.verdict, type(outcome.error)) == (Verdict.NOT_SENT, error)
    assert (outcome.reach, outcome.condition) == (reach, condition)
    assert rabbitmq.depth(KPR_QUEUE) == 0


def test_a_wrong_password_is_final_and_named_although_the_broker_waits_and_hangs_up(rabbitmq: RabbitMq) -> None:
    with AmqpBus(tls_settings(rabbitmq, password=Secret("galt"), reconnect_budget=30.0)) as bus:
        began = time.monotonic()
        with pytest.raises(AccessRefused, match="amqp:unauthorized-access"):
            bus.connect()
        assert time.monotonic() - began < 6  # RabbitMQ delays its refusal by three seconds


@pytest.mark.parametrize(
    ("changes", "words"), [({"ca_file": None}, "authority"), ({"host": "127.0.0.2"}, "another host name")]
)
def test_a_certificate_that_is_not_believed(rabbitmq: RabbitMq, changes: dict[str, Any], words: str) -> None:
    with AmqpBus(tls_settings(rabbitmq, **changes)) as bus, pytest.raises(AccessRefused, match=words):
        bus.connect()


def test_the_tls_switch_and_the_port_must_agree(rabbitmq: RabbitMq) -> None:
    for settings in (tls_settings(rabbitmq, port=rabbitmq.port), bus_settings(rabbitmq.tls_port)):
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
    rabbitmq: RabbitMq, changes: dict[str, Any], error: type[KprError], where: str
) -> None:
    with AmqpBus(bus_settings(rabbitmq.port, **changes)) as bus, pytest.raises(error) as caught:
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


def test_a_message_above_the_brokers_limit_is_refused_for_certain(rabbitmq: RabbitMq) -> None:
    rabbitmq.evaluate("application:set_env(rabbit, max_message_size, 100000)")
    try:
        outcome = publish(rabbitmq, body=bytes(200_000))
    finally:
        rabbitmq.evaluate("application:set_env(rabbit, max_message_size, 134217728)")
    assert (outcome.verdict, type(outcome.error)) == (Verdict.NOT_SENT, InputRefused)
    assert rabbitmq.depth(KPR_QUEUE) == 0


@pytest.mark.parametrize("queue", [RECEIPTS, ERRORS])
def test_a_receipt_is_read_and_settled(rabbitmq: RabbitMq, queue: str) -> None:
    rabbitmq.put(queue, receipt("one"))
    with AmqpBus(tls_settings(rabbitmq)) as bus:
        inbound = receive(bus)
        assert inbound.source is (Source.RECEIPTS if queue == RECEIPTS else Source.ERRORS)
        assert (inbound.message_id, inbound.subject, inbound.content_type) == ("one", "APPREC", CONTENT_TYPE)
        assert inbound.body == b"one"
        bus.settle(inbound)
    assert rabbitmq.depth(queue) == 0


def test_messages_of_others_are_held_and_every_one_given_back(rabbitmq: RabbitMq) -> None:
    rabbitmq.put(RECEIPTS, *[receipt(f"foreign {number}") for number in range(30)], receipt("ours"))
    with AmqpBus(bus_settings(rabbitmq.port)) as bus:
        while (inbound := receive(bus)).message_id != "ours":
            bus.hold(inbound)
        assert bus.held == 30
        bus.settle(inbound)
    rabbitmq.wait_for(RECEIPTS, ready=30)
    assert rabbitmq.consumers(RECEIPTS) == 0


def test_detached_a_held_message_goes_back_and_comes_again(rabbitmq: RabbitMq) -> None:
    rabbitmq.put(RECEIPTS, receipt("foreign"))
    with AmqpBus(bus_settings(rabbitmq.port)) as bus:
        bus.hold(receive(bus))
        bus.detach()
        rabbitmq.wait_for(RECEIPTS, ready=1)
        assert receive(bus).message_id == "foreign"
        assert bus.held == 0
    rabbitmq.wait_for(RECEIPTS, ready=1)


def test_a_broker_killed_while_we_wait_is_reached_again_and_unsettled_messages_come_again(rabbitmq: RabbitMq) -> None:
    rabbitmq.put(RECEIPTS, receipt("one"))
    with AmqpBus(bus_settings(rabbitmq.port, reconnect_budget=60.0)) as bus:
        first = receive(bus)
        rabbitmq.kill9()
        rabbitmq.restart()
        again = receive(bus, 60)
        assert again.message_id == first.message_id == "one"
        bus.settle(first)
        bus.settle(again)
    rabbitmq.wait_for(RECEIPTS, ready=0)
    assert rabbitmq.depth(RECEIPTS) == 0


def test_a_queue_deleted_while_we_wait_is_told(rabbitmq: RabbitMq) -> None:
    with AmqpBus(bus_settings(rabbitmq.port, reconnect_budget=20.0)) as bus:
        # RabbitMQ 3.10 tells a consumer only from its first credit on, which this shows to have arrived.
        rabbitmq.put(ERRORS, receipt("one"))
        bus.settle(receive(bus))
        rabbitmq.delete_queue(ERRORS)
        with pytest.raises(ConfigInvalid, match="amqp:not-found"):
            bus.receive(20)


def test_memory_stays_flat_beside_the_message_itself(rabbitmq: RabbitMq) -> None:
    body = os.urandom(64_000_000)
    with AmqpBus(tls_settings(rabbitmq, **NO_QUEUES)) as bus:
        bus.publish(outbound(bytes(1_000_000)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert bus.publish(outbound(body)).verdict is Verdict.ACCEPTED
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 16 * 1024  # KiB


def test_every_proton_object_is_gone_with_its_thread(rabbitmq: RabbitMq) -> None:
    """Left to the garbage collector they would be freed on another thread, and crash the process some day."""
    rabbitmq.put(RECEIPTS, receipt("one"), receipt("two"))
    gc.collect()
    before = proton_objects()
    gc.disable()
    try:
        with AmqpBus(bus_settings(rabbitmq.port)) as bus:
            bus.publish(outbound())
            bus.settle(receive(bus))
            bus.hold(receive(bus))
        with AmqpBus(bus_settings(rabbitmq.port, password=Secret("galt"))) as bus:
            bus.publish(outbound())
        assert proton_objects() == before
    finally:
        gc.enable()


def proton_objects() -> int:
    return sum(str(type(one).__module__).startswith("proton") for one in gc.get_objects())


def test_callers_on_many_threads_do_no_harm(rabbitmq: RabbitMq) -> None:
    verdicts: list[Verdict] = []
    with AmqpBus(tls_settings(rabbitmq)) as bus:

        def send(thread: int) -> None:
            verdicts.extend(bus.publish(outbound(message_id=f"{thread}-{one}")).verdict for one in range(50))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert verdicts == [Verdict.ACCEPTED] * 200
    assert rabbitmq.depth(KPR_QUEUE) == 200

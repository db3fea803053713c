"""Brokers that refuse, hold back or throw away: what we say of each message is what the broker has (G1)."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Outcome, Reach, Verdict
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, InDoubt, InputRefused
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.values import AddressForm
from tests.helpers.bus_settings import ERRORS, KPR_QUEUE, NO_QUEUES, RECEIPTS, bus_settings, outbound
from tests.helpers.rabbitmq import KPR_HER_ID, RabbitMq
from tests.proofs.brokers.reckoning import on_broker, reckon

ACCEPTED, NOT_SENT, IN_DOUBT = Verdict.ACCEPTED, Verdict.NOT_SENT, Verdict.IN_DOUBT
SPECIAL = f"{KPR_HER_ID}_special"
DEAD = f"{KPR_HER_ID}_dead"
TO_DEAD = {"x_dead_letter_exchange": "", "x_dead_letter_routing_key": DEAD}


def sender(node: RabbitMq, **changes: Any) -> AmqpBus:
    return AmqpBus(bus_settings(node.port, **changes, **NO_QUEUES))


def send(bus: AmqpBus, *names: str, queue: str = KPR_QUEUE, body: bytes = b"sealed") -> dict[str, Outcome]:
    return {name: bus.publish(outbound(body, queue=queue, message_id=name)) for name in names}


def verdicts(said: dict[str, Outcome]) -> list[Verdict]:
    return [outcome.verdict for outcome in said.values()]


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_full_queue(broker: RabbitMq, kind: str) -> None:
    """RabbitMQ 3.10's plugin crashes where a queue refuses, and says nothing: in doubt. 4.0 says rejected: not sent."""
    fits = 2 if kind == "classic" else 3  # a quorum queue notices one message later
    broker.declare_queue(SPECIAL, x_queue_type=kind, x_max_length=2, x_overflow="reject-publish")
    try:
        with sender(broker) as bus:
            said = send(bus, *"abcd"[: fits + 1], queue=SPECIAL)
        arrived = on_broker(broker, SPECIAL)
    finally:
        broker.delete_queue(SPECIAL)
    reckon(broker, said, arrived)
    *before, last = said.values()
    assert [outcome.verdict for outcome in before] == [ACCEPTED] * fits
    assert (last.verdict, type(last.error)) == {3: (IN_DOUBT, InDoubt), 4: (NOT_SENT, BusUnreachable)}[broker.major]


def test_a_queue_that_is_unknown_or_deleted_while_we_are_attached(broker: RabbitMq) -> None:
    """3.10 accepts and loses it: *published* is never *delivered*. 4.0 gives it back: an error of configuration."""
    broker.declare_queue(SPECIAL)
    with sender(broker) as bus:
        before = send(bus, "before", queue=SPECIAL)
        reckon(broker, before, on_broker(broker, SPECIAL))
        broker.delete_queue(SPECIAL)
        said = send(bus, "deleted", queue=SPECIAL) | send(bus, "unknown", queue="1_async")
    reckon(broker, said, Counter(), dropped=broker.major == 3)
    expected = {3: (ACCEPTED, type(None)), 4: (NOT_SENT, ConfigInvalid)}[broker.major]
    told = {name: (outcome.verdict, type(outcome.error)) for name, outcome in said.items()}
    assert told == dict.fromkeys(said, expected), said


def test_one_queue_after_the_other_on_one_connection(broker4: RabbitMq) -> None:
    """RabbitMQ 4.0 loses a session begun under the number of one just ended, in 5 of 100 cases: none is ended."""
    with sender(broker4, publish_timeout=3.0) as bus:
        for _ in range(30):
            assert verdicts(send(bus, "one") | send(bus, "other", queue=RECEIPTS)) == [ACCEPTED] * 2


def test_our_queue_deleted_while_we_wait_is_told(broker: RabbitMq) -> None:
    with AmqpBus(bus_settings(broker.port, reconnect_budget=20.0)) as bus:
        # RabbitMQ 3.10 tells a consumer only from its first credit on, which this shows to have arrived.
        send(bus, "one", queue=ERRORS)
        assert bus.receive(10) is not None
        broker.delete_queue(ERRORS)
        with pytest.raises(ConfigInvalid, match="amqp:not-found") as caught:
            bus.receive(20)
    assert caught.value.where == f"bus.error_queue {ERRORS}"


def test_a_permission_revoked_while_we_are_connected(broker: RabbitMq) -> None:
    """Each broker goes on with the link it let in; the next link is refused, and that nothing was sent is certain."""
    with sender(broker) as attached, sender(broker) as connected:
        said = send(attached, "before")
        connected.connect()
        with broker.without_permissions("kommune"):
            said |= send(attached, "attached") | send(connected, "connected")
        assert isinstance(said["connected"].error, AccessRefused)
        assert (said["before"].verdict, said["connected"].verdict) == (ACCEPTED, NOT_SENT)
        said |= send(connected, "after")
        assert said["after"].verdict is ACCEPTED
    reckon(broker, said, on_broker(broker, KPR_QUEUE))


def test_a_user_deleted_while_we_are_connected(broker: RabbitMq) -> None:
    """4.0 ends the connection at once, 3.10 sooner or later; what comes after is no reason to try for ever."""
    user = '<<"leaver">>, '
    broker.evaluate(f'rabbit_auth_backend_internal:add_user({user}<<"leaver">>, <<"test">>)')
    broker.evaluate(
        f'rabbit_auth_backend_internal:set_permissions({user}<<"/">>, <<"^$">>, <<".*">>, <<".*">>, <<"test">>)'
    )
    with sender(broker, username="leaver", password=Secret("leaver"), reconnect_budget=30.0) as bus:
        said = send(bus, "before")
        broker.evaluate(f'rabbit_auth_backend_internal:delete_user({user}<<"test">>)')
        said |= send(bus, "deleted", "again")
    reckon(broker, said, on_broker(broker, KPR_QUEUE))
    assert isinstance(said["again"].error, AccessRefused) or broker.major == 3


def test_a_broker_without_memory_holds_us_back_for_a_bounded_time_and_goes_on_after(broker: RabbitMq) -> None:
    """4.0 closes its window: nothing leaves. 3.10's plugin takes messages all the same, measured on 3.10.8."""
    with sender(broker, publish_timeout=1.5) as old, sender(broker, publish_timeout=1.5) as new:
        said = send(old, "before")
        with broker.memory_alarm():
            began = time.monotonic()
            held_back = send(old, "small") | send(new, "large", body=bytes(12_000_000))
            assert time.monotonic() - began < 6
        said |= send(old, "after") | send(new, "after too")
    expected = {3: ACCEPTED, 4: NOT_SENT}[broker.major]
    assert verdicts(held_back) == [expected] * 2
    if expected is NOT_SENT:
        assert {type(outcome.error) for outcome in held_back.values()} == {BusUnreachable}
        assert [outcome.bytes_handed_over for outcome in held_back.values()] == [0, 0]
    assert verdicts(said) == [ACCEPTED] * 3
    # What a verdict said is looked at when the broker has read all that was sent to it.
    broker.wait_until("rabbit_networking:local_connections() =:= []")
    reckon(broker, said | held_back, on_broker(broker, KPR_QUEUE))


def test_receipts_are_read_while_the_broker_holds_senders_back(broker: RabbitMq) -> None:
    with sender(broker) as bus:
        send(bus, "receipt", queue=RECEIPTS)
    with broker.memory_alarm(), AmqpBus(bus_settings(broker.port)) as bus:
        inbound = bus.receive(10)
        assert inbound is not None
        bus.settle(inbound)
    assert broker.depth(RECEIPTS) == 0


def test_many_messages_of_others_are_held_and_every_one_given_back(broker: RabbitMq) -> None:
    """RabbitMQ 4 counts a link's deliveries from -5: credit asked for before it says so is five too much (G4)."""
    with sender(broker) as bus:
        send(bus, *(f"foreign {number}" for number in range(30)), "ours", queue=RECEIPTS)
    with AmqpBus(bus_settings(broker.port)) as bus:
        came = []
        for _ in range(31):
            inbound = bus.receive(10)
            assert inbound is not None
            came.append(inbound.message_id)
            (bus.settle if inbound.message_id == "ours" else bus.hold)(inbound)
        assert (came[-1], bus.held) == ("ours", 30)
    broker.wait_for(RECEIPTS, ready=30)


@pytest.mark.parametrize(
    "limit",
    [{"x_message_ttl": 1}, {"x_max_length": 1, "x_overflow": "drop-head"}],
    ids=["expired", "pushed-out"],
)
def test_what_leaves_the_receivers_queue_unread_was_sent_all_the_same(broker: RabbitMq, limit: dict[str, Any]) -> None:
    """Expired or pushed out into the dead-letter queue: accepted stays accepted, and only a receipt says delivered."""
    broker.declare_queue(DEAD)
    broker.declare_queue(SPECIAL, **limit, **TO_DEAD)
    try:
        with sender(broker) as bus:
            said = send(bus, "first", "second", queue=SPECIAL)
        broker.wait_for(DEAD, ready=1 if "x_max_length" in limit else 2)
        arrived = on_broker(broker, DEAD, SPECIAL)
    finally:
        broker.delete_queue(SPECIAL)
        broker.delete_queue(DEAD)
    reckon(broker, said, arrived)
    assert verdicts(said) == [ACCEPTED] * 2


def test_a_message_above_the_announced_limit_never_leaves(broker4: RabbitMq) -> None:
    """RabbitMQ 4 takes 16 MiB unless its operator says otherwise, and announces it; 3.10 announces nothing."""
    with sender(broker4) as bus:
        said = send(bus, "large", body=bytes(17_000_000))
    assert (said["large"].reach, said["large"].bytes_handed_over) == (Reach.NOT_BEGUN, 0)
    assert isinstance(said["large"].error, InputRefused)
    reckon(broker4, said, on_broker(broker4, KPR_QUEUE))


def test_a_login_without_any_permission_is_hung_up_on_and_the_person_told_what_that_may_mean(
    broker4: RabbitMq,
) -> None:
    """RabbitMQ 4.0 takes the login, waits three seconds and hangs up without a word."""
    settings = {"username": "noperm", "password": Secret(broker4.password("noperm"))}
    with sender(broker4, **settings) as bus:
        said = send(bus, "refused")
    assert said["refused"].verdict is NOT_SENT
    assert "permission" in str(said["refused"].error)


@pytest.mark.parametrize("form", [AddressForm.AUTO, AddressForm.V1, AddressForm.V2])
def test_the_address_form_on_rabbitmq_4(broker4: RabbitMq, form: AddressForm) -> None:
    with AmqpBus(bus_settings(broker4.port, address_form=form)) as bus:
        if form is AddressForm.V1 and broker4.behaves_as == "4.3":  # which denies it
            with pytest.raises(ConfigInvalid, match="amqp:invalid-field"):
                bus.connect()
            return
        said = send(bus, "one")
        broker4.drain(ERRORS)
        said_to_us = send(bus, "receipt", queue=RECEIPTS)
        inbound = bus.receive(10)
        assert inbound is not None
        bus.settle(inbound)
    reckon(broker4, said, on_broker(broker4, KPR_QUEUE))
    assert verdicts(said | said_to_us) == [ACCEPTED] * 2

from __future__ import annotations

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.codec import form_for, other_form, receive_address, send_address
from kpr_sender.bus.probe import Probe
from kpr_sender.bus.proton_engine import Message
from kpr_sender.settings.values import AddressForm
from tests.helpers.bus_settings import ERRORS, RECEIPTS, bus_settings
from tests.helpers.rabbitmq import RabbitMq

V1, V2, AUTO = AddressForm.V1, AddressForm.V2, AddressForm.AUTO


@pytest.mark.parametrize(
    ("setting", "version", "form"),
    [
        (AUTO, "3.10.8", V1),
        (AUTO, "3.13.0", V1),
        (AUTO, "4.0.5", V2),
        (AUTO, "10.1", V2),
        (AUTO, "", V1),
        (AUTO, "unknown", V1),
        (V1, "4.0.5", V1),
        (V2, "3.10.8", V2),
    ],
)
def test_the_form_follows_the_brokers_version_unless_the_setting_says_otherwise(
    setting: AddressForm, version: str, form: AddressForm
) -> None:
    assert form_for(setting, version) is form


@pytest.mark.parametrize(
    ("exchange", "queue", "form", "send", "receive"),
    [
        ("NHNTESTServiceBus", "1_async", V1, "/exchange/NHNTESTServiceBus/1_async", "/amq/queue/1_async"),
        ("NHNTESTServiceBus", "1_async", V2, "/exchanges/NHNTESTServiceBus/1_async", "/queues/1_async"),
        ("", "1_async", V1, "/amq/queue/1_async", "/amq/queue/1_async"),
        ("", "1_async", V2, "/queues/1_async", "/queues/1_async"),
        ("a/b c", "kø%1", V2, "/exchanges/a%2Fb%20c/k%C3%B8%251", "/queues/k%C3%B8%251"),
    ],
)
def test_addresses(exchange: str, queue: str, form: AddressForm, send: str, receive: str) -> None:
    assert send_address(exchange, queue, form) == send
    assert receive_address(queue, form) == receive


@pytest.mark.parametrize(
    "configured",
    ["1_async", "/queue/1_async", "/amq/queue/1_async", "/queues/1_async", "tb.nhn.no/NHNPRODServiceBus/1_async"],
)
def test_a_whole_address_is_read_from_as_the_queue_it_names(configured: str) -> None:
    assert receive_address(configured, V1) == "/amq/queue/1_async"
    assert receive_address(configured, V2) == "/queues/1_async"


def test_a_v2_address_is_percent_encoded_once() -> None:
    assert receive_address("/queues/k%C3%B8%251", V1) == "/amq/queue/kø%1"
    assert receive_address("/queues/k%C3%B8%251", V2) == "/queues/k%C3%B8%251"


def test_there_are_two_forms() -> None:
    assert (other_form(V1), other_form(V2)) == (V2, V1)


def read_at_whole_addresses(broker: RabbitMq, receipts: str, errors: str) -> None:
    """Read one message from each of our queues, and let doctor's probe attach to them."""
    for queue in (RECEIPTS, ERRORS):
        broker.put(queue, Message(id=queue, subject="APPREC", body=b"x", inferred=True))
    settings = bus_settings(broker.port, receipts_queue=receipts, error_queue=errors)
    with AmqpBus(settings) as bus:
        for _ in range(2):
            inbound = bus.receive(10)
            assert inbound is not None
            bus.settle(inbound)
    assert (broker.depth(RECEIPTS), broker.depth(ERRORS)) == (0, 0)
    probe = Probe(settings)
    probe.reads(receipts, "bus.receipts_queue")
    probe.reads(errors, "bus.error_queue")
    probe.close()


WHOLE = [
    (f"/queue/{RECEIPTS}", f"/amq/queue/{ERRORS}"),
    (f"/queues/{RECEIPTS}", f"tb.nhn.no/NHNPRODServiceBus/{ERRORS}"),
]


@pytest.mark.parametrize(("receipts", "errors"), WHOLE, ids=["v1", "v2"])
def test_whole_addresses_at_rabbitmq_3(rabbitmq: RabbitMq, receipts: str, errors: str) -> None:
    read_at_whole_addresses(rabbitmq, receipts, errors)


@pytest.mark.parametrize(("receipts", "errors"), WHOLE, ids=["v1", "v2"])
def test_whole_addresses_at_rabbitmq_4(broker4: RabbitMq, receipts: str, errors: str) -> None:
    read_at_whole_addresses(broker4, receipts, errors)

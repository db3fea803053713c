"""The main job against a real RabbitMQ: the real command on one side, FHI's keys on the other; the broker counts."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from kpr_sender.bus.port import Outbound
from kpr_sender.bus.proton_engine import Message
from kpr_sender.model import Envelope
from tests.helpers.command import Ran, ended, kpr_send, start_anew
from tests.helpers.fhi import Fhi
from tests.helpers.municipality import Municipality, municipality
from tests.helpers.rabbitmq import EXCHANGE, KOMMUNE_HER_ID, KPR_HER_ID, RabbitMq, Taken
from tests.helpers.schemas import assert_valid, kpr_schema

KPR_QUEUE = f"{KPR_HER_ID}_async"
RECEIPTS = f"{KOMMUNE_HER_ID}_async"


def kommune_on(rabbitmq: RabbitMq, folder: Path, *, tls: bool, **bus_settings: object) -> Municipality:
    made = municipality(folder)
    (folder / "bus-password").write_text(rabbitmq.password("kommune"), encoding="ascii")
    bus: dict[str, object] = {"tls": tls, "exchange": EXCHANGE, "username": "kommune"}
    bus |= bus_settings
    if tls:
        bus["ca_file"] = str(rabbitmq.ca_file)
    changes: dict[str, dict[str, object]] = {"sender": {"service_her_id": KOMMUNE_HER_ID}, "bus": bus}
    made.configure(changes, port=rabbitmq.tls_port if tls else rabbitmq.port)
    return made


def taken(rabbitmq: RabbitMq) -> Taken:
    found = rabbitmq.get(KPR_QUEUE)
    assert found is not None
    return found


def as_sent(found: Taken) -> Outbound:
    """What was taken off the broker, as the engine made it."""
    properties = {key: str(value) for key, value in found.properties.items()}
    envelope = Envelope(
        found.to or "",
        found.subject or "",
        found.reply_to or "",
        str(found.correlation_id),
        found.content_type or "",
        properties,
    )
    return Outbound(str(found.message_id), envelope, found.body)


def answer(rabbitmq: RabbitMq, fhi: Fhi, message: Outbound, status: str = "1") -> None:
    inbound = fhi.answer(message, status)[0]
    rabbitmq.put(
        message.envelope.reply_to,
        Message(
            inbound.body,
            inferred=True,
            durable=True,
            id=str(uuid.uuid4()),
            correlation_id=inbound.correlation_id,
            subject="APPREC",
            content_type=inbound.content_type,
            properties=dict(inbound.properties),
        ),
    )


def send(kommune: Municipality, *arguments: str) -> Ran:
    return kpr_send("--env", "lokal", "--config", kommune.config, "--json", "send", *arguments)


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_two_files_in_two_verified_receipts_out(a_broker: RabbitMq, tmp_path: Path, *, tls: bool) -> None:
    kommune = kommune_on(a_broker, tmp_path, tls=tls)
    fhi = Fhi(kommune.pki)
    process = start_anew("--env", "lokal", "--config", kommune.config, "--json", "send", "--wait", "60s")
    try:
        a_broker.wait_for(KPR_QUEUE, ready=2, seconds=30)
        found = [taken(a_broker), taken(a_broker)]
        for one in found:
            message = as_sent(one)
            assert one.durable
            assert one.data_section
            assert (one.to, one.reply_to) == (KPR_QUEUE, RECEIPTS)
            assert one.content_type == "application/pkcs7-mime; smime-type=signed-and-enveloped-data"
            assert (one.properties["fromHerId"], one.properties["toHerId"]) == (str(KOMMUNE_HER_ID), str(KPR_HER_ID))
            assert not [key for key in one.properties if key.startswith("X-")], "no clear-text metadata"
            assert_valid(kpr_schema(), fhi.opened(message))
            answer(a_broker, fhi, message)
    finally:
        ran = ended(process)
    assert ran.code == 0, ran.err
    assert [one.subject for one in found] == ["KPR_IPL", "KPR_IDE"]
    assert {shipment["message_id"] for shipment in ran.json()["shipments"]} == {str(one.message_id) for one in found}
    again = send(kommune)
    assert again.code == 0, again.err
    assert (a_broker.depth(KPR_QUEUE), a_broker.depth(RECEIPTS)) == (0, 0), "counted on the broker"


def test_foreign_messages_in_front_are_given_back_untouched(a_broker: RabbitMq, tmp_path: Path) -> None:
    kommune = kommune_on(a_broker, tmp_path, tls=True)
    fhi = Fhi(kommune.pki)
    foreign = [Message(b"for another system", inferred=True, id=f"foreign-{n}", subject="DIALOG") for n in range(40)]
    a_broker.put(RECEIPTS, *foreign)
    first = send(kommune, "--wait", "0s")
    assert first.code == 80, first.err
    for status in ("1", "2"):
        answer(a_broker, fhi, as_sent(taken(a_broker)), status)
    # The first look found messages of others, so that the next one comes only after a minute (HITS 1216: ten reads).
    look = ("--look-anyway", "--reason", "their owner is asked", "--by", "a person")
    waited = kpr_send("--env", "lokal", "--config", kommune.config, "--json", "wait", "--wait", "0s", *look)
    assert waited.code == 82, waited.err
    assert [shipment["state"] for shipment in waited.json()["shipments"]] == ["delivered", "rejected"]
    a_broker.wait_for(RECEIPTS, ready=40)
    left = {str(one.message_id) for one in iter(lambda: a_broker.get(RECEIPTS), None)}
    assert left == {f"foreign-{n}" for n in range(40)}


def test_the_broker_killed_and_back_loses_and_doubles_nothing(a_broker: RabbitMq, tmp_path: Path) -> None:
    kommune = kommune_on(a_broker, tmp_path, tls=False)
    a_broker.kill9()
    down = send(kommune, "--wait", "1s")
    assert down.code == 69, down.err
    a_broker.restart()
    killed_and_back(a_broker, kommune)


def killed_and_back(rabbitmq: RabbitMq, kommune: Municipality) -> None:
    """Kill the broker once both are published, and see both delivered nonetheless; the broker counts."""
    fhi = Fhi(kommune.pki)
    process = start_anew("--env", "lokal", "--config", kommune.config, "--json", "send", "--wait", "60s")
    try:
        rabbitmq.wait_for(KPR_QUEUE, ready=2, seconds=30)
        rabbitmq.kill9()
        rabbitmq.restart()
        rabbitmq.wait_for(KPR_QUEUE, ready=2, seconds=30)
        for _ in range(2):
            answer(rabbitmq, fhi, as_sent(taken(rabbitmq)))
    finally:
        ran = ended(process)
    assert ran.code == 0, ran.err
    assert rabbitmq.depth(KPR_QUEUE) == 0

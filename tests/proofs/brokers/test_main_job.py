"""The main job by the real command where the broker is RabbitMQ 4.0, and what a person sees when a broker fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.command import ended, kpr_send, start_anew, until
from tests.helpers.fhi import Fhi
from tests.helpers.municipality import Municipality
from tests.helpers.rabbitmq import RabbitMq
from tests.proofs.brokers.reckoning import on_broker
from tests.proofs.e2e.test_rabbitmq import (
    KPR_QUEUE,
    RECEIPTS,
    answer,
    as_sent,
    killed_and_back,
    kommune_on,
    send,
    taken,
)


@pytest.fixture
def receivers_queue(broker: RabbitMq) -> Iterator[RabbitMq]:
    """KPR's queue may be declared anew here; it is as before afterwards."""
    broker.delete_queue(KPR_QUEUE)
    yield broker
    broker.delete_queue(KPR_QUEUE)


def states(ran_json: dict[str, list[dict[str, str]]]) -> list[str]:
    return [shipment["state"] for shipment in ran_json["shipments"]]


def deliver(node: RabbitMq, kommune: Municipality) -> None:
    """Send, answer, and see both delivered; the broker counts."""
    fhi = Fhi(kommune.pki)
    process = start_anew("--env", "lokal", "--config", kommune.config, "--json", "send", "--wait", "60s")
    try:
        node.wait_for(KPR_QUEUE, ready=2, seconds=30)
        for _ in range(2):
            answer(node, fhi, as_sent(taken(node)))
    finally:
        ran = ended(process)
    assert ran.code == 0, ran.err
    assert states(ran.json()) == ["delivered", "delivered"]
    # A quorum queue's counts lag behind.
    until(lambda: (node.depth(KPR_QUEUE), node.depth(RECEIPTS)) == (0, 0))


@pytest.mark.parametrize(
    ("form", "tls", "kind"),
    [("auto", True, "classic"), ("v1", False, "classic"), ("auto", False, "quorum")],
    ids=["auto-tls", "v1-plain", "auto-plain-quorum"],
)
def test_two_files_in_two_verified_receipts_out_on_rabbitmq_4(
    broker4: RabbitMq, tmp_path: Path, *, form: str, tls: bool, kind: str
) -> None:
    kommune = kommune_on(broker4, tmp_path, tls=tls, address_form=form)
    if form == "v1" and broker4.behaves_as == "4.3":  # which denies it
        ran = send(kommune, "--wait", "0s")
        assert (ran.code, states(ran.json())) == (78, ["sealed", "sealed"]), ran.err
        return
    broker4.delete_queue(KPR_QUEUE)
    broker4.declare_queue(KPR_QUEUE, x_queue_type=kind)
    try:
        deliver(broker4, kommune)
    finally:
        broker4.delete_queue(KPR_QUEUE)


def test_two_files_in_two_verified_receipts_out_on_rabbitmq_43(rabbitmq43: RabbitMq, tmp_path: Path) -> None:
    deliver(rabbitmq43, kommune_on(rabbitmq43, tmp_path, tls=True))


def test_rabbitmq_4_killed_and_back_loses_and_doubles_nothing(broker4: RabbitMq, tmp_path: Path) -> None:
    killed_and_back(broker4, kommune_on(broker4, tmp_path, tls=False))


def test_messages_that_expire_unread_stay_published_and_may_not_go_again(
    receivers_queue: RabbitMq, tmp_path: Path
) -> None:
    """Nobody tells us: published, then overdue with this as a cause, and never a second transfer by itself (G1)."""
    receivers_queue.declare_queue(KPR_QUEUE, x_message_ttl=1)
    kommune = kommune_on(receivers_queue, tmp_path, tls=False)
    config = kommune.config.read_text("utf-8")
    for overdue_after, wait, code in (("24h", "0s", 80), ("1s", "2s", 84)):
        kommune.config.write_text(config.replace("[report]", f'[report]\noverdue_after = "{overdue_after}"'), "utf-8")
        ran = send(kommune, "--wait", wait)
        assert ran.code == code, ran.err
        assert states(ran.json()) == ["published", "published"]
        assert [shipment["attempts"] for shipment in ran.json()["shipments"]] == [1, 1]
    assert "expires or is pushed out of the receiver's queue" in ran.err
    assert receivers_queue.depth(KPR_QUEUE) == 0


def test_a_missing_receivers_queue(receivers_queue: RabbitMq, tmp_path: Path) -> None:
    """3.10 accepts and loses it, so that only the missing receipt tells. 4.0: an error of configuration, then sent."""
    kommune = kommune_on(receivers_queue, tmp_path, tls=False)
    ran = send(kommune, "--wait", "0s")
    expected = {3: (80, ["published", "published"]), 4: (78, ["sealed", "sealed"])}[receivers_queue.major]
    assert (ran.code, states(ran.json())) == expected, ran.err
    receivers_queue.declare_queue(KPR_QUEUE)
    assert send(kommune, "--wait", "0s").code == 80
    arrived = on_broker(receivers_queue, KPR_QUEUE)
    assert sorted(arrived.values()) == {3: [], 4: [1, 1]}[receivers_queue.major]


def test_a_broker_without_memory_is_no_danger(broker4: RabbitMq, tmp_path: Path) -> None:
    kommune = kommune_on(broker4, tmp_path, tls=False, publish_timeout="1s")
    with broker4.memory_alarm():
        ran = send(kommune, "--wait", "0s")
        assert (ran.code, states(ran.json())) == (69, ["sealed", "sealed"]), ran.err
    ran = send(kommune, "--wait", "0s")
    assert (ran.code, states(ran.json())) == (80, ["published", "published"]), ran.err
    assert sorted(on_broker(broker4, KPR_QUEUE).values()) == [1, 1]


def test_a_full_queue_on_rabbitmq_4_is_sent_when_there_is_room(broker4: RabbitMq, tmp_path: Path) -> None:
    kommune = kommune_on(broker4, tmp_path, tls=False)
    broker4.delete_queue(KPR_QUEUE)
    broker4.declare_queue(KPR_QUEUE, x_max_length=1, x_overflow="reject-publish")
    try:
        ran = send(kommune, "--wait", "0s")
        assert (ran.code, states(ran.json())) == (69, ["published", "sealed"]), ran.err
        arrived = on_broker(broker4, KPR_QUEUE)
        ran = kpr_send("--env", "lokal", "--config", kommune.config, "--json", "send", "--wait", "0s")
        assert (ran.code, states(ran.json())) == (80, ["published", "published"]), ran.err
        arrived += on_broker(broker4, KPR_QUEUE)
    finally:
        broker4.delete_queue(KPR_QUEUE)
    assert sorted(arrived.values()) == [1, 1]

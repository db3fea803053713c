"""The product's own bus against the sandbox: TLS, the address form by itself, held messages, cut connections."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Inbound, Outbound, Outcome, Reach, Source, Verdict
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid
from kpr_sender.messages import apprec
from kpr_sender.model import Envelope, MessageType
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from kpr_sender.settings.secrets import Secret
from tests.helpers.bus_settings import bus_settings
from tests.sandbox.conftest import Municipality

Run = Callable[..., Sandbox]
Join = Callable[..., AmqpBus]


@pytest.fixture
def join(folder: Path) -> Iterator[Join]:
    with ExitStack() as open_:

        def bus(sandbox: Sandbox, **changes: Any) -> AmqpBus:
            settings = {
                "tls": True,
                "ca_file": folder / "pki" / "ca.pem",
                "password": Secret((folder / "bus-password").read_text(encoding="ascii")),
                "exchange": "NHNTESTServiceBus",
                "receipts_queue": sandbox.receipts_queue,
                "error_queue": sandbox.error_queue,
                "publish_timeout": 3.0,
                **changes,
            }
            return open_.enter_context(AmqpBus(bus_settings(sandbox.port, **settings)))

        yield bus


def _outbound(municipality: Municipality, message_type: MessageType) -> tuple[Outbound, str]:
    head = municipality.hodemelding(message_type)
    sent = municipality.message(head)
    envelope = Envelope(
        "171479_async", sent.subject, sent.reply_to, sent.correlation_id, sent.content_type, sent.properties
    )
    return Outbound(str(uuid.uuid4()), envelope, bytes(sent.body)), head.msg_id


def _next(bus: AmqpBus) -> Inbound:
    inbound = bus.receive(10.0)
    assert inbound is not None
    return inbound


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour(), Behaviour(version="4.0.5"), Behaviour(version="4.3.0", v1_permitted=False)],
    ids=["3.10.8", "4.0.5", "4.3.0, v2 only"],
)
def test_both_shipments_go_out_and_their_receipts_come_back(
    run: Run, join: Join, municipality: Municipality, behaviour: Behaviour
) -> None:
    sandbox = run(behaviour=behaviour)
    bus = join(sandbox)
    for message_type in MessageType:
        outbound, msg_id = _outbound(municipality, message_type)
        assert bus.publish(outbound).verdict is Verdict.ACCEPTED
        inbound = _next(bus)
        assert (inbound.source, inbound.correlation_id) == (Source.RECEIPTS, inbound.message_id)
        assert inbound.properties["X-MessageInfo-OriginalMsgId"] == msg_id
        receipt = apprec.parse(municipality.open(inbound.body))
        assert (receipt.status_code, receipt.original_msg_id) == ("1", msg_id)
        bus.settle(inbound)
    assert set(sandbox.ledger.counts().values()) == {1}


def test_what_is_published_again_is_answered_once(run: Run, join: Join, municipality: Municipality) -> None:
    """HITS 1216 2.2.3: why a message-id must never be used again for what may have arrived."""
    sandbox = run(behaviour=Behaviour())
    bus = join(sandbox)
    outbound, msg_id = _outbound(municipality, MessageType.KPR_IDE)
    for _ in range(2):
        assert bus.publish(outbound).verdict is Verdict.ACCEPTED
    again = dataclasses.replace(outbound, message_id=str(uuid.uuid4()))
    assert bus.publish(again).verdict is Verdict.ACCEPTED
    inbound = _next(bus)
    assert apprec.parse(municipality.open(inbound.body)).original_msg_id == msg_id
    bus.settle(inbound)
    assert bus.receive(0.3) is None
    assert [line.verdict for line in sandbox.ledger.lines()] == ["1", "seen message-id", "seen MsgId"]


@pytest.mark.parametrize("fault", ["drop-before-disposition", "drop-after-transfer", "hold-disposition"])
def test_a_lost_disposition_is_in_doubt_and_sent_once(
    run: Run, join: Join, municipality: Municipality, fault: str
) -> None:
    """Promise G1, at the bus: no repetition by itself."""
    sandbox = run(behaviour=Behaviour(), faults=Faults.parse([fault]))
    outbound, _ = _outbound(municipality, MessageType.KPR_IPL)
    outcome = join(sandbox, publish_timeout=1.0).publish(outbound)
    assert (outcome.verdict, outcome.reach) == (Verdict.IN_DOUBT, Reach.HANDED_OVER)
    assert sandbox.ledger.counts() == {outbound.message_id: 1}


@pytest.mark.parametrize(("fault", "version"), [("queue-full", "3.10.8"), ("unroutable", "4.0.5")])
def test_what_the_bus_would_not_take_is_not_sent(
    run: Run, join: Join, municipality: Municipality, fault: str, version: str
) -> None:
    sandbox = run(behaviour=Behaviour(version=version), faults=Faults.parse([fault]))
    outcome: Outcome = join(sandbox).publish(_outbound(municipality, MessageType.KPR_IDE)[0])
    assert outcome.verdict is Verdict.NOT_SENT
    assert outcome.error is not None


def test_foreign_messages_are_held_past_and_given_back(run: Run, join: Join, municipality: Municipality) -> None:
    sandbox = run(behaviour=Behaviour(), faults=Faults.parse(["foreign-in-front=30"]))
    bus = join(sandbox)
    outbound, msg_id = _outbound(municipality, MessageType.KPR_IPL)
    bus.publish(outbound)
    while (inbound := _next(bus)).subject != "APPREC":
        bus.hold(inbound)
    assert bus.held == 30
    assert apprec.parse(municipality.open(inbound.body)).original_msg_id == msg_id
    bus.settle(inbound)
    bus.close()
    assert sandbox.depth(sandbox.receipts_queue) == 30


def test_an_error_queue_message_comes_from_the_error_queue(run: Run, join: Join, municipality: Municipality) -> None:
    sandbox = run(behaviour=Behaviour(), faults=Faults.parse(["error-queue"]))
    bus = join(sandbox)
    outbound, _ = _outbound(municipality, MessageType.KPR_IDE)
    bus.publish(outbound)
    inbound = _next(bus)
    assert inbound.source is Source.ERRORS
    assert inbound.properties["originalMessageId"] == outbound.message_id


def test_refused_logins_unknown_names_and_a_closed_port_are_told_apart(run: Run, join: Join) -> None:
    sandbox = run(behaviour=Behaviour(), faults=Faults.parse(["refuse-login"]))
    with pytest.raises(AccessRefused):
        join(sandbox).connect()
    sandbox.faults = NO_FAULTS
    with pytest.raises(AccessRefused):
        join(sandbox, password=Secret("wrong")).connect()
    with pytest.raises(ConfigInvalid):
        join(sandbox, receipts_queue="missing").connect()
    bus = join(sandbox)
    sandbox.close()
    with pytest.raises(BusUnreachable):
        bus.connect()

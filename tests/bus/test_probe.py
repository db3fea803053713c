"""Asking the bus whether it would let us work: nothing can be sent or taken by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpr_sender.bus.probe import Probe, shake_hands
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid
from tests.helpers.bus_settings import ERRORS, KPR_QUEUE, RECEIPTS, bus_settings
from tests.helpers.rabbitmq import EXCHANGE
from tests.helpers.scripted_bus import Script, ScriptedBus

FROM_RECEIPTS = f"/amq/queue/{RECEIPTS}"
TO_FHI = f"/exchange/{EXCHANGE}/{KPR_QUEUE}"


def test_it_attaches_without_credit_sends_nothing_and_detaches() -> None:
    with ScriptedBus(Script(deliver={FROM_RECEIPTS: [b"somebody's"]})) as server:
        probe = Probe(bus_settings(server.port))
        probe.reads(RECEIPTS, "bus.receipts_queue")
        probe.reads(ERRORS, "bus.error_queue")
        probe.sends(KPR_QUEUE, "the receiver")

        assert server.credit_of(FROM_RECEIPTS) == 0
        probe.close()

        assert probe.version == "3.10.8"
        assert server.saw.attached == [FROM_RECEIPTS, f"/amq/queue/{ERRORS}", TO_FHI]
        assert server.script.deliver == {FROM_RECEIPTS: [b"somebody's"]}
        assert (server.saw.messages, server.saw.dispositions, server.saw.closed_properly) == ([], [], 1)


def test_a_refused_link_is_told_and_the_others_can_still_be_asked_for() -> None:
    refuse = {FROM_RECEIPTS: "amqp:not-found", TO_FHI: "amqp:unauthorized-access"}
    with ScriptedBus(Script(refuse=refuse.get)) as server:
        probe = Probe(bus_settings(server.port))
        with pytest.raises(ConfigInvalid, match="does not know this exchange or queue") as caught:
            probe.reads(RECEIPTS, "bus.receipts_queue")
        with pytest.raises(AccessRefused, match="does not let this user"):
            probe.sends(KPR_QUEUE, "the receiver")
        probe.reads(ERRORS, "bus.error_queue")
        probe.close()

    assert caught.value.where == "bus.receipts_queue"


def test_the_other_form_of_address_is_tried_once() -> None:
    def refuse(address: str) -> str | None:
        return None if address.startswith("/queues/") else "amqp:invalid-field"

    with ScriptedBus(Script(refuse=refuse)) as server:
        probe = Probe(bus_settings(server.port))
        for _ in range(2):
            probe.reads(RECEIPTS, "bus.receipts_queue")
        probe.close()

    assert server.saw.attached == [FROM_RECEIPTS, f"/queues/{RECEIPTS}", f"/queues/{RECEIPTS}"]


def test_a_bus_that_does_not_answer_is_not_waited_for() -> None:
    with ScriptedBus(Script(open=False)) as server, pytest.raises(BusUnreachable, match="no answer in time"):
        Probe(bus_settings(server.port, connect_timeout=0.2))


def test_a_wrong_password_is_said() -> None:
    with ScriptedBus(Script(login=False)) as server, pytest.raises(AccessRefused, match="refused the login"):
        Probe(bus_settings(server.port))


def test_without_tls_there_is_no_version(tmp_path: Path) -> None:
    with ScriptedBus() as server:
        assert shake_hands(bus_settings(server.port)) is None

"""Reading our queues: ours are settled, foreign ones are held and given back, nothing is lost or hidden."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Inbound, Source
from kpr_sender.bus.proton_engine import Delivery, Message
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, KprError
from kpr_sender.settings.values import AddressForm, ReceiptsFrom
from tests.helpers.bus_settings import ERRORS, NO_QUEUES, RECEIPTS, bus_settings
from tests.helpers.scripted_bus import Script, ScriptedBus, end_session

FROM_RECEIPTS = f"/amq/queue/{RECEIPTS}"
FROM_ERRORS = f"/amq/queue/{ERRORS}"


def encoded(name: str) -> bytes:
    return bytes(Message(id=name, subject="APPREC", body=name.encode(), inferred=True).encode())


@pytest.fixture
def server() -> Iterator[ScriptedBus]:
    with ScriptedBus() as server:
        yield server


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


def receive(bus: AmqpBus, timeout: float = 5.0) -> Inbound:
    inbound = bus.receive(timeout)
    assert inbound is not None
    return inbound


def test_both_queues_are_read_each_on_a_link_and_session_of_its_own(server: ScriptedBus) -> None:
    server.script.deliver = {FROM_RECEIPTS: [encoded("receipt")], FROM_ERRORS: [encoded("error")]}
    with AmqpBus(bus_settings(server.port)) as bus:
        got = {(one := receive(bus)).source: one.message_id for _ in range(2)}
    assert got == {Source.RECEIPTS: "receipt", Source.ERRORS: "error"}
    assert server.saw.attached == [FROM_RECEIPTS, FROM_ERRORS]


def test_nothing_is_attached_for_a_vendor_with_a_listener_of_its_own(server: ScriptedBus) -> None:
    with AmqpBus(bus_settings(server.port, **NO_QUEUES)) as bus:
        bus.connect()
    assert server.saw.attached == []


def test_only_what_is_settled_is_accepted_and_the_rest_is_given_back_on_close(server: ScriptedBus) -> None:
    server.script.deliver = {FROM_RECEIPTS: [encoded("ours"), encoded("foreign"), encoded("undecided")]}
    with AmqpBus(bus_settings(server.port)) as bus:
        bus.settle(receive(bus))
        bus.hold(receive(bus))
        assert bus.held == 1
    assert bus.held == 0
    assert server.saw.dispositions == ["accepted"], "released before the end, each would count as delivered twice"
    assert server.saw.closed_properly == 1
    bus.close()


def test_the_connection_is_closed_after_the_sessions_have_ended_at_the_broker(server: ScriptedBus) -> None:
    """RabbitMQ 3.x handles a close before the dispositions that came in front of it: what we settled came again."""
    server.script.answer_end = False
    bus = AmqpBus(bus_settings(server.port))
    bus.connect()
    closing = threading.Thread(target=bus.close)
    closing.start()
    time.sleep(0.3)
    assert server.saw.closed_properly == 0
    closing.join(5)
    assert server.saw.closed_properly == 1


def test_foreign_messages_in_front_cannot_hide_ours_up_to_the_cap(server: ScriptedBus) -> None:
    foreign = [encoded(f"foreign {number}") for number in range(40)]
    server.script.deliver = {FROM_RECEIPTS: [*foreign, encoded("ours")]}
    with AmqpBus(bus_settings(server.port, held_cap=40)) as bus:
        for _ in foreign:
            bus.hold(receive(bus))
        assert receive(bus).message_id == "ours"
        assert bus.held == 40


def test_of_a_message_that_is_too_large_only_a_beginning_of_fixed_length_is_read(server: ScriptedBus) -> None:
    """Of fixed length, so that it is known again at the next look, however the frames are cut."""
    large = encoded("x" * 300_000)
    server.script.deliver = {FROM_RECEIPTS: [large, encoded("y"), encoded("ours")]}
    with AmqpBus(bus_settings(server.port, max_inbound=1000)) as bus:
        first = receive(bus)
        assert (first.readable, first.too_large, first.body) == (False, True, large[:1000])
        bus.hold(first)
        assert [receive(bus).message_id for _ in range(2)] == ["y", "ours"]
    server.script.deliver = {FROM_RECEIPTS: [large]}
    with AmqpBus(bus_settings(server.port, max_inbound=len(large))) as bus:
        assert receive(bus).readable


def test_only_the_queues_that_are_asked_for_are_read(server: ScriptedBus) -> None:
    server.script.deliver = {FROM_RECEIPTS: [encoded("receipt")], FROM_ERRORS: [encoded("error")]}
    with AmqpBus(bus_settings(server.port)) as bus:
        assert receive_from(bus, Source.ERRORS) == "error"
        assert bus.receive(0.2, {Source.ERRORS}) is None
        assert server.saw.attached == [FROM_ERRORS], "the other one is left to its owner altogether"
        assert receive_from(bus, Source.RECEIPTS) == "receipt"
        assert (server.saw.attached, server.saw.connections) == ([FROM_ERRORS, FROM_RECEIPTS], 1)
    folder = {"receipts_from": ReceiptsFrom.FOLDER, "receipts_inbox": Path("inbox")}
    server.saw.attached.clear()
    server.script.deliver = {FROM_RECEIPTS: [encoded("receipt")], FROM_ERRORS: [encoded("error")]}
    with AmqpBus(bus_settings(server.port, **folder)) as bus:
        assert receive(bus).message_id == "error"
    assert server.saw.attached == [FROM_ERRORS], "the receipts queue is another server's"


def receive_from(bus: AmqpBus, source: Source) -> str:
    inbound = bus.receive(5, {source})
    return "" if inbound is None else inbound.message_id


def test_beyond_the_cap_no_more_are_taken_and_the_caller_can_see_it(server: ScriptedBus) -> None:
    server.script.deliver = {FROM_RECEIPTS: [encoded(str(number)) for number in range(100)]}
    with AmqpBus(bus_settings(server.port, held_cap=5)) as bus:
        taken = 0
        while (inbound := bus.receive(0.2)) is not None:
            bus.hold(inbound)
            taken += 1
        assert bus.held == taken
        assert 5 <= taken <= 5 + 10


def test_credit_is_given_anew_when_it_is_used_up(server: ScriptedBus) -> None:
    server.script.deliver = {FROM_RECEIPTS: [encoded(str(number)) for number in range(10)]}
    with AmqpBus(bus_settings(server.port)) as bus:
        first, *others = [receive(bus) for _ in range(10)]
        assert server.credit_of(FROM_RECEIPTS) == 0
        bus.settle(first)
        until(lambda: server.credit_of(FROM_RECEIPTS) == 1)
        for inbound in others:
            bus.settle(inbound)
        until(lambda: server.saw.dispositions == ["accepted"] * 10)
        assert server.credit_of(FROM_RECEIPTS) == 1, "RabbitMQ 3.x sends too much when credit comes while it sends"


def test_a_held_message_that_turns_out_to_be_ours_is_paid_for_once(server: ScriptedBus) -> None:
    server.script.deliver = {FROM_RECEIPTS: [encoded(str(number)) for number in range(10)]}
    with AmqpBus(bus_settings(server.port)) as bus:
        inbound, *_ = [receive(bus) for _ in range(10)]
        bus.hold(inbound)
        until(lambda: server.credit_of(FROM_RECEIPTS) == 1)
        bus.settle(inbound)
        until(lambda: server.saw.dispositions == ["accepted"])
        assert server.credit_of(FROM_RECEIPTS) == 1
        assert bus.held == 0


def test_nothing_is_asked_for_before_somebody_wants_to_receive(server: ScriptedBus) -> None:
    server.script.deliver = {FROM_RECEIPTS: [encoded("foreign")]}
    with AmqpBus(bus_settings(server.port)) as bus:
        bus.connect()
        assert server.saw.attached == [FROM_RECEIPTS, FROM_ERRORS]
        assert server.credit_of(FROM_RECEIPTS) == 0
        assert receive(bus).message_id == "foreign"


def test_detached_everything_goes_back_and_the_next_look_is_a_new_one(server: ScriptedBus) -> None:
    server.script.deliver = {FROM_RECEIPTS: [encoded("foreign"), encoded("unread")]}
    with AmqpBus(bus_settings(server.port)) as bus:
        first = receive(bus)
        bus.hold(first)
        bus.detach()
        bus.detach()
        assert bus.held == 0
        assert (server.saw.dispositions, server.saw.closed_properly) == ([], 1)
        bus.settle(first)  # of the earlier look: no error, and nothing is settled by it
        server.script.deliver = {FROM_RECEIPTS: [encoded("foreign")]}
        bus.settle(receive(bus))
        until(lambda: server.saw.dispositions == ["accepted"])
        assert server.saw.connections == 2


def test_g8_what_is_held_goes_back_in_time_whatever_the_caller_is_at(
    server: ScriptedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpr_sender.bus.receiver.LONGEST_HOLD", 0.3)
    server.script.deliver = {FROM_RECEIPTS: [encoded("foreign"), encoded("ours")]}
    with AmqpBus(bus_settings(server.port)) as bus:
        foreign, ours = receive(bus), receive(bus)
        bus.hold(foreign)
        until(lambda: bus.held == 0)
        bus.settle(ours)
        assert bus.receive(0.2) is None, "it is not attached again by itself: that were the next delivery"
        assert server.saw.dispositions == []
        assert server.saw.connections == 1


def test_g8_what_is_not_decided_yet_goes_back_in_time_and_comes_again(
    server: ScriptedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpr_sender.bus.receiver.LONGEST_HOLD", 0.3)
    names = ["in hand", "handed out", "waiting"]
    server.script.deliver = {FROM_RECEIPTS: [encoded(name) for name in names]}
    with AmqpBus(bus_settings(server.port)) as bus:
        in_hand, handed_out = receive(bus), receive(bus)
        until(lambda: server.saw.sessions_ended == 1)
        assert not bus.settle(in_hand)
        bus.hold(handed_out)
        assert (bus.held, receive(bus).message_id) == (0, "waiting"), "it was delivered, so that its reader counts it"
        began = time.monotonic()
        assert bus.receive(5) is None
        assert time.monotonic() - began < 3, "nothing more comes on it"
        assert (server.saw.dispositions, server.saw.connections) == ([], 1)
        server.script.deliver = {FROM_RECEIPTS: [encoded(name) for name in names]}
        again = [receive(bus) for _ in names]
        assert ([one.message_id for one in again], server.saw.connections) == (names, 2)
        assert bus.settle(again[0])
        until(lambda: server.saw.dispositions == ["accepted"])


def test_a_token_of_an_earlier_connection_is_no_error(server: ScriptedBus) -> None:
    server.script.deliver = {FROM_RECEIPTS: [encoded("a")]}
    with AmqpBus(bus_settings(server.port)) as bus:
        old = receive(bus)
        server.tell(lambda conversation: conversation.reset())
        until(lambda: not server._conversations[0].thread.is_alive())  # else it might come on the old connection
        server.script.deliver = {FROM_RECEIPTS: [encoded("a again")]}
        new = receive(bus)
        for decide in (bus.settle, bus.hold):
            decide(old)
        assert bus.held == 0
        bus.settle(new)
        until(lambda: server.saw.dispositions == ["accepted"])


def test_a_vendors_own_token_means_nothing_here(server: ScriptedBus) -> None:
    inbound = Inbound("theirs", Source.RECEIPTS, "", "", "", "", {}, b"")
    bus = AmqpBus(bus_settings(server.port))
    for decide in (bus.settle, bus.hold):
        decide(inbound)
    assert server.saw.connections == 0


def test_what_cannot_be_read_is_said_to_be_so_and_hides_nothing(server: ScriptedBus) -> None:
    server.script.deliver = {FROM_RECEIPTS: [b"no message", encoded("ours")]}
    with AmqpBus(bus_settings(server.port)) as bus:
        unreadable = receive(bus)
        assert (unreadable.readable, unreadable.body, unreadable.source) == (False, b"no message", Source.RECEIPTS)
        bus.hold(unreadable)
        assert receive(bus).message_id == "ours"
        assert bus.held == 1
    assert server.saw.dispositions.count("accepted") == 0


def test_a_message_in_many_frames_is_whole(server: ScriptedBus) -> None:
    body = bytes(range(256)) * 8000
    server.script.deliver = {FROM_RECEIPTS: [bytes(Message(body=body, inferred=True).encode())]}
    with AmqpBus(bus_settings(server.port)) as bus:
        assert receive(bus).body == body


def test_a_broker_that_takes_a_held_message_back_is_obeyed(server: ScriptedBus) -> None:
    """RabbitMQ 4.3's consumer timeout: a disposition from the sending side."""
    server.script.deliver = {FROM_RECEIPTS: [encoded("foreign")]}
    with AmqpBus(bus_settings(server.port)) as bus:
        bus.hold(receive(bus))
        server.tell(lambda conversation: conversation.unsettled[0].update(Delivery.RELEASED))
        until(lambda: bus.held == 0)


def test_a_session_ended_by_the_broker_is_made_anew(server: ScriptedBus) -> None:
    def end(conversation: Any) -> None:
        end_session(conversation.senders[FROM_ERRORS], "amqp:precondition-failed")
        conversation.script = Script()  # the message is for the next connection alone
        server.script.deliver = {FROM_RECEIPTS: [encoded("ours")]}

    with AmqpBus(bus_settings(server.port)) as bus:
        bus.connect()
        server.tell(end)
        assert receive(bus).message_id == "ours"


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ("amqp:not-found", ConfigInvalid),
        ("amqp:unauthorized-access", AccessRefused),
        ("amqp:internal-error", BusUnreachable),
    ],
)
def test_a_refused_queue_is_told_with_its_key(server: ScriptedBus, condition: str, error: type[KprError]) -> None:
    server.script.refuse = lambda address: condition if address == FROM_ERRORS else None
    with AmqpBus(bus_settings(server.port)) as bus, pytest.raises(error, match=condition) as caught:
        bus.receive(0)
    assert caught.value.where == f"bus.error_queue {ERRORS}"


@pytest.mark.parametrize(("version", "understood"), [("3.10.8", "/queues/"), ("4.3.0", "/amq/queue/")])
def test_auto_tries_the_other_form_once(server: ScriptedBus, version: str, understood: str) -> None:
    server.script.version = version
    server.script.refuse = lambda address: None if address.startswith(understood) else "amqp:invalid-field"
    with AmqpBus(bus_settings(server.port)) as bus:
        bus.connect()
    assert [address.startswith(understood) for address in server.saw.attached] == [False, True, True]


def test_a_form_that_is_set_is_not_changed(server: ScriptedBus) -> None:
    server.script.refuse = lambda _: "amqp:invalid-field"
    bus = AmqpBus(bus_settings(server.port, address_form=AddressForm.V2))
    with bus, pytest.raises(ConfigInvalid, match="address_form"):
        bus.connect()
    assert server.saw.attached == [f"/queues/{RECEIPTS}"]


def test_waiting_ends_in_time_with_nothing(server: ScriptedBus) -> None:
    with AmqpBus(bus_settings(server.port)) as bus:
        assert bus.receive(0) is None
        began = time.monotonic()
        assert bus.receive(0.3) is None
        assert 0.3 <= time.monotonic() - began < 2


def test_heartbeats_go_on_while_the_caller_waits_and_while_it_does_not() -> None:
    """The bus hangs up on a client that is silent for a second; the caller is blocked, or busy, for much longer."""
    with ScriptedBus(Script(idle_timeout=0.5)) as server, AmqpBus(bus_settings(server.port)) as bus:
        assert bus.receive(1.5) is None
        time.sleep(1.0)
        server.script.deliver = {FROM_RECEIPTS: [encoded("ours")]}
        server.tell(lambda conversation: conversation._deliver(conversation.senders[FROM_RECEIPTS]))
        assert receive(bus).message_id == "ours"
        assert server.saw.connections == 1


def test_a_bus_that_falls_silent_is_left_for_a_new_connection() -> None:
    with ScriptedBus(Script(deliver={FROM_RECEIPTS: [encoded("a")]})) as server:
        with AmqpBus(bus_settings(server.port, idle_timeout=0.4)) as bus:
            receive(bus)
            silent = threading.Event()

            def fall_silent(_: object) -> None:
                silent.set()
                time.sleep(2)  # five times as long as may pass in silence

            server.tell(fall_silent)
            assert silent.wait(10)
            server.script.deliver = {FROM_RECEIPTS: [encoded("b")]}  # not before: it would come on the old connection
            assert receive(bus).message_id == "b"
        assert server.saw.connections == 2

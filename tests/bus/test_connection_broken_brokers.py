"""A broken or evil broker ends as one: nothing that it sends fails the program, fills the memory or hangs the run."""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from collections.abc import Callable
from typing import Final

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import Inbound, Outcome, Source, Verdict
from kpr_sender.bus.probe import Probe
from kpr_sender.bus.proton_engine import Message
from kpr_sender.errors import BusUnreachable, KprError
from tests.helpers.bus_settings import ERRORS, NO_QUEUES, bus_settings, outbound
from tests.helpers.figures import figure
from tests.helpers.nightly import scaled
from tests.helpers.peak_memory import grown_mb
from tests.helpers.raw_broker import (
    ATTACH,
    BEGIN,
    CLOSE,
    DETACH,
    DISPOSITION,
    END,
    FALSE,
    FLOW,
    NULL,
    OPEN,
    TRANSFER,
    TRUE,
    ZERO,
    RawBroker,
    error,
    frame,
    listed,
    nested,
    opened,
    performative,
    raw_broker,
    string,
    uint,
)

Script = Callable[[RawBroker], None]
NO_TEXT: Final = b"\xff\xfe\x80"
DEEP: Final = nested(2000)  # proton's Python half is recursive
VERSION: Final = string(b"version", b"\xb3")
BODY: Final = b"\x00\x53\x75\xa0\x01x"
ACCEPTED, REJECTED, RELEASED = 0x24, 0x25, 0x26
CREDIT: Final = frame(FLOW, ZERO, uint(2048), ZERO, uint(2048), ZERO, ZERO, uint(10))


def table(*fields: bytes) -> bytes:
    return listed(*fields, constructor=b"\xd1")


def transfer(payload: bytes = b"", *, number: int = 0, more: bytes = FALSE, aborted: bytes = FALSE) -> bytes:
    tag = string(str(number).encode(), b"\xb0")
    fields = (ZERO, uint(number), tag, ZERO, FALSE, more, NULL, NULL, NULL, aborted)
    return frame(TRANSFER, *fields, payload=payload)


def says(*frames: bytes) -> Script:
    return lambda broker: broker.say(*frames)


def takes(*frames: bytes) -> Script:
    """Attach the link that we send on, and say that."""

    def script(broker: RawBroker) -> None:
        broker.attached(reads=True)
        broker.say(*frames)

    return script


def answers(state: bytes) -> Script:
    """Take a message and answer with that state."""

    def script(broker: RawBroker) -> None:
        takes(CREDIT)(broker)
        broker.hear(TRANSFER)
        broker.say(frame(DISPOSITION, TRUE, ZERO, ZERO, TRUE, state))

    return script


def gives(*frames: bytes, asked: bool = True) -> Script:
    """Attach the link that we read from, and say that once a message is asked for."""

    def script(broker: RawBroker) -> None:
        broker.attached(reads=False)
        if asked:
            broker.hear(FLOW)
        broker.say(*frames)

    return script


def publish(script: Script) -> Outcome:
    settings = {"connect_timeout": 5.0, "publish_timeout": 0.4, **NO_QUEUES}
    with raw_broker(script) as port, AmqpBus(bus_settings(port, **settings)) as bus:
        return bus.publish(outbound())


def receive(script: Script, timeout: float = 5.0, **changes: object) -> Inbound | None:
    with raw_broker(script) as port, AmqpBus(bus_settings(port, receipts_queue="", **changes)) as bus:
        return bus.receive(timeout, {Source.ERRORS})


# The open frame: a version that cannot be read is none, and everything goes on.
OPENED: Final = {
    "a version of 5,000 digits": table(VERSION, string(b"9" * 5000)),
    "a version of one digit that is none": table(VERSION, string("²".encode())),
    "a version that is a list": table(VERSION, nested(3)),
    "deeply nested": table(VERSION, DEEP),
    "a deeply nested name": table(DEEP, NULL),
    "no UTF-8": table(VERSION, string(NO_TEXT)),
    "a symbol that is none": table(string(NO_TEXT, b"\xb3"), NULL),
    "a name without value": table(VERSION),
    "no map": nested(5),
}


@pytest.mark.parametrize("properties", OPENED.values(), ids=[name.replace(" ", "-") for name in OPENED])
def test_an_open_frame_that_cannot_be_read_says_nothing_and_ends_nothing(properties: bytes) -> None:
    def script(broker: RawBroker) -> None:
        broker.attached(reads=True, properties=properties)
        broker.say(CREDIT)
        broker.hear(TRANSFER)
        broker.say(frame(DISPOSITION, TRUE, ZERO, ZERO, TRUE, performative(ACCEPTED)))

    assert publish(script).verdict is Verdict.ACCEPTED


def began(channels: int) -> bytes:
    return b"".join(frame(BEGIN, NULL, ZERO, uint(9), uint(9), channel=number) for number in range(channels))


# What ends it, each with what is said of it. A reason that cannot be read is none, and changes no rule.
ENDED: Final[dict[str, tuple[Script, str]]] = {
    "a close": (says(opened(), frame(CLOSE, error(NO_TEXT, NO_TEXT))), "cannot be read"),
    "a deep close": (says(opened(), frame(CLOSE, error(b"x", b"y", table(VERSION, DEEP)))), "cannot be read"),
    "a close with many words": (says(opened(), frame(CLOSE, error(b"x" * 50_000, b"y" * 50_000))), "xxxxx: yyyyy"),
    "an end": (takes(frame(END, error(NO_TEXT))), "cannot be read"),
    "a deep detach": (takes(frame(DETACH, ZERO, TRUE, error(b"x", b"y", table(VERSION, DEEP)))), "cannot be read"),
    "a deep rejection": (answers(performative(REJECTED, error(b"x", b"y", table(VERSION, DEEP)))), "cannot be read"),
    "a credit of 2^31": (takes(frame(FLOW, *[ZERO] * 5, ZERO, uint(2**31))), r"2\^31 or more"),
    "a credit of 2^32-1": (takes(frame(FLOW, *[ZERO] * 5, ZERO, uint(2**32 - 1))), r"2\^31 or more"),
    "sessions of its own": (says(opened(), began(300)), "a session or a link of its own"),
    "a link of its own": (
        takes(
            *[frame(ATTACH, string(b"mine"), uint(7), FALSE, NULL, NULL, performative(0x28), performative(0x29))] * 2
        ),
        "a session or a link of its own|no answer in time",
    ),
    "a session that nobody began": (
        says(opened(), frame(END, channel=7)),
        "The connection .*no such channel",
    ),
    "a frame of 2 GB": (says(opened(), b"\x7f\xff\xff\xff\x02\x00\x00\x00"), "framing-error"),
    "a frame of 3 bytes": (says(opened(), b"\x00\x00\x00\x03\x02\x00\x00\x00"), "framing-error"),
    "no hello": (
        lambda broker: broker.socket.sendall(b"HTTP/1.1 400 Bad request\r\n\r\n"),
        "framing-error|before it was",
    ),
}


@pytest.mark.parametrize(("script", "words"), ENDED.values(), ids=[name.replace(" ", "-") for name in ENDED])
def test_what_no_broker_may_say_is_an_unreachable_bus_and_no_failure_of_ours(script: Script, words: str) -> None:
    def then_hangs_up(broker: RawBroker) -> None:
        script(broker)
        time.sleep(0.1)  # until it has been read, so that the end does not hide it
        raise ConnectionResetError

    found = publish(then_hangs_up)
    assert found.verdict is Verdict.NOT_SENT
    assert isinstance(found.error, BusUnreachable)
    assert found.error.exit_code == 69
    assert re.search(words, str(found.error))
    assert len(str(found.error)) < 1000


def test_nothing_that_a_broker_sends_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """By itself proton warns of it on standard error, which may be the log of somebody else's program."""
    publish(says(frame(OPEN, string(b"evil"), NULL, uint(1)), frame(CLOSE)))
    assert capfd.readouterr() == ("", "")


def test_a_transfer_that_is_aborted_is_none_and_the_next_one_arrives() -> None:
    first = transfer(BODY, more=TRUE), transfer(aborted=TRUE), transfer(aborted=TRUE, number=1)
    inbound = receive(gives(*first, transfer(BODY, number=2)))
    assert inbound is not None
    assert inbound.body == b"x"


def taken_by_a_busy_caller(script: Script, is_busy: Callable[[], object], **changes: object) -> int:
    """Return how many messages come to a caller who is at something else after each."""
    taken = 0
    with (
        raw_broker(script) as port,
        AmqpBus(bus_settings(port, receipts_queue="", **changes)) as bus,
        contextlib.suppress(BusUnreachable),
    ):
        while bus.receive(5 if not taken else 0, {Source.ERRORS}) is not None:
            taken += 1
            is_busy()
    return taken


@pytest.mark.parametrize(("size", "count", "most"), [(1, 60, 31), (900, 60, 12)], ids=["more messages", "more bytes"])
def test_a_broker_that_sends_more_than_was_asked_for_is_left_before_it_fills_the_memory(
    size: int, count: int, most: int
) -> None:
    payload = b"\x00\x53\x75\xb0" + size.to_bytes(4) + bytes(size)
    floods = [gives(*[transfer(payload, number=number) for number in range(count)])]

    def script(broker: RawBroker) -> None:
        if not floods:
            raise ConnectionResetError
        floods.pop()(broker)

    taken = taken_by_a_busy_caller(script, lambda: time.sleep(0.05), max_inbound=1000)  # until all of it is there
    assert not floods
    assert 1 <= taken <= most


def test_a_broker_that_takes_back_what_it_sent_over_and_over_is_left() -> None:
    """What it took back may still wait for a caller who is busy; so it counted for nothing."""
    heard = threading.Event()

    def script(broker: RawBroker) -> None:
        gives()(broker)
        with contextlib.suppress(OSError):
            for number in range(60):
                broker.say(transfer(BODY, number=number))
                time.sleep(0.01)  # so that both are not read at once
                broker.say(frame(DISPOSITION, FALSE, uint(number), NULL, TRUE, performative(RELEASED)))
                time.sleep(0.01)
        heard.set()
        raise ConnectionResetError

    assert 1 <= taken_by_a_busy_caller(script, lambda: heard.wait(10), connect_timeout=1.0) <= 17


def test_what_is_taken_back_in_the_same_read_as_the_message_s_end_is_not_held() -> None:
    taken_back = frame(DISPOSITION, FALSE, ZERO, NULL, TRUE, performative(RELEASED))
    script = gives(transfer(BODY, more=TRUE) + transfer() + taken_back)
    with raw_broker(script) as port, AmqpBus(bus_settings(port, receipts_queue="")) as bus:
        inbound = bus.receive(5, {Source.ERRORS})
        assert inbound is not None
        bus.hold(inbound)
        assert (bus.held, bus.settle(inbound)) == (0, False)


def test_g8_a_message_whose_end_does_not_come_goes_back_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kpr_sender.bus.receiver.LONGEST_HOLD", 0.2)
    left = threading.Event()

    def script(broker: RawBroker) -> None:
        gives(transfer(BODY, more=TRUE))(broker)
        broker.hear(END)
        left.set()

    with raw_broker(script) as port, AmqpBus(bus_settings(port, receipts_queue="")) as bus:
        assert bus.receive(5, {Source.ERRORS}) is None
        assert left.wait(5)


def test_what_is_sent_on_a_session_that_has_ended_is_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kpr_sender.bus.receiver.LONGEST_HOLD", 0.1)
    left, sent = threading.Event(), [0]

    def script(broker: RawBroker) -> None:
        gives(transfer(BODY))(broker)
        broker.hear(END)  # and never answer it
        with contextlib.suppress(OSError):
            for number in range(1, 10_000):
                broker.say(transfer(BODY + bytes(10_000), number=number))
                sent[0] = number
        left.set()
        raise ConnectionResetError

    with raw_broker(script) as port, AmqpBus(bus_settings(port, receipts_queue="", connect_timeout=1.0)) as bus:
        foreign = bus.receive(5, {Source.ERRORS})
        assert foreign is not None
        bus.hold(foreign)
        assert left.wait(10)
        assert bus.held == 0
    assert sent[0] < 5000, "we hang up long before"


def test_a_probe_takes_no_message_whatever_is_sent() -> None:
    with raw_broker(gives(transfer(BODY), asked=False)) as port:
        probe = Probe(bus_settings(port, connect_timeout=2.0))
        with contextlib.suppress(BusUnreachable):
            probe.reads(ERRORS, "bus.error_queue")
        with pytest.raises(BusUnreachable, match="nobody asked for"):
            probe.reads(ERRORS, "bus.error_queue")
        probe.close()


def test_large_messages_take_no_more_memory_than_the_bound_says() -> None:
    """Ten of 60 MB took 1.4 GB."""
    chunk, large = bytes(120_000), 150

    def script(broker: RawBroker) -> None:
        broker.attached(reads=False)
        broker.hear(FLOW)
        for number in range(3):
            for part in range(large):
                broker.say(transfer(chunk, number=number, more=FALSE if part == large - 1 else TRUE))

    def read() -> None:
        with raw_broker(script) as port:
            settings = bus_settings(port, receipts_queue="", max_inbound=1_000_000)
            with AmqpBus(settings) as bus:
                for _ in range(3):
                    inbound = bus.receive(20, {Source.ERRORS})
                    assert inbound is not None
                    assert (inbound.too_large, len(inbound.body)) == (True, 1_000_000)

    assert grown_mb(read) < 20


def test_a_message_of_very_many_sections_is_none_and_takes_no_time() -> None:
    header = b"\x00\x53\x70\x45"
    for sections in (header * 20_000, BODY * 20_000, b"\x00\x53\x74" + table() + header):
        began_at = time.monotonic()
        inbound = receive(gives(transfer(sections + BODY)))
        assert inbound is not None
        assert not inbound.readable
        assert time.monotonic() - began_at < 3


def mutated(dice: random.Random, sound: bytes) -> bytes:
    """Return bytes with a few of the faults that parsers fall over."""
    data = bytearray(sound)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data) + 1)
        fault = dice.randrange(6)
        if fault == 0:
            data[at : at + 1] = bytes([dice.randrange(256)])
        elif fault == 1:
            del data[at : at + dice.randint(1, 8)]
        elif fault == 2:
            data[at:at] = data[max(0, at - 30) : at]
        elif fault == 3:
            data[at : at + 4] = dice.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", bytes(4)])
        elif fault == 4:
            data[at:at] = dice.choice([NO_TEXT, nested(400), b"\x00" * 50, string(b"9" * 5000), error(NO_TEXT)])
        else:
            data[at:] = b""
    return bytes(data)


def talk_to_a_broken_broker(seed: int) -> None:
    """Publish or read, with a broker whose frames are damaged from some point on; it then hangs up."""
    dice = random.Random(seed)
    reading, early = dice.random() < 0.5, dice.random() < 0.3
    message = bytes(Message(id="x", subject="APPREC", properties={"a": "b"}, body=b"x", inferred=True).encode())
    rest = transfer(message) + frame(CLOSE, error(b"amqp:x", b"y"))
    if not reading:
        rest = CREDIT + frame(DISPOSITION, TRUE, ZERO, ZERO, TRUE, performative(REJECTED, error(b"amqp:x", b"y")))

    def script(broker: RawBroker) -> None:
        if early:
            broker.say(mutated(dice, opened(table(VERSION, string(b"4.0.5")))))
        else:
            broker.attached(reads=not reading)
            broker.say(mutated(dice, rest))
        raise ConnectionResetError

    queues = {"receipts_queue": ""} if reading else NO_QUEUES
    settings = {"connect_timeout": 0.5, "publish_timeout": 0.5, **queues}
    with raw_broker(script) as port, AmqpBus(bus_settings(port, **settings)) as bus:
        try:
            found = bus.receive(0, {Source.ERRORS}) if reading else bus.publish(outbound()).error
        except KprError as raised:
            found = raised
    if isinstance(found, KprError):
        assert found.exit_code in {69, 76, 78, 77, 83}, (seed, str(found))


def test_damaged_frames_end_in_no_failure_of_ours() -> None:
    for seed in range(40):
        talk_to_a_broken_broker(seed)


@pytest.mark.nightly
def test_damaged_frames_all_night() -> None:
    runs, ends = 0, time.monotonic() + scaled(30)
    dice = random.Random()  # another one every night; a failure says its seed
    while time.monotonic() < ends:
        talk_to_a_broken_broker(dice.randrange(1 << 32))
        runs += 1
    figure("damaged AMQP frames", runs=runs, undocumented=0)

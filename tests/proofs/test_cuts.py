"""The connection is cut after byte N of what we say, for every N: is what we say of the message what the bus has? (G1).

A misclassified attempt is one called *not sent* though the bus has the message, or *accepted* though it has not.
"""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.dial import dial
from kpr_sender.bus.port import LinkState, Reach, Verdict
from kpr_sender.bus.proton_engine import Message
from kpr_sender.deadline import Stopped
from kpr_sender.errors import BusUnreachable
from kpr_sender.settings.values import BusSettings
from tests.helpers.bus_settings import bus_settings
from tests.helpers.counting_bus import CountingBus
from tests.helpers.fake_time import FakeTime
from tests.helpers.fault_proxy import Cut, FaultProxy, Faults
from tests.helpers.figures import figure
from tests.helpers.nightly import stride
from tests.helpers.tls_certificates import Authority, make_authority
from tests.proofs.attempts import Sender, Series, everywhere, parts

SMALL = bytes(300)
LARGE = bytes(600_000)  # five frames, and more than the kernel keeps below


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingBus]:
    with CountingBus(tmp_path_factory.mktemp("plain")) as bus:
        yield bus


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[CountingBus]:
    folder = tmp_path_factory.mktemp("tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(folder, "127.0.0.1"))
    with CountingBus(folder / "queues", context) as bus:
        yield bus


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets that take little at a time, as over a slow line: most of a message is still here when the cut comes."""

    def dial_narrowly(settings: BusSettings, deadline: float, stopped: Stopped) -> socket.socket:
        connected = dial(settings, deadline, stopped)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        return connected

    monkeypatch.setattr("kpr_sender.bus.connection.dial", dial_narrowly)


def report(kind: str, series: Series) -> None:
    figure("cuts", **{kind: len(series.at)}, **series.counts())
    assert not series.misclassified


def test_cut_after_every_byte_in_plain(plain: CountingBus) -> None:
    with FaultProxy(plain.port) as proxy:
        sender = Sender(plain, proxy, SMALL)
        stream = bytes(sender.undisturbed().stream)
        ends = parts(stream)
        assert list(ends) == [
            "sasl-header",
            "sasl-init",
            "header",
            "open",
            "begin",
            "attach",
            "transfer",
            "end",
            "close",
        ]
        series = sender.series(everywhere(range(1, len(stream) + 1)))
    report("plain", series)
    for faults, attempt in series.at:
        outcome, where = attempt.outcome, (faults, attempt.outcome)
        place = faults.cut_after or 0
        assert attempt.passage.let_through == place, where
        if place <= ends["attach"]:  # the transfer waits for the answer to the attach
            expected = (Verdict.NOT_SENT, Reach.NO_CONNECTION, LinkState.NONE, 0)
        elif place < ends["transfer"]:
            expected = (Verdict.IN_DOUBT, Reach.HANDED_OVER, LinkState.LOST, 0)
        elif place == ends["transfer"]:
            expected = (Verdict.IN_DOUBT, Reach.HANDED_OVER, LinkState.LOST, 1)
        else:
            expected = (Verdict.ACCEPTED, Reach.OUTCOME, LinkState.ATTACHED, 1)
        assert (outcome.verdict, outcome.reach, outcome.link, attempt.arrived) == expected, where


def test_cut_after_every_byte_of_the_answers(plain: CountingBus) -> None:
    """The message may have arrived, and its disposition not, or not whole."""
    with FaultProxy(plain.port) as proxy:
        sender = Sender(plain, proxy, SMALL)
        length = sender.undisturbed().answered
        places = range(1, length + 1)
        series = sender.series(
            Faults(cut_after_answer=place, cut=cut) for place in places for cut in (Cut.RESET, Cut.CLOSE)
        )
    report("answers", series)
    assert series.counts()["in_doubt_and_there"] > 0


# Every byte with TLS takes longer, and says nothing more than every 16th most of the time.
@pytest.mark.parametrize("step", [16, pytest.param(stride(), marks=pytest.mark.nightly)])
def test_cut_after_every_16th_byte_with_tls(tls: CountingBus, authority: Authority, step: int) -> None:
    with FaultProxy(tls.port) as proxy:
        sender = Sender(tls, proxy, SMALL, tls=True, ca_file=authority.ca_file)
        length = sender.undisturbed().let_through
        series = sender.series(everywhere(range(1, length + step, step)))
    report("tls", series)
    assert {attempt.outcome.verdict for _, attempt in series.at} == set(Verdict)


def test_cut_with_the_receiving_links_attached(plain: CountingBus) -> None:
    with FaultProxy(plain.port) as proxy:
        sender = Sender(plain, proxy, SMALL, receive=True)
        length = sender.undisturbed().let_through
        series = sender.series(everywhere(range(1, length + 1, 11), (Cut.RESET,)))
    report("with_receiving", series)


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_cut_in_a_message_of_many_frames(
    request: pytest.FixtureRequest, authority: Authority, narrow: None, kind: str
) -> None:
    """Here the last byte is still in this process when nearly all cuts come: certainly not sent, and said so."""
    bus: CountingBus = request.getfixturevalue(kind)
    changes: dict[str, Any] = {"tls": True, "ca_file": authority.ca_file} if kind == "tls" else {}
    with FaultProxy(bus.port, receive_buffer=16_384) as proxy:
        sender = Sender(bus, proxy, LARGE, **changes)
        length = sender.undisturbed().let_through
        numbers = random.Random(length)
        places = sorted([*numbers.sample(range(1, length), 60), *range(length - 900, length - 20, 110)])
        series = sender.series(everywhere(places))
    report(f"many_frames_{kind}", series)
    half_way = [attempt.outcome for faults, attempt in series.at if 4_000 < (faults.cut_after or 0) < length // 2]
    not_sent = [outcome for outcome in half_way if outcome.verdict is Verdict.NOT_SENT]
    # The cut end may swallow all of the rest before we hear of the cut; how often is the scheduler's word.
    assert len(not_sent) > len(half_way) * 9 // 10
    for outcome in not_sent:
        assert (outcome.reach, outcome.link) == (Reach.INCOMPLETE, LinkState.LOST)
        assert 0 < outcome.bytes_handed_over < sender.length
    for outcome in half_way:
        assert outcome in not_sent or (outcome.verdict, outcome.reach) == (Verdict.IN_DOUBT, Reach.HANDED_OVER)


def test_cut_in_the_disposition_of_a_receipt(plain: CountingBus) -> None:
    """A receipt is gone from the queue only when we had settled it; otherwise it comes again (G2)."""
    receipt = bytes(Message(id="receipt", body=b"sealed", inferred=True).encode())
    settled = come_again = lost = 0
    with FaultProxy(plain.port) as proxy:

        def fetch() -> bool:
            """Receive and settle, where the connection lasts that long; the pauses before the next one take no time."""
            clock = FakeTime()
            with AmqpBus(bus_settings(proxy.port), closing=clock, monotonic=clock) as bus:
                try:
                    inbound = bus.receive(5)
                except BusUnreachable:
                    return False
                assert inbound is not None
                bus.settle(inbound)
                return True

        plain.put(receipt)
        assert fetch()
        stream = bytes(proxy.passages[-1].stream)
        ends = parts(stream)
        for place in range(ends["attach"], len(stream), 3):
            plain.put(receipt)
            proxy.faults = Faults(cut_after=place, cut=Cut.RESET)
            fetched = fetch()
            assert proxy.passages[-1].over.wait(10)
            gone = plain.depth() == 0
            lost += gone and not fetched
            assert gone == (place >= ends["disposition"])
            settled += gone
            if not gone:
                proxy.faults = Faults()
                assert fetch()
                assert proxy.passages[-1].over.wait(10)
                come_again += plain.depth() == 0
    figure("cuts in a disposition", settled=settled, come_again=come_again, lost=lost)
    assert lost == 0

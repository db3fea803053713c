"""Networks that are slow, silent or half dead: the verdict is right, and it comes in bounded time (G1)."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.port import LinkState, Outcome, Reach, Verdict
from kpr_sender.errors import BusUnreachable, InDoubt
from tests.helpers.bus_settings import bus_settings
from tests.helpers.counting_bus import CountingBus
from tests.helpers.fault_proxy import Cut, FaultProxy, Faults
from tests.helpers.figures import figure
from tests.helpers.tls_certificates import make_authority
from tests.proofs.attempts import Attempt, Sender, parts

SMALL = bytes(300)
LARGE = bytes(1_000_000)  # as much as a kernel would take unread if it were let
WINDOW = 1 << 16  # bytes the other side's kernel takes unread; left to itself it grows to megabytes on a busy machine
CONNECT, PUBLISH = 0.4, 0.5  # seconds; what the user allows
GRACE = 6.0  # seconds above that, on a busy machine; a hang is ten and more


@pytest.fixture(scope="module", params=["plain", "tls"])
def bus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[CountingBus, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("bus")
    context, changes = None, dict[str, Any]()
    if request.param == "tls":
        authority = make_authority(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(folder, "127.0.0.1"))
        changes = {"tls": True, "ca_file": authority.ca_file}
    with CountingBus(folder / "queues", context) as counting:
        yield counting, changes


@pytest.fixture
def proxy(bus: tuple[CountingBus, dict[str, Any]]) -> Iterator[FaultProxy]:
    with FaultProxy(bus[0].port, receive_buffer=WINDOW) as proxy:
        yield proxy


def timed(sender: Sender, faults: Faults) -> tuple[Attempt, float]:
    began = time.monotonic()
    attempt = sender.attempt(faults)
    took = time.monotonic() - began
    figure("slow networks", attempts=1, misclassified=int(attempt.misclassified))
    assert not attempt.misclassified, attempt.outcome
    return attempt, took


def summary(outcome: Outcome) -> tuple[Verdict, Reach, LinkState]:
    return outcome.verdict, outcome.reach, outcome.link


@pytest.mark.parametrize(
    "faults", [Faults(latency=0.05), Faults(bandwidth=20_000), Faults(latency=0.02, bandwidth=9000)]
)
def test_slow_is_only_slow(bus: tuple[CountingBus, dict[str, Any]], proxy: FaultProxy, faults: Faults) -> None:
    attempt, _ = timed(Sender(bus[0], proxy, SMALL, **bus[1]), faults)
    assert summary(attempt.outcome) == (Verdict.ACCEPTED, Reach.OUTCOME, LinkState.ATTACHED)
    assert attempt.arrived == 1


@pytest.mark.parametrize("cut", [Cut.SWALLOW, Cut.STALL, Cut.SLOW_CLOSE])
@pytest.mark.parametrize("place", [1, 40, 200])
def test_silence_before_the_connection_stands_ends_in_time(
    bus: tuple[CountingBus, dict[str, Any]], proxy: FaultProxy, cut: Cut, place: int
) -> None:
    sender = Sender(bus[0], proxy, SMALL, **bus[1], connect_timeout=CONNECT, publish_timeout=PUBLISH)
    attempt, took = timed(sender, Faults(cut_after=place, cut=cut, linger=0.2))
    assert summary(attempt.outcome) == (Verdict.NOT_SENT, Reach.NO_CONNECTION, LinkState.NONE)
    assert isinstance(attempt.outcome.error, BusUnreachable)
    assert attempt.arrived == 0
    assert took < CONNECT + PUBLISH + GRACE


def test_half_open_after_the_transfer_is_in_doubt_and_ends_in_time(
    bus: tuple[CountingBus, dict[str, Any]], proxy: FaultProxy
) -> None:
    """The bus does not have it, and that cannot be told from a bus that has it and whose answer is lost."""
    sender = Sender(bus[0], proxy, SMALL, **bus[1], publish_timeout=PUBLISH)
    length = sender.undisturbed().let_through
    for place in (length - 300, length - 200):  # within the transfer, in plain and in its record of TLS
        attempt, took = timed(sender, Faults(cut_after=place, cut=Cut.SWALLOW))
        assert summary(attempt.outcome) == (Verdict.IN_DOUBT, Reach.HANDED_OVER, LinkState.ATTACHED)
        assert isinstance(attempt.outcome.error, InDoubt)
        assert attempt.outcome.condition == "local:timeout"
        assert took < PUBLISH + GRACE


@pytest.mark.parametrize("bus", ["plain"], indirect=True)  # where the frames lie can be read in plain only
def test_half_open_in_the_attach_is_certainly_not_sent(
    bus: tuple[CountingBus, dict[str, Any]], proxy: FaultProxy
) -> None:
    sender = Sender(bus[0], proxy, SMALL, publish_timeout=PUBLISH)
    ends = parts(bytes(sender.undisturbed().stream))
    for place in (ends["attach"] - 1, ends["attach"]):
        attempt, took = timed(sender, Faults(cut_after=place, cut=Cut.SWALLOW))
        assert summary(attempt.outcome) == (Verdict.NOT_SENT, Reach.NO_CONNECTION, LinkState.NONE)
        assert took < PUBLISH + GRACE


def test_a_bus_that_stops_reading_is_left_in_time_and_gets_nothing_more(
    bus: tuple[CountingBus, dict[str, Any]], proxy: FaultProxy
) -> None:
    """The kernel takes no more than it can send, so that a stalled transfer is certainly not sent, not in doubt."""
    sender = Sender(bus[0], proxy, LARGE, **bus[1], publish_timeout=PUBLISH)
    attempt, took = timed(sender, Faults(cut_after=50_000, cut=Cut.STALL))
    assert summary(attempt.outcome) == (Verdict.NOT_SENT, Reach.INCOMPLETE, LinkState.ATTACHED)
    assert isinstance(attempt.outcome.error, BusUnreachable)
    assert 0 < attempt.outcome.bytes_handed_over < len(LARGE)
    assert attempt.arrived == 0
    assert took < PUBLISH + GRACE


def test_too_slow_for_the_message_is_certainly_not_sent(
    bus: tuple[CountingBus, dict[str, Any]], proxy: FaultProxy
) -> None:
    sender = Sender(bus[0], proxy, LARGE, **bus[1], publish_timeout=PUBLISH)
    attempt, took = timed(sender, Faults(bandwidth=100_000))
    assert summary(attempt.outcome) == (Verdict.NOT_SENT, Reach.INCOMPLETE, LinkState.ATTACHED)
    assert attempt.arrived == 0
    assert took < PUBLISH + GRACE + 2


def test_closing_a_half_open_connection_takes_bounded_time(
    bus: tuple[CountingBus, dict[str, Any]], proxy: FaultProxy
) -> None:
    """Ctrl-C while the network is gone: the link is closed properly where that can be, and left where it cannot."""
    length = Sender(bus[0], proxy, SMALL, **bus[1]).undisturbed().let_through
    proxy.faults = Faults(cut_after=length - 60, cut=Cut.SWALLOW)  # what closes the link goes into nothing
    with AmqpBus(bus_settings(proxy.port, **bus[1])) as ours:
        ours.connect()
        began = time.monotonic()
    assert time.monotonic() - began < 2.0 + GRACE


def test_a_silent_bus_is_noticed_while_we_wait_for_receipts(
    bus: tuple[CountingBus, dict[str, Any]], proxy: FaultProxy
) -> None:
    """Half-open for hours would mean that no receipt ever comes: the heartbeat ends it, and a new connection stands."""
    with AmqpBus(bus_settings(proxy.port, **bus[1], idle_timeout=0.4)) as ours:
        ours.connect()
        reached = proxy.passages[-1].let_through
    proxy.faults = Faults(cut_after=reached - 60, cut=Cut.SWALLOW)
    with AmqpBus(bus_settings(proxy.port, **bus[1], idle_timeout=0.4, reconnect_budget=10.0)) as ours:
        with contextlib.suppress(BusUnreachable):  # a busy machine may notice it before the links are attached
            ours.receive(0)
        before = len(proxy.passages)
        proxy.faults = Faults()
        gives_up = time.monotonic() + 10
        while len(proxy.passages) == before:
            assert time.monotonic() < gives_up, "nobody noticed"
            with contextlib.suppress(BusUnreachable):
                ours.receive(0.2)
        assert ours.receive(0.2) is None

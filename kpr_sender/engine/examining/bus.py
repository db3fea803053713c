"""Our connection to the bus, and the links that a send and a wait attach."""

from __future__ import annotations

from kpr_sender.bus.probe import Probe, shake_hands
from kpr_sender.engine.examining.setup import Seen, Setup, made


def bus_tls(setup: Setup) -> Seen:
    """The bus is there, speaks TLS, and is the one that its certificate says."""
    bus = setup.settings.bus
    shown = shake_hands(bus)
    return Seen(f"{bus.host}:{bus.port}, {shown.tls if shown else 'without TLS, on this machine'}")


def bus_login(setup: Setup) -> Seen:
    """The bus lets us in."""
    setup.probe = Probe(setup.settings.bus)
    return Seen(f"as {setup.settings.bus.username}; the bus says version {setup.probe.version or 'nothing'}")


def receipts_queue(setup: Setup) -> Seen:
    """We may read our queue."""
    return _reads(setup, "bus.receipts_queue", setup.settings.bus.receipts_queue)


def error_queue(setup: Setup) -> Seen:
    """We may read our error queue."""
    return _reads(setup, "bus.error_queue", setup.settings.bus.error_queue)


def receivers_exchange(setup: Setup) -> Seen:
    """We may send to the receiver. Whether its queue exists behind an exchange, the bus tells nobody."""
    queue, exchange = made(setup.receiver).queue, setup.settings.bus.exchange or "(default)"
    made(setup.probe).sends(queue, f"exchange {exchange}, queue {queue}")
    return Seen(f"{exchange}, for {queue}: attached, nothing sent")


def _reads(setup: Setup, key: str, queue: str) -> Seen:
    made(setup.probe).reads(queue, f"{key} {queue}")
    return Seen(f"{queue}: attached, nothing taken")

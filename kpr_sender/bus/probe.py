"""Asks a bus whether it would let us work, and hands it nothing: for ``kpr-send doctor``.

No transfer is possible by it: ``InwardLink`` gives no credit, so that nothing is delivered to us, and ``OutwardLink``
has no means to send, whatever credit the bus gives.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import closing

from kpr_sender.bus.codec import receive_address, send_address
from kpr_sender.bus.connection import OpenConnection
from kpr_sender.bus.dial import dial
from kpr_sender.bus.links import InwardLink, OutwardLink, SessionLink
from kpr_sender.bus.port import Handshake
from kpr_sender.settings.values import AddressForm, BusSettings


def shake_hands(settings: BusSettings) -> Handshake | None:
    """Shake hands and hang up, in ``connect_timeout``; None where no TLS is used. Raises as ``dial`` does."""
    with closing(dial(settings, time.monotonic() + settings.connect_timeout)) as connected:
        if not isinstance(connected, ssl.SSLSocket):
            return None
        cipher, shown = connected.cipher(), connected.getpeercert(binary_form=True)
        return Handshake(f"{connected.version()}, {cipher[0] if cipher else 'no cipher'}", shown)


class Probe:
    """One connection that logs in and attaches links; every question has ``connect_timeout``.

    Args:
        settings: The municipality's connection.

    Raises:
        BusUnreachable, AccessRefused, ConfigInvalid: As for ``OpenConnection``.
    """

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._open = OpenConnection(settings, self._deadline(), on_end=lambda _ended: None)

    @property
    def version(self) -> str:
        """The bus's version as it says; may be empty."""
        return self._open.version

    def reads(self, queue: str, where: str) -> None:
        """Attach to a queue as if to read from it. Raises as ``sends`` does."""
        self._attach(lambda form: InwardLink(self._open.io, receive_address(queue, form)), where)

    def sends(self, queue: str, where: str) -> int:
        """Attach to the exchange as if to send to a queue behind it. Raises as ``OpenConnection.attached`` does."""
        exchange = self._settings.exchange
        return self._attach(lambda form: OutwardLink(self._open.io, send_address(exchange, queue, form)), where)

    def close(self) -> None:
        """Detach everything and hang up. Only now: RabbitMQ 4.0 sometimes never answers a link after a detached one."""
        self._open.io.close()

    def _attach(self, make: Callable[[AddressForm], SessionLink], where: str) -> int:
        return self._open.attached(make, self._deadline(), where=where)[1].max_message_size

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.connect_timeout

"""Asks a bus whether it would let us work, and hands it nothing: for ``kpr-send doctor``.

No transfer is possible by it. Its receiving links give no credit, so that nothing is handed to us; its sending links
have no means to send, whatever credit the bus gives.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from typing import Any

from kpr_sender.bus import conditions
from kpr_sender.bus.addresses import WRONG_FORM, form_for, other_form, receive_address, send_address
from kpr_sender.bus.dial import dial
from kpr_sender.bus.ended import Ended, Opened
from kpr_sender.bus.links import Attached, Refused, SessionLink
from kpr_sender.bus.proton_engine import Delivery, Link, Session, Terminus
from kpr_sender.bus.wire import Wire
from kpr_sender.errors import BusUnreachable
from kpr_sender.settings.values import AddressForm, BusSettings


def tls_in_use(settings: BusSettings) -> str:
    """Shake hands, hang up, and return the version and the cipher; empty where none is used.

    Raises:
        BusUnreachable: The bus does not answer within ``connect_timeout``.
        AccessRefused: Its certificate is not believed, or it offers nothing newer than TLS 1.1.
        ConfigInvalid: It does not speak TLS, or a CA file cannot be used.
    """
    with closing(dial(settings, time.monotonic() + settings.connect_timeout)) as connected:
        if not isinstance(connected, ssl.SSLSocket):
            return ""
        cipher = connected.cipher()
        return f"{connected.version()}, {cipher[0] if cipher else 'no cipher'}"


class Probe:
    """One connection that logs in and attaches links; every question has ``connect_timeout``.

    Args:
        settings: The municipality's connection.

    Raises:
        BusUnreachable: The bus does not answer in time.
        AccessRefused: Wrong login, certificate or host name.
        ConfigInvalid: No TLS where it is demanded, or what answers is no bus.
    """

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._where = f"{settings.host}:{settings.port}"
        deadline = self._deadline()
        password = settings.password.reveal()
        self._wire = Wire(
            dial(settings, deadline),
            host=settings.host,
            username=settings.username,
            password=password,
            idle_timeout=settings.idle_timeout,
            on_end=lambda _ended: None,
        )
        try:
            self.version = self._opened(deadline).version
            """The bus's version as it says; may be empty."""
        except BaseException:
            self._wire.abort("connecting failed")
            raise
        self._form = form_for(settings.address_form, self.version)

    def reads(self, queue: str, where: str) -> None:
        """Attach to a queue as if to read from it. Raises as ``sends`` does."""
        self._attach(lambda form: _NoReading(self._wire, receive_address(queue, form)), where)

    def sends(self, queue: str, where: str) -> None:
        """Attach to the configured exchange as if to send to a queue behind it.

        Args:
            queue: Behind the exchange; without one, the queue itself.
            where: What it is called in errors.

        Raises:
            ConfigInvalid: The bus does not know it, or not this form of address.
            AccessRefused: We may not use it.
            BusUnreachable: No answer in time, or the connection ended.
        """
        self._attach(lambda form: _NoSending(self._wire, send_address(self._settings.exchange, queue, form)), where)

    def close(self) -> None:
        """Detach everything and hang up. Only now: RabbitMQ 4.0 sometimes never answers a link after a detached one."""
        self._wire.close()

    def _opened(self, deadline: float) -> Opened:
        opened: Opened | Ended = self._wait(self._wire.opened, deadline)
        if isinstance(opened, Ended):
            raise conditions.connection_error(opened, self._where)
        return opened

    def _attach(self, make: Callable[[AddressForm], SessionLink], where: str) -> None:
        deadline = self._deadline()
        answer = self._ask(make(self._form), deadline)
        guessed = self._settings.address_form is AddressForm.AUTO
        if guessed and isinstance(answer, Refused) and answer.condition == WRONG_FORM:
            second = self._ask(make(other_form(self._form)), deadline)
            if isinstance(second, Attached):
                self._form, answer = other_form(self._form), second
        if isinstance(answer, Refused):
            raise conditions.link_error(answer, where)
        if isinstance(answer, Ended):
            raise conditions.connection_error(answer, self._where)

    def _ask(self, link: SessionLink, deadline: float) -> Attached | Refused | Ended:
        answer: Attached | Refused | Ended = self._wait(self._wire.ask(link.attach), deadline)
        return answer

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.connect_timeout

    def _wait(self, reply: Future[Any], deadline: float) -> Any:
        try:
            return reply.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise BusUnreachable("The bus does not answer (no answer in time).", where=self._where) from None


class _NoReading(SessionLink):
    """A receiving link that asks for nothing."""

    def _make(self, session: Session, name: str) -> Link:
        link = session.receiver(name)
        link.source.address = self._address
        link.target.address = self._wire.name
        link.rcv_settle_mode = Link.RCV_FIRST
        link.open()
        return link

    def _terminus(self, link: Link) -> Terminus:
        return link.remote_source

    def on_delivery(self, delivery: Delivery) -> None:
        """What comes uninvited stays unsettled: it goes back when the session ends."""


class _NoSending(SessionLink):
    """A sending link that never sends."""

    def _make(self, session: Session, name: str) -> Link:
        link = session.sender(name)
        link.target.address = self._address
        link.source.address = self._wire.name
        link.snd_settle_mode = Link.SND_UNSETTLED
        link.rcv_settle_mode = Link.RCV_FIRST
        link.open()
        return link

    def _terminus(self, link: Link) -> Terminus:
        return link.remote_target

    def on_delivery(self, delivery: Delivery) -> None:
        """There is none: nothing was sent."""

"""A connection that is logged in, and how a link is attached on it: the way in that sending and ``doctor`` share."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from kpr_sender.bus import conditions
from kpr_sender.bus.addresses import WRONG_FORM, form_for, other_form
from kpr_sender.bus.dial import dial
from kpr_sender.bus.ended import Ended, Opened
from kpr_sender.bus.links import Attached, Refused, SessionLink
from kpr_sender.bus.wire import Wire
from kpr_sender.errors import BusUnreachable
from kpr_sender.settings.values import AddressForm, BusSettings

_Link = TypeVar("_Link", bound=SessionLink)


class Login:
    """Dials and logs in.

    Args:
        settings: The municipality's connection.
        deadline: Until when, by ``time.monotonic``.
        on_end: Told when the connection is over, on the wire's thread.

    Attributes:
        wire: What links are made on.
        where: What errors call the bus.
        version: The bus's, as it says; may be empty.

    Raises:
        BusUnreachable: Not in time, or the bus ended it.
        AccessRefused: Wrong login, certificate or host name.
        ConfigInvalid: Wrong port, or no TLS where it is demanded.
    """

    def __init__(self, settings: BusSettings, deadline: float, *, on_end: Callable[[Ended], None]) -> None:
        self.where = f"{settings.host}:{settings.port}"
        self._guessed = settings.address_form is AddressForm.AUTO
        password = settings.password.reveal()
        self.wire = Wire(
            dial(settings, deadline),
            host=settings.host,
            username=settings.username,
            password=password,
            idle_timeout=settings.idle_timeout,
            on_end=on_end,
        )
        try:
            self.version = self._opened(deadline).version
        except BaseException:
            self.abort()
            raise
        self._form = form_for(settings.address_form, self.version)

    def abort(self) -> None:
        """Hang up on what was not to be had whole."""
        self.wire.abort("connecting failed")

    def attach(self, make: Callable[[AddressForm], _Link], deadline: float) -> tuple[_Link, Attached | Refused | Ended]:
        """Attach in the form that the bus is known to take; where that was a guess, try the other one once."""
        link = make(self._form)
        answer = self._wait(self.wire.ask(link.attach), deadline)
        if self._guessed and isinstance(answer, Refused) and answer.condition == WRONG_FORM:
            other = make(other_form(self._form))
            second = self._wait(self.wire.ask(other.attach), deadline)
            if isinstance(second, Attached):
                self._form = other_form(self._form)
                return other, second
        return link, answer

    def attached(self, make: Callable[[AddressForm], _Link], deadline: float, *, where: str) -> _Link:
        """Attach, or raise what keeps the bus from it.

        Args:
            make: Makes the link.
            deadline: Until when, by ``time.monotonic``.
            where: What errors call it.

        Raises:
            ConfigInvalid: The bus does not know it, or not this form of address.
            AccessRefused: We may not use it.
            BusUnreachable: No answer in time, or the connection ended.
        """
        link, answer = self.attach(make, deadline)
        if isinstance(answer, Refused):
            raise conditions.link_error(answer, where)
        if isinstance(answer, Ended):
            raise conditions.connection_error(answer, self.where)
        return link

    def _opened(self, deadline: float) -> Opened:
        opened: Opened | Ended = self._wait(self.wire.opened, deadline)
        if isinstance(opened, Ended):
            raise conditions.connection_error(opened, self.where)
        return opened

    def _wait(self, reply: Future[Any], deadline: float) -> Any:
        try:
            return reply.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise BusUnreachable("The bus does not answer (no answer in time).", where=self.where) from None

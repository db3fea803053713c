"""Notices by apprise: mail, Teams, webhooks. The only module that knows apprise.

An address holds passwords and tokens, and apprise logs addresses, as urllib3 does below it: neither may log anything
(promise G6). What apprise raises at an address or a server's answer may be anything: none of it is shown.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Final

from kpr_sender.deadline import Stopped, never, wait_for
from kpr_sender.errors import ConfigInvalid
from kpr_sender.notify.port import Delivery
from kpr_sender.settings.secrets import Secret
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from apprise import Apprise

KEY: Final = "notify.urls"
SECONDS: Final = 10.0
"""Longest for one notice to one address; all are sent at the same time."""
_CONNECT_SECONDS: Final = 9.0  # what a mail server may wait with its greeting; apprise has 4 for the others
_READ_SECONDS: Final = 8.0
"""A server that says nothing for so long may have taken it all the same."""
_MOST: Final = 20
_LOGGERS: Final = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib", "markdown", "MARKDOWN")


class AppriseNotifier:
    """A ``Notifier``. apprise is loaded when it is first needed: that takes a second.

    Args:
        urls: The addresses, one a line; empty lines and those that begin with ``#`` are left out.

    Raises:
        ConfigInvalid: The secret is not there, or has no address in it, or too many.
    """

    def __init__(self, urls: Secret) -> None:
        self._lines = [
            (number, line)
            for number, text in enumerate(urls.reveal().splitlines(), 1)
            if (line := text.strip()) and not line.startswith("#")
        ]
        self.addresses = len(self._lines)
        if not 1 <= self.addresses <= _MOST:
            raise ConfigInvalid(
                Text("Expected 1 to {most} addresses, one a line; found {found}.", most=_MOST, found=self.addresses),
                where=KEY,
            )

    @cached_property
    def _services(self) -> Sequence[Apprise | None]:
        with _warning_nobody():
            return self._instantiated()

    def _instantiated(self) -> Sequence[Apprise | None]:
        try:
            import apprise  # noqa: F401, PLC0415 - an extra
        except ImportError:
            raise ConfigInvalid(
                Text("Notices need apprise, which is not installed."),
                where=KEY,
                next_step=Text("Install it: pip install 'kpr-sender[notify]'."),
            ) from None
        _silence()
        return [_service(line) for _, line in self._lines]

    def flaws(self) -> tuple[ConfigInvalid, ...]:
        """Return which addresses are none that apprise knows."""
        found = zip(self._lines, self._services, strict=True)
        return tuple(_unknown(number) for (number, _), service in found if service is None)

    def send(self, messages: Mapping[int, tuple[str, str]], *, stopped: Stopped = never) -> Mapping[int, Delivery]:
        """Send messages, all at the same time, each on a thread of its own."""
        services = {place: self._services[place - 1] for place in sorted(messages)}
        began = time.monotonic()
        with _warning_nobody():
            sending = {place: _started(one, *messages[place]) for place, one in services.items() if one is not None}
            became = {place: _outcome(reply, began, stopped) for place, reply in sending.items()}
        return dict.fromkeys(services, Delivery.NOT_SENT) | became


def _unknown(number: int) -> ConfigInvalid:
    return ConfigInvalid(
        Text("Line {number} is no address that apprise knows.", number=number),
        where=KEY,
        next_step=Text("How addresses are written: https://appriseit.com/services/"),
    )


@contextmanager
def _warning_nobody() -> Iterator[None]:
    """Let no warning out: urllib3's name hosts, and apprise loads modules that Python is to lose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _silence() -> None:
    """Let nothing of what the libraries log come out anywhere: also not by a handler of theirs or the last resort."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.handlers = [logging.NullHandler()]


def _service(line: str) -> Apprise | None:
    """Return what sends to one address; None where it is none."""
    from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - as above

    asset = AppriseAsset(app_id="kpr-send", app_desc="kpr-send", app_url="", async_mode=False, service_timeout=SECONDS)
    try:
        service = Apprise.instantiate(line, asset=asset)
    except Exception:  # noqa: BLE001 - whatever it is: its text may hold the address
        service = None
    if service is None:
        return None
    service.socket_connect_timeout = min(service.socket_connect_timeout, _CONNECT_SECONDS)
    service.socket_read_timeout = _READ_SECONDS
    one = Apprise(asset=asset)
    one.add(service)
    return one


def _started(service: Apprise, title: str, body: str) -> Future[Delivery]:
    from apprise import NotifyFormat  # noqa: PLC0415 - as above

    reply: Future[Delivery] = Future()

    def send() -> None:
        began, taken = time.monotonic(), False
        with suppress(BaseException):  # as above, and a panic of a native library is no Exception
            taken = bool(service.notify(title=title, body=body, body_format=NotifyFormat.TEXT))
        silent = time.monotonic() - began >= _READ_SECONDS
        reply.set_result(Delivery.SENT if taken else Delivery.UNKNOWN if silent else Delivery.NOT_SENT)

    threading.Thread(target=send, name="kpr-notice", daemon=True).start()
    return reply


def _outcome(reply: Future[Delivery], began: float, stopped: Stopped) -> Delivery:
    try:
        wait_for(reply, began + SECONDS, stopped)
    except TimeoutError:
        return Delivery.UNKNOWN
    return reply.result()

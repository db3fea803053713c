"""What follows a run's result: its ping, notices and metrics. None of it changes or delays what is printed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kpr_sender import checking, watching
from kpr_sender.cli import console
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.cli.session import connected_sandbox, logged
from kpr_sender.events import Event, EventKind, ignore
from kpr_sender.render.language import say, speaking, spoken
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.notify.port import Pinger
    from kpr_sender.operator.certificates import CertificateInUse


def watched(invocation: Invocation, settings: Settings, *, scheduled: bool) -> None:
    """Say that a run begins, and let what follows it come after its result, however it ends.

    Args:
        invocation: The run's.
        settings: Who is to be told.
        scheduled: Whether it is one that a watcher waits for, and that looks at the certificates once a day.
    """
    ping, concerns = None, list[Text]()
    if scheduled:
        try:
            ping = watching.pinger(settings)
            if ping is not None:
                ping.begin()
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            concerns.append(watching.failed("ping", error))
    invocation.ending.afterwards = lambda: _follow_up(invocation, settings, ping, concerns, scheduled=scheduled)


def _follow_up(
    invocation: Invocation, settings: Settings, ping: Pinger | None, concerns: list[Text], *, scheduled: bool
) -> None:
    ending = invocation.ending
    if ending.code is None or ending.signalled:
        return

    def certificates() -> tuple[CertificateInUse, ...]:
        with connected_sandbox(settings) as reached:
            return checking.certificates_in_use(reached, now=lambda: datetime.now(UTC), observe=ignore)

    def said(text: Text) -> str:
        return invocation.called.completed(say(text))

    with speaking(invocation.language or settings.language or spoken()):
        watch = watching.run_watch(settings, ping=ping, scheduled=scheduled, certificates=certificates, say=said)
        watch.end(ending.code, lambda: ending.signalled)
    _warn(invocation, settings, [*concerns, *watch.concerns])


def _warn(invocation: Invocation, settings: Settings, concerns: Iterable[Text]) -> None:
    """Say what could not be done: in the log, or on a terminal that has none."""
    if not concerns:
        return
    with logged(invocation, settings) as log:
        for concern in concerns:
            if log is not None:
                log(Event(EventKind.WARNING, concern))
            elif invocation.loudness is not Loudness.QUIET:
                console.say(invocation.called, [concern], err=True)

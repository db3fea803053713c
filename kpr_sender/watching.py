"""What follows a run, put together: the composition root of pings, notices and metrics, beside ``app``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kpr_sender.app import journal_storage, login_name, utc_now
from kpr_sender.notify import configured
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.notify.port import Pinger
    from kpr_sender.operator.certificates import CertificateInUse
    from kpr_sender.operator.run_watch import RunWatch


def failed(what: str, error: Exception) -> Text:
    """Return what is said of a ping that could not be begun."""
    from kpr_sender.operator import run_watch  # noqa: PLC0415 - seldom

    return run_watch.failed(what, error)


notifier, pinger = configured.notifier, configured.pinger


def run_watch(
    settings: Settings,
    *,
    ping: Pinger | None,
    scheduled: bool,
    certificates: Callable[[], tuple[CertificateInUse, ...]],
    say: Callable[[Text], str],
) -> RunWatch:
    """Return what tells others of a run that has ended.

    Args:
        settings: Whose.
        ping: What was told that it begins; None where nobody was.
        scheduled: Whether it is a run that a watcher waits for.
        certificates: Looks at the certificates in use.
        say: Says a text as the notices have it.
    """
    from kpr_sender.operator.run_watch import RunWatch  # noqa: PLC0415 - not before the run has ended

    return RunWatch(
        settings=settings,
        who=login_name(),
        now=utc_now,
        journal=journal_storage(settings),
        ping=ping,
        notifier=None if settings.notify.urls is None else lambda: notifier(settings),
        metrics=lambda: configured.metrics_file(settings),
        scheduled=scheduled,
        certificates=certificates,
        say=say,
    )

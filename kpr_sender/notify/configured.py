"""What a configuration names to tell others of a run. Nothing is connected to before it is used."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from kpr_sender.errors import ConfigInvalid
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.notify.port import MetricsFile, Notifier, Pinger


def notifier(settings: Settings) -> Notifier:
    """Return what sends notices.

    Raises:
        ConfigInvalid: No addresses are configured, or they are not there.
    """
    if settings.notify.urls is None:
        raise ConfigInvalid(
            Text("No addresses for notices are configured."),
            where=f"{settings.origin}: notify",
            next_step=Text("Put the addresses into a file, one a line, and name it: urls_file in [notify]."),
        )
    from kpr_sender.notify.apprise_sender import AppriseNotifier  # noqa: PLC0415 - most runs send nothing

    return AppriseNotifier(settings.notify.urls)


def pinger(settings: Settings) -> Pinger | None:
    """Return what pings; None where nobody is pinged.

    Raises:
        ConfigInvalid: The ping address is not there, or is none.
    """
    if settings.monitor.ping_url is None:
        return None
    from kpr_sender.notify.ping import HttpPinger  # noqa: PLC0415 - with it come sockets and TLS

    return HttpPinger(settings.monitor.ping_url, lambda: str(uuid.uuid4()))


def metrics_file(settings: Settings) -> MetricsFile | None:
    """Return the file for Prometheus; None where none is written.

    Raises:
        ConfigInvalid: prometheus-client is not installed.
    """
    if settings.monitor.metrics_file is None:
        return None
    from kpr_sender.notify.metrics_file import PrometheusFile  # noqa: PLC0415 - an extra

    return PrometheusFile(settings.monitor.metrics_file)

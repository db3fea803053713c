"""The sections of a configuration by which nobody has to look: notices, pings, metrics. Declared as in ``values``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kpr_sender.settings import kinds
from kpr_sender.settings.keys import option, secret
from kpr_sender.settings.secrets import Secret

# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """Where notices go when something needs a person; the addresses are secrets."""

    urls: Secret | None = field(default=None, metadata=secret(
        "the addresses that notices go to, one a line, as apprise writes them (mailtos://..., https webhooks); needs "
        "kpr-sender[notify]", otherwise=", or no notices are sent", example="notify-urls", several_lines=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSettings:
    """What watches that runs happen: a ping address, and a file for Prometheus."""

    ping_url: Secret | None = field(default=None, metadata=secret(
        "the ping address (healthchecks' protocol: start, success, failure with the exit code)",
        otherwise=", or nobody is pinged", example="ping-url"))
    metrics_file: Path | None = field(default=None, metadata=option(
        kinds.PATH, "Text file for Prometheus' node_exporter, written anew by each run; its name ends with .prom. "
        "Needs kpr-sender[metrics].", otherwise="none is written",
        example="/var/lib/prometheus/node-exporter/kpr-sender.prom"))

"""The sections by which nobody has to look: log, notices, pings, metrics. Declared as in ``values``."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path

from kpr_sender.settings import kinds
from kpr_sender.settings.keys import option, secret
from kpr_sender.settings.secrets import Secret

# fmt: off


class LogLevel(enum.StrEnum):
    """How much is logged: nothing below this."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Where log lines go: a file, or standard error."""

    file: Path | None = field(default=None, metadata=option(
        kinds.PATH, "File that log lines are added to, and its successor when it is moved. Made for its owner alone "
        "(0600); no link, no other user's file, not in a folder that everybody may write to. \"/dev/stderr\" is "
        "standard error, also with -q and on a terminal; a pipe or device is taken where somebody reads from it.",
        otherwise="standard error", example="/var/log/kpr-sender.log"))
    level: LogLevel = field(default=LogLevel.INFO, metadata=option(kinds.choice(LogLevel), "How much is logged."))


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

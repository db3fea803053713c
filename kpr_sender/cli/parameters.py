"""Options that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import click

from kpr_sender.settings import kinds


def _seconds(_context: click.Context, _parameter: click.Parameter, written: str | None) -> float:
    if written is None:
        return math.inf
    try:
        return kinds.parse(written)
    except ValueError as error:
        raise click.BadParameter(f"expected {error}.") from None


PATH: Final = click.Path(path_type=Path)

max_wait_option: Final = click.option(
    "--max-wait",
    metavar="DURATION",
    callback=_seconds,
    help="Bound on everything together: connecting, trying again and waiting. A transfer under way is finished.",
)
wait_option: Final = click.option(
    "--wait",
    "wait_seconds",
    metavar="DURATION",
    callback=_seconds,
    default="30m",
    show_default=True,
    help="How long to wait for FHI's receipts, for example 30s, 10m, 2h; 0 takes what is there.",
)

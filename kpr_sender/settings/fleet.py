"""What a fleet file says beside what a configuration says: the section [fleet]. Declared as in ``values``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kpr_sender.settings import kinds
from kpr_sender.settings.keys import Section, option, with_keys
from kpr_sender.texts import Text

_DIVISORS: Final = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
_EVERY: Final = (*_DIVISORS, *(60 * one for one in _DIVISORS))


def _evenly(value: object, base: Path) -> float:
    found: Any = kinds.seconds(_EVERY[0], _EVERY[-1]).parse(value, base)
    if found not in _EVERY:
        raise kinds.Unfit
    return float(found)


EVENLY: Final = kinds.ValueKind(
    Text('a duration that divides a minute or an hour evenly, from 1s to 30m, such as "30s", "1m" or "5m"'),
    _evenly,
    write=kinds.write_duration,
)

# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """How many municipalities are looked after together."""

    jobs: int = field(default=4, metadata=option(
        kinds.integer(1, 256), "How many municipalities are looked after at once, each in a process of its own; --jobs "
        "counts before it."))
    time_limit: float = field(default=900.0, metadata=option(
        kinds.seconds(1, 24 * 3600), "How long one municipality's run may take: then it is asked to end (SIGTERM), and "
        "30 seconds later it is ended. Its exit code is what its journal says."))
    every: float = field(default=60.0, metadata=option(
        EVENLY, "With kpr-send fleet worker: how long from one look after a municipality to the next."))
    stalled_after: float = field(default=30.0, metadata=option(
        kinds.seconds(1, 3600), "With kpr-send fleet worker: a worker that gives no sign of life for so long is taken "
        "for lost, and what it had begun is ended as failed; the next look is another worker's."))
    credentials: Path | None = field(default=None, metadata=option(
        kinds.PATH, "Folder of the secrets that the keys ending in _credential name, a file each.",
        otherwise="$CREDENTIALS_DIRECTORY", example="/etc/kpr-sender/credentials"))


FLEET: Final = with_keys(Section(FleetSettings, "Only in a fleet file (docs/fleet.md): how it is run."), "fleet")
MUNICIPALITY: Final = "municipality"
"""The repeated section of a fleet file; each says of one municipality what a configuration may say."""

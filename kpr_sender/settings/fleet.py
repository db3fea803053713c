"""What a fleet file says beside what a configuration says: the section [fleet]. Declared as in ``values``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kpr_sender.settings import kinds
from kpr_sender.settings.keys import Section, option, with_keys

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
    credentials: Path | None = field(default=None, metadata=option(
        kinds.PATH, "Folder of the secrets that the keys ending in _credential name, a file each.",
        otherwise="$CREDENTIALS_DIRECTORY", example="/etc/kpr-sender/credentials"))


FLEET: Final = with_keys(Section(FleetSettings, "Only in a fleet file (docs/fleet.md): how it is run."), "fleet")
MUNICIPALITY: Final = "municipality"
"""The repeated section of a fleet file; each says of one municipality what a configuration may say."""

"""The section [files]: where the pair is. Declared as in ``values``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kpr_sender.settings import kinds
from kpr_sender.settings.keys import option

# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """The two files, where the command line names none; or the folder that the EPJ lays them in."""

    fagmelding: Path | None = field(default=None, metadata=option(
        kinds.PATH, "The fagmelding (KPR_IPL, IPLOS 3.7).", otherwise="the command line names it",
        example="/var/lib/kpr-sender/extract/fagmelding.xml"))
    identmelding: Path | None = field(default=None, metadata=option(
        kinds.PATH, "The identmelding (KPR_IDE, XPR(ide)).", otherwise="the command line names it",
        example="/var/lib/kpr-sender/extract/identmelding.xml"))
    drop: Path | None = field(default=None, metadata=option(
        kinds.PATH, "Folder that the EPJ lays both files in, under any names that end with .xml; in place of the two "
        "keys above. A pair is taken when both are complete and unchanged for 30 seconds (docs/fleet.md).",
        otherwise="the two files are named", example="/srv/kpr/0301/in"))
    drop_waits_for_klar: bool = field(default=False, metadata=option(
        kinds.FLAG, "Take a pair from the drop folder only when a file named klar lies beside it."))

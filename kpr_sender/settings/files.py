"""The section [files]: where the pair is. Declared as in ``values``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kpr_sender.settings import kinds
from kpr_sender.settings.keys import option

# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """The two files, where the command line names none."""

    fagmelding: Path | None = field(default=None, metadata=option(
        kinds.PATH, "The fagmelding (KPR_IPL, IPLOS 3.7).", otherwise="the command line names it",
        example="/var/lib/kpr-sender/extract/fagmelding.xml"))
    identmelding: Path | None = field(default=None, metadata=option(
        kinds.PATH, "The identmelding (KPR_IDE, XPR(ide)).", otherwise="the command line names it",
        example="/var/lib/kpr-sender/extract/identmelding.xml"))

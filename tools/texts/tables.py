"""What a person reads of the tables that come with the product, where ``of_table`` makes texts of it.

``of_table`` is in ``kpr_sender.texts``.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tools.texts.extract import Entry

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "preflight/catalogue/rules.csv": ("title", "receiver", "advice", "source"),
    "preflight/catalogue/iplos_3_7.csv": ("source",),
    "preflight/catalogue/xpr_ide_53_1_2.csv": ("source",),
    "preflight/catalogue/xpr_ide_53_1_3.csv": ("source",),
    "preflight/catalogue/tjenestetyper.csv": ("replaced_by",),
}
_REASONS: Final = "refused_her_ids"


def tables(package: Path) -> Iterator[tuple[str, list[Entry]]]:
    """Yield every table of a package that has texts, by its path without the ending."""
    for place, columns in _COLUMNS.items():
        path = package / place
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                cells = [row[column] for row in csv.DictReader(file) for column in columns]
            yield place.removesuffix(".csv"), _entries(cells)
    for path in sorted(package.glob("profiles/*.toml")):
        reasons = tomllib.loads(path.read_text(encoding="utf-8")).get(_REASONS, {})
        yield path.relative_to(package).with_suffix("").as_posix(), _entries(reasons.values())


def _entries(cells: Iterable[str]) -> list[Entry]:
    return [Entry(cell) for cell in dict.fromkeys(cells) if cell]

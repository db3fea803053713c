"""Reads the tables that lie beside this module."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib import resources
from typing import Final

_PACKAGE: Final = "kpr_sender.preflight.catalogue"


def rows(name: str) -> Iterator[dict[str, str]]:
    """Yield a table's rows by column name; a field that is not there is empty.

    Args:
        name: The file's, for example ``iplos_3_7.csv``.
    """
    text = resources.files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())

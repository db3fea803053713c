"""docs/preflight.md follows the catalogue and the table of rules."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from pathlib import Path

from kpr_sender.preflight.catalogue.codes import lists
from kpr_sender.preflight.catalogue.fields import iplos, xpr_ide
from kpr_sender.preflight.rules.table import RULES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "preflight.md").read_text("utf-8")


def test_the_committed_page_is_current() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_preflight.py"))

    assert script["filled"](PAGE) == PAGE


def test_every_rule_stands_there_once() -> None:
    assert Counter(re.findall(r"^\| `([^`]+\.[a-z-]+)` \|", PAGE, re.MULTILINE)) == Counter(RULES.keys())


def test_every_field_and_list_stands_there() -> None:
    for catalogue in (iplos(), xpr_ide("53.1.3")):
        for field in catalogue.fields:
            assert f"| `{field}` | " in PAGE
    for oid in lists():
        assert re.search(rf"^(\| |### ){oid}\b", PAGE, re.MULTILINE)


def test_every_row_has_its_table_s_columns() -> None:
    for table in re.findall(r"(?:^\|.*\|\n)+", PAGE, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1

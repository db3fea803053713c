"""docs/monitoring.md: its alert rules are rules to Prometheus, and it names each metric and each notice."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kpr_sender.model import Environment
from kpr_sender.operator.metrics import GOOD_CODES, RunFigures
from kpr_sender.operator.notices import DEADLINE_DAYS
from kpr_sender.profiles.profile import Deadline
from kpr_sender.states import ShipmentState
from tests.helpers.repository import ROOT
from tests.helpers.submissions import AT, pair, told
from tests.operator.test_notices import situation

_PAGE = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
_RULES = _PAGE.partition("```yaml\n")[2].partition("```")[0]
NO_PROMTOOL = "no promtool here: apt-get install prometheus"


def _names() -> set[str]:
    known = situation(told(pair(ShipmentState.DELIVERED, ShipmentState.SEALED)), deadline=Deadline(AT.date()))
    return {one.name for one in RunFigures(Environment.LOKAL, 0, AT, known, 0, {}).figures()}


def test_promtool_finds_nothing_wrong_with_the_rules(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip(NO_PROMTOOL)
    (tmp_path / "kpr.yml").write_text(_RULES, encoding="utf-8")
    checked = subprocess.run(
        ["promtool", "check", "rules", "kpr.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert f"{_RULES.count('- alert:')} rules found" in checked.stdout


def test_the_table_has_each_metric_and_the_rules_name_no_other() -> None:
    assert set(re.findall(r"^\| `(kpr_\w+)`", _PAGE, re.MULTILINE)) == _names() | {
        "kpr_certificates_looked_at_timestamp_seconds"
    }
    assert set(re.findall(r"kpr_\w+", _RULES)) <= _names()


def test_the_days_and_codes_on_the_page_are_those_of_the_program() -> None:
    *first, last = DEADLINE_DAYS
    assert f"{', '.join(map(str, first))} and {last} days off" in _PAGE
    *good, last_good = sorted(GOOD_CODES - {0})
    assert f"{', '.join(map(str, good))} or {last_good}: nobody's move" in _PAGE

"""Which tests are slow: measured, listed in ``tests/slow.txt``, and left out of ``make quick``.

``make test`` with ``PYTEST_ADDOPTS=--note-slow`` writes the list anew; a test that is not on it counts as fast.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

LIST: Final = Path(__file__).parents[1] / "slow.txt"
_LONGEST: Final = 0.1  # seconds, of one case
_LONGEST_OF_ALL: Final = 3.0  # seconds, of all cases of a test

_of_one = defaultdict[str, float](float)
_of_all = defaultdict[str, float](float)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run measure which tests are slow."""
    parser.addoption("--note-slow", action="store_true", help="write tests/slow.txt from what this run takes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what the list names."""
    names = frozenset(LIST.read_text("utf-8").splitlines())
    for item in items:
        if _function(item.nodeid) in names:
            item.add_marker(pytest.mark.slow)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take how long a case took; what is set up for many is not the first one's."""
    if report.when == "call":
        name = _function(report.nodeid)
        _of_one[name] = max(_of_one[name], report.duration)
        _of_all[name] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the list, in the process that has heard of all."""
    if session.config.getoption("--note-slow") and not hasattr(session.config, "workerinput"):
        slow = sorted(name for name in _of_one if _of_one[name] > _LONGEST or _of_all[name] > _LONGEST_OF_ALL)
        LIST.write_text("".join(f"{name}\n" for name in slow), "utf-8")


def _function(node: str) -> str:
    return node.partition("[")[0].partition("@")[0]

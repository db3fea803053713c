"""The engine of a fleet's workers is an extra."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kpr_sender.engine import has_task_engine, task_engine
from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment
from tests.helpers.postgres import settings


def test_where_it_is_not_installed_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings("postgresql://kpr@127.0.0.1/kpr", Path("/nonexistent/journal.db"))
    assert has_task_engine()
    monkeypatch.delitem(sys.modules, "kpr_sender.tasks.procrastinate_engine", raising=False)
    monkeypatch.setitem(sys.modules, "procrastinate", None)

    with pytest.raises(ConfigInvalid, match="Workers need procrastinate") as raised:
        task_engine(given, Environment.LOKAL)
    assert "pip install 'kpr-sender[fleet]'" in raised.value.next_step

"""Which engine a fleet's workers have for their tasks: the only module outside the engine's room that knows it."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from kpr_sender.errors import ConfigInvalid
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.model import Environment
    from kpr_sender.settings.journal import JournalSettings
    from kpr_sender.tasks.port import TaskEngine


def task_engine(journal: JournalSettings, environment: Environment) -> TaskEngine:
    """Return the engine for the tasks of workers on several machines; nothing is opened yet.

    Raises:
        ConfigInvalid: It is not installed.
    """
    try:
        from kpr_sender.tasks.procrastinate_engine import ProcrastinateEngine  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("kpr_sender"):
            raise
        raise ConfigInvalid(
            Text("Workers need procrastinate, which is not installed."),
            next_step=Text("Install it: pip install 'kpr-sender[fleet]'."),
        ) from None
    return ProcrastinateEngine(journal, environment)


def has_task_engine() -> bool:
    """Tell whether the engine for tasks is installed, without loading it."""
    return all(importlib.util.find_spec(name) is not None for name in ("procrastinate", "psycopg", "psycopg_pool"))

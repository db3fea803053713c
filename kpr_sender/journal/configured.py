"""Where the configuration says that the journal is: a file of this machine's, or a database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from kpr_sender.errors import ConfigInvalid
from kpr_sender.journal.port import JournalStorage
from kpr_sender.journal.sqlite_storage import SqliteStorage
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text


def configured_storage(settings: Settings, now: Callable[[], datetime]) -> JournalStorage:
    """Return the storage that the configuration names; nothing is opened yet.

    Raises:
        ConfigInvalid: It is a database, and what speaks with one is not installed.
    """
    if settings.journal.url is None:
        return SqliteStorage(settings.journal, settings.environment, now)
    try:
        from kpr_sender.journal.postgres_storage import PostgresStorage  # noqa: PLC0415 - an extra, and slow to load
    except ImportError:
        raise ConfigInvalid(
            Text("The journal is in PostgreSQL, and what speaks with it is not installed."),
            where="journal.url",
            next_step=Text("Install it: pip install 'kpr-sender[postgres]'."),
        ) from None
    return PostgresStorage(settings.journal, settings.bus, settings.environment, now)

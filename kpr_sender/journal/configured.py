"""Where the configuration says that the journal is: a file of this machine's, or a database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kpr_sender.errors import ConfigInvalid
from kpr_sender.journal.port import JournalStorage
from kpr_sender.journal.sqlite_storage import SqliteStorage
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.journal.postgres_together import PostgresTogether


class Together:
    """What journals that are looked at together share: for each database a connection, until it is closed."""

    def __init__(self) -> None:
        self._databases: dict[Hashable, PostgresTogether] = {}
        self._guard = threading.Lock()

    def storage(self, settings: Settings) -> JournalStorage:
        """Return the storage that a configuration names, to be read."""
        return configured_storage(settings, lambda: datetime.now(UTC), self)

    def database(self, settings: JournalSettings) -> PostgresTogether:
        """Return the connection to a journal's database."""
        from kpr_sender.journal.postgres_together import PostgresTogether  # noqa: PLC0415 - an extra, and slow to load

        with self._guard:
            return self._databases.setdefault((settings.url, settings.password), PostgresTogether(settings))

    def close(self) -> None:
        """Close them all."""
        for one in self._databases.values():
            one.close()


def configured_storage(
    settings: Settings, now: Callable[[], datetime], together: Together | None = None
) -> JournalStorage:
    """Return the storage that the configuration names; nothing is opened yet.

    Args:
        settings: The configuration.
        now: The clock.
        together: What it is read over together with others; None for a connection of its own.

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
    shared = None if together is None else together.database(settings.journal)
    return PostgresStorage(settings.journal, settings.bus, settings.environment, now, shared)

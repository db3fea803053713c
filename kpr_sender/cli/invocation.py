"""What stands before the command's name on the command line, and what follows from it."""

from __future__ import annotations

import dataclasses
import enum
import os
from dataclasses import dataclass
from pathlib import Path

import click

from kpr_sender.cli import locating
from kpr_sender.model import Environment
from kpr_sender.settings import load
from kpr_sender.settings.building import beside
from kpr_sender.settings.values import JournalSettings, Settings


class Loudness(enum.Enum):
    """How much is said."""

    QUIET = "-q"
    NORMAL = ""
    VERBOSE = "-v"


@dataclass(frozen=True, slots=True)
class Invocation:
    """The options that every command shares.

    Attributes:
        environment: From ``--env``; None where it was not given.
        config: From ``--config``.
        journal: From ``--journal``; counts before the configuration's.
        as_json: Whether exactly one JSON object goes to standard output.
    """

    environment: Environment | None
    config: Path | None
    journal: Path | None
    as_json: bool
    loudness: Loudness

    def settings(self) -> Settings:
        """Find, read and check the configuration.

        Raises:
            click.UsageError: ``--env`` was not given: there is no default environment (promise G7).
            ConfigInvalid: There is no configuration, or it is wrong.
        """
        if self.environment is None:
            raise click.UsageError(f"--env is missing: one of {', '.join(Environment)}. There is no default.")
        path = self.config or locating.find(self.environment, environ=os.environ)
        settings = load(path, self.environment, environ=os.environ)
        return settings if self.journal is None else _with_journal(settings, self.journal.absolute())


def _with_journal(settings: Settings, path: Path) -> Settings:
    """Use another journal; receipts that lay beside the configured one lie beside it, too."""
    before = settings.journal
    receipts = beside(path) if before.receipts_dir == beside(before.path) else before.receipts_dir
    return dataclasses.replace(settings, journal=JournalSettings(path, receipts, before.allow_network))

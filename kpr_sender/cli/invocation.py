"""What stands before the command's name on the command line, and what follows from it."""

from __future__ import annotations

import dataclasses
import enum
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment
from kpr_sender.settings import load
from kpr_sender.settings.read import beside
from kpr_sender.settings.values import Settings

# Where the configuration lies when the command line does not say.


def candidates(environment: Environment, *, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where a configuration is looked for, in this order.

    Args:
        environment: Names the file, ``<environment>.toml``.
        environ: ``XDG_CONFIG_HOME`` and ``HOME`` are looked up here.
    """
    name = f"{environment.value}.toml"
    # The XDG base directory specification: a relative path there is invalid and to be ignored.
    configured = Path(environ.get("XDG_CONFIG_HOME", ""))
    home = environ.get("HOME")
    own = configured if configured.is_absolute() else Path(home, ".config") if home else None
    folders = (Path("config"), *([own / "kpr-sender"] if own else []), Path("/etc/kpr-sender"))
    return tuple(folder / name for folder in folders)


def find(environment: Environment, *, environ: Mapping[str, str]) -> Path:
    """Return the first configuration that is there.

    Args:
        environment: Whose.
        environ: As for ``candidates``.

    Raises:
        ConfigInvalid: There is none; names all places.
    """
    places = candidates(environment, environ=environ)
    for place in places:
        if place.exists():
            return place
    raise ConfigInvalid(
        f"There is no configuration for {environment.value}; looked for {', '.join(map(str, places))}.",
        next_step="Name it with --config, or begin with a copy of the commented file in config/.",
    )


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
        path = self.config or find(self.environment, environ=os.environ)
        settings = load(path, self.environment, environ=os.environ)
        return settings if self.journal is None else _with_journal(settings, self.journal.absolute())


def _with_journal(settings: Settings, path: Path) -> Settings:
    """Use another journal; receipts that lay beside the configured one lie beside it, too."""
    before = settings.journal
    receipts = beside(path) if before.receipts_dir == beside(before.path) else before.receipts_dir
    return dataclasses.replace(settings, journal=dataclasses.replace(before, path=path, receipts_dir=receipts))

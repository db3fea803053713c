"""What commands share of the command line: the options before the command's name, and those of several commands."""

from __future__ import annotations

import dataclasses
import enum
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kpr_sender.cli.called import Called
from kpr_sender.cli.ending import Ending
from kpr_sender.model import Environment, Language
from kpr_sender.render.language import say, speak
from kpr_sender.settings import kinds, load, locations
from kpr_sender.settings.locations import absolute
from kpr_sender.settings.read import beside
from kpr_sender.settings.rehearsal import rehearsal
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.fleet.file import FleetFile, FleetMunicipality


_NO_ENVIRONMENT: Final = Text(
    "--env is missing: one of {environment}. There is no default.", environment=", ".join(Environment)
)


class Loudness(enum.Enum):
    """How much is printed."""

    QUIET = "-q"
    NORMAL = ""
    VERBOSE = "-v"


@dataclass(frozen=True, slots=True)
class Invocation:
    """The options that every command shares.

    Attributes:
        called: The command line, for the commands that a text names.
        ending: Where the exit code is noted as soon as it is known.
        environment: From ``--env``; None where it was not given.
        config: From ``--config``.
        journal: From ``--journal``; counts before the configuration's.
        as_json: Whether exactly one JSON object goes to standard output.
        language: From ``--lang``; counts before the configuration's.
        municipality: From ``--municipality``: which of a fleet file's.
        given: That municipality, where the fleet file was read already.
    """

    called: Called
    ending: Ending
    environment: Environment | None = None
    config: Path | None = None
    journal: Path | None = None
    as_json: bool = False
    loudness: Loudness = Loudness.NORMAL
    language: Language | None = None
    municipality: str | None = None
    given: FleetMunicipality | None = None

    def settings(self) -> Settings:
        """Find, read and check the configuration.

        Raises:
            click.UsageError: ``--env`` was not given: there is no default environment (promise G7).
            ConfigInvalid: There is no configuration, or it is wrong.
        """
        if self.environment is None:
            raise click.UsageError(_NO_ENVIRONMENT)
        settings = self._read(self.environment)
        if settings.language is not None and self.language is None and not self.as_json:
            speak(settings.language)
        return settings if self.journal is None else _with_journal(settings, absolute(self.journal))

    def _read(self, environment: Environment) -> Settings:
        if self.given is not None:
            return self.given.settings()
        if self.municipality is not None:
            return self.fleet().named(self.municipality).settings()
        path = self.config or locations.find(environment, os.environ)
        return load(path, environment, environ=os.environ) if path else rehearsal(os.environ)

    def fleet(self) -> FleetFile:
        """Find, read and check the fleet file.

        Raises:
            click.UsageError: ``--env`` was not given.
            ConfigInvalid: There is no fleet file, or it is wrong.
        """
        from kpr_sender.fleet.file import FleetFile  # noqa: PLC0415 - most runs are of one municipality alone

        if self.environment is None:
            raise click.UsageError(_NO_ENVIRONMENT)
        path = self.config or locations.find_fleet(self.environment, os.environ)
        return FleetFile.load(absolute(path), self.environment)

    def own_settings(self, seen: Callable[[Settings], object] = lambda _: None) -> Settings:
        """The same for a command that writes: the journal, what lies beside it, or the log.

        Args:
            seen: Called with the configuration as soon as it is read.

        Raises:
            JournalUnwritable: The journal is another user's, who could not use what this one writes.
        """
        from kpr_sender.app import journal_storage  # noqa: PLC0415 - --version and --help need no parts

        settings = self.settings()
        seen(settings)
        journal_storage(settings).require_own()
        return settings


def _with_journal(settings: Settings, path: Path) -> Settings:
    """Use another journal; receipts that lay beside the configured one lie beside it, too."""
    if not path.name:
        raise click.UsageError(Text("--journal: expected a file, and not the root folder."))
    before = settings.journal
    if before.url is not None:
        raise click.UsageError(Text("--journal names a file, and the journal is in a database (journal.url)."))
    receipts = beside(path) if before.receipts_dir == beside(before.path) else before.receipts_dir
    return dataclasses.replace(settings, journal=dataclasses.replace(before, path=path, receipts_dir=receipts))


def parse_duration_option(_context: click.Context, _parameter: click.Parameter, written: str | None) -> float:
    """Return a duration that an option was given, in seconds; infinite where it was not."""
    if written is None:
        return math.inf
    try:
        return kinds.parse_duration(written)
    except ValueError as error:
        raise click.BadParameter(say(Text("expected {error}.", error=error))) from None


class _Path(click.Path):
    """A path that a system call takes, whether it leads anywhere or not: whoever opens it says that in words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            possible = b"\0" not in os.fsencode(value)
        except UnicodeEncodeError:
            possible = False
        if not possible:
            self.fail(say(Text("no file can have this name: it holds NUL, or what is no character.")), param, ctx)
        return super().convert(value, param, ctx)


PATH: Final = _Path(path_type=Path)

max_wait_option: Final = click.option(
    "--max-wait",
    metavar="DURATION",
    callback=parse_duration_option,
    help="Bound on everything together: connecting, trying again and waiting. A transfer under way is finished.",
)
wait_option: Final = click.option(
    "--wait",
    "wait_seconds",
    metavar="DURATION",
    callback=parse_duration_option,
    default="30m",
    show_default=True,
    help="How long to wait for FHI's receipts, for example 30s, 10m, 2h; 0 takes what is there.",
)

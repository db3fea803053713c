"""What a schedule must let a run or a worker do: which program, as whom, with which secrets, writing where."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from kpr_sender.model import Environment
from kpr_sender.settings.exposure import addresses_of, secrets_of
from kpr_sender.settings.secrets import CredentialSecret, EnvironmentSecret
from kpr_sender.settings.values import Settings

_SEND: Final = ("-q", "send", "--wait-for-files", "--wait", "8m", "--max-wait", "9m")
_WITHIN: Final = "kpr-sender"
_OTHERS_DEPTH: Final = 3
"""``/var/lib`` and ``/srv/kpr`` have as many parts, or fewer: what lies there need not be ours."""
_Named = TypeVar("_Named")
_MACHINE: Final = Path("/var/lib")
"""Where the journal's second witness lies when the user has no home (``journal/witness``)."""


@dataclass(frozen=True, slots=True)
class Backups:
    """Where the journal's backups go, each night, and how many stay."""

    folder: Path
    keep: int


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """One environment's runs; or its worker, which goes on.

    Attributes:
        name: What its files are called, without an ending.
        program: What is started, before its options.
        options: Those that decide on the configuration and the journal.
        arguments: The command itself, with its own options.
        user: Whose journal it is.
        credentials: The names of systemd's credentials that hold secrets.
        variables: The environment variables that hold secrets.
        own_folders: Written, and the user's own.
        other_folders: Written, and others' too: what they lay there or fetch.
        reads: Every other path that the configuration names.
        token: Whether a key is in a hardware token, whose library is not ours.
        state_home: ``XDG_STATE_HOME`` of this run; empty where it is not set.
        backups: None where none are wanted.
    """

    name: str
    environment: Environment
    program: tuple[str, ...]
    options: tuple[str, ...]
    arguments: tuple[str, ...]
    user: str
    credentials: tuple[str, ...]
    variables: tuple[str, ...]
    own_folders: tuple[Path, ...]
    other_folders: tuple[Path, ...]
    reads: tuple[Path, ...]
    token: bool
    state_home: str
    backups: Backups | None

    @property
    def command(self) -> tuple[str, ...]:
        """The command line of each run."""
        return (*self.program, *self.options, *self.arguments)

    @property
    def back_up(self) -> tuple[str, ...]:
        """The command line of each backup; empty where none are wanted."""
        if self.backups is None:
            return ()
        own = ("-q", "journal", "backup", str(self.backups.folder), "--keep", str(self.backups.keep))
        return (*self.program, *self.options, *own)


def scheduled_run(
    settings: Settings,
    *,
    program: tuple[str, ...],
    options: tuple[str, ...],
    user: str,
    home: Path | None,
    environ: Mapping[str, str],
    backups: Backups | None,
) -> ScheduledRun:
    """Return what a configuration's runs need.

    Args:
        settings: The configuration.
        program: What is started, before its options.
        options: Those that decide on the configuration and the journal.
        user: Who runs it.
        home: That user's; None where there is none.
        environ: This run's, for ``XDG_STATE_HOME``.
        backups: Where the journal's backups go; None where none are wanted.
    """
    places = [secret.place for secret in (*secrets_of(settings), *addresses_of(settings))]
    state_home = environ.get("XDG_STATE_HOME", "") if Path(environ.get("XDG_STATE_HOME", "")).is_absolute() else ""
    state = Path(state_home) if state_home else home / ".local" / "state" if home else _MACHINE
    own = [settings.journal.path.parent, settings.journal.receipts_dir, state / _WITHIN]
    own += [settings.log.file.parent] if settings.log.file else []
    own += [settings.sandbox.dir] if settings.sandbox else []
    own += [backups.folder] if backups else []
    others = [settings.bus.receipts_inbox] if settings.bus.receipts_inbox else []
    others += [settings.files.drop] if settings.files.drop else []
    others += [settings.monitor.metrics_file.parent] if settings.monitor.metrics_file else []
    return ScheduledRun(
        name=f"{_WITHIN}-{settings.environment.value}",
        environment=settings.environment,
        program=program,
        options=options,
        arguments=_SEND,
        user=user,
        credentials=tuple(dict.fromkeys(one.name for one in places if isinstance(one, CredentialSecret))),
        variables=tuple(dict.fromkeys(one.variable for one in places if isinstance(one, EnvironmentSecret))),
        own_folders=_outermost(own),
        other_folders=_outermost(others),
        reads=tuple(dict.fromkeys([*map(Path, (*program[:1], settings.origin)), *_paths(settings)])),
        token=any(one.token is not None for one in (settings.keys.signing, *settings.keys.decryption)),
        state_home=state_home,
        backups=backups,
    )


def scheduled_worker(
    runs: Sequence[ScheduledRun], *, arguments: tuple[str, ...], credentials: Path | None
) -> ScheduledRun:
    """Return what a worker of a fleet needs.

    Args:
        runs: What the runs of its municipalities need; at least one.
        arguments: The command itself, with its own options.
        credentials: The folder that the fleet file has its secrets read from; None for what systemd hands over.
    """
    first = runs[0]
    own = _outermost(list(_of_many(folder for run in runs for folder in run.own_folders)))
    others = [folder for run in runs for folder in run.other_folders]
    return dataclasses.replace(
        first,
        name=f"{_WITHIN}-worker-{first.environment.value}",
        arguments=arguments,
        credentials=() if credentials else _each(name for run in runs for name in run.credentials),
        variables=_each(name for run in runs for name in run.variables),
        own_folders=own,
        other_folders=_outermost(others),
        reads=_each(path for run in runs for path in (*run.reads, *([credentials] if credentials else []))),
        token=any(run.token for run in runs),
    )


def _each(found: Iterable[_Named]) -> tuple[_Named, ...]:
    return tuple(dict.fromkeys(found))


def _of_many(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the folder in which several of them lie, a municipality each; the others as they are.

    A folder of the machine that others have theirs in, too, is none.
    """
    known = _each(folders)
    for parent, inside in itertools.groupby(sorted(known), key=lambda one: one.parent):
        found = list(inside)
        yield from [parent] if len(found) > 1 and len(parent.parts) > _OTHERS_DEPTH else found


def _outermost(folders: list[Path]) -> tuple[Path, ...]:
    """Return each folder once, without those that lie in another of them."""
    return tuple(one for one in dict.fromkeys(folders) if not any(other in one.parents for other in folders))


def _paths(value: Any) -> Iterator[Path]:
    """Yield every path in a configuration."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _paths(one)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _paths(getattr(value, field.name))

"""``kpr-send schedule``: ready files that let a machine run it by itself."""

from __future__ import annotations

import os
import shlex
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kpr_sender.cli import output
from kpr_sender.cli.invocation import PATH, Invocation
from kpr_sender.durable import new_file
from kpr_sender.errors import InputMissing, UsageError
from kpr_sender.file_owners import user_name
from kpr_sender.operator.scheduled_run import Backups, ScheduledRun, scheduled_run, scheduled_worker
from kpr_sender.render import json
from kpr_sender.render import schedule as files
from kpr_sender.render.language import say
from kpr_sender.render.schedule import Schedule
from kpr_sender.settings.locations import MACHINE
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

if TYPE_CHECKING:
    from kpr_sender.fleet.file import FleetFile

_SERVICE_USER: Final = "kpr"
_KEEP: Final = 14


@click.group("schedule", subcommand_metavar="systemd | cron | windows | worker")
def command() -> None:
    """Print ready files for a schedule: a run every ten minutes, and backups of the journal each night.

    A run waits for the files until they are exported, sends them, and waits for the receipts. It may stay there all
    year: a run that has nothing to do ends at once.

    worker prints a service for kpr-send fleet worker, for each of a fleet's machines.
    """


_user: Final = click.option("--user", metavar="NAME", help="Who runs it; else who owns the journal, or this user.")
_target: Final = click.option(
    "--write", "target", type=PATH, metavar="DIR", help="Write the files into DIR; they must be new."
)


def _shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every kind of schedule for one municipality."""
    for option in (
        _user,
        click.option("--backups", "folder", type=PATH, metavar="FOLDER", help="Back the journal up there each night."),
        click.option(
            "--keep",
            type=click.IntRange(min=1),
            default=_KEEP,
            show_default=True,
            metavar="N",
            help="With --backups: how many backups stay.",
        ),
        _target,
    ):
        function = option(function)
    return click.pass_obj(function)


_credentials: Final = click.option(
    "--credentials",
    type=PATH,
    metavar="DIR",
    help="Folder of the secrets that the configuration names as credentials; else /etc/kpr-sender/<env>.",
)


@command.command("systemd")
@_credentials
@_shared
def systemd(invocation: Invocation, *, credentials: Path | None, target: Path | None, **wanted: Any) -> int:
    """Print a service and its timer, for /etc/systemd/system.

    The service may read what is configured, reach the network, and write where the journal, the receipts and the log
    are; nothing else. Its secrets are loaded as credentials.
    """
    run = _run(invocation, **wanted)
    return _answer(invocation, files.systemd(run, _folder(run, credentials)), target)


@command.command("cron")
@_credentials
@_shared
def cron(invocation: Invocation, *, credentials: Path | None, target: Path | None, **wanted: Any) -> int:
    """Print a file for /etc/cron.d."""
    run = _run(invocation, **wanted)
    return _answer(invocation, files.cron(run, _folder(run, credentials)), target)


@command.command("windows")
@_shared
def windows(invocation: Invocation, *, target: Path | None, **wanted: Any) -> int:
    """Print a task for Windows' Task Scheduler, to be imported with schtasks /Create /XML."""
    return _answer(invocation, files.windows(_run(invocation, **wanted)), target)


@command.command("worker")
@_credentials
@_user
@click.option("--jobs", metavar="N", type=click.IntRange(1, 256), help="How many at once; else what the file says.")
@_target
@click.pass_obj
def worker(
    invocation: Invocation, *, credentials: Path | None, user: str | None, jobs: int | None, target: Path | None
) -> int:
    """Print a service for kpr-send fleet worker, for /etc/systemd/system of each machine of a fleet.

    systemd starts it again when it fails, lets runs under way end when it is stopped, and loads the secrets of all
    municipalities. Write it anew when municipalities, paths or secrets are added.
    """
    if invocation.journal is not None or invocation.municipality is not None:
        raise UsageError(
            Text("A worker looks after all of a fleet file: --journal and --municipality do not go with it.")
        )
    run = _of_worker(invocation.fleet(), user, jobs)
    return _answer(invocation, files.systemd_worker(run, _folder(run, credentials)), target)


def _of_worker(fleet: FleetFile, user: str | None, jobs: int | None) -> ScheduledRun:
    known = [one.settings() for one in fleet.municipalities]  # what is wrong with one is said now, not by the service
    who = user or _owner(known[0])
    options = ("--env", fleet.environment.value, "--config", str(fleet.path))
    run = scheduled_worker(
        [
            scheduled_run(
                one, program=_program(), options=options, user=who, home=_home(who), environ=os.environ, backups=None
            )
            for one in known
        ],
        arguments=("fleet", "worker", *(("--jobs", str(jobs)) if jobs else ())),
        credentials=fleet.settings.credentials,
    )
    _require_printable(*run.command, run.user, run.state_home, *run.own_folders, *run.other_folders)
    return run


def _run(invocation: Invocation, *, user: str | None, folder: Path | None, keep: int) -> ScheduledRun:
    settings = invocation.settings()
    who = user or _owner(settings)
    run = scheduled_run(
        settings,
        program=_program(),
        options=tuple(_options(invocation, settings)),
        user=who,
        home=_home(who),
        environ=os.environ,
        backups=None if folder is None else Backups(folder.absolute(), keep),
    )
    _require_printable(*run.command, *run.back_up, run.user, run.state_home, *run.own_folders, *run.other_folders)
    return run


def _require_printable(*words: str | Path) -> None:
    if not "".join(map(str, words)).isprintable():
        raise UsageError(Text("A name or path has a control character in it, which no schedule can hold."))


def _program() -> tuple[str, ...]:
    """Return what starts this installation: its own script, whatever the PATH of a schedule is."""
    script = Path(sysconfig.get_path("scripts")) / ("kpr-send.exe" if os.name == "nt" else "kpr-send")
    return (str(script),) if script.exists() else (sys.executable, "-m", "kpr_sender")


def _options(invocation: Invocation, settings: Settings) -> Iterator[str]:
    yield from ("--env", settings.environment.value)
    if Path(settings.origin).is_file():  # lokal has one built in
        yield from ("--config", str(Path(settings.origin).absolute()))
    if invocation.municipality is not None:
        yield from ("--municipality", invocation.municipality)
    if invocation.journal is not None:
        yield from ("--journal", str(settings.journal.path))


def _owner(settings: Settings) -> str:
    """Return whose the journal is; where there is none, this user, but never root."""
    if sys.platform == "win32":
        return os.environ.get("USERNAME", _SERVICE_USER)
    for path in (settings.journal.path, settings.journal.path.parent):
        with suppress(OSError):
            owner = path.stat().st_uid
            if owner:
                return user_name(owner)
    return user_name(os.geteuid()) if os.geteuid() else _SERVICE_USER


def _home(user: str) -> Path | None:
    home = Path(os.path.expanduser(f"~{user}"))  # noqa: PTH111 - Path's own raises for a user that there is not
    return home if home.is_absolute() else None


def _folder(run: ScheduledRun, credentials: Path | None) -> Path:
    folder = MACHINE / run.environment.value if credentials is None else credentials.absolute()
    _require_printable(folder)
    return folder


def _answer(invocation: Invocation, schedule: Schedule, target: Path | None) -> int:
    paths = [Path(one.path) if target is None else target.absolute() / Path(one.path).name for one in schedule.files]
    if target is not None:
        for one, path in zip(schedule.files, paths, strict=True):
            _write(path, one.text.encode(one.encoding))
    value = json.envelope(
        None,
        files=[{"path": str(path), "text": one.text} for one, path in zip(schedule.files, paths, strict=True)],
        steps=list(schedule.steps),
    )
    here = Path(schedule.files[0].path).parent
    write = shlex.join(("kpr-send", *invocation.called.arguments, "--write", str(here)))
    steps = [
        say(Text("Then, as an administrator:")),
        *([f"  {write}"] if target is None else []),
        *(f"  {step}" for step in schedule.steps),
    ]
    if target is None:
        printed = [f"# {path}\n{one.text}" for one, path in zip(schedule.files, paths, strict=True)]
        text = "\n".join([*printed, *(f"# {line}" for line in steps)])
    else:
        text = "\n".join([*map(str, paths), *steps])
    return output.answer_text(invocation, value, text)


def _write(path: Path, content: bytes) -> None:
    if os.path.lexists(path):
        raise UsageError(
            Text("The file is there already, and is not overwritten."),
            where=str(path),
            next_step=Text("Remove it, or name another folder."),
        )
    try:
        with new_file(path) as file:
            file.write(content)
        path.chmod(0o644)  # systemd wants it readable; no secret is in it
    except OSError as error:
        raise InputMissing(
            Text("The file cannot be written: {reason}.", reason=error.strerror or type(error).__name__),
            where=str(path),
            next_step=Text("Name a folder that this user may write to."),
        ) from None

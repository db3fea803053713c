"""``kpr-send check``: what FHI would refuse, drop or blank, before anything is sent."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from kpr_sender.cli import output
from kpr_sender.cli.called import Called
from kpr_sender.cli.invocation import PATH, Invocation, Loudness
from kpr_sender.durable import write_file
from kpr_sender.errors import InputMissing, InputRefused
from kpr_sender.model import Environment, MessageType
from kpr_sender.operator import testpersons
from kpr_sender.outbound.drop import DropFolder
from kpr_sender.outbound.payload_file import read_chunks
from kpr_sender.outbound.submit import require_owner
from kpr_sender.preflight import check, with_sizes
from kpr_sender.preflight.report import CheckReport, verdict
from kpr_sender.render import json
from kpr_sender.render.check import accept_command, check_json, check_screen
from kpr_sender.settings.values import LimitSettings, Settings
from kpr_sender.texts import Text


@dataclass(frozen=True, slots=True)
class _Task:
    """What is checked, and by which rules.

    Attributes:
        settings: The configuration; None where there is none.
    """

    fagmelding: Path
    identmelding: Path
    year: int
    environment: Environment
    settings: Settings | None

    @property
    def organisation_number(self) -> str:
        """The municipality's own, nine digits; empty where no configuration names it."""
        return "" if self.settings is None else self.settings.sender.party.organisation_number or ""

    @property
    def rules(self) -> Text:
        """Year and environment, for a person."""
        if self.settings:
            return Text("{year}, {environment}", year=self.year, environment=self.environment.value)
        return Text(
            "{year}, {environment} (no --env: production's rules)", year=self.year, environment=self.environment.value
        )


@click.command("check")
@click.argument("fagmelding", type=PATH, required=False)
@click.argument("identmelding", type=PATH, required=False)
@click.option("--year", type=click.IntRange(2018, 2100), help="The reporting year; else the configuration's.")
@click.option("--compare", "last_year", type=PATH, metavar="FILE", help="Last year's fagmelding, to compare with.")
@click.option("--html", "page", type=PATH, metavar="FILE", help="Write the report as a page to look at and print, too.")
@click.option("--all", "everything", is_flag=True, help="Show notes, every rule in full and more of the places.")
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    fagmelding: Path | None,
    identmelding: Path | None,
    year: int | None,
    last_year: Path | None,
    page: Path | None,
    everything: bool,
) -> int:
    """Find what FHI would refuse, drop or blank in the pair. Nothing is sent.

    FAGMELDING and IDENTMELDING are the two files; without them the configuration's are checked. Without --env no
    configuration is read: name the files and --year, and production's rules hold.

    Exit code 0 when nothing would keep send from sending, else 65.
    """
    task = _task(invocation, fagmelding, identmelding, year)
    files = () if fagmelding is None else (str(fagmelding), str(identmelding))
    if page is not None:
        _require_another_file(page, task, last_year)
    with _progress(invocation):
        report = check(
            read_chunks(task.fagmelding),
            read_chunks(task.identmelding),
            task.year,
            environment=task.environment,
            organisation_number=task.organisation_number,
            is_test_person=_is_test_person(task),
            last_year=None if last_year is None else read_chunks(last_year),
            names=(str(task.fagmelding), str(task.identmelding), str(last_year)),
        )
    report = with_sizes(report, (task.settings.limits if task.settings else LimitSettings()).refuse_bytes)
    _require_own_municipality(task, report)
    if page is not None:
        from kpr_sender.render.check_page import check_page  # noqa: PLC0415 - jinja2 is loaded where a page is made

        # Without paths: the page goes to others than who runs the command.
        called = Called(("--env", task.environment.value), invocation.called.commands)
        accept = called.completed(accept_command(report))
        _write(page, check_page(report, made_at=datetime.now().astimezone(), names=_file_names(task), accept=accept))
    return _answer(invocation, task, report, page, files, everything=everything)


def _task(invocation: Invocation, fagmelding: Path | None, identmelding: Path | None, year: int | None) -> _Task:
    if (fagmelding is None) is not (identmelding is None):
        raise click.UsageError(Text("Name both files, FAGMELDING and IDENTMELDING, or none."))
    if invocation.environment is None and invocation.config is None:
        if fagmelding is None or identmelding is None or year is None:
            raise click.UsageError(Text("Name both files and --year, or --env: then the configuration says them."))
        return _Task(fagmelding, identmelding, year, Environment.PRODUKSJON, None)
    settings = invocation.settings()
    folder = DropFolder.of(settings) if fagmelding is None else None
    lying = {} if folder is None else folder.newest(datetime.now(UTC))
    first = fagmelding or lying.get(MessageType.KPR_IPL) or settings.files.fagmelding
    second = identmelding or lying.get(MessageType.KPR_IDE) or settings.files.identmelding
    if first is None or second is None:
        raise click.UsageError(Text("Name both files, FAGMELDING and IDENTMELDING: the configuration does not."))
    return _Task(first, second, year or settings.report.year, settings.environment, settings)


def _is_test_person(task: _Task) -> Callable[[str], bool]:
    """Return whether a national id is on the municipality's list; without a configuration there is no list."""
    if task.settings is None:
        return lambda _: False
    return testpersons.load(testpersons.beside(task.settings.journal.path)).holds


def _progress(invocation: Invocation) -> AbstractContextManager[object]:
    """Show progress on a terminal: a large municipality's files take a minute or two."""
    if invocation.loudness is not Loudness.NORMAL or not sys.stderr.isatty():
        return nullcontext()
    from kpr_sender.cli.display import Display  # noqa: PLC0415 - rich is loaded on a terminal only

    return Display(invocation.called)


def _require_own_municipality(task: _Task, report: CheckReport) -> None:
    """Refuse another municipality's file, as ``send`` does."""
    for payload, path in zip(report.payloads, (task.fagmelding, task.identmelding), strict=True):
        if task.settings is not None and payload is not None:
            require_owner(payload, task.settings, name=str(path))


def _require_another_file(page: Path, task: _Task, last_year: Path | None) -> None:
    """Refuse to write the page over what is checked: an extract is not easily made again."""
    for read in (task.fagmelding, task.identmelding, last_year):
        # Where one may not look nothing is written over, and opening it says so.
        if read is not None and os.path.exists(read) and os.path.exists(page) and page.samefile(read):  # noqa: PTH110
            raise click.UsageError(Text("--html would write over {read}, which is to be checked.", read=read))


def _write(page: Path, text: str) -> None:
    """Write the page for nobody else to read: it says what is wrong with persons' data, if not who they are."""
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(page.lstat().st_mode):
                raise InputMissing(
                    Text("The page cannot be written: what lies there is no regular file."),
                    where=str(page),
                    next_step=Text("Name another file."),
                )
        # A file's name may be no UTF-8.
        write_file(page, text.encode("utf-8", "backslashreplace"), synced=False)
    except OSError as error:
        raise InputMissing(
            Text("The page cannot be written: {reason}.", reason=error.strerror),
            where=str(page),
            next_step=Text("Name a file that this user may write."),
        ) from None


def _answer(
    invocation: Invocation,
    task: _Task,
    report: CheckReport,
    page: Path | None,
    files: Sequence[str],
    *,
    everything: bool,
) -> int:
    decided = verdict(report)
    error = InputRefused(decided.text) if decided.hinders else None
    names = (str(task.fagmelding), str(task.identmelding))
    screen = check_screen(report, names=names, rules=task.rules, page=page, everything=everything, files=files)
    quiet = [Text("kpr-send: {verdict}", verdict=decided.text)] if error else []
    return output.answer(invocation, json.envelope(error, **check_json(report)), screen, error=error, quiet=quiet)


def _file_names(task: _Task) -> tuple[str, str]:
    return task.fagmelding.name, task.identmelding.name

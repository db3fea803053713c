"""``kpr-send fleet``: the commands of one municipality for all of a fleet file, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import click

from kpr_sender.cli.fleet_follow import engine_with_workers, follow
from kpr_sender.cli.fleet_lines import fleet_answer, line_after, line_of, showing
from kpr_sender.cli.fleet_run import FleetFound, FleetOrder, carry_out, preload
from kpr_sender.cli.invocation import Invocation, parse_duration_option
from kpr_sender.errors import KprError, UsageError
from kpr_sender.fleet.file import FleetFile, FleetMunicipality
from kpr_sender.fleet.overview import overview, status_of
from kpr_sender.fleet.supervisor import EndedRun, PlannedRun, Supervisor
from kpr_sender.outbound.drop import DropFolder
from kpr_sender.render.fleet import FleetLine
from kpr_sender.render.language import say
from kpr_sender.settings.values import Settings
from kpr_sender.settings.web import ListenAddress, parse_endpoint
from kpr_sender.texts import Text


@click.group("fleet")
def command() -> None:
    """Look after all municipalities of a fleet file: each as if it were run alone, so many at once.

    The fleet file is the one that --config names; else ~/.config/kpr-sender/fleet-<env>.toml, fleet.toml beside it, or
    the same in /etc/kpr-sender. The exit code is the worst of all. One municipality's other commands take
    --municipality NUMBER.
    """


def _names(_context: click.Context, _parameter: click.Parameter, written: tuple[str, ...]) -> tuple[str, ...]:
    """Return the municipalities that are named; none where the option was not given, which means all."""
    names = tuple(name for each in written for one in each.split(",") if (name := one.strip()))
    if written and not names:
        raise click.BadParameter(say(Text("expected at least one municipality; leave the option out for all.")))
    return names


def _only(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--only",
        metavar="NUMBERS",
        multiple=True,
        callback=_names,
        help="Only these municipalities, with commas between: the kommunenummer, or with its bydel (0301-03).",
    )(function)


def _endpoint(_context: click.Context, _parameter: click.Parameter, written: str | None) -> ListenAddress | None:
    try:
        return None if written is None else parse_endpoint(written)
    except ValueError:
        raise click.BadParameter(say(Text("expected an address and a port, such as 127.0.0.1:8080."))) from None


def _duration(context: click.Context, parameter: click.Parameter, written: str) -> str:
    """Refuse what is no duration here, before any process is begun; pass on what was written."""
    parse_duration_option(context, parameter, written)
    return written


_wait: Final = click.option(
    "--wait",
    metavar="DURATION",
    callback=_duration,
    default="2m",
    show_default=True,
    help="How long each waits for FHI's receipts, for example 30s, 10m; the next run goes on. 0 takes what is there.",
)


def _in_processes(function: Callable[..., Any]) -> Callable[..., Any]:
    jobs = click.option(
        "--jobs", metavar="N", type=click.IntRange(1, 256), help="How many at once; else what the fleet file says."
    )
    return click.pass_obj(_only(jobs(function)))


@command.command("status")
@_only
@click.pass_obj
def status(invocation: Invocation, *, only: tuple[str, ...]) -> int:
    """Show what the journals say of all municipalities: those that need a person first. Nothing is connected to."""
    fleet = _fleet(invocation)
    chosen = fleet.only(only)
    known = overview(chosen, datetime.now(UTC))
    lines = [line_of(one, found, begun=False) for one, found in zip(chosen, known, strict=True)]
    return fleet_answer(invocation, "status", fleet, lines)


@command.command("send")
@_wait
@click.option("--replaces", metavar="ID", help="With --only of one: the submission that its new pair replaces.")
@click.option("--reason", metavar="TEXT", default="", help="Why it replaces: what was agreed with FHI.")
@click.option(
    "--accept-findings",
    metavar="N",
    type=click.IntRange(min=1),
    help="With --only of one: the exact number of findings that you have read in kpr-send check.",
)
@click.option("--by", metavar="NAME", default="", help="Who accepts or replaces; the login name when not given.")
@click.option("--here", is_flag=True, help="Run here, also where kpr-send fleet worker runs; else the workers do it.")
@_in_processes
def send(  # noqa: PLR0913 - an option each
    invocation: Invocation,
    *,
    only: tuple[str, ...],
    jobs: int | None,
    wait: str,
    replaces: str | None,
    reason: str,
    accept_findings: int | None,
    by: str,
    here: bool,
) -> int:
    """Check and send what each municipality has, and go on with what is under way.

    While the files are not there yet a municipality waits for them: 0 until 7 days before the deadline, then 66.

    Where kpr-send fleet worker runs, on whatever machine, the workers are asked to do it, and what comes of it is shown
    here. What a person decides (--replaces, --accept-findings) is always done here.
    """
    fleet = _fleet(invocation)
    arguments = ["send", "--wait", wait]
    if replaces or accept_findings:
        if len(fleet.only(only)) != 1 or not only:
            raise UsageError(
                Text("What a person decides is decided for one municipality."),
                where="--replaces, --accept-findings",
                next_step=Text("Name it: --only NUMBER."),
            )
        arguments += ["--replaces", replaces, "--reason", reason] if replaces else []
        arguments += ["--accept-findings", str(accept_findings)] if accept_findings else []
    if not replaces:
        arguments += ["--wait-for-files"]
    if not (here or replaces or accept_findings or by) and (engine := engine_with_workers(fleet, only)) is not None:
        return follow(invocation, fleet, fleet.only(only), engine, wait)
    arguments += ["--by", by] if by else []
    _glance(fleet.only(only))
    return _run(invocation, "send", fleet, only, jobs, arguments)


@command.command("wait")
@_wait
@_in_processes
def wait_for_receipts(invocation: Invocation, *, only: tuple[str, ...], jobs: int | None, wait: str) -> int:
    """Take the receipts of what is published or in doubt; nothing is sent."""
    return _run(invocation, "wait", _fleet(invocation), only, jobs, ["wait", "--wait", wait])


@command.command("check")
@_in_processes
def check(invocation: Invocation, *, only: tuple[str, ...], jobs: int | None) -> int:
    """Find what FHI would refuse, drop or blank in each municipality's pair. Nothing is sent."""
    return _run(invocation, "check", _fleet(invocation), only, jobs, ["check"])


@command.command("certs")
@click.option("--check", "check", is_flag=True, help="End with 85 when one of them needs attention; for cron.")
@_in_processes
def certs(invocation: Invocation, *, only: tuple[str, ...], jobs: int | None, check: bool) -> int:
    """Look at the certificates of each municipality, FHI's and the bus's, and the days they have left."""
    return _run(invocation, "certs", _fleet(invocation), only, jobs, ["certs", *(["--check"] if check else [])])


@command.command("doctor")
@_in_processes
def doctor(invocation: Invocation, *, only: tuple[str, ...], jobs: int | None) -> int:
    """Prove for each municipality that a send would work: keys, certificates, register, bus, journal, disk, clock."""
    return _run(invocation, "doctor", _fleet(invocation), only, jobs, ["doctor"])


def _glance(municipalities: Iterable[FleetMunicipality]) -> None:
    """Look at all drop folders first: while the first runs wait for their second look, the others' time goes by."""
    for one in municipalities:
        with suppress(KprError):  # the run says so
            if isinstance(one.known, Settings) and (folder := DropFolder.of(one.known)) is not None:
                folder.glance(datetime.now(UTC))


@command.command("worker")
@_in_processes
def worker(invocation: Invocation, *, only: tuple[str, ...], jobs: int | None) -> int:
    """Look after all municipalities again and again until Ctrl-C, together with the workers of other machines.

    It needs kpr-sender[fleet], and the journals of all in one database (journal.url). Each municipality is looked after
    as by kpr-send fleet send, every fleet.every, by whichever worker is free (docs/fleet.md).
    """
    from kpr_sender.cli.fleet_worker import work  # noqa: PLC0415 - an extra, which only this needs

    return work(invocation, _fleet(invocation), only, jobs)


@command.command("serve")
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    callback=_endpoint,
    help="Where the page listens, for example 127.0.0.1:8080; counts before web.listen of the fleet file.",
)
@click.pass_obj
def serve(invocation: Invocation, *, listen: ListenAddress | None) -> int:
    """Serve a page of all municipalities until Ctrl-C: read only, who needs a person first.

    It needs kpr-sender[web]. Without a login it is for this machine alone; [web] of the fleet file says who may read it
    elsewhere (docs/fleet.md).
    """
    from kpr_sender.cli.fleet_serve import serve_page  # noqa: PLC0415 - an extra, which only this needs

    return serve_page(invocation, _fleet(invocation), listen)


def _fleet(invocation: Invocation) -> FleetFile:
    for option, given in (("--journal", invocation.journal), ("--municipality", invocation.municipality)):
        if given is not None:
            raise UsageError(
                Text("{option} does not go with fleet: each municipality has its own.", option=option),
                next_step=Text("Name municipalities with --only."),
            )
    return invocation.fleet()


def _run(
    invocation: Invocation,
    command: str,
    fleet: FleetFile,
    only: tuple[str, ...],
    jobs: int | None,
    arguments: Sequence[str],
) -> int:
    chosen = {one.name: one for one in fleet.only(only)}
    found: dict[str, FleetLine] = {}
    with showing(invocation, fleet.environment, command, len(chosen)) as shown:

        def ended(run: EndedRun[FleetFound]) -> None:
            found[run.name] = line_after(chosen[run.name], run, command)
            shown.ended(found[run.name])

        supervisor = Supervisor[FleetOrder, FleetFound](
            target=carry_out,
            jobs=jobs or fleet.settings.jobs,
            time_limit=fleet.settings.time_limit,
            preload=preload(fleet.environment),
            on_end=ended,
        )
        with invocation.ending.finishing(supervisor.stop):
            supervisor.run(PlannedRun(one.name, shown.order(one, arguments), one.group) for one in chosen.values())
    now = datetime.now(UTC)
    lines = [found.get(name) or line_of(one, status_of(one, now), begun=False) for name, one in chosen.items()]
    return fleet_answer(invocation, command, fleet, lines)

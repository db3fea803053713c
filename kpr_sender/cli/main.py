"""``kpr-send``: the options before the command, and the one place where errors become an exit code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from kpr_sender.cli import global_options, output, streams
from kpr_sender.cli.called import Called
from kpr_sender.cli.ending import Ending
from kpr_sender.cli.invocation import Invocation
from kpr_sender.cli.language import asked, localized
from kpr_sender.errors import KprError, UsageError
from kpr_sender.render.language import say, say_help, speaking
from kpr_sender.texts import Text, as_text, listed

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from kpr_sender.fleet.file import FleetMunicipality

COMMANDS: Final = {
    "send": Text("Send the pair, or go on with it, and wait for FHI's receipts."),
    "check": Text("Find what FHI would refuse, drop or blank, before anything is sent."),
    "wait": Text("Wait for the receipts of what is published."),
    "resolve": Text("Decide on a shipment what a program must not."),
    "resend": Text("Send one half of a pair again, after a fault or a rejection."),
    "reviewed": Text("Note that a person has looked at the data in FHI's feedback view."),
    "status": Text("Show what is known of a submission, from the journal alone."),
    "receipts": Text("Show a submission's receipts with everything they say, or take them from files."),
    "journal": Text("Check the journal, copy it, show what is in it."),
    "evidence": Text("Write a signed archive of what was sent, answered and decided, or verify one."),
    "bundle": Text("Write an archive for support: configuration, self-checks, journal and log, without secrets."),
    "testpersons": Text("Keep the list of test persons that must not be sent to production."),
    "init": Text("Write a short configuration: asks, looks up, never overwrites."),
    "certs": Text("Show all certificates in use and how long they last."),
    "notify": Text("Try whether notices arrive: one to every configured address."),
    "doctor": Text("Prove without sending anything that a send would work."),
    "config": Text("Check the configuration without sending anything."),
    "schedule": Text("Print ready files for systemd, cron or Windows' Task Scheduler."),
    "completion": Text("Print what lets bash, zsh or fish complete commands and options."),
    "fleet": Text("Send, wait, check and look for all municipalities of a fleet file."),
    "sandbox": Text("Run a Tjenestebuss with a KPR receiver and an Adresseregister on this machine."),
    "sample": Text("Write a synthetic fagmelding and identmelding."),
    "demo": Text("Show the main job with synthetic files and a sandbox, on this machine alone."),
}
"""Each in a file of its name. The text is here so that --help need not load what the commands need."""


class _BrokenConnection(Exception):
    """A pipe or connection has broken that is not standard output."""


class _Commands(click.Group):
    """Loads a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"kpr_sender.cli.{cmd_name}").command
        return localized(global_options.taken_by(command))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands without loading them: a shell waits for it."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only a shell asks

        named = [CompletionItem(name, help=say(text)) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would end with 1, as if it were standard output's: those end in ``streams``, this is a connection's.
            raise _BrokenConnection from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        with formatter.section(say_help("Commands")):
            formatter.write_dl([(name, say(text)) for name, text in COMMANDS.items()])


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=list(global_options.options()),
)
@click.version_option(None, "--version", package_name="kpr-sender", prog_name="kpr-send")
@click.pass_context
def cli(context: click.Context) -> int | None:
    """Hand a municipality's yearly KPR data to FHI over NHN Tjenestebuss.

    Without COMMAND it sends the two files that the configuration names. Run it again and it goes on where it stood:
    nothing is sent twice. The options below are taken before and after COMMAND.
    """
    return None if context.invoked_subcommand is not None else _send_what_is_configured(context)


def _send_what_is_configured(context: click.Context) -> int:
    send = importlib.import_module("kpr_sender.cli.send").command
    with send.make_context("send", [], parent=context) as own:
        exit_code: int = own.command.invoke(own)
        return exit_code


def main() -> NoReturn:
    """Run the command line and end the process with its code."""
    streams.prepare_process()
    ending = Ending()
    with ending.listening():
        _run(sys.argv[1:], ending)
        ending.exit()


def run(arguments: Sequence[str], *, ending: Ending | None = None, given: FleetMunicipality | None = None) -> int:
    """Run a command line; the only place that turns errors into an exit code.

    Args:
        arguments: What follows ``kpr-send``.
        ending: Where the exit code is noted, and the error that it stands for.
        given: Whose run it is, where a fleet's was read already.

    Returns:
        The exit code: one of docs/exit-codes.md, or 130.
    """
    ending = ending or Ending()
    with ending.listening():
        return _run(arguments, ending, given)


def _run(arguments: Sequence[str], ending: Ending, given: FleetMunicipality | None = None) -> int:
    called = Called(tuple(arguments), tuple(COMMANDS))
    failure = output.Failure(called, ending)
    with speaking(asked(arguments)), streams.unfailing() as ending.hurry:
        try:
            ending.begin()
            code = ending.known(_outcome(Invocation(called, ending, given=given), failure))
        except (KeyboardInterrupt, click.Abort):
            code = failure.interrupted()
        ending.follow_up()
        return code


def _outcome(invocation: Invocation, failure: output.Failure) -> int:
    arguments = list(invocation.called.arguments)
    try:
        return localized(cli).main(arguments, prog_name="kpr-send", standalone_mode=False, obj=invocation) or 0
    except click.ClickException as error:
        from kpr_sender.privacy import redact_text  # noqa: PLC0415 - only when something is wrong

        hint = None
        if isinstance(error, click.UsageError) and error.ctx:
            hint = Text("See {command} --help.", command=error.ctx.command_path)
        if isinstance(error, NoArgsIsHelpError) and isinstance(error.ctx.command, click.Group):
            # Its message is the whole help, which is no sentence about what is wrong.
            names = listed(*error.ctx.command.list_commands(error.ctx))
            what = Text("{command} needs one of its commands: {names}.", command=error.ctx.command_path, names=names)
            return failure.report(UsageError(what, next_step=hint))
        # It quotes what was typed, which may be a national id; click ends some of its sentences with the quotation.
        message = redact_text(error.format_message())
        ended = message.rstrip(")").endswith((".", "?", "!"))
        return failure.report(UsageError(as_text(message if ended else f"{message}."), next_step=hint))
    except KprError as error:
        return failure.report(error)
    except (KeyboardInterrupt, SystemExit, click.Abort):
        raise
    except BaseException as error:  # noqa: BLE001 - the boundary: a panic in a native library is no Exception
        return failure.unexpected(error)

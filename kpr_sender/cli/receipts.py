"""``kpr-send receipts``: everything FHI's receipts say, for the person who asks, and a way in for those in files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from kpr_sender.cli import output, session
from kpr_sender.cli.global_options import first_positional
from kpr_sender.cli.invocation import PATH, Invocation
from kpr_sender.cli.status import journal_of, nothing_known, report_on
from kpr_sender.client import Client
from kpr_sender.errors import ConfigInvalid, InputMissing, InputRefused
from kpr_sender.inbound.archive import copy_path
from kpr_sender.model import Receipt
from kpr_sender.regular_file import TooLarge, read_regular
from kpr_sender.render import json
from kpr_sender.render.text import receipts_screen
from kpr_sender.report import Report
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text, paragraph

_MAX_FILE_BYTES: Final = 100_000_000
"""Above what the bus takes (50 MB) in base64."""


class _ShowUnlessNamed(click.Group):
    """``receipts`` and ``receipts ID`` mean ``receipts show``: no id reads like a command's name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in ctx.help_option_names:
            return super().parse_args(ctx, args)
        first = first_positional(self, ctx, args)
        named = args[first : first + 1]
        return super().parse_args(ctx, args if named and named[0] in self.commands else ["show", *args])


@click.group("receipts", cls=_ShowUnlessNamed, subcommand_metavar="[ID] | add FILE... | accept N | discard N")
def command() -> None:
    """Show a submission's receipts, or take one from a file."""


@command.command("show", short_help="Show a submission's receipts; receipts ID is the same.")
@click.argument("submission", metavar="[ID]", required=False)
@click.pass_obj
def show(invocation: Invocation, *, submission: str | None) -> int:
    """Show a submission's receipts, with what FHI writes about single errors; ``receipts ID`` is the same.

    That may name a patient: it is shown here to the person who asks, and never logged or put into --json. ID is a
    submission's, or a MsgId; without it the newest.
    """
    settings = invocation.settings()
    with journal_of(settings) as journal:
        report = report_on(settings, journal, submission)
        if journal is None or report is None:
            return nothing_known(invocation, settings, journal)
        documents = journal.receipt_documents(report.submission.submission_id)
    receipts = [(document.receipt, _copy(settings, document.receipt)) for document in documents]
    value, screen = json.receipts_json(report, receipts), receipts_screen(report, receipts)
    return output.answer(invocation, value, screen, error=report.error, quiet=[])


@command.command("add", short_help="Take receipts from files.")
@click.argument("files", metavar="FILE...", type=PATH, nargs=-1, required=True)
@click.pass_obj
def add(invocation: Invocation, *, files: tuple[Path, ...]) -> int:
    """Take receipts from files, because another consumer took them off our queue.

    FILE is the message as it was on the queue, sealed (.p7m: CMS, PEM or base64) or plain XML; with EDI the whole mail
    (.eml). It is verified exactly as if it had come from there, and never sent anywhere, nor acknowledged. The exit
    code is the state's; 65 when no FILE is a receipt of ours.
    """
    contents = {file: _content(file) for file in files}

    def work(client: Client) -> Report:
        known: dict[str, Report] = {}
        refused = []
        for file, content in contents.items():
            try:
                report = client.add_receipt(content, name=str(file))
            except InputRefused as error:
                refused.append(error)
                continue
            key = report.submission.submission_id
            before = known[key].taken if key in known else 0
            known[key] = replace(report, taken=before + report.taken)
        if refused:
            # Where others of the files were ours, the state is printed with it.
            raise _combined(refused)
        return max(known.values(), key=lambda report: report.exit_code)

    return session.run(invocation, work, remark=_remark)


_NUMBER: Final = click.argument("number", metavar="N", type=click.IntRange(min=1))
_REASON: Final = click.option("--reason", metavar="TEXT", required=True, help="Why. Stored in the journal.")
_BY: Final = click.option("--by", metavar="NAME", required=True, help="Who decides.")


@command.command("accept", short_help="Accept a receipt whose signature holds, from another sender.")
@_NUMBER
@_REASON
@_BY
@click.pass_obj
def accept(invocation: Invocation, *, number: int, reason: str, by: str) -> int:
    """Accept receipt N: FHI's registered certificate signed it, and only its sender's HER-id is not the one we sent to.

    It must answer our MsgId, as our type of message. N is its number in ``receipts``.
    """

    def decide(client: Client) -> Report:
        return client.accept_receipt(number, reason=reason, by=by)

    return session.run_offline(
        invocation, decide, remark=lambda _: Text("Receipt {number} is accepted.", number=number)
    )


@command.command("discard", short_help="Let a receipt that is not verified count no more.")
@_NUMBER
@_REASON
@_BY
@click.pass_obj
def discard(invocation: Invocation, *, number: int, reason: str, by: str) -> int:
    """Discard receipt N, which is not verified: it counts no more, and when it comes again, it is taken off the queue.

    Its bytes stay in the journal. N is its number in ``receipts``.
    """

    def decide(client: Client) -> Report:
        return client.discard_receipt(number, reason=reason, by=by)

    return session.run_offline(
        invocation, decide, remark=lambda _: Text("Receipt {number} is discarded.", number=number)
    )


def _content(file: Path) -> bytes:
    try:
        return read_regular(file, most=_MAX_FILE_BYTES)
    except TooLarge:
        raise InputRefused(Text("This is no receipt: it is larger than any message."), where=str(file)) from None
    except OSError as error:
        raise InputMissing(
            Text("The file cannot be read: {reason}.", reason=error.strerror), where=str(file)
        ) from error


def _combined(refused: list[InputRefused]) -> InputRefused:
    first, *others = refused
    what = paragraph(first.what, *(error.placed for error in others))
    return InputRefused(what, where=first.where, next_step=first.next_step)


def _remark(report: Report) -> str:
    return "" if report.taken else Text("Nothing new: the journal held all of it already.")


def _copy(settings: Settings, receipt: Receipt) -> Path | None:
    path = copy_path(settings.journal.receipts_dir, receipt)
    try:
        path.stat()  # not exists(), which from Python 3.14 on answers no where it cannot look
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigInvalid(
            Text("The receipts' copies cannot be looked at: {reason}.", reason=error.strerror),
            where=f"journal.receipts_dir: {settings.journal.receipts_dir}",
            next_step=Text("Let this user look there, or run kpr-send as the one that sends."),
        ) from None
    return path

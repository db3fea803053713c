"""``kpr-send receipts``: everything FHI's receipts say, for the person who asks."""

from __future__ import annotations

from collections.abc import Iterator

import click

from kpr_sender.cli import output, reading
from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.engine.copies import copy_path
from kpr_sender.journal.port import ReceiptDocument
from kpr_sender.model import Receipt, Submission
from kpr_sender.report import JSON_SCHEMA, exit_code_of, rfc3339
from kpr_sender.settings.values import Settings


@click.command("receipts")
@click.argument("submission", metavar="[ID]", required=False)
@click.pass_obj
def command(invocation: Invocation, *, submission: str | None) -> int:
    """Show a submission's receipts, with what FHI writes about single errors.

    That may name a patient: it is shown here to the person who asks, and never logged or put into --json. ID is a
    submission's, or a MsgId; without it the newest.
    """
    settings = invocation.settings()
    with reading.found(settings, submission) as found:
        if found is None:
            text = f"Nothing is submitted yet: there is nothing in {settings.journal.path}."
            return output.nothing(invocation, settings.environment, text)
        journal, shown = found
        documents = journal.receipt_documents(shown.submission_id)
    if invocation.as_json:
        output.json_object(_as_json(settings, shown, documents))
    elif invocation.loudness is not Loudness.QUIET:
        click.echo("\n".join(_screen(settings, shown, documents)))
    return exit_code_of(shown)


def _screen(settings: Settings, submission: Submission, documents: tuple[ReceiptDocument, ...]) -> Iterator[str]:
    yield f"Submission {submission.submission_id}: {submission.state.value}"
    for shipment in submission.shipments:
        yield ""
        yield f"  {shipment.type.norwegian} ({shipment.type.value}), MsgId {shipment.msg_id}"
        theirs = [document.receipt for document in documents if document.receipt.msg_id == shipment.msg_id]
        if not theirs:
            yield "    No receipt yet."
        for receipt in theirs:
            yield from output.indented("receipt", list(output.receipt_lines(receipt)))
            details = [error.detail for error in receipt.errors if error.detail]
            yield from output.indented("detail", details)
            yield from output.indented("file", _files(settings, receipt))


def _files(settings: Settings, receipt: Receipt) -> list[str]:
    path = copy_path(settings.journal.receipts_dir, receipt)
    return [str(path)] if path.exists() else []


def _as_json(settings: Settings, submission: Submission, documents: tuple[ReceiptDocument, ...]) -> dict[str, object]:
    return {
        "schema": JSON_SCHEMA,
        "environment": submission.environment.value,
        "submission": submission.submission_id,
        "year": submission.year,
        "state": submission.state.value,
        "exit_code": exit_code_of(submission),
        "receipts": [_receipt_json(settings, document.receipt) for document in documents],
    }


def _receipt_json(settings: Settings, receipt: Receipt) -> dict[str, object]:
    return {
        "msg_id": receipt.msg_id,
        "status": receipt.status,
        "errors": [
            {"code": error.code, "code_system": error.code_system, "text": error.text} for error in receipt.errors
        ],
        "verified": receipt.verified,
        "problem": receipt.problem,
        "received_at": rfc3339(receipt.received_at),
        "file": next(iter(_files(settings, receipt)), None),
    }

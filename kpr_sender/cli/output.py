"""What is printed at the end: one JSON object, or one screen for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import click

from kpr_sender.cli.invocation import Invocation, Loudness
from kpr_sender.errors import EXIT_OK, Fault, KprError
from kpr_sender.model import CertificateName, Environment, Receipt, Shipment, Submission
from kpr_sender.render import json
from kpr_sender.report import Report, rfc3339
from kpr_sender.settings.values import Settings
from kpr_sender.states import ReceiptStatus, ShipmentState

STATE_WORDS: Final[Mapping[ShipmentState, str]] = {
    ShipmentState.SEALED: "sealed: the bus has never seen it",
    ShipmentState.PUBLISHING: "being published by another run, or by one that ended in the middle of it",
    ShipmentState.PUBLISHED: "published: the bus has taken it, FHI has not answered yet",
    ShipmentState.IN_DOUBT: "in doubt: it may or may not be with FHI; it is not sent again by itself",
    ShipmentState.DELIVERED: "delivered: FHI has confirmed it",
    ShipmentState.DELIVERED_WITH_ERRORS: "delivered with errors: FHI has it and complains of something",
    ShipmentState.REJECTED: "rejected by FHI",
    ShipmentState.FAULTED: "faulted: the receiver's system could not take it",
    ShipmentState.CANCELLED: "cancelled by a person: it is not sent again",
}
_SHORT: Final = 10
STATUS_WORDS: Final[Mapping[ReceiptStatus, str]] = {
    ReceiptStatus.OK: "OK",
    ReceiptStatus.REJECTED: "rejected",
    ReceiptStatus.OK_WITH_ERRORS: "OK, with errors in parts of it",
}


def report(invocation: Invocation, settings: Settings, result: Report, *, note: str = "", remark: str = "") -> int:
    """Print what is known of a submission.

    Args:
        invocation: How to print it.
        settings: Where the journal and the receipts lie.
        result: What is known.
        note: What went wrong in this run beside it, for example that the bus could not be reached.
        remark: What else a person at the screen wants to know of this run.

    Returns:
        The exit code that goes with what was printed.
    """
    if note:
        click.echo(note, err=True)
    return answer(invocation, json.report_json(result), _screen(settings, result, remark), error=result.error)


def nothing(invocation: Invocation, environment: Environment, text: str) -> int:
    """Print that there is nothing to report, and return 0."""
    return answer(invocation, json.nothing(environment=environment.value), [text])


def answer(
    invocation: Invocation,
    value: Mapping[str, object],
    screen: Iterable[str],
    *,
    error: KprError | None = None,
    quiet: Iterable[str] | None = None,
) -> int:
    """Print what a command found: the one JSON object, the screen, or with ``-q`` what is wrong.

    Args:
        invocation: Which of them.
        value: The object, made by ``json.envelope`` with the same error.
        screen: The screen's lines; read only where they are printed.
        error: What the exit code stands for; None for 0.
        quiet: The lines of ``-q``, on standard error; the error itself when not given.

    Returns:
        The exit code.
    """
    if invocation.as_json:
        json_object(value)
    elif invocation.loudness is not Loudness.QUIET:
        click.echo("\n".join(screen))
    else:
        for line in quiet if quiet is not None else [_error_text(error)] if error is not None else []:
            click.echo(line, err=True)
    return EXIT_OK if error is None else error.exit_code


def json_object(value: Mapping[str, object]) -> None:
    """Print the one JSON object of ``--json``."""
    click.echo(json.dumps(value))


def receipt_lines(receipt: Receipt) -> Iterator[str]:
    """Yield a receipt in a few lines, without OT: its status, whether it is believed, its errors."""
    status = "unreadable" if receipt.status is None else f"{STATUS_WORDS[receipt.status]} (status {receipt.status})"
    yield f"{status}, {rfc3339(receipt.received_at)}{'' if receipt.verified else ', NOT BELIEVED'}"
    if receipt.problem:
        yield f"! {receipt.problem}"
    if receipt.signer is not None:
        yield f"signed with {_short(receipt.signer)}"
    for error in receipt.errors:
        yield f"{error.code}  {error.text}".rstrip()


def _short(certificate: CertificateName) -> str:
    """Enough of a thumbprint to tell certificates apart; ``--json`` has all of it."""
    return f"{certificate.sha1[:_SHORT]}.."


def indented(label: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield lines under each other, the label before the first."""
    for number, line in enumerate(lines):
        yield f"    {label if number == 0 else '':<10}{line}"


class Failure:
    """Prints errors when the command line itself may not have been understood.

    Args:
        arguments: What follows ``kpr-send``.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        # An error may come before, or be, the parsing of these.
        self._as_json = "--json" in arguments
        self._verbose = "-v" in arguments or "--verbose" in arguments
        self._environment = _environment(arguments)

    def report(self, error: KprError, trace: str = "") -> int:
        """Print an error and return its exit code.

        Args:
            error: What happened.
            trace: The stack trace, shown with ``-v`` only and redacted.
        """
        self._json_object(error)
        if self._verbose and trace:
            from kpr_sender.privacy import redact_text  # noqa: PLC0415 - only when something is wrong

            click.echo(redact_text(trace), err=True)
        click.echo(_error_text(error), err=True)
        return error.exit_code

    def interrupted(self) -> int:
        """Print that nothing is known, and return the exit code."""
        error = _Interrupted("Interrupted before anything was known.")
        self._json_object(error)
        click.echo("kpr-send: interrupted.", err=True)
        return error.exit_code

    def _json_object(self, error: KprError) -> None:
        if self._as_json:
            json_object(json.nothing(error, environment=self._environment))


class _Interrupted(KprError):
    """The run was interrupted before anything was known. Not in the table of errors: a shell's code, not ours."""

    code, exit_code, fault = "interrupted", 130, Fault.CALLER
    meaning = "interrupted before anything was known"
    advice = "Run the same command again, or kpr-send status."


def _environment(arguments: Sequence[str]) -> str | None:
    for number, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "--env":
            said = value or next(iter(arguments[number + 1 :]), "")
            return said if said in tuple(Environment) else None
    return None


def _error_text(error: KprError) -> str:
    place = f"{error.where}: " if error.where else ""
    meaning = f"Exit code {error.exit_code}: {error.meaning}."
    return f"kpr-send: {place}{error.what}\n  What to do: {error.next_step}\n  {meaning}"


def _screen(settings: Settings, result: Report, remark: str) -> Iterator[str]:
    submission = result.submission
    error = result.error
    yield result.text() if error is None else f"{error.where and f'{error.where}: '}{error.what}"
    if remark:
        yield remark
    yield ""
    yield _heading(submission)
    for shipment in submission.shipments:
        yield ""
        yield from shipment_lines(shipment)
    yield ""
    yield f"  Journal     {settings.journal.path}"
    yield f"  Receipts    {settings.journal.receipts_dir}"
    yield f"  Exit code   {result.exit_code}"
    yield f"  What to do  {'Nothing.' if error is None else error.next_step}"


def _heading(submission: Submission) -> str:
    bydel = "" if submission.bydel == "00" else f" bydel {submission.bydel}"
    replaces = f", replaces {submission.replaces}" if submission.replaces else ""
    return (
        f"  Submission {submission.submission_id}: kommunenummer {submission.kommunenummer}{bydel}, "
        f"{submission.year}, {submission.environment.value}{replaces}"
    )


def shipment_lines(shipment: Shipment) -> Iterator[str]:
    """Yield what is known of a shipment in a few lines."""
    published = "not published" if shipment.published_at is None else f"published {rfc3339(shipment.published_at)}"
    yield f"  {shipment.type.norwegian} ({shipment.type.value}): {STATE_WORDS[shipment.state]}"
    yield from indented("MsgId", [shipment.msg_id])
    yield from indented("sent", [f"{published}, attempts {shipment.attempts}, {shipment.sealed_bytes:,} bytes sealed"])
    if shipment.certificates is not None:
        used = shipment.certificates
        text = f"encrypted for {_short(used.encryption)}, signed with {_short(used.signing)} (SHA-1 thumbprints)"
        yield from indented("sealed", [text])
    for receipt in shipment.receipts:
        yield from indented("receipt", list(receipt_lines(receipt)))
    if shipment.last_error is not None and not shipment.receipts:
        yield from indented("error", [shipment.last_error.text])

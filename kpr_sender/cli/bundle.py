"""``kpr-send bundle``: what support needs to know of an installation, without secrets and without persons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from kpr_sender.app import journal_storage
from kpr_sender.checking import certificates_in_use, run_checks
from kpr_sender.cli import output
from kpr_sender.cli.invocation import PATH, Invocation, max_wait_option
from kpr_sender.cli.new_file import new_file, require_new
from kpr_sender.cli.session import connected_sandbox
from kpr_sender.cli.status import journal_of, report_on
from kpr_sender.errors import KprError
from kpr_sender.events import ignore
from kpr_sender.operator.bundle import (
    LOG,
    BundledFile,
    last_lines,
    require_nothing_found,
    versions,
    without_secrets,
    without_words,
    write_bundle,
)
from kpr_sender.privacy import redact, shown
from kpr_sender.render import json
from kpr_sender.render.self_check import certificate_json, check_json
from kpr_sender.report import deadline_of
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

_WORDS: Final = 5
"""The fewest characters of what is taken for words; what is shorter is a code."""


@click.command("bundle")
@click.argument("file", type=PATH)
@max_wait_option
@click.pass_obj
def command(invocation: Invocation, *, file: Path, max_wait: float) -> int:
    """Write FILE, a zip archive for support: configuration without secrets, self-checks, certificates, journal, log.

    It has no secret, no receipt's OT, no payload, no employee's name or words. All of it is looked through before it is
    written: where a national id, key material or one of the configured secrets is found, it is not (70). Sends nothing.
    FILE must not exist.
    """
    configured = invocation.own_settings()
    file = file.absolute()
    require_new(file)
    with connected_sandbox(configured) as settings:
        parts = list(_parts(settings, max_wait))
    require_nothing_found(parts, configured)
    with new_file(file) as opened:
        write_bundle(opened, parts)
    value = json.envelope(
        None, environment=configured.environment.value, bundle=str(file), files=[part.name for part in parts]
    )
    return output.answer(invocation, value, _screen(file, parts))


def _screen(file: Path, parts: Iterable[BundledFile]) -> Iterator[str]:
    yield Text("{path} is written, and nothing was found in it that must not leave the machine:", path=str(file))
    for part in parts:
        yield f"  {part.name}"


def _parts(settings: Settings, max_wait: float) -> Iterator[BundledFile]:
    now = datetime.now(UTC)
    deadline = deadline_of(settings, settings.report.year)
    sources: dict[str, Callable[[], Iterable[object]]] = {
        "versions.json": lambda: [versions()],
        "configuration.json": lambda: [without_secrets(settings)],
        "status.json": lambda: _status(settings),
        "doctor.jsonl": lambda: map(check_json, run_checks(settings, max_seconds=max_wait)),
        "certificates.jsonl": lambda: [
            certificate_json(row, now, deadline)
            for row in certificates_in_use(settings, now=lambda: now, observe=ignore)
        ],
        "journal.jsonl": lambda: journal_storage(settings).export(),
        "journal-verify.json": lambda: _verification(settings),
    }
    words = _words_of_others(settings)
    for name, source in sources.items():
        yield BundledFile(name, [redact(without_words(shown(value), words)) for value in _attempted(source)])
    if settings.log.file is not None:
        lines = _attempted(lambda: _log(settings.log.file))
        yield BundledFile(LOG, [without_words(line, words) for line in lines])


def _attempted(source: Callable[[], Iterable[object]]) -> list[object]:
    """Return what a source gives; where it cannot, why: what is broken is what support asks about."""
    try:
        return list(source())
    except KprError as error:
        return [json.envelope(error)]
    except OSError as error:
        return [{"error": error.strerror}]


def _words_of_others(settings: Settings) -> list[str]:
    """Return what receipts say of errors in words, the longest first; their codes say enough to support."""
    found: set[str] = set()
    with suppress(KprError, OSError), journal_of(settings) as journal:
        for submission in () if journal is None else journal.submissions():
            receipts = (receipt for shipment in submission.shipments for receipt in shipment.receipts)
            found |= {error.text for receipt in receipts for error in receipt.errors if len(error.text) >= _WORDS}
    return sorted(found, key=len, reverse=True)


def _status(settings: Settings) -> Iterator[object]:
    with journal_of(settings) as journal:
        submissions = () if journal is None else journal.submissions()
        for submission in submissions:
            report = report_on(settings, journal, submission.submission_id)
            if report is not None:
                yield json.report_json(report)


def _verification(settings: Settings) -> list[object]:
    found = journal_storage(settings).verify()
    if found is None:
        return []
    findings = [{"subject": one.subject, "text": one.text} for one in found.findings]
    return [{"findings": findings, "counted": found.counted}]


def _log(file: Path | None) -> list[object]:
    return [] if file is None else last_lines(file)

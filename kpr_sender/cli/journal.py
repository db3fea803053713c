"""``kpr-send journal``: check it, copy it, show it, and go on with one that was restored from a backup."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from kpr_sender.app import journal_storage, login_name
from kpr_sender.cli import console, output
from kpr_sender.cli.invocation import PATH, Invocation
from kpr_sender.cli.status import journal_of
from kpr_sender.engine import has_task_engine, task_engine
from kpr_sender.errors import EXIT_OK, JournalUnwritable, UsageError
from kpr_sender.events import ignore
from kpr_sender.inbound.archive import ReceiptCopies
from kpr_sender.journal.admission import require_reason
from kpr_sender.journal.port import JournalView
from kpr_sender.journal.values import JournalEvent, Pruned, Verification
from kpr_sender.operator.journal_backups import rotate
from kpr_sender.operator.resolve import look_up
from kpr_sender.privacy import redact, redact_text
from kpr_sender.render import json
from kpr_sender.render.json import decision_json
from kpr_sender.render.language import say
from kpr_sender.render.retention import pruned_screen
from kpr_sender.render.text import accepted_lines, counts, finding_lines, log_screen, verification_screen
from kpr_sender.report import decisions_in
from kpr_sender.settings import kinds
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

_reason: Final = click.option("--reason", metavar="TEXT", default="", help="What FHI said, in your own words.")
_by: Final = click.option("--by", metavar="NAME", default="", help="Your name.")
_yes: Final = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group("journal")
def command() -> None:
    """Check the journal, copy it, show what is in it, remove what is over."""


@command.command("verify")
@click.option("--accept-restored", is_flag=True, help="Go on with a journal restored from a backup, copied or lost.")
@_reason
@_by
@_yes
@click.pass_obj
def verify_command(invocation: Invocation, *, accept_restored: bool, reason: str, by: str, yes: bool) -> int:
    """Check everything in the journal; exit code 0 when all is well, else 73. Nothing is changed.

    With --accept-restored, --reason and --by: go on with a journal that kpr-send refuses because it was restored from a
    backup, copied, or lost. Ask FHI first what has arrived. Whatever is sealed in it is in doubt then, and not sent.
    """
    settings = invocation.settings()
    if accept_restored:
        _accept(invocation, settings, reason, by, yes=yes)
    elif reason or by:
        raise click.UsageError(Text("--reason and --by go with --accept-restored."))
    verification = journal_storage(settings).verify()
    if verification is None:
        text = Text("There is no journal yet: there is nothing in {path}.", path=settings.journal.place)
        return output.nothing(invocation, settings, text)
    return _answer(invocation, settings, verification)


@command.command("migrate")
@click.pass_obj
def migrate_command(invocation: Invocation) -> int:
    """Make the journal's tables in its database, or bring them up to date; once, on any machine.

    Only where journal.url names a database: a file is brought up to date by the next send or wait. The database user
    must be allowed to make tables. Where kpr-sender[fleet] is installed, the tables for the tasks of kpr-send fleet
    worker are made as well. Runs that are under way with the earlier version go on until they end.
    """
    settings = invocation.own_settings()
    versions = journal_storage(settings).migrate()
    if versions is not None and has_task_engine():
        task_engine(settings.journal, settings.environment).migrate()
    if versions is None:
        text = Text("The journal is a file: the next kpr-send send or wait brings it up to date.")
    elif versions[0] == versions[1]:
        text = Text("The database is up to date: schema {version}.", version=versions[1])
    else:
        before, now = versions
        text = Text("The database has schema {now} now; before it had {before}.", now=now, before=before)
    return output.nothing(invocation, settings, text)


@command.command("move")
@click.option("--to", "url", metavar="URL", required=True, help="postgresql://USER@HOST/DATABASE, without password.")
@_yes
@click.pass_obj
def move_command(invocation: Invocation, *, url: str, yes: bool) -> int:
    """Take the journal of a file over into a database; the file is marked as moved, and refused from then on.

    It is verified before and after. The database's tables must be there (kpr-send journal migrate); its password comes
    from journal.password_file and the like, or from pgpass. Put the address into journal.url afterwards.
    """
    settings = invocation.own_settings()
    try:
        target = str(kinds.DATABASE_URL.parse(url, Path()))
    except ValueError as error:
        why = say(error.args[0]) if error.args else say(kinds.DATABASE_URL.expected)
        raise click.BadParameter(why, param_hint="--to") from None
    _ask(invocation, Text("Shall the journal be in the database from now on, and the file be used no more?"), yes=yes)
    file, database = (
        journal_storage(dataclasses.replace(settings, journal=dataclasses.replace(settings.journal, url=one)))
        for one in (None, target)
    )
    counted = file.move_to(database, who=login_name())
    moved = str(settings.journal.path)
    value = json.envelope(None, environment=settings.environment.value, moved=moved, counted=counted)
    text = Text("The journal is in the database now: {counts}.", counts=counts(counted))
    return output.answer(invocation, value, [text, Text("Put the address into the configuration as journal.url.")])


@command.command("backup")
@click.argument("file", type=PATH)
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(min=1),
    help="FILE is a folder: make one more backup in it, and let the newest N stay. For a schedule.",
)
@click.pass_obj
def backup(invocation: Invocation, *, file: Path, keep: int | None) -> int:
    """Copy the journal to FILE, also while another run writes it, and check the copy.

    FILE must not exist. It holds receipts that may name persons: only its owner may read it. Put in the journal's place
    it is refused until a person accepts it (kpr-send journal verify): it does not know what was sent after it was made.

    With --keep the copy is checked before an older one is removed, and nothing is removed but such copies of this
    journal. A journal that send refuses is not copied: it would push the good copies out.
    """
    settings = invocation.settings()
    if keep is not None:
        return _rotate(invocation, settings, file.absolute(), keep)
    counted = journal_storage(settings).back_up(file.absolute())
    value = json.envelope(None, environment=settings.environment.value, backup=str(file.absolute()), counted=counted)
    return output.answer(
        invocation, value, [Text("{file} is a sound copy: {counts}.", file=file, counts=counts(counted))]
    )


def _rotate(invocation: Invocation, settings: Settings, folder: Path, keep: int) -> int:
    with journal_of(settings) as journal:
        if journal is None:
            text = Text("There is no journal yet: there is nothing in {path}.", path=settings.journal.place)
            return output.nothing(invocation, settings, text)
        refused = journal.refused()
        if refused is not None:
            raise refused
    done = rotate(settings, journal_storage(settings), folder, keep, now=datetime.now(UTC))
    value = json.envelope(
        None,
        environment=settings.environment.value,
        backup=str(done.made),
        counted=done.counted,
        removed=[str(path) for path in done.removed],
    )
    screen = [
        Text("{path} is a sound copy: {counted}.", path=done.made, counted=counts(done.counted)),
        *(Text("Removed, as one too many: {path}", path=path) for path in done.removed),
    ]
    return output.answer(invocation, value, screen)


@command.command("export")
@click.pass_obj
def export(invocation: Invocation) -> int:
    """Print what is in the journal, one JSON object a line: no payload, no receipt's OT, no person's name or words.

    With --json these lines are the list "lines" of one object.
    """
    settings = invocation.settings()
    exported = map(redact, journal_storage(settings).export())
    if invocation.as_json:
        value = json.envelope(None, environment=settings.environment.value, lines=list(exported))
        return output.answer(invocation, value, ())
    for line in exported:
        output.show_json(line)
    return invocation.ending.known(EXIT_OK)


@command.command("log")
@click.argument("submission", metavar="[ID]", required=False)
@click.pass_obj
def log(invocation: Invocation, *, submission: str | None) -> int:
    """Show who decided, accepted and replaced what, when and why, the oldest first.

    ID is a submission's, or a MsgId; without it all of the journal, and what was decided of the journal itself.
    """
    settings = invocation.settings()
    with journal_of(settings) as journal:
        decided = [] if journal is None else _decided(journal, settings, submission)
    lines = [redact(decision_json(one)) for one in decided]
    value = json.envelope(None, environment=settings.environment.value, decisions=lines)
    return output.answer(invocation, value, log_screen(decided))


def _decided(journal: JournalView, settings: Settings, submission: str | None) -> list[JournalEvent]:
    """Return what persons decided, the oldest first."""
    if submission is not None:
        found = look_up(journal, submission, settings)
        shipments = () if found is None else found.shipments
        return list(decisions_in(one for each in shipments for one in journal.events(each.msg_id)))
    decided = (*decisions_in(journal.events(None)), *journal.decisions())
    return sorted(decided, key=lambda one: one.at)


@command.command("release")
@click.argument("msg_id", metavar="MSGID")
@_reason
@_by
@_yes
@click.pass_obj
def release(invocation: Invocation, *, msg_id: str, reason: str, by: str, yes: bool) -> int:
    """Let a shipment that a restored journal has forgotten no longer stand in the way of a new submission.

    Only when FHI has said that it did not arrive, or that FHI wants the data anew.
    """
    settings = invocation.settings()
    require_reason(reason, by)
    _ask(invocation, Text("May a new submission be sent although {msg_id} was begun before?", msg_id=msg_id), yes=yes)
    with closing(journal_storage(settings).open(who=by)) as journal:
        journal.release(msg_id.strip().lower(), reason=reason.strip(), by=by.strip())
    text = Text("{msg_id} no longer stands in the way of a new submission.", msg_id=msg_id)
    return output.nothing(invocation, settings, text)


@command.command("prune")
@click.option(
    "--before", "before", metavar="YEAR", type=click.IntRange(2024, 2100), required=True, help="First year that stays."
)
@click.option("--reason", metavar="TEXT", required=True, help="Why. Stored in the journal.")
@click.option("--by", metavar="NAME", required=True, help="Who decides.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@_yes
@click.pass_obj
def prune(invocation: Invocation, *, before: int, reason: str, by: str, dry_run: bool, yes: bool) -> int:
    """Remove the sealed bytes and the receipts of reporting years before YEAR that are over; it cannot be undone.

    Over is what is delivered or settled, and was looked at in FHI's feedback view (kpr-send reviewed --by NAME). Ids,
    digests, states and decisions stay. docs/retention.md says what the journal holds, and for how long. A terminal is
    asked first; without one --yes is needed.
    """
    from kpr_sender.operator import retention  # noqa: PLC0415 - the group's other commands need none of it

    settings = invocation.own_settings()
    require_reason(reason, by)
    now = datetime.now(UTC)
    with journal_of(settings) as view:
        if view is None:
            return output.nothing(invocation, settings, Text("There is no journal yet: nothing to remove."))
        chosen = retention.select(view, settings, before=before, at=now)
    removed = Pruned(0, 0, 0)
    if not dry_run:
        ids = ", ".join(one.submission_id for one in chosen.over)
        if chosen.over:
            question = Text(
                "Shall the sealed bytes and receipts of {submissions} be removed for good?", submissions=ids
            )
            _ask(invocation, question, yes=yes)
        with closing(journal_storage(settings).open(who=by)) as journal:
            # What was over may have been answered meanwhile: only what still is.
            chosen = retention.select(journal, settings, before=before, at=now)
            copies = ReceiptCopies(settings.journal.receipts_dir, ignore)
            removed = retention.prune(journal, copies, chosen.over, reason=reason.strip(), by=by.strip())
    left = retention.copies_of_journal(settings.journal.path)
    value = json.envelope(
        None,
        environment=settings.environment.value,
        before=before,
        removed=None if dry_run else dataclasses.asdict(removed),
        over=[one.submission_id for one in chosen.over],
        stays=[{"submission": one.submission.submission_id, "text": one.why} for one in chosen.stays],
        copies_left=[str(one) for one in left],
    )
    return output.answer(
        invocation, value, pruned_screen(chosen, None if dry_run else removed, left, settings.bus.receipts_inbox)
    )


def _accept(invocation: Invocation, settings: Settings, reason: str, by: str, *, yes: bool) -> None:
    require_reason(reason, by)
    _ask(invocation, Text("Has FHI been asked what has arrived, and shall this journal be used from now on?"), yes=yes)
    accepted = journal_storage(settings).accept(reason=reason.strip(), by=by.strip())
    if not invocation.as_json:
        console.say(
            invocation.called, [*output.title(invocation, Text("the journal goes on")), *accepted_lines(accepted)]
        )


def _answer(invocation: Invocation, settings: Settings, verification: Verification) -> int:
    findings = [(one.subject, redact_text(one.text)) for one in verification.findings]
    error = None
    if findings:
        error = JournalUnwritable(
            Text("{findings} findings in the journal.", findings=len(findings)),
            where=settings.journal.place,
            next_step=Text(
                "Send nothing by other means. Do what the findings say; where they do not say it, keep the file as "
                "it is and ask for help."
            ),
        )
    value = json.envelope(
        error,
        environment=settings.environment.value,
        journal=settings.journal.place,
        findings=[{"subject": subject, "text": text} for subject, text in findings],
        counted=verification.counted,
    )
    screen = verification_screen(findings, verification.counted, error)
    return output.answer(invocation, value, screen, error=error, quiet=finding_lines(findings))


def _ask(invocation: Invocation, question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(Text("Nobody is here to ask."), next_step=Text("Run it on a terminal, or give --yes."))
    if not console.agreed(invocation.called, question):
        raise click.Abort

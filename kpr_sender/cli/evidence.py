"""``kpr-send evidence``: an archive of what was sent, answered and decided, signed; and whether one is genuine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kpr_sender.app import own_keys, trust
from kpr_sender.cli import output
from kpr_sender.cli.invocation import PATH, Invocation
from kpr_sender.cli.new_file import new_file, require_new
from kpr_sender.cli.status import journal_of, nothing_known
from kpr_sender.cms.certificates import named
from kpr_sender.errors import KprError
from kpr_sender.events import Event
from kpr_sender.operator.evidence import gather, verify_evidence
from kpr_sender.operator.evidence_archive import FACTS, PAGE, write_archive
from kpr_sender.operator.resolve import look_up
from kpr_sender.render import json
from kpr_sender.render.evidence import evidence_json, evidence_page, genuine_json, genuine_screen, made_screen
from kpr_sender.settings.values import Revocation, Settings

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


class _MakeUnlessNamed(click.Group):
    """``evidence ID FILE`` means ``evidence make``: no id reads like a command's name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if known or not args else ["make", *args])


@click.group("evidence", cls=_MakeUnlessNamed, subcommand_metavar="ID FILE | verify FILE")
def command() -> None:
    """Write a signed archive of what was sent, answered and decided, or verify one."""


@command.command("make", short_help="Write an archive; evidence ID FILE is the same.")
@click.argument("submission", metavar="ID")
@click.argument("file", type=PATH)
@click.option("--with-receipts", is_flag=True, help="Enclose the receipts in clear text, too: they may name a patient.")
@click.pass_obj
def make(invocation: Invocation, *, submission: str, file: Path, with_receipts: bool) -> int:
    """Write FILE, a zip archive for the records system and the auditor; ``evidence ID FILE`` is the same.

    What was sent under which ids and digests, the sealed originals of FHI's receipts, who decided what and why, which
    findings were accepted, the review, and versions; with a page to read and print (index.html) that says how anybody
    verifies it. Signed with the key that signs what is sent. ID is a submission's, or a MsgId. FILE must not exist.
    """
    settings = invocation.settings()
    file = file.absolute()
    require_new(file)
    now = datetime.now(UTC).replace(microsecond=0)
    with journal_of(settings) as journal:
        found = None if journal is None else look_up(journal, submission, settings)
        if journal is None or found is None:
            return nothing_known(invocation, settings, journal)
        evidence = gather(journal, settings, found, at=now, with_receipts=with_receipts)
    signer = own_keys(settings).signer(at=now)
    contents = {FACTS: evidence_json(evidence), **dict(evidence.files())}
    sizes = {name: len(content) for name, content in contents.items()}
    contents[PAGE] = evidence_page(evidence, sizes)
    with new_file(file) as opened:
        write_archive(opened, sorted(contents.items()), signer, at=now)
    value = json.envelope(
        None,
        environment=settings.environment.value,
        submission=found.submission_id,
        evidence=str(file),
        files=sorted(contents),
        not_enclosed=[one.document.receipt.receipt_id for one in evidence.receipts if one.why_not],
    )
    return output.answer(invocation, value, made_screen(str(file), evidence, len(contents) + 2))


@command.command("verify", short_help="Tell whether an archive is genuine.")
@click.argument("file", type=PATH)
@click.pass_obj
def verify(invocation: Invocation, *, file: Path) -> int:
    """Tell whether FILE is as the sender that is named in it has signed it; exit code 0, else 76.

    The sender's certificate must lead to one of protection.roots and be its organisation's; our own archives may be
    signed with a certificate of ours instead. Whether it was revoked is asked as protection.revocation says, but an
    issuer that does not answer is only warned of.
    """
    settings = invocation.settings()
    events: list[Event] = []
    asked = settings.protection
    if asked.revocation is Revocation.REQUIRE:
        asked = replace(asked, revocation=Revocation.SOFT)
    genuine = verify_evidence(
        file,
        settings,
        lambda: trust(replace(settings, protection=asked), events.append),
        is_ours=lambda certificate: _is_ours(settings, certificate),
        at=datetime.now(UTC),
    )
    value = json.envelope(
        None, environment=settings.environment.value, evidence=str(file.absolute()), **genuine_json(genuine)
    )
    return output.answer(invocation, value, [*genuine_screen(str(file), genuine), *(event.text for event in events)])


def _is_ours(settings: Settings, certificate: Certificate) -> bool:
    """Tell whether a certificate is configured for signing, or was used for what the journal holds."""
    thumbprint = named(certificate).sha1
    with suppress(KprError), journal_of(settings) as journal:
        used = () if journal is None else journal.submissions()
        if any(
            one.certificates and one.certificates.signing.sha1 == thumbprint for two in used for one in two.shipments
        ):
            return True
    if settings.keys.signing.token is not None:  # no login for a question
        return False
    with suppress(KprError):
        return named(own_keys(settings).signer(at=datetime.now(UTC)).certificate).sha1 == thumbprint
    return False

"""``kpr-send config check``: everything that can be known without sending."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from kpr_sender import profiles
from kpr_sender.cli import output
from kpr_sender.cli.invocation import Invocation
from kpr_sender.cli.session import connected_sandbox
from kpr_sender.cms import certificates
from kpr_sender.cms.certificates import CertificateUse
from kpr_sender.errors import InputMissing, JournalUnwritable, KprError
from kpr_sender.events import Event
from kpr_sender.journal.location import demand_local
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.keys.configured import check_counterpart, check_signer, decrypter, signer
from kpr_sender.net import verifying
from kpr_sender.registry.opening import demand_one_environment, open_registry_for_sending
from kpr_sender.render import json
from kpr_sender.settings.values import Secret, Settings
from kpr_sender.trust.policy import Trust

_OK, _WARNING, _WRONG = "ok", "warning", "wrong"
_EXPIRES_SOON_DAYS = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        name: What was looked at.
        text: What it is, or what is wrong with it.
        error: Set when it is wrong.
        warning: Whether it is right but unwise.
    """

    name: str
    text: str
    error: KprError | None = None
    warning: bool = False

    @property
    def result(self) -> str:
        """``ok``, ``warning`` or ``wrong``."""
        return _WRONG if self.error else _WARNING if self.warning else _OK


@click.group("config")
def command() -> None:
    """Check the configuration without sending anything."""


@command.command("check")
@click.pass_obj
def check(invocation: Invocation) -> int:
    """Load everything, send nothing: secrets, keys, certificates, the year, the journal's folder, the two files.

    Exit code 0 when all is right, also with warnings; else the code of the first thing that is wrong.
    """
    settings = invocation.settings()
    with connected_sandbox(settings) as prepared:
        findings = [Finding("configuration", settings.origin), *look(prepared, now=datetime.now(UTC))]
    error = next((finding.error for finding in findings if finding.error), None)
    wrong = [finding for finding in findings if finding.error]
    return output.answer(
        invocation, _as_json(settings, findings, error), _lines(findings), error=error, quiet=_lines(wrong)
    )


def _lines(findings: Iterable[Finding]) -> Iterator[str]:
    return (f"{finding.result:<8} {finding.name:<30} {finding.text}" for finding in findings)


def look(settings: Settings, *, now: datetime) -> Iterator[Finding]:
    """Check everything, each thing whatever the others are.

    Args:
        settings: The configuration.
        now: The time that certificates are measured by; aware.
    """
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("year and environment", lambda: _year(settings)),
        ("bus", lambda: _bus(settings)),
        ("bus.password", lambda: _secret(settings.bus.password)),
        ("keys.signing", lambda: _signing_key(settings, now)),
        *(
            (f"keys.decryption {number}", lambda number=number: _decryption_key(settings, number - 1, now))
            for number in range(1, len(settings.keys.decryption) + 1)
        ),
        ("receiver", lambda: _receiver(settings, now)),
        ("journal", lambda: _journal(settings)),
        ("files.fagmelding", lambda: _file("files.fagmelding", settings.files.fagmelding)),
        ("files.identmelding", lambda: _file("files.identmelding", settings.files.identmelding)),
    )
    for name, carry_out in checks:
        try:
            yield Finding(name, carry_out())
        except _Unwise as concern:
            yield Finding(name, str(concern), warning=True)
        except KprError as error:
            yield Finding(name, str(error), error)


class _Unwise(Exception):
    """Right, but a person should know."""


def _year(settings: Settings) -> str:
    profile = profiles.load(settings.report.year)
    receiver = profile.receivers[settings.environment]
    demand_one_environment(profile, settings)
    warning = profiles.admit(profile, settings.environment, settings.report.letter)
    if warning is not None:
        raise _Unwise(warning)
    return f"{profile.year} to {receiver.service_name} ({receiver.service_her_id}), due by {profile.deadline}"


def _bus(settings: Settings) -> str:
    bus = settings.bus
    if bus.tls:
        verifying(bus.ca_file, key="bus.ca_file")
    return f"{bus.host}:{bus.port} as {bus.username}, not tried; our queues {bus.receipts_queue}, {bus.error_queue}"


def _secret(secret: Secret) -> str:
    secret.reveal()
    if secret.concern:
        raise _Unwise(secret.concern)
    return "is there"


def _signing_key(settings: Settings, now: datetime) -> str:
    own = signer(settings, at=now)
    check_signer(own, settings, Trust.of(settings), at=now)
    certificate = own.certificate
    _passphrase_concern(settings.keys.signing.secret)
    return _validity(certificate.not_valid_after_utc, now)


def _decryption_key(settings: Settings, index: int, now: datetime) -> str:
    source = settings.keys.decryption[index]
    certificate = decrypter(source).certificate
    _passphrase_concern(source.secret)
    try:
        certificates.check(certificate, CertificateUse.ENCRYPTION, at=now, name=source.key)
    except KprError as error:
        # What was sealed for it is still ours to read; only new receipts will not come sealed for it.
        raise _Unwise(error.what) from None
    return _validity(certificate.not_valid_after_utc, now)


def _receiver(settings: Settings, now: datetime) -> str:
    her_id = profiles.load(settings.report.year).receivers[settings.environment].service_her_id
    told: list[Event] = []
    found = open_registry_for_sending(settings, now=lambda: now, observe=told.append).counterpart(her_id)
    check_counterpart(found, settings, at=now, trust=Trust.of(settings, told.append))
    ends = min(found.encryption.not_valid_after_utc, found.signing[0].not_valid_after_utc)
    text = f"queue {found.queue}, {found.provenance.text}; certificates {_validity(ends, now)}"
    if told:
        raise _Unwise(" ".join([text, *(event.text for event in told)]))
    return text


def _passphrase_concern(secret: Secret | None) -> None:
    if secret is not None and secret.concern:
        raise _Unwise(secret.concern)


def _validity(ends: datetime, now: datetime) -> str:
    days = (ends - now).days
    text = f"valid until {ends:%Y-%m-%d}, {days} days"
    if days < _EXPIRES_SOON_DAYS:
        raise _Unwise(f"{text}: order the next one now")
    return text


def _journal(settings: Settings) -> str:
    path = settings.journal.path
    if not settings.journal.allow_network:
        demand_local(path)
    journal = SqliteJournal.open_readonly(path, settings.environment)
    if journal is not None:
        journal.close()
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise JournalUnwritable(f"{folder} is no folder that this user may write to.", where="journal.path")
    return f"{path}{' (will be made)' if journal is None else ''}"


def _file(key: str, path: Path | None) -> str:
    if path is None:
        return "not named: the command line must name it"
    try:
        with path.open("rb") as file:
            return f"{path}, {os.fstat(file.fileno()).st_size:,} bytes"
    except OSError as error:
        raise InputMissing(f"The file {path} cannot be read: {error.strerror}.", where=key) from None


def _as_json(settings: Settings, findings: list[Finding], error: KprError | None) -> dict[str, object]:
    checks = [{"name": finding.name, "result": finding.result, "text": finding.text} for finding in findings]
    return json.envelope(error, environment=settings.environment.value, checks=checks)

"""The checks of this machine: configuration, secrets, files, journal, disk and our keys.

Each returns what it found. What prevents a send is raised, as everywhere else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from kpr_sender import profiles
from kpr_sender.bus.port import own_queues
from kpr_sender.cms.port import ProtectionRefused
from kpr_sender.cms.read import Policy, open_sealed
from kpr_sender.cms.write import seal
from kpr_sender.errors import (
    AccessRefused,
    ConfigInvalid,
    InputMissing,
    InputRefused,
    JournalUnwritable,
    KprError,
)
from kpr_sender.events import Event, ignore
from kpr_sender.inbound.folder import UNVERIFIED, files_in
from kpr_sender.journal.admission import alarm_open
from kpr_sender.logs import is_there_and_usable
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.transport import queue_name
from kpr_sender.model import Environment
from kpr_sender.net import verifying
from kpr_sender.operator.check_context import CheckContext, CheckResult, counted, found, required
from kpr_sender.outbound.drop import WAITING, DropFolder
from kpr_sender.outbound.payload_file import configured_files, spliced_length
from kpr_sender.preflight.payload import AGREE_ON_SIZE, too_large
from kpr_sender.profiles.profile import RECEPTION_DAYS
from kpr_sender.registry.counterpart_checks import require_one_environment
from kpr_sender.regular_file import open_regular
from kpr_sender.settings.exposure import concerns_of_sending, require_unexposed, secrets_of
from kpr_sender.settings.values import Revocation, Settings
from kpr_sender.texts import Text, as_text, listed, paragraph
from kpr_sender.trust.parties import check_signer
from kpr_sender.wording import all_of

_MESSAGES: Final = 4
"""What a pair needs on the disk, in largest messages: two of them, each in SQLite's write-ahead log and in its file."""
_REAL: Final = (Environment.PRODUKSJON, Environment.VALIDERING)
_ASK_FOR_EXTENSION: Final = Text(
    "Ask kpr@fhi.no for an extension, with the reason; put what they answer into report.extended_to and "
    "report.extension_letter."
)
_BLOCK: Final = bytes(4096)
_SAMPLE: Final = b"<prove/>"


def environment(context: CheckContext) -> CheckResult:
    """Nothing belongs to another environment (promise G7)."""
    settings, expected = context.settings, context.expected
    require_one_environment(context.profile, settings)
    service = f"{expected.service_name} ({expected.service_her_id})"
    return found(
        Text(
            "{environment}: {service}, by {origin}",
            environment=settings.environment.value,
            service=service,
            origin=settings.origin,
        )
    )


def year(context: CheckContext) -> CheckResult:
    """FHI has confirmed what is known of the year, and still takes its data.

    After the deadline it is yellow; in produksjon red once the reception period is taken to be over. The sandbox and
    the register's test have no deadline.
    """
    profile, environment = context.profile, context.settings.environment
    warning = profiles.admit(profile, environment, context.settings.report.letter)
    deadline, now = context.deadline, context.now()
    text = Text("{year} {deadline}", year=profile.year, deadline=deadline.text(now))
    if profile.letter and not warning:
        text = Text("{text}, confirmed by FHI's letter {letter}", text=text, letter=profile.letter)
    concerns: list[str] = [warning] if warning else []
    if environment in _REAL and deadline.is_past(now):
        if environment is Environment.PRODUKSJON and deadline.is_closed(now):
            raise ConfigInvalid(
                Text(
                    "{text}; FHI's reception period is taken to be over {reception_days} days after the deadline.",
                    text=text,
                    reception_days=RECEPTION_DAYS,
                ),
                where="report.year",
                next_step=_ASK_FOR_EXTENSION,
            )
        concerns.append(paragraph(Text("The deadline is past."), _ASK_FOR_EXTENSION))
    return found(text, concerns)


def addresses(context: CheckContext) -> CheckResult:
    """Where we connect to; the files with the authorities behind those addresses can be used."""
    bus, registry = context.settings.bus, context.settings.registry
    if bus.tls:
        verifying(bus.ca_file, key="bus.ca_file")
    named = list(own_queues(bus).values())
    queues = all_of(named) if named else Text("none that is read")
    text = Text(
        "bus {host}:{port} as {username}, our queues {queues}",
        host=bus.host,
        port=bus.port,
        username=bus.username,
        queues=queues,
    )
    if registry.url:
        verifying(registry.ca_file, key="registry.ca_file")
        text = Text("{text}; register {url}", text=text, url=registry.url)
    return found(text, filter(None, [bus.concern]))


def trust(context: CheckContext) -> CheckResult:
    """Certificates must lead to an authority that is named, and issuers say whether one is revoked (HITS 1216)."""
    protection, environment = context.settings.protection, context.settings.environment
    context.trust(ignore)
    concerns = []
    if environment in _REAL and not protection.roots:
        concerns.append(Text("it is not asked who issued a certificate (protection.roots)"))
    if environment in _REAL and protection.revocation is Revocation.OFF:
        concerns.append(Text("nobody is asked whether a certificate is revoked (protection.revocation)"))
    roots = (
        Text("authorities from {counted}", counted=counted(len(protection.roots), "file"))
        if protection.roots
        else Text("no authorities named")
    )
    return found(
        Text("{roots}, revocation {revocation}", roots=roots, revocation=protection.revocation.value), concerns
    )


def secrets(context: CheckContext) -> CheckResult:
    """Every secret and private key is where it should be, for nobody else to read."""
    named = secrets_of(context.settings)
    for secret in named:
        secret.reveal()
    if context.settings.environment is not Environment.LOKAL:
        require_unexposed(context.settings)
    return found(counted(len(named), "secret"), concerns_of_sending(context.settings))


def files(context: CheckContext) -> CheckResult:
    """The two extracts can be read and are not too large to be sent, where the configuration names them."""
    if (folder := DropFolder.of(context.settings)) is not None:
        aside = len(folder.pairs(WAITING))
        waiting = Text(
            "{count} new pair waits for a person to send it: kpr-send send --replaces ID --reason TEXT",
            plural="{count} new pairs wait for a person to send one: kpr-send send --replaces ID --reason TEXT",
            count=aside,
        )
        return found(Text("the drop folder {folder}", folder=folder.path), [waiting] if aside else [])
    named = {f"files.{kind.norwegian}": path for kind, path in configured_files(context.settings).items()}
    sizes = [counted(_size(key, path), "byte") for key, path in named.items() if path is not None]
    require_sizes(context.settings, context.settings.limits.refuse_bytes, whose="limits.refuse_bytes")
    concerns = [
        Text("{key} not named: the command line must name it", key=key) for key, path in named.items() if path is None
    ]
    return found(all_of(sizes) if sizes else "", concerns)


def require_sizes(settings: Settings, limit: int, *, whose: str) -> None:
    """Refuse a configured extract that is too large for a limit; one that cannot be read is left out.

    Raises:
        InputRefused: It is.
    """
    for kind, path in configured_files(settings).items():
        with suppress(InputMissing, MessageRefused):
            wrong = too_large(kind, spliced_length(path), limit, whose=whose) if path else None
            if wrong:
                raise InputRefused(wrong, where=f"files.{kind.norwegian}", next_step=AGREE_ON_SIZE)


def _size(key: str, path: Path) -> int:
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputMissing(
            Text("The file {path} cannot be read: {reason}.", path=path, reason=error.strerror), where=key
        ) from None
    if size == 0:
        raise InputRefused(Text("The file {path} is empty.", path=path), where=key)
    return size


def journal_folder(context: CheckContext) -> CheckResult:
    """Journal, receipts and log can be written. Tried, not asked: permissions do not tell of a full disk."""
    settings = context.settings.journal
    context.journal.require_safe()
    for key, folder in (("journal.path", settings.path.parent), ("journal.receipts_dir", settings.receipts_dir)):
        _require_writable(_existing(folder), key)
    log = context.settings.log.file
    if log is not None and not is_there_and_usable(log):
        _require_writable(_existing(log.parent), "log.file", ConfigInvalid)
    # Not opened: closing any of its file descriptors would take away the locks that this process has on it.
    there = os.path.exists(settings.path)  # noqa: PTH110 - never raises, also where one may not look
    if there and not os.access(settings.path, os.R_OK | os.W_OK):
        raise JournalUnwritable(Text("This user may not write to the journal."), where=str(settings.path))
    return found(Text("{parent} can be written to", parent=settings.path.parent))


def receipts_from(context: CheckContext) -> CheckResult:
    """Where receipts come from: our queue, or a folder that can be read and written; and that they must be sealed."""
    bus = context.settings.bus
    concerns = [context.settings.receiver.concern] if context.settings.receiver.concern else []
    if bus.receipts_inbox is None:
        return found(Text("from the queue {queue_name}", queue_name=queue_name(bus.receipts_queue)), concerns)
    waiting = len(list(files_in(bus.receipts_inbox)))
    _require_writable(bus.receipts_inbox, "bus.receipts_inbox", InputMissing)
    unverified = len(list(files_in(bus.receipts_inbox / UNVERIFIED, missing_ok=True)))
    concerns += (
        [
            Text(
                "{counted} in {unverified}: see kpr-send receipts",
                counted=counted(unverified, "file"),
                unverified=UNVERIFIED,
            )
        ]
        if unverified
        else []
    )
    return found(
        Text(
            "from the folder {receipts_inbox}: {counted} to take",
            receipts_inbox=bus.receipts_inbox,
            counted=counted(waiting, "file"),
        ),
        concerns,
    )


def _existing(folder: Path) -> Path:
    # One that may not be looked at is as good as missing: what is above it says so when it is written to.
    return next(each for each in (folder, *folder.parents) if os.path.exists(each))  # noqa: PTH110 - never raises


def _require_writable(folder: Path, key: str, error_class: type[KprError] = JournalUnwritable) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(_BLOCK)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise error_class(
            Text("Nothing can be written in {folder}: {reason}.", folder=folder, reason=error.strerror), where=key
        ) from None


def disk_space(context: CheckContext) -> CheckResult:
    """There is room for a pair of the largest messages that are sent."""
    folder = _existing(context.settings.journal.path.parent)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise JournalUnwritable(
            Text("The disk cannot be asked: {reason}.", reason=error.strerror), where=str(folder)
        ) from None
    needed = _MESSAGES * context.settings.limits.refuse_bytes
    text = Text("{free:,} MB free, {needed:,} MB may be needed", free=free // 1000000, needed=needed // 1000000)
    if free < needed:
        raise JournalUnwritable(Text("There are {text}.", text=text), where=str(folder))
    return found(text, [] if free >= _MESSAGES * needed else [Text("that is soon used up")])


def journal(context: CheckContext) -> CheckResult:
    """What is in the journal is complete and unaltered, and nothing in it keeps the next pair from being sent."""
    verified = context.journal.verify()
    if verified is None:
        return found(Text("none yet: the first send makes it"))
    if verified.findings:
        first, number = verified.findings[0], len(verified.findings)
        raise JournalUnwritable(
            Text("{first} It is the first of {number} findings.", first=first.text, number=number)
            if number > 1
            else as_text(first.text),
            where=first.subject,
            next_step=Text("Read all of them with kpr-send journal verify, before anything is sent."),
        )
    with context.journal.reading() as view:
        ours = [one for each in view.submissions() for one in each.own] if view is not None else []
    if alarmed := next((one for one in ours if one.alarm), None):
        raise alarm_open(alarmed.alarm, alarmed.msg_id, Text("Nothing new is submitted"))
    submissions, receipts = verified.counted["submissions"], verified.counted["receipts"]
    if not submissions:
        return found(Text("complete: nothing is submitted yet"))
    return found(
        Text(
            "complete: {submissions}, {receipts}",
            submissions=counted(submissions, "submission"),
            receipts=counted(receipts, "receipt"),
        )
    )


def notices(context: CheckContext) -> CheckResult:
    """The addresses that notices go to can be read and understood; nothing is sent, and no send needs them."""
    urls = context.settings.notify.urls
    if urls is None:
        return found(Text("not configured: nobody is told ([notify])"))
    try:
        notifier = context.notifier()
        flaws = notifier.flaws()
    except KprError as error:
        return found(Text("not usable"), [error.text])
    text = Text("{count} address", plural="{count} addresses", count=notifier.addresses)
    return found(text, filter(None, [*(flaw.placed for flaw in flaws), urls.concern]))


def monitoring(context: CheckContext) -> CheckResult:
    """The ping address can be read, and the metrics file be written; nothing is sent, and no send needs them."""
    url, path = context.settings.monitor.ping_url, context.settings.monitor.metrics_file
    if url is None and path is None:
        return found(Text("not configured: nobody notices that no run happens ([monitor])"))
    concerns = [] if url is None else [url.concern]
    try:
        context.pinger()
    except KprError as error:
        concerns.append(error.placed)
    try:
        if context.metrics_file() is not None and path is not None:
            _require_writable(path.parent, "monitor.metrics_file", ConfigInvalid)
    except KprError as error:
        concerns.append(error.placed)
    if url is None:
        text = Text("metrics go to {path}", path=path)
    elif path is None:
        text = Text("a ping address")
    else:
        text = Text("a ping address, and metrics go to {path}", path=path)
    return found(text, filter(None, concerns))


def second_witness(context: CheckContext) -> CheckResult:
    """A journal that is restored together with its mark is noticed: what was written elsewhere knows more."""
    return found(Text("outside the journal's folder"), context.journal.witness_concerns())


def signing_key(context: CheckContext) -> CheckResult:
    """Our signing key can be used, and its certificate is one to sign with."""
    events: list[Event] = []
    signer = context.keys.signer(at=context.now())
    check_signer(signer, context.settings, context.trust(events.append), at=context.now())
    context.signer = signer
    return found(
        Text("serial number {serial_number}", serial_number=format(signer.certificate.serial_number, "x")),
        [event.text for event in events],
    )


def decryption_keys(context: CheckContext) -> CheckResult:
    """Our decryption keys can be used."""
    decrypters = context.decrypters = context.keys.decrypters()
    if not decrypters:
        raise ConfigInvalid(Text("There is no key that opens receipts."), where="keys.decryption")
    serials = listed(
        *(
            Text("serial number {serial_number}", serial_number=format(each.certificate.serial_number, "x"))
            for each in decrypters
        )
    )
    return found(Text("{keys}: {serials}", keys=counted(len(decrypters), "key"), serials=serials))


def self_sealed(context: CheckContext) -> CheckResult:
    """What we sign is verified, and what is sealed for any of our certificates is opened: the keys do their work."""
    own = required(context.signer)
    for decrypter in context.decrypters:
        sealed = b"".join(map(bytes, seal([_SAMPLE], len(_SAMPLE), signer=own, recipient=decrypter.certificate)))
        try:
            open_sealed(sealed, decrypters=[decrypter], signers=[own.certificate], policy=Policy())
        except ProtectionRefused as error:
            raise AccessRefused(
                Text(
                    "What is sealed for our certificate {serial_number} is not opened: {error}.",
                    serial_number=format(decrypter.certificate.serial_number, "x"),
                    error=error,
                ),
                where="keys.decryption",
            ) from None
    return found(
        Text(
            "signed, sealed, opened and verified with {counted}",
            counted=counted(len(context.decrypters), "decryption key"),
        )
    )

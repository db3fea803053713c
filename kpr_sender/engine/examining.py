"""What ``kpr-send doctor`` looks at, one function for each line. Nothing is sent, and nothing but a cache is written.

Each returns what it saw. What must be mended is raised, as everywhere else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from kpr_sender import profiles
from kpr_sender.bus.probe import Probe, tls_in_use
from kpr_sender.engine.in_play import in_play
from kpr_sender.engine.keys import Keys, check_signer
from kpr_sender.engine.trust import Trust
from kpr_sender.errors import AccessRefused, ConfigInvalid, InputMissing, InternalError, JournalUnwritable
from kpr_sender.events import Event, ignore
from kpr_sender.journal import verify
from kpr_sender.journal.location import demand_local
from kpr_sender.messages.transport import queue_name
from kpr_sender.model import Party
from kpr_sender.protection.open import Policy, open_sealed
from kpr_sender.protection.port import Decrypter, Signer
from kpr_sender.protection.refused import ProtectionRefused
from kpr_sender.protection.seal import seal
from kpr_sender.registry.opening import demand_own_register, open_directory, open_registry
from kpr_sender.registry.port import Counterpart, Directory
from kpr_sender.settings.building import secrets_of
from kpr_sender.settings.values import RegistryKind, Settings

SKEW_WARNED_OF: Final = 5.0
SKEW_REFUSED: Final = 60.0
"""Seconds. HelseID allows some ten for a token; certificates and receipts are judged by the same clock."""

_SAMPLE: Final = b"<prove/>"
_MESSAGES: Final = 4
"""What a pair needs on the disk, in largest messages: two of them, each in SQLite's write-ahead log and in its file."""
_SERVICE: Final = "Saksbehandling"  # FHI's letter 24/04733-1: "Benytt Saksbehandling ved innsending"
_BLOCK: Final = bytes(4096)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check saw.

    Attributes:
        text: In words, without secrets.
        unwise: Whether a person should see to it, though it hinders nothing yet.
    """

    text: str
    unwise: bool = False


@dataclass(slots=True)
class Setup:
    """What is examined, and what earlier checks found that later ones go on from.

    Attributes:
        now: The clock; aware.
        signer: Our signing key, once it is loaded.
        decrypters: Our decryption keys, once they are loaded.
        receiver: FHI, once it is looked up.
        probe: The connection to the bus, once it stands.
    """

    settings: Settings
    keys: Keys
    now: Callable[[], datetime]
    signer: Signer | None = None
    decrypters: Sequence[Decrypter] = ()
    receiver: Counterpart | None = None
    probe: Probe | None = field(default=None, repr=False)

    def close(self) -> None:
        """Hang up."""
        if self.probe is not None:
            self.probe.close()
            self.probe = None

    @property
    def profile(self) -> profiles.Profile:
        """The year's."""
        return profiles.load(self.settings.report.year)

    @property
    def expected(self) -> Party:
        """The receiver as the year's profile has it."""
        return self.profile.receivers[self.settings.environment]


# -- on this machine ----------------------------------------------------------------------------------------------


def environment(setup: Setup) -> Seen:
    """Nothing belongs to another environment (promise G7)."""
    settings = setup.settings
    profiles.guard_environment(
        setup.profile,
        settings.environment,
        receiver_her_id=setup.expected.service_her_id,
        queue=settings.receiver.queue,
        host=settings.bus.host,
    )
    demand_own_register(setup.profile, settings)
    return Seen(f"{settings.environment.value}: {setup.expected.service_name} ({setup.expected.service_her_id})")


def year(setup: Setup) -> Seen:
    """FHI has confirmed what is known of the year."""
    profile = setup.profile
    warning = profiles.admit(profile, setup.settings.environment, setup.settings.report.letter)
    due = f"{profile.year}, to be reported by {profile.deadline}"
    if warning is not None:
        return Seen(f"{due}. {warning}", unwise=True)
    return Seen(f"{due}, confirmed by FHI's letter {profile.letter or setup.settings.report.letter}")


def secrets(setup: Setup) -> Seen:
    """Every secret is where it should be, for nobody else to read."""
    named = secrets_of(setup.settings)
    for secret in named:
        secret.reveal()
    concerns = [secret.concern for secret in named if secret.concern]
    return Seen(" ".join(concerns), unwise=True) if concerns else Seen(f"{len(named)} are there")


def files(setup: Setup) -> Seen:
    """The two extracts can be read, where the configuration names them."""
    named = {
        "files.fagmelding": setup.settings.files.fagmelding,
        "files.identmelding": setup.settings.files.identmelding,
    }
    sizes = [_size(key, path) for key, path in named.items() if path is not None]
    if len(sizes) < len(named):
        missing = " and ".join(key for key, path in named.items() if path is None)
        return Seen(f"{missing} not named: the command line must name it", unwise=True)
    return Seen(f"{sizes[0]:,} and {sizes[1]:,} bytes")


def _size(key: str, path: Path) -> int:
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputMissing(f"The file {path} cannot be read: {error.strerror}.", where=key) from None


def journal_folder(setup: Setup) -> Seen:
    """Journal and receipts can be written. Tried, not asked: permissions do not tell of a full or read-only disk."""
    settings = setup.settings.journal
    if not settings.allow_network:
        demand_local(settings.path)
    for key, folder in (("journal.path", settings.path.parent), ("journal.receipts_dir", settings.receipts_dir)):
        _demand_writable(_existing(folder), key)
    # Not opened: closing any of its file descriptors would take away the locks that this process has on it.
    if settings.path.exists() and not os.access(settings.path, os.R_OK | os.W_OK):
        raise JournalUnwritable("This user may not write to the journal.", where=str(settings.path))
    return Seen(f"{settings.path.parent} can be written to")


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _demand_writable(folder: Path, key: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(_BLOCK)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise JournalUnwritable(f"Nothing can be written in {folder}: {error.strerror}.", where=key) from None


def disk_space(setup: Setup) -> Seen:
    """There is room for a pair of the largest messages that are sent."""
    folder = _existing(setup.settings.journal.path.parent)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise JournalUnwritable(f"The disk cannot be asked: {error.strerror}.", where=str(folder)) from None
    needed = _MESSAGES * setup.settings.limits.refuse_bytes
    text = f"{free // 1_000_000:,} MB free, {needed // 1_000_000:,} MB may be needed"
    if free < needed:
        raise JournalUnwritable(f"There are {text}.", where=str(folder))
    return Seen(text, unwise=free < _MESSAGES * needed)


def journal(setup: Setup) -> Seen:
    """What is in the journal is whole."""
    path = setup.settings.journal.path
    found = verify.verify(path, setup.settings.environment)
    if found is None:
        return Seen("none yet: the first send makes it")
    if found.findings:
        first = found.findings[0]
        raise JournalUnwritable(
            f"{first.text} It is the first of {len(found.findings)} findings.",
            where=first.subject,
            next_step="Read all of them with kpr-send journal verify, before anything is sent.",
        )
    return Seen(f"whole: {found.counted['submissions']} submissions, {found.counted['receipts']} receipts")


# -- our keys -----------------------------------------------------------------------------------------------------


def signing_key(setup: Setup) -> Seen:
    """Our signing key can be used, and its certificate is one to sign with."""
    told: list[Event] = []
    own = setup.keys.signer(at=setup.now())
    check_signer(own, setup.settings, Trust.of(setup.settings, told.append), at=setup.now())
    setup.signer = own
    return _told(f"serial number {own.certificate.serial_number:x}", told)


def decryption_keys(setup: Setup) -> Seen:
    """Our decryption keys can be used."""
    setup.decrypters = setup.keys.decrypters()
    serials = ", ".join(f"{each.certificate.serial_number:x}" for each in setup.decrypters)
    return Seen(f"{len(setup.decrypters)}: serial number {serials}")


def self_sealed(setup: Setup) -> Seen:
    """What we sign is verified, and what is sealed for any of our certificates is opened: the keys do their work."""
    own = _made(setup.signer)
    for decrypter in setup.decrypters:
        sealed = bytearray()
        seal([_SAMPLE], len(_SAMPLE), signer=own, recipient=decrypter.certificate, write=sealed.extend)
        try:
            open_sealed(bytes(sealed), decrypters=[decrypter], signers=[own.certificate], policy=Policy())
        except ProtectionRefused as error:
            raise AccessRefused(
                f"What is sealed for our certificate {decrypter.certificate.serial_number:x} is not opened: {error}.",
                where="keys.decryption",
            ) from None
    return Seen(f"signed, sealed, opened and verified with {len(setup.decrypters)} of our keys")


# -- Adresseregisteret --------------------------------------------------------------------------------------------


def clock(setup: Setup) -> Seen:
    """Our clock is right, as far as the register can tell."""
    settings = setup.settings.registry
    if settings.kind is RegistryKind.FILES:
        return Seen("not compared: no register is configured that would tell the time")
    from kpr_sender.registry.clock import ahead_of_us  # noqa: PLC0415 - httpx only where a register is asked

    ahead = ahead_of_us(settings, setup.now)
    if ahead is None:
        return Seen("not compared: the register does not tell the time")
    seconds = ahead.total_seconds()
    text = f"{abs(seconds):.0f} seconds {'behind' if seconds > 0 else 'ahead of'} the register's"
    if abs(seconds) > SKEW_REFUSED:
        raise AccessRefused(f"This machine's clock is {text}.", where=settings.url)
    return Seen(text, unwise=abs(seconds) > SKEW_WARNED_OF)


def receiver(setup: Setup) -> Seen:
    """FHI is where the configuration and the year's profile say. Asked anew: an earlier answer proves nothing."""
    told: list[Event] = []
    expected = setup.expected
    found = open_registry(_asking(setup.settings), now=setup.now, observe=told.append).counterpart(
        expected.service_her_id
    )
    for objection in found.objections:
        raise objection
    setup.receiver = found
    source = "from the configuration's files" if not setup.settings.registry.url else found.provenance.source
    text = f"{found.name} ({found.her_id}), queue {found.queue}, {source}"
    if _alike(found.name) != _alike(expected.service_name):
        return Seen(f"{text}; the year's profile calls it {expected.service_name}", unwise=True)
    return _told(text, told)


def sender(setup: Setup) -> Seen:
    """We are in the register as we are in the configuration, and our answers come to the queues that we read."""
    settings, own = setup.settings, setup.settings.sender.party
    name = own.service_name
    concerns: list[str] = []
    if settings.registry.kind is not RegistryKind.FILES:
        name = _registered(setup, open_directory(_asking(settings), now=setup.now, observe=ignore), concerns)
    if _alike(_SERVICE) not in _alike(name):
        concerns.append(f"the service's name has no {_SERVICE} in it, which FHI asks for")
    text = f"{own.name} ({own.her_id}), {name} ({own.service_her_id})"
    return Seen("; ".join([text, *concerns]), unwise=bool(concerns))


def _registered(setup: Setup, register: Directory, concerns: list[str]) -> str:
    """Compare the register's entry about ourselves, and return the service's name in it."""
    settings, own = setup.settings, setup.settings.sender.party
    party = register.party(own.service_her_id).value
    queues = register.queues(own.service_her_id).value
    where = f"Adresseregisteret, HER-id {own.service_her_id}"
    mended = "Correct what is wrong: [sender] and [bus] here, or our entry there."
    if not party.active:
        raise ConfigInvalid("Our service is not in use there.", where=where, next_step=mended)
    if party.parent_her_id != own.her_id:
        raise ConfigInvalid(
            f"It belongs to {party.parent_her_id or 'nobody'} there, not to {own.her_id}.",
            where=where,
            next_step=mended,
        )
    for address, key, queue in (
        (queues.asynchronous, "bus.receipts_queue", settings.bus.receipts_queue),
        (queues.error, "bus.error_queue", settings.bus.error_queue),
    ):
        if queue_name(address) != queue_name(queue):
            raise ConfigInvalid(
                f"The queue registered for us is {queue_name(address) or 'none'}, and we read {queue_name(queue)}.",
                where=f"{where}, {key}",
                next_step=mended,
            )
    if party.parent_name and _alike(party.parent_name) != _alike(own.name):
        concerns.append(f"the register calls the municipality {party.parent_name}")
    return party.name


def certificates(setup: Setup) -> Seen:
    """All certificates in play may be used, and will do beyond the deadline."""
    told: list[Event] = []
    now, deadline = setup.now(), setup.profile.deadline
    # Why one could not be had at all is another line's matter.
    rows = [row for row in in_play(setup.settings, now=now, observe=told.append) if row.certificate is not None]
    for row in rows:
        if row.error is not None:
            raise row.error
    concerns = [f"{row.role}: {concern}" for row in rows if (concern := row.concern(now, deadline))]
    left = [days for row in rows if row.counts and (days := row.days_left(now)) is not None]
    text = f"{len(left)}, the first ends in {min(left, default=0)} days"
    return Seen("; ".join([text, *concerns]), unwise=True) if concerns else _told(text, told)


def _asking(settings: Settings) -> Settings:
    """Return settings by which the register is really asked."""
    return replace(settings, registry=replace(settings.registry, max_age=0.0, stale_for=0.0))


def _alike(name: str) -> str:
    return " ".join(name.split()).casefold()


def _told(text: str, told: Sequence[Event]) -> Seen:
    return Seen(" ".join([f"{text}.", *(event.text for event in told)]), unwise=True) if told else Seen(text)


# -- the bus ------------------------------------------------------------------------------------------------------


def bus_tls(setup: Setup) -> Seen:
    """The bus is there, speaks TLS, and is the one that its certificate says."""
    bus = setup.settings.bus
    return Seen(f"{bus.host}:{bus.port}, {tls_in_use(bus) or 'without TLS, on this machine'}")


def bus_login(setup: Setup) -> Seen:
    """The bus lets us in."""
    setup.probe = Probe(setup.settings.bus)
    return Seen(f"as {setup.settings.bus.username}; the bus says version {setup.probe.version or 'nothing'}")


def receipts_queue(setup: Setup) -> Seen:
    """We may read our queue."""
    return _reads(setup, "bus.receipts_queue", setup.settings.bus.receipts_queue)


def error_queue(setup: Setup) -> Seen:
    """We may read our error queue."""
    return _reads(setup, "bus.error_queue", setup.settings.bus.error_queue)


def receivers_exchange(setup: Setup) -> Seen:
    """We may send to the receiver. Whether its queue exists behind an exchange, the bus tells nobody."""
    queue, exchange = _made(setup.receiver).queue, setup.settings.bus.exchange or "(default)"
    _made(setup.probe).sends(queue, f"exchange {exchange}, queue {queue}")
    return Seen(f"{exchange}, for {queue}: attached, nothing sent")


def _reads(setup: Setup, key: str, queue: str) -> Seen:
    _made(setup.probe).reads(queue, f"{key} {queue}")
    return Seen(f"{queue}: attached, nothing taken")


def _made(found: T | None) -> T:
    """Return what an earlier check has made; the table says which one each needs."""
    if found is None:
        raise InternalError("A check ran before the one that it needs.")
    return found


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)

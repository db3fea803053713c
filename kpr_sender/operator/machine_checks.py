"""Our keys: whether they may be used, and do their work."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from kpr_sender import profiles
from kpr_sender.bus.probe import Probe
from kpr_sender.cms.errors import ProtectionRefused
from kpr_sender.cms.port import Decrypter, Signer
from kpr_sender.cms.read import Policy, open_sealed
from kpr_sender.cms.write import seal
from kpr_sender.errors import AccessRefused, InputMissing, InternalError, JournalUnwritable
from kpr_sender.events import Event
from kpr_sender.journal import verify
from kpr_sender.journal.location import demand_local
from kpr_sender.keys.configured import Keys, check_signer
from kpr_sender.model import Party
from kpr_sender.registry.opening import demand_one_environment
from kpr_sender.registry.port import Counterpart
from kpr_sender.settings.read import secrets_of
from kpr_sender.settings.values import Settings
from kpr_sender.trust.policy import Trust

# What is examined, what was seen of it, and what one check leaves to the next.

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


def told_of(text: str, told: Sequence[Event]) -> Seen:
    """Return a text, and what was told of on the way: a person should see to that."""
    return Seen(" ".join([f"{text}.", *(event.text for event in told)]), unwise=True) if told else Seen(text)


def made(found: T | None) -> T:
    """Return what an earlier check has made; the table says which one each needs."""
    if found is None:
        raise InternalError("A check ran before the one that it needs.")
    return found


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


# What lies on this machine: configuration, secrets, files, journal and disk.

_MESSAGES: Final = 4
"""What a pair needs on the disk, in largest messages: two of them, each in SQLite's write-ahead log and in its file."""
_BLOCK: Final = bytes(4096)


def environment(setup: Setup) -> Seen:
    """Nothing belongs to another environment (promise G7)."""
    demand_one_environment(setup.profile, setup.settings)
    return Seen(f"{setup.settings.environment.value}: {setup.expected.service_name} ({setup.expected.service_her_id})")


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


_SAMPLE: Final = b"<prove/>"


def signing_key(setup: Setup) -> Seen:
    """Our signing key can be used, and its certificate is one to sign with."""
    told: list[Event] = []
    own = setup.keys.signer(at=setup.now())
    check_signer(own, setup.settings, Trust.of(setup.settings, told.append), at=setup.now())
    setup.signer = own
    return told_of(f"serial number {own.certificate.serial_number:x}", told)


def decryption_keys(setup: Setup) -> Seen:
    """Our decryption keys can be used."""
    setup.decrypters = setup.keys.decrypters()
    serials = ", ".join(f"{each.certificate.serial_number:x}" for each in setup.decrypters)
    return Seen(f"{len(setup.decrypters)}: serial number {serials}")


def self_sealed(setup: Setup) -> Seen:
    """What we sign is verified, and what is sealed for any of our certificates is opened: the keys do their work."""
    own = made(setup.signer)
    for decrypter in setup.decrypters:
        sealed = b"".join(seal([_SAMPLE], len(_SAMPLE), signer=own, recipient=decrypter.certificate))
        try:
            open_sealed(sealed, decrypters=[decrypter], signers=[own.certificate], policy=Policy())
        except ProtectionRefused as error:
            raise AccessRefused(
                f"What is sealed for our certificate {decrypter.certificate.serial_number:x} is not opened: {error}.",
                where="keys.decryption",
            ) from None
    return Seen(f"signed, sealed, opened and verified with {len(setup.decrypters)} of our keys")

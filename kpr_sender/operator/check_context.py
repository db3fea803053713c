"""What every self-check gets, and what it returns."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar

from kpr_sender import profiles
from kpr_sender.bus.port import BusProbe, Handshake
from kpr_sender.cms.port import Decrypter, Signer
from kpr_sender.edi.port import MailboxProbe, SmtpProbe
from kpr_sender.errors import InternalError, KprError
from kpr_sender.events import Observer, ignore
from kpr_sender.journal.port import JournalStorage
from kpr_sender.keys.port import Keys, OwnKey
from kpr_sender.model import Party
from kpr_sender.notify.port import MetricsFile, Notifier, Pinger
from kpr_sender.profiles.profile import Deadline
from kpr_sender.registry.port import Counterpart, Registry
from kpr_sender.report import deadline_of
from kpr_sender.settings.secrets import KeySource
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text, as_text
from kpr_sender.trust.port import Trust

T = TypeVar("T")


class Status(enum.StrEnum):
    """How a check ended."""

    GREEN = "green"
    YELLOW = "yellow"
    """Nothing prevents a send, but a person should look at it; or it was not tried because of another red."""
    RED = "red"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found.

    Attributes:
        text: In words, without secrets.
        error: What prevents a send; set when red.
    """

    status: Status
    text: str
    next_step: str = ""
    name: str = ""
    error: KprError | None = None


def found(text: str, concerns: Iterable[str] = ()) -> CheckResult:
    """Return what a check found; yellow where a person should look at something, though it prevents nothing yet."""
    status = Status.GREEN
    for concern in concerns:
        status = Status.YELLOW
        if not text:
            text = Text("{concern:bare}", concern=as_text(concern))
        elif concern[:1].isupper():
            text = Text("{text}. {concern:bare}", text=text, concern=as_text(concern))
        else:
            text = Text("{text}; {concern:bare}", text=text, concern=as_text(concern))
    return CheckResult(status, text)


_NOUNS: Final[Mapping[str, Callable[[int], Text]]] = {
    "byte": lambda count: Text("{count:,} byte", plural="{count:,} bytes", count=count),
    "certificate": lambda count: Text("{count:,} certificate", plural="{count:,} certificates", count=count),
    "day": lambda count: Text("{count:,} day", plural="{count:,} days", count=count),
    "decryption key": lambda count: Text("{count:,} decryption key", plural="{count:,} decryption keys", count=count),
    "file": lambda count: Text("{count:,} file", plural="{count:,} files", count=count),
    "key": lambda count: Text("{count:,} key", plural="{count:,} keys", count=count),
    "mail": lambda count: Text("{count:,} mail", plural="{count:,} mails", count=count),
    "receipt": lambda count: Text("{count:,} receipt", plural="{count:,} receipts", count=count),
    "second": lambda count: Text("{count:,} second", plural="{count:,} seconds", count=count),
    "secret": lambda count: Text("{count:,} secret", plural="{count:,} secrets", count=count),
    "submission": lambda count: Text("{count:,} submission", plural="{count:,} submissions", count=count),
}


def counted(number: int, noun: str) -> Text:
    """Return a number with its noun, one of the table, in the plural where it is one."""
    return _NOUNS[noun](number)


@dataclass(slots=True)
class CheckContext:
    """What is checked, and what earlier checks found that later ones use: our keys, FHI, the connection to the bus.

    The adapters come from ``app``: nothing is opened, read or connected to before a check asks for it.

    Attributes:
        keys: Ours.
        load_key: Reads one of our keys by itself, whatever the others are.
        trust: Returns what is required of certificates; raises where the authorities cannot be read.
        registry: Returns what knows FHI and ourselves; gets where to report warnings.
        register_clock: Returns how far the register's clock is ahead of ours; None where it does not tell.
        shake_hands: Shakes hands with the bus; None where no TLS is used.
        log_in: Logs in to the bus.
        mail_server: Connects to the mail server of our EDI account, and returns what it says of itself.
        mailbox: Looks at our mailbox, and returns what it says of itself.
        notifier: Makes what sends notices.
        pinger: Makes what pings; None from it where nobody is pinged.
        metrics_file: Makes the file for Prometheus; likewise.
        observe: Called with what a person should know beside the certificates in use.
    """

    settings: Settings
    now: Callable[[], datetime]
    journal: JournalStorage
    keys: Keys
    load_key: Callable[[KeySource], OwnKey]
    trust: Callable[[Observer], Trust]
    registry: Callable[[Observer], Registry]
    register_clock: Callable[[], timedelta | None]
    shake_hands: Callable[[], Handshake | None]
    log_in: Callable[[], BusProbe]
    mail_server: Callable[[], SmtpProbe]
    mailbox: Callable[[], MailboxProbe]
    notifier: Callable[[], Notifier]
    pinger: Callable[[], Pinger | None]
    metrics_file: Callable[[], MetricsFile | None]
    observe: Observer = ignore
    signer: Signer | None = None
    decrypters: Sequence[Decrypter] = ()
    receiver: Counterpart | None = None
    probe: BusProbe | None = field(default=None, repr=False)

    def close(self) -> None:
        """Close the connection to the bus."""
        if self.probe is not None:
            self.probe.close()
            self.probe = None

    @property
    def profile(self) -> profiles.Profile:
        """The year's."""
        return profiles.load(self.settings.report.year)

    @property
    def deadline(self) -> Deadline:
        """The last day to report the configured year."""
        return deadline_of(self.settings, self.settings.report.year)

    @property
    def expected(self) -> Party:
        """The receiver as the year's profile has it."""
        return self.profile.receivers[self.settings.environment]


def required(value: T | None) -> T:
    """Return what an earlier check has found; the table says which one each needs."""
    if value is None:
        raise InternalError(Text("A check ran before the one that it needs."))
    return value

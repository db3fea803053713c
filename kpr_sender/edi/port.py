"""The port: one mail out, and a mailbox, in values that name no protocol.

What ``SmtpSender.submit`` answers are the values of ``kpr_sender/bus/port.py``, by the same rules. The rules of a
mailbox, which may be another system's, too (promise G8):

1. ``look`` takes, marks and moves nothing; what is known already is not read again.
2. Nothing but what the caller hands in is read as a whole, removed or moved.
3. ``take`` comes after what the mail says is durable. Where it cannot be done now, or not without touching others'
   mail, the mail stays, and comes again.
4. No other reader is kept out for more than 5 seconds.
5. *Nothing there* and *could not look* (BusUnreachable) are different answers.
6. One mail that cannot be read keeps none of the others from being read.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Final, Protocol

from kpr_sender.bus.port import Handshake, Inbound, always
from kpr_sender.ebxml.read_mail import Mail
from kpr_sender.errors import BusUnreachable

HEAD_BYTES: Final = 65_536
"""Of a mail's headers so much is read at most."""


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """One mail. The same sealed message always yields the same value (promise G3).

    Attributes:
        message_id: The eb:MessageId: begins each attempt's Message-ID and ENVID.
        sender: Our address, for MAIL FROM.
        recipient: The receiver's, for RCPT TO.
        head: Headers that are the same at every attempt, as ``EbxmlMail.head`` has them.
        body: The stored sealed bytes, lines ended by CRLF: sent exactly so.
        may_begin: Asked before the first byte of the mail leaves; where it says no, nothing of it does.
    """

    message_id: str
    sender: str
    recipient: str
    head: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    may_begin: Callable[[], bool] = field(default=always, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SmtpProbe:
    """What a mail server says of itself, for ``kpr-send doctor``.

    Attributes:
        handshake: None without TLS.
        size: The largest mail that it takes, in bytes; 0 where it does not say.
        logged_in: Whether it let us log in; False where no user is configured.
        dsn: Whether it reports what it cannot deliver in the form that we ask for.
    """

    handshake: Handshake | None
    size: int
    logged_in: bool
    dsn: bool


@dataclass(frozen=True, slots=True)
class MailboxProbe:
    """What a mailbox says of itself, for ``kpr-send doctor``.

    Attributes:
        handshake: None without TLS, and for folders.
        keys: What lies there now: what is gone at the next look was taken by another reader.
        can_take: Whether a mail of ours can be taken out without touching others'.
    """

    handshake: Handshake | None
    keys: frozenset[str]
    can_take: bool


@dataclass(frozen=True, slots=True)
class MailEntry:
    """One mail that lies in a mailbox.

    Attributes:
        key: Names it in this mailbox, from session to session.
        size: In bytes, as the mailbox says.
        head: Its header lines, ``HEAD_BYTES`` at most, as they are; of a file that is no mail its beginning. Empty
            where the mailbox would not show them.
    """

    key: str
    size: int
    head: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MailboxLook:
    """What one look at a mailbox saw.

    Attributes:
        entries: What was not known, in the mailbox's order.
        keys: All that lies there, known or not.
        complete: Whether ``entries`` has all that was not known; another look goes on where it ended.
    """

    entries: tuple[MailEntry, ...]
    keys: frozenset[str]
    complete: bool


class MailTooLarge(Exception):
    """A mail has more bytes than are fetched."""


class MailNotRead(Exception):
    """One mail could not be read, though its mailbox could be looked at.

    Attributes:
        why: What a person is told.
    """

    def __init__(self, why: BusUnreachable) -> None:
        super().__init__()
        self.why = why


@dataclass(frozen=True, slots=True)
class InboundMail(Inbound):
    """A message that is a whole mail.

    Attributes:
        mail: What was read of it, so that nobody need read it again; None where it could not be.
    """

    mail: Mail | None = field(default=None, repr=False, compare=False)


class Mailbox(Protocol):
    """A mailbox. One caller at a time. Nothing is connected before it is needed.

    Each method but ``close`` raises BusUnreachable, AccessRefused or ConfigInvalid as ``Bus.connect`` does.
    """

    def look(self, known: Container[str] = frozenset()) -> MailboxLook:
        """Look at what lies there.

        Args:
            known: Keys of what was looked at before: not read again.
        """

    def fetch(self, entry: MailEntry) -> bytes | None:
        """Return one whole mail, as it is.

        Returns:
            None where it is there no more.

        Raises:
            MailTooLarge: It has more than ``max_inbound`` bytes, whatever the mailbox said.
            MailNotRead: The mailbox could be looked at, and this mail of it not be read.
        """

    def take(self, entry: MailEntry) -> bool:
        """Take a mail of ours out, after what it says is durable.

        Returns:
            Whether it is certainly out. No error where it is not: it comes again.
        """

    def leave(self, entry: MailEntry) -> None:
        """Say that a mail is not ours: it stays as it is; in a folder of ours it is moved to ``not-ours``."""

    def probe(self) -> MailboxProbe:
        """Say whether it can be read, and what lies there; takes, marks and moves nothing."""

    def close(self) -> None:
        """Hang up. Safe to call twice."""

"""What the outbound journey asks of one way to seal, and the values that go in and come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from kpr_sender.cms.port import Signer
from kpr_sender.model import Envelope, MessageType, Party, Transport
from kpr_sender.registry.port import Counterpart, RegisterEntry


@dataclass(frozen=True, slots=True)
class Route:
    """The addresses of a message: its receiver's, and ours for the answer.

    Attributes:
        to: The receiver's queue or EDI address.
        reply_to: Ours.
    """

    to: str
    reply_to: str


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A Hodemelding that is to be sealed.

    Attributes:
        msg_id: Its MsgId.
        message_id: The id that it gets outside.
        made_at: Its GenDate.
        where: Its file, for messages.
        length: In bytes.
        chunks: Yields it, anew at each call.
    """

    type: MessageType
    msg_id: str
    message_id: str
    made_at: datetime
    sender: Party
    receiver: Party
    addresses: Route
    where: str
    length: int
    chunks: Callable[[], Iterator[bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is stored and sent.

    Attributes:
        length: How many bytes ``chunks`` yields, exactly.
        concern: What a person should know of it, in a sentence; empty where that is nothing.
    """

    envelope: Envelope
    length: int
    chunks: Iterable[bytes | memoryview] = field(repr=False)
    concern: str = ""


class Sealing(Protocol):
    """One way to seal."""

    @property
    def transport(self) -> Transport:
        """Which way it is for."""

    def addresses(self, known: Party, counterpart: Counterpart, own: RegisterEntry | None) -> Route:
        """Return where it goes, by the register and the configuration.

        Args:
            known: The receiver by the year's profile.
            counterpart: The same as the register has it.
            own: What the register says of us; None where it is not asked.

        Raises:
            ConfigInvalid: An address is not known, or is another in the register than in the configuration.
        """

    def seal(self, message: Unsealed, counterpart: Counterpart, signer: Signer) -> Sealed:
        """Seal for the receiver, by our key.

        Raises:
            InputRefused: It would be too large: known before anything is sealed; or its file is not as it was.
            InputMissing: Its file cannot be read any more.
        """

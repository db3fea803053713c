"""What is examined, what was seen of it, and what one check leaves to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from kpr_sender import profiles
from kpr_sender.bus.probe import Probe
from kpr_sender.engine.keys import Keys
from kpr_sender.errors import InternalError
from kpr_sender.events import Event
from kpr_sender.model import Party
from kpr_sender.protection.port import Decrypter, Signer
from kpr_sender.registry.port import Counterpart
from kpr_sender.settings.values import Settings

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

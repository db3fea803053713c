"""What is asked of whatever sends notices, pings and metrics: each is bounded, and none raises over what others do."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kpr_sender.deadline import Stopped, never
from kpr_sender.errors import KprError


class Delivery(enum.Enum):
    """What became of a notice at one address."""

    SENT = "sent"
    NOT_SENT = "not sent"
    UNKNOWN = "no answer in time"
    """It may have arrived."""


class Notifier(Protocol):
    """Sends notices.

    Attributes:
        addresses: How many addresses there are; each is named by its place, from 1 on.
    """

    addresses: int

    def flaws(self) -> Sequence[KprError]:
        """Return what is wrong with single addresses, without sending anything; the others can be used.

        Raises:
            ConfigInvalid: What sends them is not installed.
        """

    def send(self, messages: Mapping[int, tuple[str, str]], *, stopped: Stopped = never) -> Mapping[int, Delivery]:
        """Send messages, all at the same time, and return what became of each, within 10 seconds.

        Args:
            messages: Title, in one line, and body, by the address's place.
            stopped: Ends the waiting within a second.
        """


class Pinger(Protocol):
    """Tells a watcher that a run begins, and how it ended."""

    def begin(self) -> None:
        """Say that it begins; returns at once."""

    def end(self, *, failure: int | None, text: str, stopped: Stopped = never) -> str:
        """Say that it has ended, within 10 seconds.

        Args:
            failure: The exit code where a person or machine has to do something; None where that is nobody's move.
            text: What is known, in a line.
            stopped: Ends the waiting within a second.

        Returns:
            Why it could not be said, in words that fit after a colon; empty where it was.
        """


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure.

    Attributes:
        name: The metric's; it ends with ``_total`` where it only grows.
        help: What it is, in a sentence.
        labels: The names of its labels.
        values: By the labels' values.
    """

    name: str
    help: str
    labels: Sequence[str]
    values: Mapping[tuple[str, ...], float]


class MetricsFile(Protocol):
    """A file in Prometheus' text format."""

    def read(self) -> Mapping[str, Mapping[tuple[str, ...], float]]:
        """Return what the last run left in it, by metric and the labels' values in the order of their names' letters.

        Nothing where there is none, or none that can be read.
        """

    def write(self, figures: Sequence[Measured]) -> None:
        """Put another in its place, at once and complete.

        Raises:
            ConfigInvalid: It cannot be written.
        """

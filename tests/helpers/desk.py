"""A pair of which one shipment has no answer, and a person who must decide on it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from kpr_sender.bus.port import Outcome, Reach, Verdict
from kpr_sender.cli.main import run
from kpr_sender.client import Client
from kpr_sender.errors import AccessRefused, InDoubt
from kpr_sender.events import Event
from kpr_sender.model import Shipment
from kpr_sender.texts import Text
from tests.helpers.command import Ran
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality

NO_OUTCOME = Outcome(
    Verdict.IN_DOUBT,
    Reach.HANDED_OVER,
    4711,
    "amqp:connection:forced",
    "the node went down",
    InDoubt(Text("No outcome.")),
)
NOT_SENT = Outcome(Verdict.NOT_SENT, Reach.NOT_BEGUN, error=AccessRefused(Text("The login was refused.")))


class Terminal(io.StringIO):
    """Standard input with a person behind it."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Desk:
    """A municipality on a bus that a test scripts; every run opens its own client, as cron does."""

    kommune: Municipality
    bus: MemoryBus
    events: list[Event]

    def client(self, by: str = "cron") -> Client:
        return Client(self.kommune.configure(), bus=self.bus, on_event=self.events.append, by=by)

    def sent(self, *outcomes: Outcome) -> tuple[Shipment, ...]:
        """Send once; the shipments as they stand after it."""
        self.bus.outcomes.extend(outcomes)
        with self.client() as client:
            return client.submit().submission.shipments

    def shipment(self, msg_id: str) -> Shipment:
        with self.client() as client:
            return client.case(msg_id).shipment

    @property
    def prefix(self) -> str:
        """What stands before each command that a text names."""
        return f"--env lokal --config {self.kommune.config}"

    def command(self, *arguments: str) -> Ran:
        """Run the command in this process."""
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = run(["--env", "lokal", "--config", str(self.kommune.config), *arguments])
        return Ran(code, out.getvalue(), err.getvalue())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(municipality(tmp_path), MemoryBus(), [])


@pytest.fixture
def fhi(desk: Desk) -> Fhi:
    return Fhi(desk.kommune.pki)


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sit a person down at the terminal, who types something."""
    return lambda typed: monkeypatch.setattr(sys, "stdin", Terminal(typed))

"""Fixtures of an engine on a bus in memory with FHI on the other side; a folder's conftest imports what it wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kpr_sender.client import Client
from kpr_sender.events import Event
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Changes, Municipality, municipality


@pytest.fixture
def kommune(tmp_path: Path) -> Municipality:
    return municipality(tmp_path)


@pytest.fixture
def fhi(kommune: Municipality) -> Fhi:
    return Fhi(kommune.pki)


@pytest.fixture
def bus(fhi: Fhi) -> MemoryBus:
    """A bus behind which FHI answers everything positively."""
    return MemoryBus(fhi.answer)


@pytest.fixture
def silent_bus() -> MemoryBus:
    """A bus behind which nobody answers."""
    return MemoryBus()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def new_client(kommune: Municipality, events: list[Event]) -> Iterator[Callable[..., Client]]:
    """Make clients as separate runs would be: each closes before the next one starts."""
    made: list[Client] = []

    def make(bus: MemoryBus, changes: Changes | None = None) -> Client:
        while made:
            made.pop().close()
        client = Client(kommune.configure(changes), bus=bus, on_event=events.append)
        made.append(client)
        return client

    yield make
    while made:
        made.pop().close()

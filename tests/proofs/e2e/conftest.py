"""A municipality and a sandbox on a free loopback port; the command runs as a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.sandbox import Sandbox
from tests.helpers.municipality import SENDER_HER_ID, Municipality, municipality


@pytest.fixture
def kommune(tmp_path: Path) -> Municipality:
    return municipality(tmp_path)


@pytest.fixture
def sandbox(kommune: Municipality) -> Iterator[Sandbox]:
    """A sandbox that answers everything positively, and a configuration that leads to it."""
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        kommune.configure(port=sandbox.port)
        yield sandbox


@pytest.fixture
def faulty(sandbox: Sandbox) -> Callable[..., None]:
    """Switch faults on, by name; none switches all off."""

    def switch(*names: str) -> None:
        sandbox.faults = Faults.parse(names)

    return switch

"""A municipality in a folder, FHI with the keys that go with it, and the command in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kpr_sender.cli.main import run
from tests.helpers.municipality import Municipality


@pytest.fixture
def made(kommune: Municipality) -> Municipality:
    """The municipality, as tests of single commands call it."""
    return kommune


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a whole command line; returns exit code, standard output and standard error."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call

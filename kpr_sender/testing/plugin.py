"""pytest's fixtures: ``pytest_plugins = ["kpr_sender.testing.plugin"]`` in the conftest.py of your tests' root.

The only module of the package that needs pytest.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kpr_sender.testing.fake import FakeTjenestebuss

if TYPE_CHECKING:
    from kpr_sender.testing.fake_edi import FakeEdi


@pytest.fixture(scope="session")
def kpr_test_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of keys that one test run shares: made now, used by nobody else."""
    from kpr_sender.sandbox.pki import ensure_pki  # noqa: PLC0415 - made only where a test asks for them

    return ensure_pki(tmp_path_factory.mktemp("kpr-keys"), now=datetime.now(UTC)).folder


@pytest.fixture
def tjenestebuss(
    kpr_test_keys: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> FakeTjenestebuss:
    """A municipality, the bus and FHI, new for each test. What journals write outside their folder stays beside it."""
    return FakeTjenestebuss(_folder(kpr_test_keys, tmp_path_factory.mktemp("tjenestebuss"), monkeypatch))


@pytest.fixture
def edi(kpr_test_keys: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeEdi:
    """The same with mail server, mailbox and FHI. Needs ``kpr-sender[edi]``."""
    from kpr_sender.testing.fake_edi import FakeEdi  # noqa: PLC0415 - needs an extra

    return FakeEdi(_folder(kpr_test_keys, tmp_path_factory.mktemp("edi"), monkeypatch))


def _folder(keys: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a municipality's folder with the keys, in one that takes what is written outside it."""
    folder = made / "kommune"  # in which no state may lie: the journal's witness would go to the machine's (/var/lib)
    for variable in ("XDG_STATE_HOME", "LOCALAPPDATA"):  # the latter on Windows
        monkeypatch.setenv(variable, str(made / "state"))
    shutil.copytree(keys, folder / "pki")
    return folder

"""What no test may write: the witness of its journal into the folders of this machine, or of whoever runs the tests.

There it would outlive the run, and a later run with a journal at the same path would be told that it is gone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kpr_sender.durable import state_home

_MACHINES: Final = Path("/var/lib/kpr-sender/witness")


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_ours_in_the_machines_own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the run where a journal of its temporary folders left a witness there. Other runs are not ours to tell."""
    own = state_home({name: value for name, value in os.environ.items() if name != "XDG_STATE_HOME"})
    folders = [_MACHINES, *([own / "kpr-sender" / "witness"] if own else [])]
    ours = str(tmp_path_factory.getbasetemp() / "_").removesuffix("_")
    began = time.time()  # temporary folders of runs that are over have the same names
    yield
    found = (one for folder in folders for one in _witnesses(folder, began))
    written = [f"{file}: {journal}" for file, journal in found if ours in journal]
    assert not written, "give the test a state folder (XDG_STATE_HOME) that does not lie in its journal's folder"


def _witnesses(folder: Path, since: float) -> Iterator[tuple[Path, str]]:
    for file in folder.glob("*.json"):
        try:
            if file.stat().st_mtime >= since:
                yield file, str(json.loads(file.read_bytes()).get("journal", ""))
        except (OSError, ValueError, AttributeError):
            continue  # another run's, and gone or half written

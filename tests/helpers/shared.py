"""Where the official schemas, samples and vectors lie: beside the checkout, never in it.

They are other people's files, so no copy is kept here. Looked for in this order: the folder that ``KPR_SHARED`` names;
``shared`` beside this checkout; ``shared`` beside the checkout that this one was cloned from. Where there is none, a
test that reaches for a file of theirs is skipped at that moment, and the test run says how many were.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn, cast

import pytest

NO_SHARED: Final = "no official schemas and vectors here: name their folder in KPR_SHARED"


_CLONES_OF_CLONES: Final = 4


class _Missing:
    """Stands where the folder should: whoever asks it for a file is skipped, a test or a whole module."""

    def __truediv__(self, part: object) -> NoReturn:
        _skip()

    def __fspath__(self) -> NoReturn:
        _skip()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):  # pytest looks at every name of a module, and means no file by it
            raise AttributeError(name)
        _skip()


def _skip() -> NoReturn:
    pytest.skip(NO_SHARED, allow_module_level=True)


def _candidates() -> Iterator[Path]:
    named = os.environ.get("KPR_SHARED")
    if named:
        yield Path(named)
        return
    checkout = Path(__file__).resolve().parents[2]
    for _ in range(_CLONES_OF_CLONES):
        yield checkout.parent / "shared"
        command = ["git", "-C", str(checkout), "remote", "get-url", "origin"]
        origin = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        if not origin or not Path(origin).is_dir():
            return
        checkout = Path(origin).resolve()


SHARED: Final = cast("Path", next((folder for folder in _candidates() if (folder / "schemas").is_dir()), _Missing()))

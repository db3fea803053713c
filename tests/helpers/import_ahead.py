"""Under ``pytest -n`` each process imports another part of the tests first, and finds the others compiled.

On a fresh clone pytest writes the assertions of each test module anew. That is half of what collecting them takes, and
processes that go through them in the same order do all of it at the same time.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest


def import_ahead(config: pytest.Config) -> None:
    """Import what is about to be collected; what cannot be imported is reported when it is collected."""
    process: dict[str, str | int] | None = getattr(config, "workerinput", None)
    if process is None:
        return
    files = sorted(_files(config))
    first = len(files) * int(str(process["workerid"]).removeprefix("gw")) // int(process["workercount"])
    for file in files[first:] + files[:first]:
        name = ".".join(file.relative_to(config.rootpath).with_suffix("").parts)
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(name)


def _files(config: pytest.Config) -> Iterator[Path]:
    here = config.invocation_params.dir
    left_out = [(here / path).resolve() for path in config.getoption("ignore") or ()]
    for folder in config.args:
        for file in (here / folder).resolve().rglob("test_*.py"):
            if not any(file.is_relative_to(path) for path in left_out):
                yield file

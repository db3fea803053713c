"""How long a person waits for ``kpr-send --help``: seconds of the whole process, beside a Python that does nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.measure import Case, Run, pipeline


@contextmanager
def _sides() -> Iterator[tuple[Run, Run]]:
    nothing = Path(os.devnull)
    command = str(Path(sys.executable).parent / "kpr-send")
    yield (
        lambda: pipeline([[command, "--help"]], nothing, nothing),
        lambda: pipeline([[sys.executable, "-c", "pass"]], nothing, nothing),
    )


CASES: Final = (Case("start", "kpr-send --help; python -c pass", "0.35 s", _sides),)

"""``python -m bench.check_pair FOLDER``: our side: every rule asked of a pair."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kpr_sender.model import Environment
from kpr_sender.preflight import check

_YEAR: Final = 2024
_CHUNK: Final = 1 << 18


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(_CHUNK), b"")


def main(folder: Path) -> None:
    """Check, and see to it that the whole file was read and is right: only then it is a measurement."""
    fagmelding, identmelding = (folder / f"{name}.xml" for name in ("fagmelding", "identmelding"))
    report = check(_chunks(fagmelding), _chunks(identmelding), _YEAR, environment=Environment.LOKAL)
    if report.refusal or not report.persons or report.persons != report.idents:
        raise RuntimeError(f"{folder} is no right pair")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

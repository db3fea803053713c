"""``python -m tools.offline [FOLDER]``: an archive for Linux and one for Windows, which install without internet."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import parse_wheel_filename

from tools import dist
from tools.offline import archive
from tools.offline.pins import LINUX, WINDOWS, System, locked
from tools.offline.wheels import collect, digest


def make(system: System, folder: Path) -> Path:
    """Make a system's archive; return its path. What was fetched and built is kept for the next time.

    Raises:
        subprocess.CalledProcessError: pip, the compiler or hatchling failed; it has said why.
    """
    with tempfile.TemporaryDirectory() as scratch:
        (product,) = dist.build(Path(scratch), "wheel")
        version = str(parse_wheel_filename(product.name)[1])
        pins = {extras: locked(with_extras=extras) for extras in (True, False)}
        files = archive.contents(system, version, [product, *collect(system)], pins)
        return archive.write(files, folder, f"kpr-sender-{version}-{system.name}", epoch=dist.epoch())


def main(arguments: Sequence[str]) -> int:
    """Make both; return the exit code."""
    folder = Path(arguments[0]) if arguments else dist.FOLDER
    try:
        for system in (LINUX, WINDOWS):
            made = make(system, folder)
            print(f"{digest(made)}  {made} ({made.stat().st_size / 1e6:.0f} MB)")
    except subprocess.CalledProcessError as failed:
        print(f"Stopped: exit code {failed.returncode} from {failed.cmd[0]}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

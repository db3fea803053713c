"""``python -m tools.dist [FOLDER]``: the wheel and the sdist of what git tracks, the same bytes every time.

Times in them are the last commit's (or SOURCE_DATE_EPOCH's), and they are built in a folder of their own, so that
neither the machine nor what lies about in the checkout has a part in them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.setup.environment import ROOT

FOLDER: Final = ROOT / "dist"
"""Where ``make dist`` and ``make offline`` leave what they make."""


def build(folder: Path, *kinds: str) -> list[Path]:
    """Build into a folder; return the files.

    Args:
        folder: Made where it is not there; files of the same names are replaced.
        kinds: ``wheel``, ``sdist`` or both, as none means.

    Raises:
        subprocess.CalledProcessError: git or hatchling failed; it has said why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    targets = [part for kind in kinds or ("sdist", "wheel") for part in ("-t", kind)]
    with tempfile.TemporaryDirectory() as scratch:
        source, built = Path(scratch) / "source", Path(scratch) / "built"
        for name in _git("ls-files", "-z").split("\0"):
            if name and (ROOT / name).is_file():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, source / name)
        ran = subprocess.run(
            [sys.executable, "-m", "hatchling", "build", *targets, "-d", str(built)],
            cwd=source,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch())},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ran.returncode:
            print(ran.stdout, file=sys.stderr)
            ran.check_returncode()
        return [Path(shutil.move(one, folder / one.name)) for one in sorted(built.iterdir())]


def epoch() -> int:
    """Return the time that files get in what is built: seconds since 1970."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct"))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True).stdout


def main(arguments: Sequence[str]) -> int:
    """Build both; return the exit code."""
    for one in build(Path(arguments[0]) if arguments else FOLDER):
        print(one)
    if _git("status", "--porcelain", "--untracked-files=no"):
        print("There are changes that are not committed: these files have them.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m tools.lock [--upgrade]``: write the lock files from pyproject.toml's ranges, every file with its hash.

For development, on Linux: ``requirements-build.lock`` and ``requirements.lock``. Two, because python-qpid-proton is
compiled there: what compiles it must be installed, locked, before it. ``requirements-offline.lock`` has what makes the
archives for machines without internet. For users, on every system: ``requirements-runtime.lock``, and one for each
extra, with the very versions that the tests ran with.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tools.isolated import program
from tools.setup.environment import BUILD_LOCK, LOCK, OFFLINE_LOCK, ROOT, RUNTIME_LOCK

_UV: Final = "uv==0.13.9"
_COMPILE: Final = (
    *("pip", "compile", "--quiet", "--generate-hashes", "--strip-extras", "--no-config"),
    *("--custom-compile-command", "make lock"),
    *("--python-version", "3.11"),  # the oldest that is supported needs the most packages
)


def main(arguments: Sequence[str]) -> int:
    """Write the lock files; pins that still fit are kept unless ``--upgrade`` is given."""
    upgrade = "--upgrade" in arguments
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    product, groups = project["project"], project["dependency-groups"]
    development = [*groups["build"], *(one for one in groups["dev"] if isinstance(one, str))]
    here = ("--python-platform", "linux", *(["--upgrade"] if upgrade else []))
    _compile(BUILD_LOCK, groups["build"], *here)
    _compile(LOCK, [*product["dependencies"], *development], *here, "--constraints", BUILD_LOCK.name)
    _compile(OFFLINE_LOCK, groups["offline"], *here, "--constraints", BUILD_LOCK.name)
    for lock, requirements in users_locks(product).items():
        # uv prefers what the file has already, and takes the first that fits: the versions that the tests run with.
        earlier = lock.read_text(encoding="utf-8") if lock.exists() and not upgrade else ""
        lock.write_text(LOCK.read_text(encoding="utf-8") + earlier, encoding="utf-8")
        _compile(lock, requirements, "--universal")
    return 0


def users_locks(product: dict[str, Any]) -> dict[Path, list[str]]:
    """Return the lock files for users, with what each is for: the product itself, and each extra by itself."""
    extras = {ROOT / f"requirements-{name}.lock": needs for name, needs in product["optional-dependencies"].items()}
    return {RUNTIME_LOCK: product["dependencies"], **extras}


def _compile(lock: Path, requirements: Sequence[str], *options: str) -> None:
    subprocess.run(
        [program("uv", _UV), *_COMPILE, *options, "-o", lock.name, "-"],
        input="\n".join(requirements),
        stdout=subprocess.DEVNULL,  # it prints what it writes
        text=True,
        check=True,
        cwd=ROOT,
    )
    # Requirements come on standard input, which uv calls "-r -".
    text = lock.read_text(encoding="utf-8").replace("-r -", "pyproject.toml")
    lock.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

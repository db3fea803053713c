"""``python -m tools.lock [--upgrade]``: write the lock files from pyproject.toml's ranges, every file with its hash.

Two files, because python-qpid-proton is compiled: what compiles it must be installed, locked, before it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import Sequence
from typing import Final

from tools.setup.environment import BUILD_LOCK, LOCK, ROOT

_PIP_TOOLS: Final = "pip-tools==7.6.2"
_COMPILE: Final = (
    "--quiet",
    "--generate-hashes",
    "--allow-unsafe",  # setuptools is one of the things we pin
    "--strip-extras",
    "--no-emit-options",  # no index, folder or host of the machine that locks
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-emit-trusted-host",
)


def main(arguments: Sequence[str]) -> int:
    """Write both lock files; pins that still fit are kept unless ``--upgrade`` is given."""
    tools = ROOT / ".cache" / "lock"
    if not (tools / "bin" / "pip-compile").exists():
        venv.create(tools, clear=True, with_pip=True)
        subprocess.run([tools / "bin" / "pip", "install", "-q", _PIP_TOOLS], check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    build = groups["build"]
    everything = [*project["project"]["dependencies"], *build, *(one for one in groups["dev"] if isinstance(one, str))]
    environment = {**os.environ, "CUSTOM_COMPILE_COMMAND": "make lock"}
    for lock, requirements, extra in ((BUILD_LOCK, build, []), (LOCK, everything, ["-c", BUILD_LOCK.name])):
        subprocess.run(
            [tools / "bin" / "pip-compile", *_COMPILE, *extra, *arguments, "-o", lock.name, "-"],
            input="\n".join(requirements),
            text=True,
            check=True,
            cwd=ROOT,
            env=environment,
        )
        # Requirements come on standard input, which pip-compile calls "-r -".
        text = lock.read_text(encoding="utf-8").replace("-r -", "pyproject.toml")
        lock.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

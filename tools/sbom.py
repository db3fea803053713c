"""``python -m tools.sbom [FILE]``: write what the product is made of as a CycloneDX document, from the runtime lock.

Every package that any supported system installs, with version, purl and the digests of its files. The same lock gives
the same document.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from tools.isolated import program
from tools.setup.environment import ROOT, RUNTIME_LOCK

SBOM: Final = "kpr-sender.cdx.json"
_CYCLONEDX: Final = "cyclonedx-bom==7.5.0"


def main(arguments: Sequence[str]) -> int:
    """Write the document; return the exit code."""
    target = arguments[0] if arguments else SBOM
    command = [
        *(str(program("cyclonedx-py", _CYCLONEDX)), "requirements", "--pyproject", "pyproject.toml"),
        *("--mc-type", "application", "--output-reproducible", "-o", target, RUNTIME_LOCK.name),
    ]
    # A lock says what there is, not what needs what: the warning that the dependency graph is incomplete is known.
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    written = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if not written:
        print(f"Wrote {target}.")
    return written


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

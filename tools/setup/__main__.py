"""``python -m tools.setup``: what ``make demo`` needs; ``python -m tools.setup tests``: what ``make test`` needs."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tools.setup import environment, machine, tlsless


def main(arguments: list[str]) -> int:
    """Set up; return the exit code. Does nothing, quickly, where all is in step."""
    tests = "tests" in arguments
    stale = not environment.in_step()
    try:
        if stale:
            machine.require()
        with ThreadPoolExecutor() as pool:
            wanted = pool.submit(machine.want) if tests else None  # apt-get waits for the network while pip compiles
            if stale:
                environment.make(beside=tlsless.build if tests else None)
            if tests:
                tlsless.build()
        if wanted:
            wanted.result()
    except machine.Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as failed:
        # pip or venv has said why, just above.
        print(f"Set-up stopped: exit code {failed.returncode} from {failed.cmd[0]}. Run it again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m tests.proofs.machines_bus HER_ID=FOLDER=FAULTS ...``: a sandbox in each folder, until its input ends.

It prints each one's port, by HER-id.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path

from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.sandbox import Sandbox


def main(*given: str) -> None:
    with ExitStack() as running:
        ports = {}
        for one in given:
            her_id, folder, faults = one.split("=")
            behind = Faults.parse(faults.split())
            sandbox = running.enter_context(Sandbox(Path(folder), sender_her_id=int(her_id), faults=behind))
            ports[her_id] = sandbox.port
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])

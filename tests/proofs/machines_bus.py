"""``python -m tests.proofs.machines_bus HER_ID=FOLDER ...``: a sandbox in each folder, until standard input ends.

It prints each one's port, by HER-id. FHI behind it takes some seconds for some of its answers.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path

from kpr_sender.sandbox.sandbox import Sandbox


def main(*given: str) -> None:
    with ExitStack() as running:
        ports = {}
        for one in given:
            her_id, _, folder = one.partition("=")
            sandbox = running.enter_context(Sandbox(Path(folder), sender_her_id=int(her_id)))
            ports[her_id] = sandbox.port
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""``python -m bench.send_pair CONFIG``: the real command, and when the bus had accepted both of its pair.

Prints one line of JSON: seconds of processor time from the process's start to the second *accepted*, and its peak
memory in MB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Final

from kpr_sender.cli.main import run
from kpr_sender.fault_points import FaultPoint, armed

_PENDING: Final = 80  # the exit code of what is published and not answered yet
_KIB_PER_MB: Final = 1_000_000 / 1024


def main(config: str) -> None:
    """Send without waiting for receipts: nobody answers here."""
    accepted: list[float] = []

    def note(point: FaultPoint) -> None:
        if point is FaultPoint.AFTER_OUTCOME:
            accepted.append(time.process_time())

    with armed(note):
        code = run(["--env", "lokal", "--config", config, "--quiet", "send", "--wait", "0s"])
    if code != _PENDING or len(accepted) != 2:
        raise RuntimeError(f"send ended with {code} after {len(accepted)} outcomes")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MB
    print(json.dumps({"seconds": accepted[-1], "peak_mb": peak}))


if __name__ == "__main__":
    main(sys.argv[1])

"""A pair on its way to a real RabbitMQ, everything that we do for it, against a bare proton engine with the same bytes.

Both sides are Python and time themselves once everything is imported: ours from reading the configuration, theirs from
connecting, each until the broker accepted the second message. The journal lies on the disk, with its fsyncs.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.measure import DATA, ROOT, Case, Run, Sample, Unavailable, python


class _Broker:
    """The RabbitMQ process: where it is, and how to empty it between runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.where = self._line()
        if "missing" in json.loads(self.where):
            raise Unavailable(json.loads(self.where)["missing"])

    def empty(self) -> None:
        """Empty its queues."""
        assert self._process.stdin is not None
        self._process.stdin.write("empty\n")
        self._process.stdin.flush()
        self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def _told(command: Sequence[str]) -> Sample:
    """Run what times itself."""
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    return Sample(**json.loads(told.splitlines()[-1]))


@contextmanager
def _sides() -> Iterator[tuple[Run, Run]]:
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pair-", dir=DATA) as name:
        home, work = Path(name, "broker"), Path(name, "work")
        home.mkdir()
        work.mkdir()
        serving = subprocess.Popen(
            python("bench.broker", home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        try:
            broker = _Broker(serving)
            ours = python("bench.publish_pair", work, broker.where)
            _told([*ours, str(work)])  # leaves the sealed bytes for the other side
            theirs = python("bench.publish_bare", broker.where, *sorted(work.glob("*.p7m")))

            def side(command: Sequence[str]) -> Run:
                def run() -> Sample:
                    broker.empty()
                    return _told(command)

                return run

            yield side(ours), side(theirs)
        finally:
            serving.communicate()  # ends its input, waits for its end


CASES: Final = (Case("pair_vs_bare_proton", "10 MB pair to RabbitMQ; bare proton, same bytes", "2.0", _sides),)

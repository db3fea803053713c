"""A pair of 10 MB on its way to a real RabbitMQ over TLS, with the journal on the disk.

``send_vs_xsd`` and ``second_send`` measure the real command in processor time, so that a disk or a broker that is busy
with something else does not count: the one from its start until the bus accepted both, the other to its end.
``publish_vs_bare_proton`` measures seconds, on both sides from the connection to the second *accepted*, once everything
is imported.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.measure import DATA, ROOT, Case, Run, Sample, Unavailable, processor_time, python

_PENDING: Final = 80  # the exit code of what is published and not answered yet


class Broker:
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


@contextmanager
def started_broker() -> Iterator[tuple[Broker, Path]]:
    """Start a broker; yield it and a folder for whatever is measured on it."""
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pair-", dir=DATA) as name:
        home, work = Path(name, "broker"), Path(name, "work")
        home.mkdir()
        work.mkdir()
        serving = subprocess.Popen(
            python("bench.broker", home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        try:
            yield Broker(serving), work
        finally:
            serving.communicate()  # ends its input, waits for its end


def _printed(command: Sequence[str]) -> dict[str, Any]:
    """Run a command; return the JSON of its last line.

    Raises:
        RuntimeError: It failed; with what it said.
    """
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    if ended.returncode:
        raise RuntimeError(f"{command}: {ended.stderr}")
    last: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return last


def _send(config: str, code: int) -> Sample:
    """Run the command from its start to its end; without a wait, because nobody answers here."""
    command = [str(Path(sys.executable).parent / "kpr-send"), "--env", "lokal", "--config", config, "--quiet"]
    return processor_time([*command, "send", "--wait", "0s"], code=code)


def _first(broker: Broker, work: Path, send: Callable[[str], Sample]) -> Run:
    """Return what sends another new pair each time."""

    def run() -> Sample:
        broker.empty()
        config = _printed(python("bench.pair", work, broker.where))["config"]
        try:
            return send(config)
        finally:
            shutil.rmtree(Path(config).parent)

    return run


@contextmanager
def _send_beside_lxml() -> Iterator[tuple[Run, Run]]:
    with started_broker() as (broker, work):
        made = _printed(python("bench.pair", work, broker.where))
        if "missing" in made:
            raise Unavailable(made["missing"])
        theirs = python("bench.check_xsd", made["schema"], made["fagmelding"])
        ours = _first(broker, work, lambda config: Sample(**_printed(python("bench.send_pair", config))))
        yield ours, lambda: processor_time(theirs)


@contextmanager
def _second_beside_first() -> Iterator[tuple[Run, Run]]:
    with started_broker() as (broker, work):
        delivered = _printed([*python("bench.pair", work, broker.where), "--delivered"])["config"]
        yield lambda: _send(delivered, 0), _first(broker, work, lambda config: _send(config, _PENDING))


@contextmanager
def _publish_beside_proton() -> Iterator[tuple[Run, Run]]:
    with started_broker() as (broker, work):
        ours = python("bench.publish_pair", work, broker.where)
        _printed([*ours, str(work)])  # leaves the sealed bytes for the other side
        theirs = python("bench.publish_bare", broker.where, *sorted(work.glob("*.p7m")))

        def side(command: Sequence[str]) -> Run:
            def run() -> Sample:
                broker.empty()
                return Sample(**_printed(command))

            return run

        yield side(ours), side(theirs)


CASES: Final = (
    Case(
        "send_vs_xsd", "processor time: first send of 10 MB until accepted; lxml parse + XSD", "4.0", _send_beside_lxml
    ),
    Case("second_send", "processor time: second send of 10 MB; first send", "0.35", _second_beside_first),
    Case("publish_vs_bare_proton", "10 MB sealed to accepted; bare proton, same bytes", "1.6", _publish_beside_proton),
)

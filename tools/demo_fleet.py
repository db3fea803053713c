"""``python -m tools.demo_fleet``: a fleet on this machine alone, with made-up files.

12 municipalities, their journals in a PostgreSQL of its own, a sandbox for each, two workers, and the page of all of
them. It ends with the table of all; nothing leaves the machine, and what it began and wrote is gone at the end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from kpr_sender.sandbox.sample import write_pair
from kpr_sender.settings.rehearsal import FILES, YEAR
from tests.helpers.postgres import NO_POSTGRES, PASSWORD, Server, programs
from tools.setup import machine

_ROOT: Final = Path(__file__).resolve().parents[1]
_MUNICIPALITIES: Final = (
    *("0301", "1103", "1505", "1804", "3101", "3301"),
    *("3907", "4204", "4601", "5001", "5501", "5601"),
)
_VARIABLE: Final = "KPR_DEMO_DATABASE"
_WORKERS: Final = 2
_END_SECONDS: Final = 60.0
_TERMINATED: Final = 128 + signal.SIGTERM

_COMMON: Final = """\
environment = "lokal"

[fleet]
jobs = 2

[files]
fagmelding = "{{municipality}}/{fagmelding}"
identmelding = "{{municipality}}/{identmelding}"

[report]
year = {year}

[journal]
path = "{{municipality}}/journal.db"
url = "{url}"
password_env = "{password}"

[sandbox]
embedded = true
dir = "{{municipality}}/sandbox"

[web]
listen = "127.0.0.1:0"
metrics_listen = "127.0.0.1:0"
"""
_ONE: Final = """
[[municipality]]
name = "EKSEMPEL {number}"
kommunenummer = "{kommunenummer}"
her_id = {her_id}
service_her_id = {service_her_id}
"""


def main() -> int:
    """Run it; return the exit code of ``kpr-send fleet send``."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # what it began is ended then, too
    if programs() is None:
        machine.want("postgresql")
    found = programs()
    if found is None:
        print(NO_POSTGRES, file=sys.stderr)
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kpr-demo-fleet-")))
        _say("Starting a PostgreSQL of its own.")
        server = Server.made(found)
        stack.callback(server.stop)
        fleet = _Demo(folder, server.start())
        return fleet.run(stack)


def _say(text: str) -> None:
    print(text, flush=True)


class _Demo:
    """A fleet in a folder, over a server.

    Args:
        folder: Empty.
        server: Running.
    """

    def __init__(self, folder: Path, server: Server) -> None:
        self._file = folder / "fleet.toml"
        self._folder = folder
        names = dict(zip(("fagmelding", "identmelding"), FILES.values(), strict=True))
        text = _COMMON.format(**names, year=YEAR, url=server.address(server.database()), password=_VARIABLE)
        for number, kommunenummer in enumerate(_MUNICIPALITIES, start=1):
            text += _ONE.format(
                number=number, kommunenummer=kommunenummer, her_id=900_100 + number, service_her_id=900_200 + number
            )
            place = folder / kommunenummer
            place.mkdir(mode=0o700)
            write_pair(place, year=YEAR, persons=5, kommunenummer=kommunenummer)
        self._file.write_text(text, "utf-8")

    def run(self, stack: ExitStack) -> int:
        """Let workers and page run, and send; return the exit code."""
        _say(f"{len(_MUNICIPALITIES)} municipalities with made-up files: {self._file}")
        self._command("--municipality", _MUNICIPALITIES[0], "journal", "migrate").check_returncode()
        for number in range(1, _WORKERS + 1):
            begun = stack.enter_context(self._running(f"worker-{number}", "fleet", "worker"))
            _say(f"Worker {number} is process {begun['pid']}, {begun['jobs']} at once.")
        page = stack.enter_context(self._running("page", "fleet", "serve"))["page"]
        _say(f"The page of all municipalities is {page}\n")
        code = self._command("fleet", "send", "--wait", "60s").returncode
        _say(f"\nThe page of all municipalities was {page}")
        if sys.stdin.isatty() and sys.stdout.isatty():
            input("Look at it; Enter ends it.")
        return code

    def _line(self, options: Sequence[str], command: Sequence[str]) -> list[str]:
        leading = ("--lang", "en", *options, "--env", "lokal", "--config", str(self._file))
        return [sys.executable, "-m", "kpr_sender", *leading, *command]

    def _command(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self._line((), command), check=False, env=_environment(), cwd=_ROOT)

    @contextmanager
    def _running(self, name: str, *command: str) -> Iterator[dict[str, Any]]:
        """Run a command that goes on until it is asked to end; yield what it says once it is ready."""
        with (self._folder / f"{name}.log").open("wb") as log:
            line = self._line(("--json",), command)
            process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=log, env=_environment(), cwd=_ROOT)
        try:
            said = process.stdout.readline() if process.stdout else b""
            if not said:
                raise SystemExit((self._folder / f"{name}.log").read_text("utf-8"))
            yield json.loads(said)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _environment() -> dict[str, str]:
    return {**os.environ, _VARIABLE: PASSWORD}


if __name__ == "__main__":
    sys.exit(main())

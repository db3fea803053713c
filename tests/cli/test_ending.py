"""Once the result is known nothing decides the exit code but it (G5): no signal at any moment, and no slow reader."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import pytest

from kpr_sender.cli import ending, streams
from kpr_sender.cli.ending import INTERRUPTED, Ending
from kpr_sender.cli.main import run
from kpr_sender.client import Client
from kpr_sender.journal import lock
from kpr_sender.sandbox.sandbox import Sandbox
from tests.helpers.configuration import LOKAL as EMBEDDED
from tests.helpers.fhi import Fhi
from tests.helpers.figures import figure
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality
from tests.helpers.nightly import scaled

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a signal to oneself, and pipes that are full, are POSIX")

REJECTED = 81
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> Municipality:
    """A pair that FHI said no to: a state that no run of these changes."""
    kommune = municipality(tmp_path_factory.mktemp("rejected"))
    fhi = Fhi(kommune.pki)
    bus = MemoryBus(lambda message: [fhi.inbound(message, fhi.sealed(fhi.apprec(message, status="2")))])
    with Client(kommune.configure(), bus=bus) as client:
        client.submit()
        assert client.wait(timeout=0).exit_code == REJECTED
    return kommune


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A run leaves the handlers as they were; until then none ends this process."""

    def nobody(_number: int, _frame: FrameType | None) -> None: ...

    before = {number: signal.signal(number, nobody) for number in SIGNALS}
    yield
    left = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert left == dict.fromkeys(SIGNALS, nobody)


def command(kommune: Municipality, *arguments: str) -> list[str]:
    return ["--env", "lokal", "--config", str(kommune.config), *arguments]


class Moments:
    """Counts the lines that a run executes, and sends signals to this process at some of them.

    Attributes:
        executed: How many lines.
        known: At which the exit code was known for good; infinite before.
    """

    def __init__(self, number: int = 0, at: Sequence[int] = ()) -> None:
        self.executed = 0
        self.known = sys.maxsize
        self._number, self._at = number, frozenset(at)

    def run(self, arguments: list[str]) -> int:
        sys.settrace(self._call)
        try:
            return run(arguments)
        finally:
            sys.settrace(None)

    def _call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        # Where signals are heard is from here on, to there.
        within = frame.f_code.co_filename, frame.f_code.co_name
        ours = "kpr_sender" in within[0] or "click" in within[0]
        return self._line if ours and within[1] not in ("listening", "_on_signal") else None

    def _line(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line" and frame.f_code.co_name != "run":
            self.executed += 1
            if frame.f_code.co_name == "known" and self.known == sys.maxsize:
                self.known = self.executed + 1
            if self.executed in self._at:
                signal.raise_signal(self._number)
        return self._line


# What a run that was broken off had opened ends with its process, which goes on here.
leaves_files_open = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
COMMANDS = (["status"], ["wait", "--wait", "0"], ["resolve", "x"], ["receipts"], ["journal", "log"])


def signalled_at_any_moment(
    rejected: Municipality, monkeypatch: pytest.MonkeyPatch, commands: Sequence[list[str]], times: int
) -> dict[str, int]:
    """Nothing is known, and that is said; or the state is, and it is said. A second signal changes nothing of it."""
    monkeypatch.setattr(ending, "SAME_SECONDS", 0.0)  # or the second were the first once more
    counted = dict.fromkeys(("moments", "interrupted", "state", "misclassified"), 0)
    for arguments in commands:
        whole = command(rejected, "-q", "--json", *arguments)
        calm = Moments()
        expected = _ran(calm, whole, monkeypatch)
        assert calm.known < calm.executed
        places = random.Random(f"{arguments}")
        for time_ in range(times):
            early = bool(time_ % 2)
            first = places.randrange(1, calm.known) if early else places.randrange(calm.known, calm.executed)
            number = places.choice(SIGNALS)
            moments = Moments(number, (first, first + 1 + places.randrange(60)))
            code = _ran(moments, whole, monkeypatch)
            assert code in ({INTERRUPTED, expected} if early else {expected}), (arguments, number, first)
            counted["moments"] += 1
            counted["interrupted" if code != expected else "state"] += 1
    gc.collect()  # what was left open is said here, not in some other test
    return counted


@leaves_files_open
def test_g5_a_signal_at_any_moment_leaves_one_answer_and_its_code(
    rejected: Municipality, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure("signals at any moment", **signalled_at_any_moment(rejected, monkeypatch, COMMANDS[:3], 20))


@leaves_files_open
@pytest.mark.nightly
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_g5_a_signal_at_any_moment_all_night(
    rejected: Municipality, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    counted = signalled_at_any_moment(rejected, monkeypatch, [arguments], scaled(1_000))
    figure("signals at any moment, all night", **counted)


def _ran(moments: Moments, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run it; fails unless there is one object, which says the exit code."""
    out = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", io.StringIO())
        code = moments.run(arguments)
    _end_process()
    assert json.loads(out.getvalue())["exit_code"] == code
    return code


def _end_process() -> None:
    """Let the journal's lock go, as the end of a process does that was broken off while it took it."""
    lock._held.descriptors.clear()
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            if descriptor.readlink().name == "journal.db.lock":
                os.close(int(descriptor.name))


@contextlib.contextmanager
def nobody_reads() -> Iterator[TextIO]:
    """A pipe that is full, with a reader that takes nothing."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETFL, os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    fcntl.fcntl(write, fcntl.F_SETFL, 0)
    with os.fdopen(write, "w", encoding="utf-8") as full:
        yield full
    os.close(read)


@pytest.mark.parametrize(
    ("arguments", "both"), [(["--json", "status"], False), (["status"], True), (["wait", "--wait", "0"], True)]
)
def test_g5_output_that_nobody_reads_is_given_up_at_a_signal(
    rejected: Municipality, monkeypatch: pytest.MonkeyPatch, arguments: list[str], *, both: bool
) -> None:
    """Where nothing is heard before, a full pipe is waited for."""
    looked = threading.Event()
    taken = streams._is_taken

    def noted(stream: TextIO | int, seconds: float) -> bool:
        found = taken(stream, seconds)
        if not found and not looked.is_set():
            looked.set()
            signal.raise_signal(signal.SIGTERM)
        return found

    said = io.StringIO()
    with nobody_reads() as full, monkeypatch.context() as patch:
        patch.setattr(streams, "_is_taken", noted)
        patch.setattr(sys, "stdout", full)
        patch.setattr(sys, "stderr", full if both else said)
        began = time.monotonic()
        code = run(command(rejected, *arguments))
    assert looked.is_set()
    assert code == REJECTED
    assert time.monotonic() - began < 10
    if not both:
        assert said.getvalue() == "kpr-send: standard output cannot be written: nobody reads it.\n"


def test_a_reader_that_is_slow_gets_all_of_it(rejected: Municipality, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pager, or a program that is busy: nobody asks the run to end."""
    monkeypatch.setattr(streams, "_LOOK_SECONDS", 0.001)
    got: list[bytes] = []
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)

    def slowly() -> None:
        while chunk := os.read(read, 512):
            time.sleep(0.002)
            got.append(chunk)

    reader = threading.Thread(target=slowly)
    reader.start()
    with os.fdopen(write, "w", encoding="utf-8") as narrow, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", narrow)
        code = run(command(rejected, "--json", "journal", "export"))
    reader.join()
    os.close(read)
    assert code == 0
    assert len(json.loads(b"".join(got))["lines"]) > 10


def test_what_fails_after_the_answer_decides_nothing(
    kommune: Municipality, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kommune.config.write_text(EMBEDDED, "utf-8")
    close = Sandbox.close

    def fails(sandbox: Sandbox) -> None:
        close(sandbox)
        raise OSError("the disk is full")

    monkeypatch.setattr(Sandbox, "close", fails)
    assert run(command(kommune, "--json", "send")) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["exit_code"] == 0
    assert "kpr-send: An unexpected OSError." in shown.err


_HELD_UP = """
import atexit, os, signal, sys, threading
from kpr_sender.cli import ending, main, output

def hold_up(*arguments, shown=output.show, **named):
    shown(*arguments, **named)
    os.kill(os.getpid(), signal.{signal})
    {then}

output.show = hold_up
ending._LAST_SECONDS = 0.1
atexit.register(os.kill, os.getpid(), signal.SIGTERM)
threading.Thread(target=threading.Event().wait).start()
main.main()
"""


@pytest.mark.parametrize(
    ("by", "then"), [("SIGHUP", "threading.Event().wait()"), ("SIGTERM", "sys.stdout.write('later')")]
)
def test_g5_nothing_that_runs_when_all_is_said_changes_the_process_s_code(
    rejected: Municipality, by: str, then: str
) -> None:
    """A thread that does not end, a library's ``atexit``, a lock that nobody frees."""
    program = _HELD_UP.format(signal=by, then=then)
    arguments = [sys.executable, "-c", program, *command(rejected, "--json", "status")]
    ended = subprocess.run(arguments, capture_output=True, check=False, timeout=60)
    assert ended.returncode == REJECTED, ended.stderr
    assert json.loads(ended.stdout.removesuffix(b"later"))["exit_code"] == REJECTED


@pytest.mark.parametrize("options", [(), ("--json",), ("-q",)])
@pytest.mark.parametrize("part", ["report_screen", "json.report_json", "error_text"])
def test_g5_what_crashes_while_the_result_is_printed_decides_nothing(
    rejected: Municipality,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    part: str,
    options: tuple[str, ...],
) -> None:
    def crash(*_: object, **__: object) -> None:
        monkeypatch.undo()  # once
        raise RuntimeError("what it held")

    monkeypatch.setattr(f"kpr_sender.cli.output.{part}", crash)
    assert run(command(rejected, *options, "status")) == REJECTED
    told = capsys.readouterr()
    assert "what it held" not in told.out + told.err
    if "--json" in options:
        assert json.loads(told.out)["exit_code"] == REJECTED
    elif "RuntimeError" in told.err:  # else that part is not shown in this form
        assert "which stands" in told.err
        assert f"Exit code {REJECTED}" in told.err


def test_a_signal_that_comes_before_the_run_begins_is_heard_when_it_does() -> None:
    heard = Ending()
    with heard.listening():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            heard.begin()
        signal.raise_signal(signal.SIGTERM)  # and not once more

"""G1, G2: every call that changes the journal's files fails once, or the process dies there; nothing is sent too early.

The disk is ``disk.c``, compiled here and preloaded: it also knows what was written and not synced when a transfer
began.
What the bus got is counted from the bus's own ledger.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from tests.helpers.figures import figure
from tests.helpers.nightly import stride
from tests.helpers.repository import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is Linux's way")

_ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
_WORDS = ("disk", "space", "full", "read-only", "Read-only", "opened", "error", "damaged", "cannot be written")


@dataclass(frozen=True)
class Disks:
    """A process with a disk that fails on order."""

    orders: IO[str]
    answers: IO[str]

    def play(
        self,
        at: int,
        *,
        error: int = errno.ENOSPC,
        persistent: bool = False,
        deadly: bool = False,
        prunes: bool = False,
    ) -> dict[str, Any]:
        order = {"at": at, "errno": error, "persistent": persistent, "deadly": deadly, "prunes": prunes}
        self.orders.write(json.dumps(order) + "\n")
        self.orders.flush()
        answer: dict[str, Any] = json.loads(self.answers.readline())
        return answer


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    library = tmp_path_factory.mktemp("disk") / "disk.so"
    source = Path(__file__).with_name("disk.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"], check=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.disk_runs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(library)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Disks(process.stdin, process.stdout)
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


@pytest.fixture(scope="module")
def calls(disks: Disks) -> int:
    """How many calls a whole run makes that change the journal's files."""
    sound = disks.play(0)
    assert sound["first"]["exit_code"] == 0
    assert (len(sound["published"]), sound["early"]) == (2, [])
    return int(sound["first"]["calls"])


def _judge(name: str, plays: Iterator[dict[str, Any]], *, doubt_allowed: bool) -> Counter[str]:
    """Count what happened; nothing may be early, twice or lost."""
    counted: Counter[str] = Counter(sent_before_durable=0, duplicated=0, lost=0, in_doubt=0)
    for play in plays:
        counted["runs"] += 1
        counted["sent_before_durable"] += len(play["early"])
        counted["duplicated"] += sum(number - 1 for number in Counter(play["published"]).values())
        second = play["second"]
        assert second is not None
        if second["exit_code"] == 83 and doubt_allowed:
            counted["in_doubt"] += 1  # a person is asked: not sent, or not known, and said so
        else:
            assert (second["exit_code"], second["code"]) == (0, None), (name, play)
            counted["lost"] += 2 - len(set(play["published"]))
    return counted


def _told_clearly(play: dict[str, Any]) -> None:
    """The run says 73 and why, or did not need the call that failed."""
    first = play["first"]
    assert first is not None
    if first["code"] is None:
        assert first["exit_code"] == 0
        return
    assert (first["code"], first["exit_code"]) == ("journal-unwritable", 73), first
    assert any(word in first["text"] for word in _WORDS), first["text"]


def _failing(disks: Disks, numbers: range, error: Callable[[int], int], **how: bool) -> Iterator[dict[str, Any]]:
    for at in numbers:
        play = disks.play(at, error=error(at), **how)
        if not how.get("deadly"):
            _told_clearly(play)
        yield play


def test_every_call_fails_once(disks: Disks, calls: int) -> None:
    plays = _failing(disks, range(1, calls + 1), lambda at: _ERRORS[at % 3])
    counted = _judge("once", plays, doubt_allowed=False)
    assert counted["runs"] == calls
    figure("disk faults", **counted)


def test_the_process_dies_at_every_seventh_call(disks: Disks, calls: int) -> None:
    plays = _failing(disks, range(1, calls + 1, 7), lambda _: errno.EIO, deadly=True)
    figure("kills between the journal's writes", **_judge("killed", plays, doubt_allowed=True))


@pytest.mark.nightly
@pytest.mark.parametrize("error", _ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("persistent", [False, True], ids=["once", "from then on"])
def test_every_call_fails_in_every_way(disks: Disks, calls: int, *, error: int, persistent: bool) -> None:
    plays = _failing(disks, range(1, calls + 1, stride()), lambda _: error, persistent=persistent)
    figure("disk faults", **_judge("every way", plays, doubt_allowed=persistent))


@pytest.mark.nightly
def test_the_process_dies_at_every_call(disks: Disks, calls: int) -> None:
    plays = _failing(disks, range(1, calls + 1, stride()), lambda _: errno.EIO, deadly=True)
    figure("kills between the journal's writes", **_judge("killed", plays, doubt_allowed=True))


def _judge_pruned(plays: Iterator[dict[str, Any]]) -> Counter[str]:
    """Count what became of what was to be removed: all of it is there, or nothing of it is anywhere."""
    counted: Counter[str] = Counter(half_removed=0, bytes_left=0, unsound=0)
    for play in plays:
        counted["runs"] += 1
        assert play["second"]["exit_code"] == 0, play
        pruned = set(play["sound"]["pruned"])
        counted["half_removed"] += len(pruned) - 1
        counted["bytes_left"] += play["left"] != (0 if True in pruned else play["pieces"])
        counted["unsound"] += len(play["sound"]["findings"])
    return counted


def test_pruning_fails_and_dies_at_calls_from_its_first_to_its_last(disks: Disks) -> None:
    calls = int(disks.play(0, prunes=True)["first"]["calls"])
    killed = _judge_pruned(disks.play(at, deadly=True, prunes=True) for at in range(1, calls + 1, calls // 3))
    failed = _judge_pruned(disks.play(at, error=_ERRORS[at % 3], prunes=True) for at in range(3, calls, calls))
    counted = killed + failed
    figure("pruning on failing disks", **{name: counted[name] for name in killed})
    assert {name: counted[name] for name in ("half_removed", "bytes_left", "unsound")} == {
        "half_removed": 0,
        "bytes_left": 0,
        "unsound": 0,
    }


@pytest.mark.nightly
@pytest.mark.parametrize("deadly", [False, True], ids=["fails", "dies"])
def test_pruning_at_every_call(disks: Disks, *, deadly: bool) -> None:
    calls = int(disks.play(0, prunes=True)["first"]["calls"])
    numbers = range(1, calls + 1, stride())
    counted = _judge_pruned(disks.play(at, error=_ERRORS[at % 3], deadly=deadly, prunes=True) for at in numbers)
    assert (counted["half_removed"], counted["bytes_left"], counted["unsound"]) == (0, 0, 0)

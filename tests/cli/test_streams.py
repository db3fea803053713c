"""Output that cannot be written changes neither exit code nor state, and JSON is UTF-8 everywhere (G5)."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from kpr_sender.cli import streams
from kpr_sender.cli.main import run
from kpr_sender.client import Client
from tests.helpers.configuration import LOKAL as EMBEDDED
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality
from tests.helpers.tenor import TENOR_ID

pytestmark = pytest.mark.skipif(os.name != "posix", reason="/dev/full and pseudo-terminals are POSIX")

REJECTED = 81
NO_UTF8 = os.fsdecode(b"fag\xe6.xml")
NO_LATIN_1 = "identmelding \u2013 \u2019nr. 2\u2019.xml"  # a dash and quotes that cp1252 has, Latin-1 and cp850 not


@pytest.fixture
def rejected(kommune: Municipality, fhi: Fhi) -> Municipality:
    """A pair that FHI said no to; the name of one file is no UTF-8, that of the other more than Latin-1."""
    bus = MemoryBus(lambda message: [fhi.inbound(message, fhi.sealed(fhi.apprec(message, status="2")))])
    files = kommune.folder / NO_UTF8, kommune.folder / NO_LATIN_1
    kommune.fagmelding.rename(files[0])
    kommune.identmelding.rename(files[1])
    with Client(kommune.configure(), bus=bus) as client:
        client.submit(*files)
        assert client.wait(timeout=0).exit_code == REJECTED
    return kommune


def full_disk() -> TextIO:
    return Path("/dev/full").open("w", encoding="utf-8")


def nobody_reads() -> TextIO:
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w", encoding="utf-8")


def terminal_gone() -> TextIO:
    leader, follower = pty.openpty()
    os.close(leader)
    return os.fdopen(follower, "w", encoding="utf-8")


def ran(kommune: Municipality, monkeypatch: pytest.MonkeyPatch, out: TextIO, err: TextIO, *arguments: str) -> int:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        return run(["--env", "lokal", "--config", str(kommune.config), *arguments])


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (full_disk, "kpr-send: standard output cannot be written: No space left on device.\n"),
        (nobody_reads, ""),
        (terminal_gone, ""),
    ],
)
def test_g5_output_that_cannot_be_written_leaves_the_state_s_exit_code(
    rejected: Municipality,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[], TextIO],
    said: str,
) -> None:
    for arguments in (["status"], ["--json", "status"], ["receipts"], ["-v", "wait", "--wait", "0"]):
        told = io.StringIO()
        with broken() as out, broken() as other_out, broken() as err:
            assert ran(rejected, monkeypatch, out, told, *arguments) == REJECTED
            assert ran(rejected, monkeypatch, other_out, err, *arguments) == REJECTED
        lines = told.getvalue().splitlines(keepends=True)
        assert "".join(line for line in lines if not line.startswith("{")) == said


def test_g5_the_process_ends_with_it_too(rejected: Municipality) -> None:
    """Python ends with 120 where standard output cannot be flushed at the end, click with 1 where a pipe is broken."""
    arguments = f"-m kpr_sender --env lokal --config {rejected.config} --json status"
    for redirected in (">/dev/full", ">&- 2>&- <&-", "2>&1 | true"):
        script = f"unset PYTHONUNBUFFERED; set -o pipefail; {sys.executable} {arguments} {redirected}"
        ended = subprocess.run(["bash", "-c", script], capture_output=True, check=False)
        assert ended.returncode == REJECTED, redirected
        assert b"Traceback" not in ended.stderr


def test_g5_a_full_disk_under_log_and_output_leaves_a_delivered_pair_delivered(
    kommune: Municipality, monkeypatch: pytest.MonkeyPatch
) -> None:
    kommune.config.write_text(f'{EMBEDDED}[log]\nfile = "/dev/full"\n', "utf-8")
    told, shown = io.StringIO(), io.StringIO()
    with full_disk() as out:
        assert ran(kommune, monkeypatch, out, told, "-q", "send") == 0
    assert told.getvalue() == (
        "kpr-send: log lines are lost, since the log cannot be written: No space left on device.\n"
    )
    assert ran(kommune, monkeypatch, shown, told, "--json", "status") == 0
    assert json.loads(shown.getvalue())["state"] == "delivered"


def shown_in(
    encoding: str, kommune: Municipality, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, bytes, bytes]:
    """Run a command whose two streams have an encoding, as strict as ``nb_NO.UTF-8`` makes them."""
    below = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(one, encoding=encoding, errors="strict") for one in below)
    code = ran(kommune, monkeypatch, out, err, *arguments)
    return code, below[0].getvalue(), below[1].getvalue()


def test_json_is_utf_8_and_what_a_code_page_lacks_is_replaced(
    rejected: Municipality, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = str(rejected.folder / NO_UTF8), str(rejected.folder / NO_LATIN_1)
    for encoding in ("utf-8", "iso-8859-1", "cp850", "cp1252"):
        arguments = "--json", "-v", "wait", "--wait", "0"
        code, out, err = shown_in(encoding, rejected, monkeypatch, *arguments)
        told = json.loads(out.decode("utf-8"))
        assert (code, told["exit_code"]) == (REJECTED, REJECTED)
        assert [one["file"]["name"] for one in told["shipments"]] == ["fag\\xe6.xml", NO_LATIN_1]
        assert [json.loads(line.decode("utf-8"))["event"] for line in err.splitlines()]

        page = rejected.folder / os.fsdecode(b"side\xe6.html")
        code, out, _ = shown_in(encoding, rejected, monkeypatch, "check", "--html", str(page), *files)
        assert code == 0
        assert b"fag?.xml" in out
        assert NO_LATIN_1.encode(encoding, "replace") in out
        assert "fag\\udce6.xml" in page.read_text("utf-8")


def test_a_name_or_text_that_is_no_utf_8_has_its_own_exit_code_and_one_object(
    rejected: Municipality, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, expected in (
        (["check", "mangler\udce6.xml", str(rejected.folder / NO_UTF8)], 66),
        (["status", "2024-\udce6"], 64),
        (["reviewed", "--by", "K\udce6ri"], 64),
        (["send", "--replaces", "2024-\udce6", "--reason", "\udce6"], 64),
        (["resolve", "\udce6", "--arrived", "--reason", "x", "--yes"], 64),
    ):
        code, out, _ = shown_in("utf-8", rejected, monkeypatch, "--json", *arguments)
        assert (code, json.loads(out.decode("utf-8"))["exit_code"]) == (expected, expected), arguments


def test_g6_what_a_thread_raises_is_shown_by_its_type_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for hook in ("threading.excepthook", "sys.unraisablehook"):
        monkeypatch.setattr(hook, None)  # and so put back at the end
    streams.prepare_process()

    class Failing:
        def __del__(self) -> None:
            raise ValueError(TENOR_ID)

    thread = threading.Thread(target=int, args=(f"{TENOR_ID}x",))
    thread.start()
    thread.join()
    Failing()
    assert capsys.readouterr().err == "kpr-send: an unexpected ValueError beside the run, which goes on.\n" * 2

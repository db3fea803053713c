"""Each command, in the process, with the sandbox embedded as in config/lokal.toml."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.cli.main import run
from kpr_sender.sandbox import sandbox as sandbox_module
from kpr_sender.sandbox.faults import Faults
from tests.helpers.command import ended, kpr_send, start, until
from tests.helpers.configuration import LOKAL as CONFIG
from tests.helpers.municipality import Municipality, municipality

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A municipality whose configuration embeds the sandbox, as config/lokal.toml does."""
    made = municipality(tmp_path)
    made.config.write_text(CONFIG, "utf-8")
    return tmp_path


@pytest.fixture
def command(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["--env", "lokal", "--config", str(folder / "lokal.toml"), *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def _faults(monkeypatch: pytest.MonkeyPatch, *faults: str) -> None:
    monkeypatch.setattr(sandbox_module.Sandbox.__init__, "__kwdefaults__", _with_faults(faults))


def _with_faults(faults: tuple[str, ...]) -> dict[str, Any]:
    return {**(sandbox_module.Sandbox.__init__.__kwdefaults__ or {}), "faults": Faults.parse(faults)}


def test_without_a_command_it_sends_what_is_configured_and_shows_one_screen(command: Command, folder: Path) -> None:
    code, out, _ = command()

    assert code == 0
    for told in (
        "Both shipments are delivered",
        "fagmelding (KPR_IPL): delivered",
        "identmelding (KPR_IDE): delivered",
        "receipt   OK (status 1)",
        f"Journal     {folder / 'journal.db'}",
        f"Receipts    {folder / 'receipts'}",
        "Exit code   0",
    ):
        assert told in out
    assert len(out.splitlines()) <= 24


def test_log_lines_go_to_standard_error_as_json_when_nobody_watches(command: Command) -> None:
    _, _, err = command("send")

    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert events[:2] == ["checked", "checked"]
    assert events[-1] == "finished"


def test_q_prints_nothing_but_errors(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("-q") == (0, "", "")

    _, out, err = command("-q", "send", "none.xml", "none.xml")
    assert out == ""
    assert "What to do" in err


@pytest.mark.parametrize("words", ["status", "receipts", "wait --wait 0"])
def test_a_year_without_a_submission_is_89_and_says_how_to_begin(command: Command, folder: Path, words: str) -> None:
    code, out, err = command(*words.split())
    assert code == 89
    assert (out or err).startswith("TEST lokal: ")
    assert f"Begin with kpr-send --env lokal --config {folder / 'lokal.toml'} send." in out + err

    code, out, _ = command("--json", *words.split())
    told = json.loads(out)
    assert (code, told["exit_code"], told["error"]["code"]) == (89, 89, "nothing-submitted")
    assert told["submission"] is None


def test_status_is_found_by_submission_or_msg_id_and_agrees_with_send(command: Command) -> None:
    _, sent, _ = command("--json", "send")
    told = json.loads(sent)

    for wanted in (told["submission"], told["shipments"][1]["msg_id"]):
        code, out, _ = command("--json", "status", wanted)
        assert (code, json.loads(out)) == (0, told)
    assert command("status", "2024-00000000")[0] == 64


def test_status_lists_earlier_submissions(command: Command, folder: Path) -> None:
    first = json.loads(command("--json")[1])["submission"]
    Municipality(folder).new_extract()
    code, sent, err = command("--json", "send", "--replaces", first, "--reason", "avtalt med FHI")
    assert code == 0, err

    _, out, _ = command("status")

    assert f"Submission {json.loads(sent)['submission']}" in out
    assert f"replaces {first}" in out
    assert "Earlier submissions" in out


def test_what_is_delivered_is_kept_and_shown_so_when_the_other_half_is_corrected(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as rejecting:
        _faults(rejecting, "reject:KPR_IDE")
        code, out, _ = command("--json")
    first = json.loads(out)
    assert (code, [one["state"] for one in first["shipments"]]) == (82, ["delivered", "rejected"])
    Municipality(folder).corrected()

    code, out, err = command("--json", "send", "--replaces", first["submission"], "--reason", "avtalt med FHI")

    kept, sent = json.loads(out)["shipments"]
    assert (code, kept["state"], sent["state"]) == (0, "delivered", "delivered"), err
    assert (kept["msg_id"], kept["kept_of"]) == (first["shipments"][0]["msg_id"], first["submission"])
    assert (sent["kept_of"], sent["attempts"]) == (None, 1)
    assert f"of submission {first['submission']}: FHI has it, and it is not sent again" in command("status")[1]
    code, out, _ = command("--json", "receipts")
    assert [one["msg_id"] for one in json.loads(out)["receipts"]] == [kept["msg_id"], sent["msg_id"]]
    assert command("journal", "verify")[0] == 0


def test_receipts_lie_where_it_says(command: Command) -> None:
    command()

    code, out, _ = command("receipts")
    files = [line.split()[-1] for line in out.splitlines() if "file  " in line]

    assert code == 0
    assert len(files) == 2
    assert all(b"AppRec" in Path(file).read_bytes() for file in files)


def test_a_rejection_is_told_with_its_codes_and_what_to_do(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    _faults(monkeypatch, "reject")

    code, out, _ = command()

    assert code == 81
    assert "rejected (status 2)" in out
    assert "T02" in out
    assert "kpr@fhi.no" in out
    assert json.loads(command("--json", "receipts")[1])["receipts"][0]["errors"][0]["code"] == "T02"


def test_another_journal_takes_its_receipts_along(command: Command, folder: Path) -> None:
    code, out, _ = command("--journal", str(folder / "other" / "j.db"))

    assert code == 0
    assert f"Receipts    {folder / 'other' / 'receipts'}" in out


def test_a_log_file_takes_the_lines_instead(command: Command, folder: Path) -> None:
    (folder / "lokal.toml").write_text(f'{CONFIG}[log]\nfile = "kpr.log"\n', "utf-8")

    _, _, err = command()

    assert err == ""
    assert "finished" in (folder / "kpr.log").read_text("utf-8")


def test_config_check_is_all_right_and_sends_nothing(command: Command, folder: Path) -> None:
    code, out, _ = command("config", "check")

    assert code == 0, out
    assert {line.split()[0] for line in out.splitlines()[1:]} == {"green"}
    assert not (folder / "ledger.jsonl").exists()
    assert not (folder / "journal.db").exists()


@pytest.mark.parametrize(
    ("spoil", "names", "code"),
    [
        (lambda folder: (folder / "fagmelding.xml").unlink(), ["files"], 66),
        (lambda folder: (folder / "journal.db").mkdir(), ["journal"], 73),
        (lambda folder: (folder / "journal.db").write_text("no database" * 100), ["journal"], 73),
        (lambda folder: _set(folder, '"journal.db"', '"lokal.toml/journal.db"'), ["journal folder", "journal"], 73),
        (lambda folder: _set(folder, "year = 2024", "year = 2025"), [], 0),
    ],
)
def test_config_check_names_what_is_wrong(
    command: Command, folder: Path, spoil: Callable[[Path], None], names: list[str], code: int
) -> None:
    spoil(folder)

    found, out, _ = command("--json", "config", "check")
    told = json.loads(out)

    assert (found, told["exit_code"]) == (code, code)
    red = [check for check in told["checks"] if check["light"] == "red"]
    assert [check["name"] for check in red] == names
    assert all(check["seen"] and check["next_step"] for check in red)
    assert bool(told["error"]) == bool(code)
    assert code == 0 or set(told["error"]) == {"code", "text", "next_step"}


def test_config_check_warns_of_a_year_without_a_letter_and_of_an_open_password(command: Command, folder: Path) -> None:
    _set(folder, "year = 2024", "year = 2025")
    (folder / "bus-password").chmod(0o644)

    code, out, _ = command("config", "check")

    assert code == 0
    warned = [line for line in out.splitlines() if line.startswith("yellow")]
    assert any("2025" in line for line in warned)
    assert any("bus-password" in line for line in warned)


def test_config_check_and_doctor_say_the_same_in_the_same_words(command: Command, folder: Path) -> None:
    _set(folder, "year = 2024", "year = 2025")
    (folder / "identmelding.xml").unlink()
    changing = r"127\.0\.0\.1:\d+|[\d,]+ MB free|\d+ seconds? (behind|ahead of)|fetched [\d: -]+"
    checked, examined = (
        json.loads(re.sub(changing, "", command("--json", *words)[1]))["checks"]
        for words in (("config", "check"), ("doctor",))
    )

    assert {each["name"] for each in checked} < {each["name"] for each in examined}
    assert checked == [each for each in examined if each["name"] in {own["name"] for own in checked}]
    assert {each["light"] for each in checked} == {"green", "yellow", "red"}


def test_a_secret_that_others_may_read_is_warned_of_when_it_is_used(command: Command, folder: Path) -> None:
    command("config", "check")
    (folder / "bus-password").chmod(0o604)

    code, _, err = command()

    assert code == 0
    warning = json.loads(err.splitlines()[0])
    assert warning["level"] == "warning"
    assert "chmod 600" in warning["text"]


def test_a_sandbox_that_cannot_start_is_the_configurations_fault(command: Command, folder: Path) -> None:
    _set(folder, 'dir = "."', 'dir = "fagmelding.xml"')

    assert command()[0] == 78


def test_g6_what_fhi_writes_of_one_error_is_shown_to_the_person_who_asks_and_nowhere_else(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _faults(monkeypatch, "reject")
    _, sent, logged = command()
    detail = "the sentence in OT that may name a patient"
    with closing(sqlite3.connect(folder / "journal.db")) as journal, journal:
        journal.execute("UPDATE receipt SET errors = json_set(errors, '$[0].detail', ?)", (detail,))

    shown, as_json, status = (
        command(*arguments)[1] for arguments in (["receipts"], ["--json", "receipts"], ["status"])
    )

    assert detail in shown
    assert detail not in as_json + status + sent + logged


def test_a_rehearsal_begins_anew_where_sandbox_and_journal_are_deleted_together(command: Command, folder: Path) -> None:
    assert command("-q")[0] == 0
    for file in folder.glob("journal.db*"):
        file.unlink()
    code, _, told = command("-q")
    assert (code, "is gone, with its .mark file" in told) == (73, True), "the sandbox still has it"
    (folder / "ledger.jsonl").unlink()
    assert command("-q")[0] == 0


def test_sample_is_the_same_for_the_same_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        assert run(["sample", str(tmp_path / name), "--persons", "3", "--seed", "7"]) == 0
    capsys.readouterr()

    for file in ("fagmelding.xml", "identmelding.xml"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_sample_into_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert run(["sample", str(tmp_path / "file")]) == 66


def test_a_sandbox_of_its_own_writes_a_ready_configuration_and_ends_when_told(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    process = start("--json", "sandbox", "serve", "--dir", stage, "--fault", "delay=0.1")
    until((stage / "lokal.toml").exists)
    assert kpr_send("sample", stage, "--persons", "3").code == 0

    sent = kpr_send("--env", "lokal", "--config", stage / "lokal.toml", "send", "--wait", "20s")
    process.send_signal(signal.SIGTERM)
    served = ended(process)

    assert sent.code == 0, sent.err
    assert served.code == 0, served.err
    assert served.json()["config"] == str(stage / "lokal.toml")


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
def test_on_a_terminal_progress_is_shown_and_no_log_lines(folder: Path) -> None:
    leader, follower = pty.openpty()
    arguments = [sys.executable, "-m", "kpr_sender", "--env", "lokal", "--config", str(folder / "lokal.toml")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=follower) as process:
        os.close(follower)
        shown = b""
        try:
            while piece := os.read(leader, 4096):
                shown += piece
        except OSError:
            # Linux says EIO when the other end is closed.
            pass
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(leader)

    assert process.returncode == 0
    assert b"The bus has taken the fagmelding" in shown
    assert b'{"timestamp"' not in shown
    assert b"delivered" in out


def _set(folder: Path, line: str, replacement: str) -> None:
    (folder / "lokal.toml").write_text(CONFIG.replace(line, replacement), "utf-8")

"""``kpr-send fleet``: all municipalities of a fleet file, each in its own process; one exit code, screen and object."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from kpr_sender.app import journal_storage
from kpr_sender.cli.fleet_lines import line_after
from kpr_sender.cli.fleet_run import RunLines
from kpr_sender.fleet.supervisor import EndedRun
from kpr_sender.outbound.drop import DropFolder
from kpr_sender.render.fleet import concern
from tests.fleet.test_file import known
from tests.helpers.command import until
from tests.helpers.fleet import Fleet, fleet, submitted

Command = Callable[..., tuple[int, str, str]]


def options(made: Fleet) -> list[str]:
    return ["--env", "lokal", "--config", str(made.path)]


def by_name(value: dict[str, Any]) -> dict[str, Any]:
    return {one["municipality"]: one for one in value["municipalities"]}


def test_all_are_sent_at_once_and_what_is_wrong_with_one_is_that_one_s_alone(tmp_path: Path, command: Command) -> None:
    made = fleet(tmp_path, "0301-03", "1103", "4601", "5001", own='[municipality.report]\nyear = "none"')
    made.of("1103").fagmelding.write_text("<no/>")

    code, out, _ = command("--json", *options(made), "fleet", "send")

    value = json.loads(out)
    found = by_name(value)
    assert {name: one["exit_code"] for name, one in found.items()} == {"0301-03": 0, "1103": 65, "4601": 0, "5001": 78}
    assert {name: one["result"]["state"] for name, one in found.items() if not one["exit_code"]} == {
        "0301-03": "delivered",
        "4601": "delivered",
    }
    assert (code, value["exit_code"], value["error"]["code"]) == (65, 65, "input-refused")
    assert (value["command"], value["counts"]) == ("send", {"0": 2, "65": 1, "78": 1})
    assert "5001: " in found["5001"]["result"]["error"]["text"]
    advice = found["1103"]["result"]["error"]
    assert "1103" in advice["text"]
    assert all(one["seconds"] > 0 and one["begun"] and not one["killed"] for one in found.values())
    # A person goes on with one of them alone, by the command that the texts name.
    assert f"kpr-send {' '.join(options(made))} status --municipality 1103" in value["error"]["next_step"]
    assert command("-q", *options(made), "status", "--municipality", "4601") == (0, "", "")
    code, out, err = command(*options(made), "fleet", "status", "--only", "0301,1103")
    assert (code, err) == (89, "")
    assert "TEST lokal: 2 municipalities: 1 done, 0 under way, 1 for a person to look at." in out
    assert [line.split()[0] for line in out.splitlines() if line[:1].isdigit()] == ["1103", "0301-03"]


def test_status_is_read_from_all_journals_and_those_who_need_a_person_come_first(
    tmp_path: Path, command: Command
) -> None:
    made = fleet(tmp_path, "1103", "4601", "5001", "5401", own='[municipality.report]\nyear = "none"')
    submitted(made, "1103", answered=True)
    submitted(made, "4601", answered=False)

    code, out, _ = command(*options(made), "fleet", "status", "--lang", "nb")

    rows = [line.split()[0] for line in out.splitlines() if line[:4].isdigit() and "KOMMUNE" in line]
    assert rows == ["5401", "5001", "4601", "1103"]
    assert f"5401  {made.path}: report.year: " in out
    assert code == 78
    assert "levert" in next(line for line in out.splitlines() if line.startswith("1103"))
    assert command("-q", *options(made), "fleet", "status", "--only", "4601,1103") == (80, "", "")
    code, out, err = command("-q", *options(made), "fleet", "status")
    assert (code, out) == (78, "")
    of_5401, of_5001 = err.splitlines()
    assert of_5401.startswith(f"kpr-send: 5401: {made.path}: report.year: "), "it is named once"
    assert of_5001.startswith("kpr-send: 5001: Nothing is submitted for 2024 yet"), "no table says it here"
    code, out, _ = command("--json", *options(made), "fleet", "status", "--only", "1103,4601")
    value = json.loads(out)
    assert (code, value["exit_code"], value["counts"]) == (80, 80, {"0": 1, "80": 1})
    assert by_name(value)["4601"]["result"]["shipments"][0]["state"] == "published"
    assert not by_name(value)["4601"]["begun"]


def test_a_run_whose_time_is_up_is_asked_to_end_and_says_what_is_known(tmp_path: Path, command: Command) -> None:
    made = fleet(tmp_path, "1103", fleet='time_limit = "3s"')
    submitted(made, "1103", answered=False)

    code, out, err = command("--json", *options(made), "fleet", "wait", "--wait", "60s")

    (one,) = json.loads(out)["municipalities"]
    assert (code, one["exit_code"], one["result"]["state"]) == (80, 80, "published")
    assert (one["timed_out"], one["killed"]) == (True, False)
    # Nobody is at a terminal: what has ended is a line of JSON.
    (line,) = [json.loads(line) for line in err.splitlines()]
    assert (line["event"], line["municipality"], line["exit_code"], line["state"]) == (
        "municipality",
        "1103",
        80,
        "published",
    )


def test_a_signal_asks_all_to_end_and_nothing_more_begins(tmp_path: Path, command: Command) -> None:
    made = fleet(tmp_path, "1103", "4601", "5001")
    for name in ("1103", "4601", "5001"):
        submitted(made, name, answered=False)
        made.of(name).journal.with_name("journal.db.lock").unlink()  # each run makes its own

    def ask_to_end() -> None:
        until(lambda: all(made.of(name).journal.with_name("journal.db.lock").exists() for name in ("1103", "4601")))
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask_to_end)
    asking.start()
    code, out, _ = command("--json", *options(made), "fleet", "wait", "--wait", "600s")
    asking.join()

    found = by_name(json.loads(out))
    assert (code, {one["exit_code"] for one in found.values()}) == (80, {80})
    assert {name: one["begun"] for name, one in found.items()} == {"1103": True, "4601": True, "5001": False}
    assert not any(one["timed_out"] or one["killed"] or one["died"] for one in found.values())


def test_a_command_leaves_nothing_in_the_folder_for_temporary_files(tmp_path: Path) -> None:
    made = fleet(tmp_path, "1103")
    made.of("1103").fagmelding.write_text("<no/>")

    with TemporaryDirectory() as left:  # a socket's path must be short
        ran = subprocess.run(
            [sys.executable, "-m", "kpr_sender", *options(made), "fleet", "send"],
            env={**os.environ, "TMPDIR": left},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        assert (ran.returncode, list(Path(left).iterdir())) == (65, [])


def test_a_run_that_is_killed_has_the_code_of_its_journal(tmp_path: Path) -> None:
    made = fleet(tmp_path, "1103", "4601")
    submitted(made, "1103", answered=False)

    for name, code in (("1103", 80), ("4601", 89)):
        one = made.read().named(name)
        line = line_after(one, EndedRun(name, None, timed_out=True, killed=True, seconds=930.0), "send")
        assert (line.exit_code, line.killed) == (code, True)
        assert "took too long" in concern(line)


def test_log_lines_of_a_run_pass_on_and_what_else_it_says_is_remembered(capfd: pytest.CaptureFixture[str]) -> None:
    lines = RunLines(logging=True)
    lines.write('{"event": "a"}\nkpr-send: look')
    lines.write(" at it\n\n")
    assert (lines.remarks, capfd.readouterr().err) == (["kpr-send: look at it"], '{"event": "a"}\n')
    lines = RunLines(logging=False)
    lines.write('{"event": "a"}\n' + "b\n" * 1_000)
    assert (len(lines.remarks), capfd.readouterr().err) == (50, "")


def test_certificates_files_and_self_checks_of_all(tmp_path: Path, command: Command) -> None:
    made = fleet(tmp_path, "1103", "4601")
    made.of("4601").identmelding.unlink()

    code, out, _ = command("--json", *options(made), "fleet", "certs", "--only", "1103")
    assert (code, len(by_name(json.loads(out))["1103"]["result"]["certificates"]) > 2) == (0, True)
    code, out, _ = command(*options(made), "fleet", "doctor", "--only", "4601")
    assert (code, "doctor: something is red" in out) == (1, True)
    code, out, _ = command(*options(made), "fleet", "check")
    assert code == 66
    assert "nothing keeps the pair from being sent" in next(line for line in out.splitlines() if "1103" in line)


@pytest.mark.parametrize("in_files", ['drop = "1103/in"\n', 'fagmelding = "f.xml"\nidentmelding = "i.xml"\n'])
@pytest.mark.parametrize(("deadline", "expected"), [("2099-01-15", 0), ("2025-01-15", 66)])
def test_a_run_that_has_nothing_to_send_yet_is_known_to_have_been(
    tmp_path: Path, command: Command, in_files: str, deadline: str, expected: int
) -> None:
    """Else /health would say all year that no run comes."""
    made = fleet(tmp_path, "1103", files=False, own=f'[municipality.report]\ndeadline = "{deadline}"')
    made.path.write_text(made.path.read_text("utf-8") + f"[municipality.files]\n{in_files}", "utf-8")
    (tmp_path / "1103/in").mkdir()
    storage = journal_storage(known(made.read(), "1103"))
    assert storage.last_held() is None

    code, _, _ = command("--json", *options(made), "fleet", "send")

    assert code == expected
    last = storage.last_held()
    assert last is not None
    assert abs(datetime.now(UTC) - last) < timedelta(minutes=1)


def test_files_that_are_not_there_yet_are_waited_for_beside_another_run(tmp_path: Path, command: Command) -> None:
    made = fleet(tmp_path, "1103", files=False, own='[municipality.report]\ndeadline = "2099-01-15"')

    with closing(journal_storage(known(made.read(), "1103")).open(who="vakt")):
        assert command(*options(made), "send", "--wait-for-files", "--municipality", "1103")[0] == 0


def test_pairs_are_taken_from_drop_folders(tmp_path: Path, command: Command) -> None:
    made = fleet(tmp_path, "1103", "4601")
    later = '[municipality.report]\ndeadline = "2099-01-15"'
    text = made.write("1103", "4601", own=later).read_text("utf-8")
    files = 'fagmelding = "{municipality}/fagmelding.xml"\nidentmelding = "{municipality}/identmelding.xml"\n'
    made.path.write_text(text.replace(files, 'drop = "{municipality}/in"\n'), "utf-8")
    for name in ("1103", "4601"):
        (tmp_path / name / "in").mkdir()
    for file in (made.of("1103").fagmelding, made.of("1103").identmelding):
        file.rename(tmp_path / "1103/in" / file.name)
    drop = DropFolder.of(known(made.read(), "1103"))
    assert drop is not None
    drop.glance(datetime.now(UTC) - timedelta(seconds=31))

    assert command(*options(made), "check", "--municipality", "1103")[0] == 0
    code, out, _ = command("--json", *options(made), "fleet", "send")

    found = by_name(json.loads(out))
    assert (code, found["1103"]["result"]["state"], found["4601"]["result"]["state"]) == (0, "delivered", "waiting")
    assert sorted(path.name for path in (tmp_path / "1103/in/sent").glob("*/*.xml")) == [
        "fagmelding.xml",
        "identmelding.xml",
    ]
    (tmp_path / "1103/in/waiting/20250101-120000-aa").mkdir(parents=True)
    code, out, _ = command(*options(made), "fleet", "status", "--only", "1103")
    assert (code, "A new pair waits for a person" in out) == (0, True)
    code, out, _ = command(*options(made), "doctor", "--municipality", "1103")
    assert "the drop folder" in out
    made.path.write_text(made.path.read_text("utf-8").replace('"2099-01-15"', '"2025-01-15"'), "utf-8")
    code, _, err = command(*options(made), "send", "--municipality", "4601")
    assert (code, "no pair lies in" in err) == (66, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["fleet", "status", "--only", "1103,9999"], 64, "9999 is not in the fleet file."),
        (["fleet", "send", "--only", ""], 64, "expected at least one municipality"),
        (["fleet", "send", "--only", " , "], 64, "expected at least one municipality"),
        (["fleet", "status", "--only", "1103", "--only", "9999"], 64, "9999 is not in the fleet file."),
        (["fleet", "status", "--only", "9999", "--only", "1103"], 64, "9999 is not in the fleet file."),
        (["fleet", "send", "--replaces", "x", "--reason", "y"], 64, "decided for one municipality"),
        (["fleet", "send", "--only", "1103,4601", "--accept-findings", "3"], 64, "decided for one municipality"),
        (["fleet", "send", "--wait", "soon"], 64, "expected a duration"),
        (["fleet", "status", "--journal", "x.db"], 64, "--journal does not go with fleet"),
        (["fleet", "status", "--municipality", "1103"], 64, "--municipality does not go with fleet"),
        (["status", "--municipality", "9999"], 64, "9999 is not in the fleet file."),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_begins(
    tmp_path: Path, command: Command, arguments: list[str], code: int, said: str
) -> None:
    made = Fleet(tmp_path)
    made.write("1103", "4601")

    found, _, err = command(*options(made), *arguments)
    assert (found, said in err) == (code, True), err


def test_without_config_the_environment_s_own_fleet_file_is_taken(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    code, _, err = command("--env", "lokal", "fleet", "status")
    assert (code, "looked for" in err, "fleet-lokal.toml" in err) == (78, True, True)
    (tmp_path / "kpr-sender").mkdir()
    Fleet(tmp_path / "kpr-sender").write("1103").rename(tmp_path / "kpr-sender/fleet-lokal.toml")

    code, out, _ = command("--env", "lokal", "fleet", "status")
    assert (code, "1 municipalit" in out) == (89, True)
    code, _, err = command(
        "--env", "validering", "--config", tmp_path / "kpr-sender/fleet-lokal.toml", "fleet", "status"
    )
    assert (code, "not for validering" in err) == (78, True)

"""The command line: what is refused before anything is done, and the one boundary for errors."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from kpr_sender.cli import main, sample, status
from kpr_sender.cli.main import COMMANDS, run
from kpr_sender.errors import InternalError, NothingSubmitted
from kpr_sender.states import ReceiptStatus, ShipmentState
from tests.helpers.command import kpr_send
from tests.helpers.municipality import municipality
from tests.helpers.repository import ROOT
from tests.helpers.tenor import TENOR_ID
from tests.journal.builders import add_verified, brought_to, open_journal

HEAVY = ("proton", "lxml", "cryptography", "signxml", "rich", "asyncio", "tenacity")


def _loaded_by(arguments: list[str], code: int = 0, *, heavy: tuple[str, ...] = HEAVY) -> set[str]:
    program = (
        "import sys; from kpr_sender.cli.main import run\n"
        f"code = run({arguments!r})\n"
        f"print('loaded', *(name for name in {heavy!r} if name in sys.modules)); sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert ended.returncode == code, ended.stderr
    return set(ended.stdout.splitlines()[-1].split()[1:])


def test_help_and_status_start_without_what_they_do_not_need(tmp_path: Path) -> None:
    made = municipality(tmp_path)

    assert _loaded_by(["--help"]) == set()
    assert _loaded_by(["--env", "lokal", "--config", str(made.config), "status"], NothingSubmitted.exit_code) == set()


def test_check_without_a_configuration_needs_no_network_and_no_keys(tmp_path: Path) -> None:
    made = municipality(tmp_path)
    arguments = ["check", str(made.fagmelding), str(made.identmelding), "--year", "2024"]

    # 65: by production's rules synthetic persons stop.
    assert _loaded_by(arguments, heavy=(*HEAVY, "ssl", "socket", "sqlite3"), code=65) == {"lxml"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["--env", "prod", "status"],
        ["--env", "lokal", "nothing"],
        ["--env", "lokal", "-v", "-q", "status"],
        ["--env", "lokal", "send", "only-one.xml"],
        ["--env", "lokal", "send", "--wait", "soon"],
        ["--env", "lokal", "send", "a", "b", "c"],
        ["sample"],
        ["sample", "x", "--persons", "0"],
        ["sample", "x", "--persons", "many"],
        ["sandbox", "serve"],
        ["sandbox", "serve", "--dir", "x", "--fault", "nothing"],
        ["config"],
    ],
)
def test_a_wrong_command_line_is_64_whatever_click_thinks(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(arguments) == 64
    what, advice, *_ = capsys.readouterr().err.splitlines()
    assert what.endswith("."), "a sentence, also where click's ends with what it quotes"
    assert "What to do" in advice


@pytest.mark.parametrize("arguments", [["--json", "status"], ["--json", "--env", "lokal", "send", "--what"]])
def test_a_wrong_command_line_is_one_object_of_json_too(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 64

    told = json.loads(capsys.readouterr().out)
    assert told.pop("error")["code"] == "usage"
    assert told == {
        "schema": 2,
        "environment": "lokal" if "lokal" in arguments else None,
        "submission": None,
        "kommunenummer": None,
        "year": None,
        "state": None,
        "replaced_by": None,
        "exit_code": 64,
        "deadline": None,
        "days_left": None,
        "reviewed": None,
        "answers_to_others": 0,
        "next_look": None,
        "shipments": [],
    }


def test_g7_there_is_no_default_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 64
    assert "--env is missing" in capsys.readouterr().err


def test_no_configuration_names_every_place_it_was_looked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))

    assert run(["--env", "ar-test", "status"]) == 78
    told = capsys.readouterr().err
    for place in ("config/ar-test.toml", f"{tmp_path}/xdg/kpr-sender/ar-test.toml", "/etc/kpr-sender/ar-test.toml"):
        assert place in told


def test_a_place_where_one_may_not_look_is_named_and_the_others_still_count(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real, closed = Path.stat, tmp_path / "closed"

    def stat(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if self.is_relative_to(closed) or not self.is_absolute():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return real(self, follow_symlinks=follow_symlinks)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "stat", stat)
    for home, why in ((closed, "Permission denied"), (tmp_path / ("x" * 300), "File name too long")):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
        assert run(["--env", "ar-test", "status"]) == 78
        said = capsys.readouterr().err
        assert "config/ar-test.toml (Permission denied)" in said
        assert f"{home}/kpr-sender/ar-test.toml ({why})" in said

    own = tmp_path / "kpr-sender"
    own.mkdir()
    (own / "ar-test.toml").write_text((ROOT / "config" / "ar-test.toml").read_text("utf-8"), "utf-8")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run(["--env", "ar-test", "status", "--help"]) == 0
    assert run(["--env", "ar-test", "--journal", str(tmp_path / "none.db"), "status"]) == 89


def test_receipts_copies_where_one_may_not_look_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made, closed = municipality(tmp_path), "x" * 300
    made.configure({"journal": {"receipts_dir": closed}})
    with closing(open_journal(made.journal)) as journal:
        shipment = brought_to(journal, ShipmentState.PUBLISHED)
        add_verified(journal, shipment.msg_id, ReceiptStatus.OK, sealed=b"sealed")
    assert run(["--env", "lokal", "--config", str(made.config), "receipts"]) == 78
    said = capsys.readouterr().err
    assert "The receipts' copies cannot be looked at: File name too long." in said
    assert f"journal.receipts_dir: {tmp_path}/{closed}" in said


def test_a_current_folder_that_is_gone_is_a_wrong_configuration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made, gone = municipality(tmp_path), tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run(["--env", "lokal", "--config", str(made.config), "status"]) == 89
    capsys.readouterr()
    assert run(["--env", "lokal", "--config", str(made.config), "--journal", "journal.db", "status"]) == 78
    assert "journal.db: The current folder is not there any more." in capsys.readouterr().err


@pytest.mark.parametrize("environment", ["produksjon", "validering"])
def test_g7_with_real_data_the_current_folders_configuration_is_used_only_where_it_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: str
) -> None:
    name, own = f"{environment}.toml", tmp_path / "home" / ".config" / "kpr-sender"
    (tmp_path / "config").mkdir()
    text = (ROOT / "config" / name).read_text("utf-8").replace(f"/var/lib/kpr-sender/{environment}", "../here")
    (tmp_path / "config" / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert run(["--env", environment, "status"]) == 78
    said = capsys.readouterr().err
    assert f"config/{name} of the current folder is not used by itself for {environment}" in said
    assert f"{tmp_path}/config/{name}" in said
    assert f"Copy it to {own}/, or name it: --config config/{name}" in said

    assert run(["--env", environment, "--config", f"config/{name}", "status"]) == 89
    assert f"{tmp_path}/here/journal.db" in capsys.readouterr().out

    own.mkdir(parents=True)
    (own / name).write_text(text.replace("../here", "journals"), "utf-8")
    assert run(["--env", environment, "status"]) == 89
    assert f"{own}/journals/journal.db" in capsys.readouterr().out


def test_a_home_that_is_no_absolute_path_is_not_looked_in(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", ".")
    assert run(["--env", "validering", "status"]) == 78
    assert "looked for /etc/kpr-sender/validering.toml." in capsys.readouterr().err


def test_the_first_configuration_that_is_there_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = municipality(tmp_path)
    own = tmp_path / "home" / ".config" / "kpr-sender"
    own.mkdir(parents=True)
    (own / "lokal.toml").write_text(made.config.read_text("utf-8"), "utf-8")
    monkeypatch.chdir(own)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert run(["--env", "lokal", "status"]) == 89
    assert str(own / "journal.db") in capsys.readouterr().out


def _fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"cannot read <fid>{TENOR_ID}</fid>")

    monkeypatch.setattr(sample, "write_pair", fail)


def test_g6_an_error_in_the_program_is_70_and_shows_its_type_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _fails(monkeypatch)

    assert run(["--json", "sample", str(tmp_path)]) == InternalError.exit_code
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["code"] == "internal"
    assert "RuntimeError" in told.err
    assert "Traceback" not in told.err
    assert TENOR_ID not in told.err + told.out


def test_g6_the_stack_trace_of_v_is_redacted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _fails(monkeypatch)

    assert run(["-v", "sample", str(tmp_path)]) == InternalError.exit_code
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert TENOR_ID not in told


class PanicException(BaseException):
    """What a library in Rust raises where it gives up: no Exception, and it quotes what it was given."""


@pytest.mark.parametrize("option", ["--json", "-v"])
@pytest.mark.parametrize(
    ("raised", "named"),
    [
        (PanicException, "PanicException"),
        (MemoryError, "MemoryError"),
        (BrokenPipeError, "_BrokenConnection"),  # click would end with 1, as if it were standard output
    ],
)
def test_g6_whatever_is_raised_is_70_and_its_text_is_never_shown(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    option: str,
    raised: type[BaseException],
    named: str,
) -> None:
    """A passphrase as bytes looks like no secret, so that no rule of redaction finds it."""
    passphrase = str(list(b"hemmelig\0"))[1:-1]

    def fail(*_: object) -> None:
        raise raised(f"NulError(8, [{passphrase}])") from ValueError(passphrase)

    monkeypatch.setattr(status, "journal_of", fail)

    config = municipality(tmp_path).config
    assert run([option, "--env", "lokal", "--config", str(config), "status"]) == InternalError.exit_code
    told = capsys.readouterr()
    assert option == "-v" or json.loads(told.out)["error"]["code"] == "internal"
    assert f"An unexpected {named}." in told.err
    assert option != "-v" or (f"in {fail.__name__}\n" in told.err and f"\n{raised.__name__}\n" in told.err)
    assert passphrase not in told.err + told.out


def test_an_interrupted_run_that_knows_nothing_is_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = municipality(tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "journal_of", interrupt)

    assert run(["--json", "--env", "lokal", "--config", str(made.config), "status"]) == 130
    assert json.loads(capsys.readouterr().out)["exit_code"] == 130


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_file_its_help_and_says_what_the_list_says(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, "--help"]) == 0
    assert f"kpr-send {name}" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert "kpr-send" in capsys.readouterr().out


def test_python_m_is_the_same_command() -> None:
    ran = kpr_send("--help")

    assert ran.code == 0
    assert ran.out.startswith("Usage: kpr-send")


def test_main_exits_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["kpr-send", "status"])
    monkeypatch.setattr(os, "_exit", sys.exit)
    # The tests' process goes on, and keeps what it would remove at its end (``Ending.exit``).
    monkeypatch.delitem(sys.modules, "multiprocessing.forkserver", raising=False)

    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 64

"""What somebody names as input is a regular file, or it is said what it is; nobody is waited for."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from kpr_sender.cli.main import run
from kpr_sender.regular_file import NotRegular, TooLarge, open_regular, read_regular
from tests.helpers.municipality import Municipality, municipality
from tests.helpers.repository import ROOT


@pytest.fixture
def made(tmp_path: Path) -> Municipality:
    return municipality(tmp_path)


@pytest.fixture(autouse=True)
def _never_for_ever() -> Iterator[None]:
    """A pipe that is waited for fails its test, in place of the whole run."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_pipe_as_input_is_refused_at_once_by_every_command_that_reads_one(made: Municipality) -> None:
    """Nobody writes to it; ``--max-wait`` did not help."""
    pipe = made.folder / "pipe.xml"
    os.mkfifo(pipe)
    for arguments in (
        ("send", str(pipe), str(made.identmelding), "--max-wait", "5s"),
        ("check", str(made.fagmelding), str(pipe)),
        ("check", str(made.fagmelding), str(made.identmelding), "--compare", str(pipe)),
        ("receipts", "add", str(pipe)),
        ("testpersons", "add", str(pipe)),
        ("testpersons", "remove", str(pipe)),
    ):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as err:
            code = run(["--env", "lokal", "--config", str(made.config), *arguments])
        assert code == 66, arguments
        assert "it is a pipe, and a regular file is needed" in err.getvalue()

    made.configure({"files": {"fagmelding": "pipe.xml"}})
    with redirect_stdout(io.StringIO()) as out:
        run(["--env", "lokal", "--config", str(made.config), "config", "check"])
    assert "a regular file is needed" in out.getvalue()


def test_a_pipe_in_place_of_any_file_that_is_configured_is_refused_at_once_by_name(made: Municipality) -> None:
    """``<(pass show x)`` is one: a secret is read each time that it is used, and a pipe gives it once."""
    os.mkfifo(made.folder / "pipe")
    pipe, in_token = {"pkcs12": "pipe"}, {"pkcs12": None, "passphrase_file": None, "pin_env": "HOME"}
    certificates = {"encryption_certificate": "pipe", "signing_certificates": ["pipe"]}
    configured: dict[str, Mapping[str, object]] = {
        "keys.signing": {**in_token, "pkcs11_module": "pipe", "slot": 1, "key_label": "x"},
        "keys.decryption": pipe,
        "receiver": certificates,
        "bus": {"ca_file": "pipe", "password_file": "pipe"},
    }
    made.configure({**configured, "protection": {"roots": ["pipe"]}})
    # The signing key and our certificates are not tried where the authorities cannot be read.
    others = {"decryption keys", "addresses", "secrets", "receiver"}
    assert _refused_as_pipes(made) == others | {"trust"}
    made.configure(configured)
    assert _refused_as_pipes(made) == others | {"signing key"}
    with redirect_stderr(io.StringIO()) as err:
        assert run(["--env", "lokal", "--config", str(made.folder / "pipe"), "status"]) == 78
    assert "The configuration cannot be read: it is a pipe" in err.getvalue()


def _refused_as_pipes(made: Municipality) -> set[str]:
    with redirect_stdout(io.StringIO()) as out:
        assert run(["--env", "lokal", "--config", str(made.config), "config", "check"]) == 78
    red = [line for line in out.getvalue().splitlines() if line.startswith("red")]
    return {line[8:33].strip() for line in red if "it is a pipe, and a regular file is needed" in line}


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("journal.db", ("send",), 73),
        ("journal.db-wal", ("send",), 73),
        ("journal.db.mark", ("send",), 73),
        ("journal.db.lock", ("send",), 73),
        ("journal.db.looks.json", ("status",), 89),
        ("journal.db.logins.json", ("send",), 69),
        ("testpersons.json", ("testpersons", "list"), 66),
    ],
)
def test_a_pipe_in_place_of_a_file_beside_the_journal_is_waited_for_by_nobody(
    made: Municipality, name: str, arguments: tuple[str, ...], code: int
) -> None:
    os.mkfifo(made.folder / name)
    if name == "journal.db-wal":
        made.journal.touch()  # what is empty may be all in the other
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        assert run(["--env", "lokal", "--config", str(made.config), *arguments]) == code


def test_more_than_a_file_may_have_is_not_read_into_memory(tmp_path: Path) -> None:
    file = tmp_path / "sparse"
    with file.open("wb") as made:
        made.truncate(10_000_000_000)
    with pytest.raises(TooLarge, match="larger than 1,000 bytes"):
        read_regular(file, most=1_000)
    with pytest.raises(TooLarge):
        read_regular(file)


def test_a_name_that_no_file_can_have_is_an_error_of_the_file(tmp_path: Path) -> None:
    for name in ("a\0b", "\ud800", "x" * 300):
        with pytest.raises(OSError, match=r"name"):
            open_regular(tmp_path / name)


def test_standard_input_is_read_where_it_is_a_file(made: Municipality) -> None:
    code = (
        "import sys; from pathlib import Path; from kpr_sender.regular_file import open_regular; "
        "print(len(open_regular(Path('/dev/stdin')).read()))"
    )
    content = made.fagmelding.read_bytes()
    with made.fagmelding.open("rb") as file:
        redirected = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdin=file, capture_output=True, check=True)
    piped = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=content, capture_output=True, check=False)
    assert int(redirected.stdout) == len(content)
    assert b"NotRegular" in piped.stderr


def test_sockets_and_devices_are_named_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(socket.socket(socket.AF_UNIX)) as one:
        one.bind("socket")
        with pytest.raises(NotRegular, match="a socket"):
            open_regular(Path("socket"))
    with pytest.raises(NotRegular, match="device"):
        open_regular(Path("/dev/null"))
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")

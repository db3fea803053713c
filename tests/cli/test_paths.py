"""Whatever path a person types or configures, what is wrong with it is said by name, and never unexpected."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from kpr_sender.cli.main import run
from tests.helpers.municipality import Municipality, municipality

_ODD = {
    "a loop of links": "loop",
    "under a loop of links": "loop/x",
    "a name that is too long": "x" * 300,
    "a path that is too long": "x/" * 3000 + "x",
    "NUL": "a\0b",
    "no character of UTF-8": "\ud800",
    "under a file": "fagmelding.xml/x",
    "the root folder": "/",
}
_NO_NAME = ("NUL", "no character of UTF-8")
_DECISION = ("--reason", "Spurt.", "--by", "Kari")
_TYPED = {
    ("--config", "{}", "status"): 78,
    ("--config", "{}", "config", "check"): 78,
    ("--journal", "{}", "status"): 73,
    ("--journal", "{}", "send"): 73,
    ("--journal", "{}", "wait", "--wait", "0"): 73,
    ("--journal", "{}", "journal", "verify"): 73,
    ("--journal", "{}", "journal", "verify", "--accept-restored", *_DECISION, "--yes"): 73,
    ("--journal", "{}", "receipts"): 73,
    ("send", "{}", "identmelding.xml"): 66,
    ("check", "{}", "identmelding.xml"): 66,
    ("check", "fagmelding.xml", "identmelding.xml", "--compare", "{}"): 66,
    ("check", "fagmelding.xml", "identmelding.xml", "--html", "{}"): 66,
    ("receipts", "add", "{}"): 66,
    ("testpersons", "add", "{}"): 66,
}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Municipality:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    return municipality(tmp_path)


def _ended(*arguments: str) -> tuple[int, str]:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = run(["--env", "lokal", *arguments])
    return code, err.getvalue() + out.getvalue()


@pytest.mark.skipif(os.name != "posix", reason="these names are POSIX")
@pytest.mark.parametrize("arguments", _TYPED, ids=lambda arguments: " ".join(arguments[:5]))
def test_a_path_that_no_file_can_be_at_ends_with_its_own_exit_code(
    made: Municipality, arguments: tuple[str, ...]
) -> None:
    configured = () if arguments[0] == "--config" else ("--config", str(made.config))
    for what, path in _ODD.items():
        code, told = _ended(*configured, *(path if one == "{}" else one for one in arguments))
        usage = what in _NO_NAME or (arguments[0] == "--journal" and path == "/")
        assert (code, "nexpected" in told) == (64 if usage else _TYPED[arguments], False), (what, told)
        assert not usage or "no file can have this name" in told or "--journal: expected a file" in told


def test_a_configured_path_that_no_file_can_be_at_does_so_too(made: Municipality) -> None:
    for what, path in _ODD.items():
        if what in _NO_NAME:
            continue  # no kind of value takes them
        keys = {"keys.signing": {"pkcs12": path}, "bus": {"password_file": path, "ca_file": path}}
        made.configure({**keys, "files": {"fagmelding": path}, "receiver": {"encryption_certificate": path}})
        code, told = _ended("--config", str(made.config), "config", "check")
        assert (what, code, "nexpected" in told, told.count("\nred ")) == (what, 78, False, 5)
        assert "our certificates         not tried. What to do: See to this first: signing key." in told
        made.configure({"log": {"file": path}})
        assert (what, _ended("--config", str(made.config), "send")[0]) == (what, 78)
    made.config.write_text(made.config.read_text("utf-8").replace('"journal.db"', '"/"'), "utf-8")
    code, told = _ended("--config", str(made.config), "status")
    assert (code, "journal.path: Expected a file" in told) == (78, True)

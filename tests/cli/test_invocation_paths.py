"""Names that no file has (a loop of links, too long, NUL), in every place of a command line: reported, and never 70."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kpr_sender.cli.invocation import PATH
from kpr_sender.cli.main import cli, run
from tests.helpers.municipality import Municipality

REPORTED = (64, 66, 73, 78)
NUL = "a\0b"
TOO_LONG = ("n\u00f8" * 200, "a/" * 3_000 + "b")
PLACES = {
    "--config": ["--config", "BAD", "--env", "lokal", "status"],
    "--journal": ["--journal", "BAD", "status"],
    "send FAGMELDING": ["send", "BAD", "IDENTMELDING", "--max-wait", "1s"],
    "send IDENTMELDING": ["send", "FAGMELDING", "BAD", "--max-wait", "1s"],
    "check FAGMELDING": ["check", "BAD", "IDENTMELDING"],
    "check IDENTMELDING": ["check", "FAGMELDING", "BAD"],
    "check --compare": ["check", "FAGMELDING", "IDENTMELDING", "--compare", "BAD"],
    "check --html": ["check", "FAGMELDING", "IDENTMELDING", "--html", "BAD"],
    "resend FILE": ["resend", "x", "BAD", "--reason", "x", "--yes"],
    "receipts add FILE": ["receipts", "add", "BAD"],
    "journal backup FILE": ["journal", "backup", "BAD"],
    "evidence make FILE": ["evidence", "make", "x", "BAD"],
    "evidence verify FILE": ["evidence", "verify", "BAD"],
    "bundle FILE": ["bundle", "BAD"],
    "testpersons add FILE": ["testpersons", "add", "BAD"],
    "testpersons remove FILE": ["testpersons", "remove", "BAD"],
    "sample DIR": ["sample", "BAD", "--persons", "1"],
    "demo --dir": ["demo", "--dir", "BAD"],
    "init --sandbox": ["init", "--env", "lokal", "--config", "new.toml", "--sandbox", "BAD"],
    "init --token": ["init", "--env", "validering", "--config", "new.toml", "--token", "BAD"],
    "sandbox serve --dir": ["sandbox", "serve", "--dir", "BAD"],
    **{
        f"schedule {kind} {option}": ["schedule", kind, option, "BAD"]
        for kind in ("systemd", "cron", "windows", "worker")
        for option in ("--backups", "--write", "--credentials")
        if (kind, option) not in {("windows", "--credentials"), ("worker", "--backups")}
    },
}
"""Each place of a path, and a command line that ends with it."""
OWN = ("--config", "demo --dir", "init --sandbox", "init --token")
"""Those that name their environment and configuration themselves, or take none."""
NOTED = {name for name in PLACES if name.endswith(("--backups", "--credentials"))}
"""What is only written into the files of a schedule: there may be nothing yet."""
LATE = {"evidence make FILE"}
"""What is looked at when there is something to write there; tests/cli/test_evidence.py tries it."""


def parameters(command: click.Command, context: click.Context, name: str = "") -> Iterator[tuple[str, click.Parameter]]:
    for parameter in command.params:
        shown = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.name or ""
        yield f"{name} {shown.upper() if isinstance(parameter, click.Argument) else shown}".strip(), parameter
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from parameters(found, click.Context(found), f"{name} {each}".strip())


def test_every_path_of_a_command_line_is_one_of_these() -> None:
    found = [(name, each) for name, each in parameters(cli, click.Context(cli)) if isinstance(each.type, click.Path)]
    found = [(name, each) for name, each in found if not name.endswith((" --config", " --journal"))]  # every command's
    assert all(each.type is PATH for _, each in found)
    known = {name.replace(" FILE", "").replace(" DIR", "").lower() for name in PLACES}
    names = {name.replace(" FILES", "").replace(" FILE", "").replace(" FOLDER", "").lower() for name, _ in found}
    assert names == known


@pytest.mark.parametrize("place", PLACES)
def test_a_name_that_no_file_has_is_reported_by_its_place(
    place: str, kommune: Municipality, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(kommune.folder)
    Path("loop").symlink_to("loop")
    kommune.configure()
    files = {"FAGMELDING": str(kommune.fagmelding), "IDENTMELDING": str(kommune.identmelding)}
    for bad in ("loop", "loop/x", *TOO_LONG, NUL):
        arguments = [bad if word == "BAD" else files.get(word, word) for word in PLACES[place]]
        leading = [] if place in OWN else ["--env", "lokal", "--config", str(kommune.config)]
        code = run(["--json", *leading, *arguments])
        told = json.loads(capsys.readouterr().out)
        assert code == told["exit_code"]
        assert code in {*REPORTED, *((0,) if place in NOTED else ()), *((89,) if place in LATE else ())}, told["error"]
        assert bad != NUL or (code == 64 and "NUL" in told["error"]["text"])

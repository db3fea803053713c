"""``kpr-send sample --with-errors``: what it says of each pair is what ``kpr-send check`` finds in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.preflight.model import Effect
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.sandbox.sample_errors import pairs
from tests.helpers.figures import figure
from tests.helpers.municipality import Municipality

Command = Callable[..., tuple[int, str, str]]


def in_production(made: Municipality) -> Path:
    """The same municipality's configuration for production, whose list of test persons can be asked."""
    path = made.folder / "produksjon.toml"
    path.write_text(made.config.read_text("utf-8").replace('"lokal"', '"produksjon"', 1), encoding="utf-8")
    return path


def circumstances(command: Command, made: Municipality, folder: Path, expected: dict[str, Any]) -> list[str | Path]:
    """The options before the command by which a pair is to be judged."""
    largest = expected["refuse_bytes"] or None
    made.configure(
        {
            "sender": {"organisation_number": expected["organisation_number"] or None},
            "limits": {"warn_bytes": largest, "refuse_bytes": largest},
        }
    )
    if expected["environment"] == "lokal":
        return ["--env", "lokal", "--config", made.config]
    if not expected["testpersons"]:
        return []
    where: list[str | Path] = ["--env", "produksjon", "--config", in_production(made)]
    assert command(*where, "testpersons", "add", folder / expected["testpersons"])[0] == 0
    return where


def test_check_finds_in_each_pair_what_the_list_says(command: Command, made: Municipality, tmp_path: Path) -> None:
    target = tmp_path / "errors"
    assert command("sample", target, "--with-errors")[0] == 0
    listed = json.loads((target / "expected.json").read_text("utf-8"))
    rules: set[str] = set()

    for expected in listed["pairs"]:
        folder = target / expected["folder"]
        options = circumstances(command, made, folder, expected)
        files = [folder / "fagmelding.xml", folder / "identmelding.xml"]
        compared = ["--compare", folder / expected["compare"]] if expected["compare"] else []
        code, out, _ = command("--json", *options, "check", *files, "--year", str(listed["year"]), *compared)
        told = json.loads(out)

        if expected["refused"]:
            assert (code, "findings" in told) == (65, False), expected["folder"]
            continue
        assert [group["rule"] for group in told["findings"] if group["rule"] not in expected["rules"]] == []
        assert {group["rule"] for group in told["findings"]} == set(expected["rules"]), expected["folder"]
        hinders = any(RULES[rule].effect in {Effect.STOP, Effect.DROP} for rule in expected["rules"])
        assert code == (65 if hinders else 0)
        rules |= set(expected["rules"])

    assert rules == RULES.keys() - {"structure.root", "header.municipality-unknown"}
    figure("errors that check finds in the samples", pairs=len(listed["pairs"]), rules=len(rules), missed=0)


def test_the_screen_names_each_folder_and_the_list(command: Command, tmp_path: Path) -> None:
    code, out, _ = command("sample", tmp_path, "--with-errors")

    assert code == 0
    lines = out.splitlines()
    for line, pair in zip(lines, pairs(2024), strict=False):
        assert line.startswith(f"{pair.expected.folder} ")
    assert lines[-1].endswith(str(tmp_path / "expected.json"))
    assert re.search(r"^[0-9]+-swapped .* refused$", out, re.MULTILINE)


def test_as_json_it_names_every_folder(command: Command, tmp_path: Path) -> None:
    code, out, _ = command("--json", "sample", tmp_path, "--with-errors")

    told = json.loads(out)
    assert (code, told["exit_code"]) == (0, 0)
    assert told["expected"] == str(tmp_path / "expected.json")
    assert all((Path(folder) / "fagmelding.xml").exists() for folder in told["folders"])


def test_the_same_errors_are_the_same_bytes(command: Command, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert command("-q", "sample", tmp_path / name, "--with-errors", "--year", "2025") == (0, "", "")

    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert [
        file for file in files if (tmp_path / "a" / file).read_bytes() != (tmp_path / "b" / file).read_bytes()
    ] == []
    assert len(files) > 50


@pytest.mark.parametrize("option", ["--persons", "--seed", "--kommunenummer"])
def test_what_would_not_count_is_refused(command: Command, tmp_path: Path, option: str) -> None:
    code, _, err = command("sample", tmp_path, "--with-errors", option, "1234")

    assert code == 64
    assert "--year" in err
    assert list(tmp_path.iterdir()) == []


def test_a_year_without_rules_is_refused(command: Command, tmp_path: Path) -> None:
    code, _, err = command("sample", tmp_path, "--with-errors", "--year", "2019")

    assert code == 64
    assert "2024" in err


def test_errors_into_a_file_are_told(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert command("sample", tmp_path / "file", "--with-errors")[0] == 66


def test_the_demo_s_files_break_no_rule(command: Command, made: Municipality, tmp_path: Path) -> None:
    where = ("--env", "lokal", "--config", made.config)
    assert command("sample", tmp_path / "demo", "--persons", "200", "--year", "2024", "--seed", "1")[0] == 0
    files = (tmp_path / "demo" / "fagmelding.xml", tmp_path / "demo" / "identmelding.xml")

    code, out, _ = command("--json", *where, "check", *files)

    told = json.loads(out)
    assert code == 0
    assert told["findings"] == []
    assert told["counts"] == {"stop": 0, "drop": 0, "warn": 0, "note": 0}
    assert told["figures"]["persons"] == 200


@pytest.mark.parametrize("seed", ["2", "3"])
@pytest.mark.parametrize("year", ["2025", "2026"])
def test_other_samples_break_no_rule_either(
    command: Command, made: Municipality, tmp_path: Path, seed: str, year: str
) -> None:
    assert command("sample", tmp_path / "x", "--year", year, "--seed", seed)[0] == 0
    files = (tmp_path / "x" / "fagmelding.xml", tmp_path / "x" / "identmelding.xml")

    code, out, _ = command("--json", "--env", "lokal", "--config", made.config, "check", *files, "--year", year)

    assert (code, json.loads(out)["findings"]) == (0, [])

"""The files in config/ and the documentation follow the declarations of the keys."""

from __future__ import annotations

import dataclasses
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kpr_sender import profiles
from kpr_sender.model import Environment
from kpr_sender.settings import load
from kpr_sender.settings.keys import Key, toml_value
from kpr_sender.settings.read import from_document
from kpr_sender.settings.sample_file import render
from kpr_sender.settings.values import SECTIONS, TOP, Settings

ROOT = Path(__file__).resolve().parents[2]
KEYS = (*TOP.keys, *(key for section in SECTIONS.values() for key in section.keys))
ENDINGS = ("env", "file", "credential")
ENVIRONMENTS = pytest.mark.parametrize("environment", list(Environment))


def keys_in(environment: Environment) -> list[Key]:
    return [key for key in KEYS if environment in key.environments]


def copied(environment: Environment, folder: Path) -> Path:
    """As a person uses it: a file of his own."""
    path = folder / f"{environment.value}.toml"
    path.write_text((ROOT / "config" / path.name).read_text("utf-8"), "utf-8")
    return path


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "make_configuration.py"))


def test_the_committed_samples_are_current(script: dict[str, Any]) -> None:
    for path, text in script["samples"]().items():
        assert path.read_text("utf-8") == text, f"run docs/make_configuration.py: {path.name}"


def test_the_committed_documentation_is_current(script: dict[str, Any]) -> None:
    assert (ROOT / "docs" / "configuration.md").read_text("utf-8") == script["documentation"]()


@ENVIRONMENTS
def test_a_sample_is_short_says_what_each_key_is_and_loads(environment: Environment, tmp_path: Path) -> None:
    path = copied(environment, tmp_path)
    lines = path.read_text("utf-8").splitlines()

    assert len(lines) <= 36
    keys = [line for line in lines if line[0] not in "#["]
    assert len(keys) <= 25
    assert all("  # " in line for line in keys)
    assert load(path, environment, environ={}).environment is environment


def test_the_reference_has_every_key() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")

    for section in (TOP, *SECTIONS.values()):
        part = page.split(f"\n## {f'`{section.heading}`' if section.name else 'Top level'}\n")[1].split("\n## ")[0]
        assert [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")] == [
            key.name for key in section.keys
        ]


@ENVIRONMENTS
def test_g7_a_sample_mixes_no_environments(environment: Environment, tmp_path: Path) -> None:
    settings = load(copied(environment, tmp_path), environment, environ={})
    profile = profiles.load(settings.report.year)

    profiles.guard_environment(
        profile,
        environment,
        receiver_her_id=profile.receivers[environment].service_her_id,
        queue=settings.receiver.queue,
        host=settings.bus.host,
    )


@ENVIRONMENTS
def test_every_example_is_a_valid_one(environment: Environment, tmp_path: Path) -> None:
    """What a person copies from the reference must be accepted, one key at a time."""
    text = (ROOT / "config" / f"{environment.value}.toml").read_text("utf-8")
    exclusive = {"pkcs12", "certificate", "key", "pkcs11_module", "token_label", "slot", "key_label", "key_id"}
    exclusive |= {f"{name}_{where}" for name in ("password", "passphrase", "pin") for where in ENDINGS}
    exclusive |= {"extended_to", "extension_letter", "receipts_from", "receipts_inbox"}  # they go together
    if environment is Environment.LOKAL:
        exclusive |= {key.name for key in KEYS if key.section in ("registry", "bus")}
    tried = 0
    for key in keys_in(environment):
        written: Any = tomllib.loads(text)
        table = written
        for name in key.section.split(".") if key.section else ():
            table = table.setdefault(name, {})
            table = table[0] if isinstance(table, list) else table
        if key.name in exclusive or key.name == "her_id" or key.name in table:
            continue
        table |= tomllib.loads(f"{key.name} = {key.shown}")
        from_document(written, environment, path=tmp_path / "kpr.toml", environ={})
        tried += 1
    assert tried > 20


def test_every_default_is_accepted_by_its_own_kind_as_it_is_written() -> None:
    for key in KEYS:
        if key.example is None and not key.required:
            assert key.kind.parse(key.kind.write(key.default), Path("/")) == key.default, key.path


def test_every_key_that_may_be_absent_says_what_counts_then() -> None:
    for key in KEYS:
        assert key.required or key.default is not None or key.otherwise, key.path
        assert key.example is not None or key.default is not None or key is TOP.keys[0], key.path


def test_every_section_is_explained_and_every_field_of_one_is_a_key() -> None:
    assert all(section.purpose and section.keys for section in SECTIONS.values())
    undeclared = {
        f"{section.name}.{field.name}"
        for section in (TOP, *SECTIONS.values())
        for field in dataclasses.fields(section.type)
        if "declared" not in field.metadata
    }
    assert undeclared == {".origin", "keys.signing.key", "keys.decryption.key"}
    assert {section.name.partition(".")[0] for section in SECTIONS.values()} <= {
        field.name for field in dataclasses.fields(Settings)
    }


def test_a_rendered_file_loads_with_the_values_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / 'odd "name" \\ \x7f.toml'
    text = render(
        Environment.LOKAL,
        {
            "": {"environment": "lokal"},
            "report": {"year": 2025},
            "sender": {
                "name": 'Å "B" \\ C\x7f', "her_id": 1, "service_her_id": 2, "kommunenummer": "0301",
            },
            "journal": {"path": "j.db"},
            "sandbox": {"embedded": True, "dir": "s"},
        },
        intro="A test.",
    )  # fmt: skip
    path.write_text(text, "utf-8")

    settings = load(path, Environment.LOKAL, environ={})

    assert settings.sender.party.name == 'Å "B" \\ C\x7f'
    assert settings.report.year == 2025


def test_a_value_without_a_key_or_comment_is_the_writers_error() -> None:
    with pytest.raises(KeyError):
        render(Environment.VALIDERING, {"sandbox": {"dir": "x"}}, intro="")
    with pytest.raises(KeyError):
        render(Environment.VALIDERING, {"limits": {"warn_bytes": 1}}, intro="")


@pytest.mark.parametrize(
    ("value", "written"),
    [(True, "true"), (5671, "5671"), (20_000_000, "20_000_000"), (("a", "b"), '["a", "b"]'), ("æ\n", '"æ\\n"')],
)
def test_values_are_written_as_toml(value: object, written: str) -> None:
    assert toml_value(value) == written

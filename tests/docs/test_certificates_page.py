"""What docs/certificates.md tells ops to type, set and look for is there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from kpr_sender.cli.main import COMMANDS, run
from kpr_sender.errors import ERRORS
from kpr_sender.model import Environment
from kpr_sender.sandbox.faults import ActiveFault
from kpr_sender.settings.values import SECTIONS, TOP

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "certificates.md").read_text("utf-8")
SOURCE = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "kpr_sender").rglob("*.py")))

PATHS = {key.path for section in (TOP, *SECTIONS.values()) for key in section.keys}
VALUED = {"--env", "--config", "--dir", "--fault"}


def _commands() -> list[str]:
    quoted = re.findall(r"`(kpr-send [^`]+)`", PAGE)
    lines = [
        line[line.index("kpr-send ") :]
        for kind, block in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
        if not kind
    ]
    return sorted({" ".join(line.split()) for line in (*quoted, *lines)})


@pytest.mark.parametrize("line", _commands())
def test_every_command_is_a_real_one(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = iter(shlex.split(line, comments=True)[1:])
    options, names = [], []
    for word in words:
        if word.startswith("-"):
            options.append((word, next(words) if word in VALUED else ""))
        else:
            names.append(word)
    assert names[0] in COMMANDS
    below = names[:2] if names[0] in {"config", "sandbox"} else names[:1]
    shown = ""
    for arguments in ([], below):
        assert run([*arguments, "--help"]) == 0
        shown += capsys.readouterr().out
    for option, value in options:
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", shown), option
        if option == "--env":
            assert value in set(Environment)
        if option == "--fault":
            assert str(ActiveFault.parse(value)) == value


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`([a-z][a-z.]*\.[a-z_0-9]+)(?: = [^`]+)?`", PAGE))))
def test_every_settings_key_is_a_real_one(named: str) -> None:
    assert named in PATHS


def test_every_section_is_a_real_one() -> None:
    named = set(re.findall(r"`(\[+)([a-z.]+)\]+`", PAGE))

    assert named
    assert all(name in SECTIONS and (brackets == "[[") == SECTIONS[name].repeated for brackets, name in named)


def test_every_example_has_keys_that_exist() -> None:
    def paths(table: Mapping[str, object], at: str = "") -> set[str]:
        found = set()
        for name, value in table.items():
            for one in value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]:
                found |= paths(one, f"{at}{name}.") if isinstance(one, dict) else {f"{at}{name}"}
        return found

    examples = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    assert len(examples) == 2
    assert all(paths(tomllib.loads(example)) <= PATHS for example in examples)


@pytest.mark.parametrize("row", re.findall(r'^\| ([^|]*"[^|]+) \| (\d*) \| [^|]+ \|$', PAGE, re.MULTILINE))
def test_every_message_is_one_of_ours(row: tuple[str, str]) -> None:
    said, code = row

    assert all(text in SOURCE for text in re.findall(r'"([^"]+)"', said))
    assert not code or int(code) in {error.exit_code for error in ERRORS}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", PAGE))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()

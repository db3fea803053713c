"""No page names a path, a test, a module or a command that does not exist."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Final

import click
import pytest

from kpr_sender.cli.main import cli
from tests.helpers.repository import ROOT, tracked_files

_PAGES: Final = sorted(str(path.relative_to(ROOT)) for path in tracked_files() if path.suffix == ".md")
_FOLDERS: Final = r"(?:kpr_sender|tests|tools|bench|docs|config|\.ci)"
_PATH: Final = re.compile(rf"(?<![\w/.-]){_FOLDERS}/[\w./-]*[\w/](?:::(\w+))?")
_ROOT_FILE: Final = re.compile(r"(?<![\w/.-])(?:[A-Z]+\.md|Makefile|pyproject\.toml|requirements[\w-]*\.lock)(?![\w/])")
_MODULE: Final = re.compile(r"\bkpr_sender(?:\.\w+)+")
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_MAKE: Final = re.compile(r"(?:^|`)make((?: +[A-Z]+=\S+)*) ([a-z][\w-]*)", re.MULTILINE)
_SHELL: Final = re.compile(r"kpr-send(?: [^\n`|#&;>]*)?")
_GLOBAL_VALUES: Final = {"--env", "--config", "--journal", "--max-wait"}
_HISTORY: Final = "CHANGELOG.md"  # says what was, too


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _code(page: str) -> str:
    """All that stands between backticks or in a fence, a snippet a line."""
    text = _text(page)
    fences = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*fences, *inline])


@pytest.mark.parametrize("page", _PAGES)
def test_every_link_and_anchor_of_our_own_leads_somewhere(page: str) -> None:
    def anchors(path: Path) -> set[str]:
        heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}

    broken = []
    for link in _LINK.findall(_text(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", [page for page in _PAGES if page != _HISTORY])
def test_every_path_and_test_exists(page: str) -> None:
    missing = []
    for found in _PATH.finditer(_code(page)):
        path = found.group(0).partition("::")[0].rstrip(".")
        if "YEAR" in path or "<" in path:
            continue
        target = ROOT / path
        named = found.group(1)
        if not target.exists() or (named and not re.search(rf"def {named}\b", target.read_text(encoding="utf-8"))):
            missing.append(found.group(0))
    missing += [name for name in _ROOT_FILE.findall(_code(page)) if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", [page for page in _PAGES if page != _HISTORY])
def test_every_module_exists(page: str) -> None:
    def exists(name: str) -> bool:
        module = name
        while module:  # the last parts may be a class or a function of it
            try:
                if importlib.util.find_spec(module) is not None:
                    break
            except ModuleNotFoundError:
                pass
            module = module.rpartition(".")[0]
        left = name[len(module) + 1 :].split(".", maxsplit=1)[0]
        return not left or hasattr(importlib.import_module(module), left)

    assert [name for name in _MODULE.findall(_code(page)) if not exists(name)] == []


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_name_of_the_code_exists(page: str) -> None:
    """Where a page says which table of a module has the row to add, that table is there."""
    code = {path for path in tracked_files() if path.suffix in {".py", ".toml"} or path.name == "Makefile"}
    words = {word for path in code for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    named = re.findall(r"`([A-Za-z_][\w.]*)`", _text(page))
    names = [name for name in named if "/" not in name and not (ROOT / name).exists()]
    assert [name for name in names if not set(name.split(".")) <= words] == []


@pytest.mark.parametrize("page", _PAGES)
def test_every_target_of_make_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {target for _, target in _MAKE.findall(_code(page))} <= targets


def _flaw(line: str) -> str:
    """What is wrong with a command line; empty when kpr-send knows all its words."""
    try:
        words = shlex.split(line, comments=True)[1:]
    except ValueError:
        return ""  # a sentence with an apostrophe
    command: click.Command = cli
    context = click.Context(cli)
    known = _options(cli)
    skip = False
    for word in words:
        if skip:
            skip = False
            continue
        if word.startswith("-") and len(word) > 1:
            option = word.partition("=")[0]
            if option not in known:
                return f"{option} in {line}"
            skip = known[option] and "=" not in word
        elif isinstance(command, click.Group) and word.islower():
            following = command.get_command(context, word)
            if following is None:
                return "" if command is cli and not word.isalpha() else f"{word} in {line}"
            command, known = following, _options(following) | known
    return ""


def _options(command: click.Command) -> dict[str, bool]:
    """Every option of a command, and whether a value follows it."""
    options = {
        name: not (parameter.is_flag or parameter.count)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    return options | {"--help": False, "-h": False}


@pytest.mark.parametrize("page", [page for page in _PAGES if page != _HISTORY])
def test_every_command_and_option_exists(page: str) -> None:
    flaws = [_flaw(found.strip()) for found in _SHELL.findall(_code(page))]
    assert [flaw for flaw in flaws if flaw] == []


@pytest.mark.parametrize("line", ["kpr-send --env E sned", "kpr-send send --replace ID", "kpr-send journal check"])
def test_a_command_that_is_none_is_found(line: str) -> None:
    assert _flaw(line)


_PRIVATE: Final = re.compile(
    r"\b(?:believ\w+|mend(?:s|ed|ing)?|judg(?:e|es|ed|ing|ments?)|persistently)\b", re.IGNORECASE
)
"""Say *verified*, *fixed*, *evaluated*, *retried*: a word of the field means the same to everybody."""


def test_pages_texts_and_docstrings_use_the_words_of_the_field() -> None:
    pages = [ROOT / page for page in _PAGES if page != _HISTORY and not page.startswith("docs/nb/")]
    code = [path for room in ("kpr_sender", "tools", "bench", "docs") for path in (ROOT / room).rglob("*.py")]
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (*pages, *code)
        for line in path.read_text(encoding="utf-8").splitlines()
        if _PRIVATE.search(line)
    ]
    assert found == []

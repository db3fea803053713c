"""The check of the texts fails on each thing that must not be, and names it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.helpers.repository import ROOT
from tools.texts.__main__ import check, update
from tools.texts.catalogues import compile_all, compile_stale, path_of
from tools.texts.extract import extract

_IMPORT = "from kpr_sender.texts import Text, paragraph, quoted, said\n"
_CODE = _IMPORT + 'A = Text("It is {state}.", state=1)\nB = Text("{count} file", plural="{count} files", count=2)\n'
_DONE = [
    ('msgid "It is {state}."\nmsgstr ""', 'msgid "It is {state}."\nmsgstr "Den er {state}."'),
    ('msgstr[0] ""', 'msgstr[0] "Én fil"'),
    ('msgstr[1] ""', 'msgstr[1] "{count} filer"'),
]


@pytest.fixture
def project(tmp_path: Path) -> tuple[Path, Path]:
    """A package of one module, all of it translated, with click's words as they are."""
    package, locale = tmp_path / "package", tmp_path / "package" / "locale"
    (package / "room").mkdir(parents=True)
    (package / "room" / "module.py").write_text(_CODE, encoding="utf-8")
    click = path_of("click", locale)
    click.parent.mkdir(parents=True)
    click.write_bytes(path_of("click").read_bytes())
    update(package, locale)
    _edit(path_of("room/module", locale), *_DONE)
    assert check(package, locale)[0] == []
    return package, locale


def _edit(path: Path, *pairs: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for before, after in pairs:
        assert before in text, before
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


def test_what_a_table_says_is_looked_for_as_well(project: tuple[Path, Path]) -> None:
    package, locale = project
    table = package / "preflight" / "catalogue" / "rules.csv"
    table.parent.mkdir(parents=True)
    table.write_text('id,title,receiver,advice,source\na,"a row, {as it is}",,Correct it.,a letter\n', encoding="utf-8")
    year = package / "profiles" / "2024.toml"
    year.parent.mkdir()
    year.write_text('[refused_her_ids]\n7 = "it is out of use"\n', encoding="utf-8")

    update(package, locale)

    wanted = ["a row, {as it is}", "Correct it.", "a letter", "it is out of use"]
    assert sorted(check(package, locale)[0]) == sorted(
        f"package/locale/nb/{place}.po: not translated: {text}"
        for text, place in zip(wanted, ["preflight/catalogue/rules"] * 3 + ["profiles/2024"], strict=True)
    )


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('msgstr "Den er {state}."', 'msgstr ""', "not translated: It is {state}."),
        ('msgstr[1] "{count} filer"', 'msgstr[1] ""', "not translated: {count} file"),
        ('msgid "It is', '#, fuzzy\nmsgid "It is', "not translated: It is {state}."),
        ('msgid "It is', 'msgid "It was', "not used: It was {state}."),
        ("Den er {state}", "Den er {tilstand}", "other {names} than in English: It is {state}."),
        ("Den er {state}", "Den er {", "other {names} than in English: It is {state}."),
        ("{count} filer", "{antall} filer", "other {names} than in English: {count} file"),
    ],
)
def test_a_catalogue_that_is_not_as_the_code_fails(
    project: tuple[Path, Path], before: str, after: str, fault: str
) -> None:
    package, locale = project
    _edit(path_of("room/module", locale), (before, after))
    faults, english, norwegian = check(package, locale)
    assert f"package/locale/nb/room/module.po: {fault}" in [one.replace("\\", "/") for one in faults] or any(
        one.endswith(fault) for one in faults
    )
    assert norwegian <= english


def test_one_english_has_one_norwegian(project: tuple[Path, Path]) -> None:
    package, locale = project
    (package / "other.py").write_text(_IMPORT + 'A = Text("It is {state}.", state=1)\n', encoding="utf-8")
    update(package, locale)
    assert check(package, locale)[0] == []  # it was translated elsewhere
    _edit(path_of("other", locale), ("Den er {state}", "Det er {state}"))
    (fault,) = check(package, locale)[0]
    assert "translated otherwise elsewhere" in fault


@pytest.mark.parametrize(
    "code",
    [
        'Text("a" + x)',
        'Text(f"a {x}")',
        "Text(x)",
        'Text("a", "b")',
        'Text("a {b}", **x)',
        'Text("a {b}")',
        'Text("a {b}", c=1)',
        'Text("a {", b=1)',
        'Text("{count} a", plural=x, count=1)',
        'Text("a", plural="b {d}", count=1)',
        'Text("a {b}", b=Text("c"))',
        'Text("a {b}", b=Text("c") if x else y)',
        'Text("a {b}", b=paragraph(x))',
        'Text("a {b}", b=f"c {x}")',
        'Text("a {b}", b="c" + x)',
        'Text("a {b}", b="c {}".format(x))',
        'Text("a {b}", b=x or "some words")',
        'Text("a {b}", b=y); y = Text("One sentence.")',
    ],
)
def test_a_sentence_that_is_put_together_fails(code: str) -> None:
    assert extract(_IMPORT + f"x = {code}\n").faults
    assert not extract(f"from elsewhere import Text\nx = {code}\n").faults


def test_values_that_are_no_sentences_are_taken() -> None:
    code = 'Text("a {b}{c}{d}", b=quoted(x), c="kpr-send wait", d=", ".join(y))'
    assert extract(_IMPORT + code).faults == []


def test_clicks_help_is_found() -> None:
    code = '''
import click
@click.command("x")
@click.option("--y", help="Why: "
  "so.", prompt="Which one?")
def command():
    """Do it.

    Twice.
    \\f
    Not shown.
    """
'''
    assert [entry.id for entry in extract(code).entries] == ["Why: so.", "Which one?", "Do it.\n\nTwice.\n"]
    assert extract('import click\nclick.option("--y", help=f"{x}")').faults


def test_what_is_compiled_is_compiled_again_where_a_catalogue_is_newer(project: tuple[Path, Path]) -> None:
    _, locale = project
    assert compile_stale(locale)
    assert not compile_stale(locale)
    target = compile_all(locale)
    first = target.read_bytes()
    os.utime(target, (0, 0))  # older than its sources
    assert compile_stale(locale)
    assert compile_all(locale).read_bytes() == first


def test_no_compiled_catalogue_is_in_a_commit() -> None:
    assert "*.mo" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("try: pass\nexcept Refused as error: x = str(error)", "said(error)"),
        ("def why(error: Exception): return str(error)", "said(error)"),
        ("raise Refused('it is wrong')", "Text('it is wrong')"),
        ("raise Refused(f'it is {x}')", "Text('it is {x}', x=x)"),
    ],
)
def test_what_an_exception_says_stays_a_text_on_its_way_to_a_person(code: str, kept: str) -> None:
    assert extract(_IMPORT + code).faults
    assert not extract(code).faults, "a module without texts has none to lose"
    assert not extract(_IMPORT + re.sub(r"str\(error\)|(?<=Refused\()f?'.*'", kept, code)).faults
    assert not extract(_IMPORT + code.replace("Refused(", "ValueError(").replace("str(", "said(")).faults


@pytest.mark.parametrize(
    "code",
    [
        'UsageError("It is wrong.")',
        'UsageError(x, next_step=f"See {x}.")',
        'Event(x, "It is sent.")',
        'Event(x, f"{x}")',
    ],
)
def test_an_error_or_event_that_is_no_text_fails(code: str) -> None:
    imported = "from kpr_sender.errors import UsageError\nfrom kpr_sender.events import Event\n"
    assert extract(f"{imported}{code}\n").faults
    as_texts = code.replace('f"', 'Text("').replace('"It', 'Text("It').replace('."', '.")').replace('x}"', 'x}")')
    assert extract(f"{_IMPORT}{imported}{as_texts.replace('{x}', 'x')}\n").faults == []

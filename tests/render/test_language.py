"""The language that a person reads: chosen by the machine's locale or by name, filled with the same values."""

from __future__ import annotations

import gettext
import os
from pathlib import Path

import pytest

from kpr_sender.model import Language
from kpr_sender.render import language
from kpr_sender.render.language import of_locale, say, speak, speaking, spoken
from kpr_sender.texts import Text, paragraph
from tools.texts.catalogues import compile_all

_PO = """
msgid ""
msgstr "Content-Type: text/plain; charset=utf-8\\n"

msgid "{path} has {count:,} line."
msgid_plural "{path} has {count:,} lines."
msgstr[0] "Én linje i {path}."
msgstr[1] "{count:,} linjer i {path}."

msgid "It is sealed."
msgstr "Den er forseglet."

msgid "Refused: {why}."
msgstr "Avvist: {hvorfor}."
"""


@pytest.fixture(autouse=True)
def _catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nb" / "cli").mkdir(parents=True)
    (tmp_path / "nb" / "cli" / "send.po").write_text(_PO, encoding="utf-8")
    compile_all(tmp_path)
    monkeypatch.setattr(language, "FOLDER", tmp_path)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LANG": "nb_NO.UTF-8"}, Language.NB),
        ({"LANG": "nn_NO"}, Language.NB),
        ({"LANG": "no"}, Language.NB),
        ({"LANG": "nb_NO.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, Language.EN),
        ({"LC_ALL": "nb_NO", "LC_MESSAGES": "C", "LANG": "C"}, Language.NB),
        ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "nb_NO"}, Language.NB),
        ({"LANG": "C.UTF-8"}, Language.EN),
        ({"LANG": "nbx"}, Language.EN),
        ({}, Language.EN),
    ],
)
def test_the_locale_says_which(environ: dict[str, str], expected: Language) -> None:
    assert of_locale(environ) is expected


def test_a_text_is_said_in_the_language_that_is_spoken() -> None:
    lines = Text("{path} has {count:,} line.", plural="{path} has {count:,} lines.", path=Path("a.xml"), count=12_000)
    assert say(lines) == "a.xml has 12,000 lines."
    with speaking(Language.NB):
        assert say(lines) == "12\N{NO-BREAK SPACE}000 linjer i a.xml."
        one = Text("{path} has {count:,} line.", plural="{path} has {count:,} lines.", path="b", count=1)
        assert say(one) == "Én linje i b."
        assert say(paragraph(Text("It is sealed."), one)) == "Den er forseglet. Én linje i b."
        assert say(Text("Nobody has translated this.")) == "Nobody has translated this."
        assert (say("It is sealed."), say(Text(""))) == ("It is sealed.", "")
        speak(Language.EN)
        assert say(Text("It is sealed.")) == "It is sealed."


def test_what_was_spoken_before_is_spoken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "de")
    before = gettext.textdomain()
    with speaking(Language.NB):
        assert (spoken(), os.environ["LANGUAGE"]) == (Language.NB, "nb")
        # click's words have no other way.
        assert gettext.gettext("It is sealed.") == "Den er forseglet."
    assert (spoken(), os.environ["LANGUAGE"], gettext.textdomain()) == (Language.EN, "de", before)


def test_a_flaw_in_a_catalogue_is_said_in_english_and_raises_nothing(tmp_path: Path) -> None:
    refused = Text("Refused: {why}.", why="{0.__class__} %s")
    with speaking(Language.NB):
        assert say(refused) == "Refused: {0.__class__} %s."
        assert say(Text("It is sealed.")) == "Den er forseglet."
    (compiled,) = tmp_path.rglob("*.mo")
    compiled.write_bytes(compiled.read_bytes()[:40])
    os.utime(compiled, (1, 1))
    vars(gettext)["_translations"].clear()
    with speaking(Language.NB):
        assert (say(refused), say(Text("It is sealed."))) == ("Refused: {0.__class__} %s.", "It is sealed.")

"""A text is its English, and remembers what it was made of."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.privacy import ID, redact_text, shown_text
from kpr_sender.texts import Text, paragraph, quoted

_FILE = Text("{path} has {count} line.", plural="{path} has {count} lines.", path=Path("a.xml"), count=2)
_SYNTHETIC_ID = "01835012345"


def test_it_is_its_english() -> None:
    assert _FILE == "a.xml has 2 lines."
    assert Text("{path} has {count} line.", plural="many", path="b", count=1) == "b has 1 line."
    assert Text("{braces} without values stay") == "{braces} without values stay"
    assert json.dumps([_FILE]) == '["a.xml has 2 lines."]'


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda text: pickle.loads(pickle.dumps(text))])  # noqa: S301 - our own bytes
def test_a_copy_is_the_same_text(again: object) -> None:
    assert callable(again)
    found = again(_FILE)
    assert (found, found.template, found.plural, dict(found.values)) == (
        *(_FILE, _FILE.template, _FILE.plural),
        dict(_FILE.values),
    )


def test_an_error_keeps_its_texts_and_cleans_their_values() -> None:
    error = ConfigInvalid(
        Text("{path} cannot be read.", path=f"/data/{_SYNTHETIC_ID}.xml"),
        where=Text("line {line}", line=7),
        next_step=Text("See <b>{what}</b>.", what="this"),
    )
    assert (error.what, error.where) == (f"/data/{ID}.xml cannot be read.", "line 7")
    assert isinstance(error.what, Text)
    assert error.what.template == "{path} cannot be read."
    assert _SYNTHETIC_ID not in repr(dict(error.what.values))
    # What no cleaning of the values makes clean is English, and clean.
    assert error.next_step == "See [XML removed]"


@pytest.mark.parametrize("most", [None, 20])
def test_what_is_cleaned_is_as_clean_as_its_english(most: int | None) -> None:
    """A number and the words before it, a value cut in two, a value that is long: the English decides."""
    for text in (
        Text("{first}{second}", first=_SYNTHETIC_ID[:6], second=_SYNTHETIC_ID[6:]),
        Text("serial number {serial}", serial="12345678901234567890"),
        Text("of {number}", number=1835012345),
        Text("{long} end", long="word " * 20),
        Text("{inner}", inner=paragraph(Text("{id}", id=_SYNTHETIC_ID), "Done.")),
    ):
        clean = redact_text(text, most)
        assert isinstance(clean, Text)
        assert _SYNTHETIC_ID not in clean
        assert clean == redact_text(str(clean), most)
    assert redact_text(Text("serial number {serial}", serial="12345678901234567890")).endswith("7890")


@pytest.mark.parametrize(
    "words", ["serial number", "serienummer", "thumbprint", "SHA-1-avtrykk", "key identifier", "nøkkelidentifikator"]
)
def test_a_certificate_s_number_is_shown_in_both_languages_and_an_id_in_none(words: str) -> None:
    assert shown_text(f"{words} 1234567890123456") == f"{words} 1234567890123456"
    assert shown_text(f"{words} {_SYNTHETIC_ID}") == f"{words} {ID}"


def test_sentences_follow_one_another() -> None:
    one = Text("One.")
    assert paragraph(one, "") is one
    assert paragraph(one, Text("Two of {name}.", name="x")) == "One. Two of x."
    assert paragraph() == ""


def test_what_others_say_is_one_value() -> None:
    assert quoted("T02 no..", "T02 no", "", " ; ", "T03.;") == "T02 no; T03"

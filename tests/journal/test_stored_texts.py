"""The journal has a sentence's template and values, and what an earlier schema or a person wrote as it is."""

from __future__ import annotations

import sqlite3
from datetime import date

import pytest

from kpr_sender.journal.sql import clean
from kpr_sender.journal.stored_texts import loaded, stored
from kpr_sender.model import Language
from kpr_sender.privacy import ID
from kpr_sender.render.language import say, speaking
from kpr_sender.texts import Text, paragraph

_DELIVERED = Text("The {name} is delivered.", name="fagmelding")


@pytest.mark.parametrize(
    "text",
    [
        _DELIVERED,
        paragraph(_DELIVERED, Text("Nothing was sent.")),
        Text("{count:,} file", plural="{count:,} files", count=12_000),
        Text("{by} on {day}", by="Kari", day=date(2025, 1, 10)),
        Text("A receipt came."),
    ],
)
def test_a_text_is_one_again(text: Text) -> None:
    again = loaded(stored(text).encode())
    assert isinstance(again, Text)
    assert (again, again.template, again.plural) == (text, text.template, text.plural)
    assert str(text) not in stored(text) or not text.values  # no finished sentence
    assert stored(again) == stored(text)


def test_it_is_said_in_another_language_later() -> None:
    again = loaded(stored(paragraph(_DELIVERED, Text("Nothing was sent."))).encode())
    with speaking(Language.NB):
        assert say(again) == "Fagmeldingen er levert. Ingenting ble sendt."


@pytest.mark.parametrize("words", ["", "It is sealed.", '{"template": "x", "plural": "", "values": {}}', "blåbær"])
def test_other_words_stay_as_they_are(words: str) -> None:
    assert stored(words) == words
    assert loaded(words.encode()) == words
    assert not isinstance(loaded(words.encode()), Text)


def test_nobody_s_words_are_taken_for_a_text_and_no_id_is_stored() -> None:
    forged = stored(_DELIVERED)
    assert forged.startswith("\x1e")
    assert "\x1e" not in str(clean({"why": forged})["why"])
    kept = str(clean({"why": Text("{path} cannot be read.", path="/x/01835012345.xml")})["why"])
    assert ID in kept
    assert "01835012345" not in kept


_NO_VALUE = b'\x1e{"template": "{a}", "plural": "", "values": {"b": 1}}'


@pytest.mark.parametrize("data", [b"\xff", b"\x1e{", b"\x1e[]", _NO_VALUE])
def test_what_is_damaged_is_sqlite_s_own_error(data: bytes) -> None:
    with pytest.raises(sqlite3.OperationalError, match="decode"):
        loaded(data)

"""How the journal stores a text: its template and its values, so that it can be said in another language later.

A text stands in its column as JSON behind a sign that no cleaned words begin with. Other words stand as they are: what
persons and others wrote, and all that a journal of an earlier schema has, which stays English.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Final

from kpr_sender.texts import Text, remade

_MARK: Final = "\x1e"
"""A control character: ``redact_text`` leaves none in a person's words, so that nobody's words are taken for a text."""
_MARK_BYTE: Final = _MARK.encode()
_DECODER: Final = json.JSONDecoder()
_PLAIN: Final = (str, int, float, bool, type(None))


def stored(words: str) -> str:
    """Return words as they are stored, clean already."""
    return (
        f"{_MARK}{json.dumps(_parts(words), ensure_ascii=False)}" if isinstance(words, Text) and words else str(words)
    )


def loaded(data: bytes) -> str:
    """Return stored words; the journal's connections read every text of the database by this.

    Raises:
        sqlite3.OperationalError: They are not as they were written.
    """
    try:
        words = data.decode()
        return _text(json.loads(words[1:])) if data.startswith(_MARK_BYTE) else words
    except (ValueError, TypeError, LookupError, AttributeError):
        # As sqlite3 has it, and without the bytes.
        raise sqlite3.OperationalError("Could not decode to UTF-8 text") from None


def as_words(text: str) -> str:
    """Return stored words that were read as they stand; those that ``loaded`` has read are words already."""
    return _text(from_json(text, 1)) if text.startswith(_MARK) else text


def from_json(written: str, start: int = 0) -> Any:
    """Return what JSON of the journal's says, from a place on; a third of the time of ``json.loads``.

    Raises:
        ValueError: It is none.
    """
    value, end = _DECODER.raw_decode(written, start)
    if end != len(written):
        raise ValueError
    return value


def _parts(text: Text) -> dict[str, Any]:
    values = {name: _parts(one) if isinstance(one, Text) else _plain(one) for name, one in text.values.items()}
    return {"template": text.template, "plural": text.plural, "values": values}


def _plain(value: object) -> object:
    return value if isinstance(value, _PLAIN) else str(value)


def _text(parts: dict[str, Any]) -> Text:
    values = {name: _text(one) if isinstance(one, dict) else one for name, one in parts["values"].items()}
    return remade(parts["template"], parts["plural"], values)

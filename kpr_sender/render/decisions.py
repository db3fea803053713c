"""What a person decided, in words: the journal's own names in English, as its history and JSON have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kpr_sender.texts import Text

_WORDS: Final[Mapping[str, Text]] = {
    str(text): text
    for text in (
        Text("arrived"),
        Text("not-arrived"),
        Text("cancel"),
        Text("settled"),
        Text("person-arrived"),
        Text("person-not-arrived"),
        Text("person-cancels"),
        Text("person-resends"),
        Text("person-settles"),
        Text("findings-accepted"),
        Text("receipt-accepted"),
        Text("receipt-discarded"),
        Text("replaced"),
        Text("kept"),
        Text("reviewed"),
        Text("look-anyway"),
        Text("pruned"),
        Text("created"),
        Text("journal-accepted"),
        Text("released"),
    )
}


def words_of_decision(name: str) -> str:
    """Return what a person calls a decision; a name that is not known as it is."""
    return _WORDS.get(name, name)

"""Values of texts that are words themselves, in both languages."""

from __future__ import annotations

import pytest

from kpr_sender.model import Language
from kpr_sender.render.language import say, speaking
from kpr_sender.texts import Text
from kpr_sender.wording import all_of, any_of


@pytest.mark.parametrize(
    ("things", "either", "both", "norwegian"),
    [
        (["3.7"], "3.7", "3.7", "3.7"),
        (["16", "17"], "16 or 17", "16 and 17", "16 eller 17"),
        (["a", "b", "c"], "a or b or c", "a and b and c", "a eller b eller c"),
    ],
)
def test_things_are_joined_in_the_language_that_is_spoken(
    things: list[str], either: str, both: str, norwegian: str
) -> None:
    assert (any_of(things), all_of(things)) == (either, both)
    with speaking(Language.NB):
        assert say(Text("{name} is {value}.", name="typeID", value=any_of(things))) == f"typeID er {norwegian}."

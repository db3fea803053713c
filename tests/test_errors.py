"""One place joins what others say to what we say, so that no sentence ends twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.errors import sentence


def test_each_clause_is_said_once_and_the_sentence_ends_once() -> None:
    assert sentence("It is refused.", "T02 no..", "T02 no", "", " ; ", "T03.;") == "It is refused: T02 no; T03."
    assert sentence("It is sent") == sentence("It is sent.", "") == "It is sent."


@given(st.text(alphabet="ab .;:,"), st.lists(st.text(alphabet="ab .;:,"), max_size=3))
def test_whatever_others_write(text: str, clauses: list[str]) -> None:
    said = sentence("x" + text, *clauses)
    assert said.endswith(".")
    assert not said[:-1].endswith(tuple(" .;:,"))

"""One place joins what others say to what we say, so that no sentence ends twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.texts import Text, quoted


def _sentence(*clauses: str) -> str:
    said = quoted(*clauses)
    return Text("It is refused: {said}.", said=said) if said else Text("It is refused.")


def test_each_clause_is_said_once_and_the_sentence_ends_once() -> None:
    assert _sentence("T02 no..", "T02 no", "", " ; ", "T03.;") == "It is refused: T02 no; T03."
    assert _sentence(Text("T02 no."), Text("T02 no")) == "It is refused: T02 no."
    assert _sentence("") == _sentence() == "It is refused."


@given(st.lists(st.text(alphabet="ab .;:,"), max_size=3), st.booleans())
def test_whatever_others_write(clauses: list[str], as_texts: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    said = _sentence(*(Text("{clause}", clause=clause) if as_texts else clause for clause in clauses))
    assert said.endswith(".")
    assert not said[:-1].endswith(tuple(" .;:,"))

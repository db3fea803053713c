"""The questions of a set-up: each has a flag, a declared key and a proposal or an example."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from kpr_sender.model import Environment
from kpr_sender.settings import proposals, set_up
from kpr_sender.settings.set_up import ConfigurationPlace, WrongAnswer


@pytest.mark.parametrize("environment", [each for each in Environment if each is not Environment.LOKAL])
def test_each_question_has_a_proposal_or_an_example_that_is_an_answer(environment: Environment, tmp_path: Path) -> None:
    place = ConfigurationPlace(environment, tmp_path, tmp_path, date(2026, 11, 30))
    answers: set_up.Answers = {}
    for question in set_up.QUESTIONS:
        suggested = set_up.proposed(question.name, answers, place) or question.shown_example()
        assert suggested, question.name
        answers[question.name] = set_up.answer(question, suggested, answers | {"year": 2026})
        assert question.flag.startswith("--")
        assert question.text


@pytest.mark.parametrize(
    ("today", "year"),
    [(date(2025, 12, 1), 2025), (date(2026, 1, 14), 2025), (date(2026, 6, 30), 2025), (date(2026, 7, 1), 2026)],
)
def test_the_year_that_is_proposed_is_the_one_reported_next(today: date, year: int) -> None:
    assert proposals.reporting_year(today) == year
    assert proposals.reporting_year(date(2090, 1, 1)) == 2026


def test_a_municipality_that_was_split_is_told_all_its_heirs() -> None:
    question = set_up.BY_NAME["kommunenummer"]
    with pytest.raises(WrongAnswer, match=r"1508 .*, 1580 "):
        set_up.answer(question, "1507", {"year": 2024})
    assert set_up.answer(question, " 1508 ", {"year": 2024}) == "1508"
    assert set_up.answer(question, "9999", {"year": 2024}) == "9999"

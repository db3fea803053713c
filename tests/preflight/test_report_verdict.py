"""What a report amounts to: the sentence, the number to accept, the order of what is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.preflight.model import Effect
from kpr_sender.preflight.report import groups, verdict
from kpr_sender.preflight.rules.table import RULES
from tests.helpers.check_reports import BLANK, BLANK_TYPE, DOUBT, DROP, NOTE, REMARK, STOP, report


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({}, "Nothing here would be refused, dropped or blanked."),
        ({NOTE: 7}, "Nothing here would be refused, dropped or blanked."),
        ({REMARK: 1}, "Nothing here would be refused, dropped or blanked; 1 remark."),
        ({DROP: 12, BLANK: 3}, "12 rows would be dropped, 3 values blanked."),
        ({DROP: 1, REMARK: 1200}, "1 row would be dropped; 1,200 remarks."),
        ({BLANK: 1}, "1 value would be blanked."),
        ({BLANK: 2, BLANK_TYPE: 3}, "5 values would be blanked (3 of them tjenestetype, which count as dropped)."),
        ({DOUBT: 1}, "1 finding must be accepted."),
        ({DROP: 2, DOUBT: 1, REMARK: 40}, "2 rows would be dropped, 1 finding must be accepted; 40 remarks."),
        ({STOP: 1}, "Not to be sent: 1 finding stops it."),
        ({STOP: 2, DROP: 1}, "Not to be sent: 2 findings stop it; 1 row would be dropped."),
    ],
)
def test_the_sentence(counts: dict[str, int], text: str) -> None:
    assert verdict(report(counts)).text == text


@pytest.mark.parametrize(
    ("counts", "hinders"),
    [
        ({}, False),
        ({BLANK: 9, REMARK: 9, NOTE: 9}, False),
        ({DROP: 1}, True),
        ({BLANK_TYPE: 1}, True),
        ({DOUBT: 1}, True),
        ({STOP: 1}, True),
    ],
)
def test_what_keeps_send_from_sending(counts: dict[str, int], *, hinders: bool) -> None:
    assert verdict(report(counts)).hinders is hinders


@given(st.dictionaries(st.sampled_from((STOP, DROP, DOUBT, BLANK_TYPE, BLANK, REMARK, NOTE)), st.integers(1, 40)))
def test_the_number_to_accept_is_the_reports_drops_and_every_finding_is_counted_once(counts: dict[str, int]) -> None:
    made = report(counts)
    decided = verdict(made)

    assert decided.to_accept == made.drops
    assert decided.stops == made.stops
    found = decided.stops + decided.dropped + decided.doubts + decided.blanked + decided.remarks + made.notes
    assert found == sum(counts.values())


def test_groups_come_worst_first_with_their_places() -> None:
    found = groups(report({NOTE: 1, REMARK: 30, BLANK: 2, BLANK_TYPE: 5, DROP: 3, STOP: 1}))

    assert [group.rule.id for group in found] == [STOP, DROP, BLANK_TYPE, BLANK, REMARK, NOTE]
    assert [(group.count, len(group.places)) for group in found] == [(1, 1), (3, 3), (5, 5), (2, 2), (30, 20), (1, 1)]


def test_the_more_frequent_of_equally_bad_rules_comes_first() -> None:
    assert [group.rule.id for group in groups(report({"ident.age": 2, "person.no-service": 9, "ident.kind": 5}))] == [
        "person.no-service",
        "ident.kind",
        "ident.age",
    ]


def test_a_heading_begins_with_a_capital_unless_it_is_an_elements_name() -> None:
    dropped, blanked = groups(report({DROP: 1, BLANK_TYPE: 1}))

    assert dropped.heading.startswith("The service")
    assert blanked.heading.startswith("tjTjenType")


def test_the_examples_are_of_the_kinds_they_stand_for() -> None:
    effects = [RULES[rule].effect for rule in (STOP, DROP, BLANK_TYPE, BLANK, REMARK, NOTE)]

    assert effects == [Effect.STOP, Effect.DROP, Effect.DROP, Effect.WARN, Effect.WARN, Effect.NOTE]

"""The table of all rules: complete, consistent, and said in full."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from kpr_sender.preflight.catalogue.codes import rows
from kpr_sender.preflight.catalogue.fields import iplos
from kpr_sender.preflight.model import Consequence, Effect, Rule
from kpr_sender.preflight.rules.table import RULES, requirements

SAID_ANEW = {"tjTilDato.range"}
"""Rules of fields that ``rules.csv`` says more of: what FHI does that only its reports speak of."""


def generated() -> list[Rule]:
    return [RULES[f"{field.id}.{aspect}"] for field in iplos().fields.values() for aspect in requirements(field)]


def unchanged() -> list[Rule]:
    return [rule for rule in generated() if rule.id not in SAID_ANEW]


def test_no_rule_is_there_twice() -> None:
    written = Counter(row["id"] for row in rows("rules.csv"))
    made = {rule.id for rule in generated()}

    assert [rule for rule, count in written.items() if count > 1] == []
    assert written.keys() & made == SAID_ANEW
    assert set(RULES) == written.keys() | made


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_rule_says_all_there_is_to_say(rule: Rule) -> None:
    assert RULES[rule.id] is rule
    assert re.fullmatch(r"[A-Za-z]+(\.[A-Z][a-z]+)?\.[a-z]+(-[a-z]+)*", rule.id)
    assert rule.title.strip(" .") == rule.title != ""
    for sentence in (rule.receiver, rule.advice):
        assert sentence.endswith(".")
    assert rule.source.strip(" .") == rule.source != ""


@pytest.mark.parametrize("rule", unchanged(), ids=lambda rule: rule.id)
def test_what_send_makes_of_a_field_follows_from_what_the_receiver_does(rule: Rule) -> None:
    if rule.id == "tjTjenType.code":  # a service of no type counts nowhere
        assert (rule.consequence, rule.effect) == (Consequence.VALUE, Effect.DROP)
        return
    expected = {
        Consequence.MESSAGE: Effect.STOP,
        Consequence.ROW: Effect.DROP,
        Consequence.VALUE: Effect.WARN,
        Consequence.NONE: Effect.NOTE if rule.id.endswith(".format") else Effect.WARN,
    }
    assert rule.effect is expected[rule.consequence]


def test_a_demand_without_a_published_consequence_is_a_rule_without_one() -> None:
    rule = RULES["tjSoknadDato.missing"]

    assert rule.consequence is Consequence.NONE
    assert rule.effect is Effect.WARN
    assert "no consequence" in rule.source


@pytest.mark.parametrize(
    ("rule", "consequence"),
    [
        ("versjon.missing", Consequence.MESSAGE),
        ("iiKomnr.format", Consequence.MESSAGE),
        ("iiTilDato.range", Consequence.MESSAGE),
        ("pePeID.format", Consequence.ROW),
        ("peKjonn.code", Consequence.ROW),
        ("tjTjenType.format", Consequence.ROW),
        ("tjFraDato.range", Consequence.ROW),
        ("poHusstand.code", Consequence.VALUE),
        ("tjTimerUke.range", Consequence.NONE),
        ("structure.element", Consequence.MESSAGE),
    ],
)
def test_the_receiver_does_what_the_annotations_say(rule: str, consequence: Consequence) -> None:
    assert RULES[rule].consequence is consequence


def test_what_nobody_can_break_is_no_rule() -> None:
    assert not {"versjon.format", "iiKontakt.Navn.format", "diDiagKode.code"} & RULES.keys()


def test_the_schema_s_refusals_stop() -> None:
    structural = [rule for rule in RULES.values() if rule.id.startswith("structure.")]

    assert {rule.effect for rule in structural} == {Effect.STOP}
    assert {rule.consequence for rule in structural} == {Consequence.MESSAGE}

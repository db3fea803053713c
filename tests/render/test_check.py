"""A check's report as one object, field by field as docs/check.md has it."""

from __future__ import annotations

import json

from kpr_sender.render.check import check_json, check_screen
from tests.helpers.check_reports import BLANK, DOUBT, DROP, finding, report, year


def test_the_findings_of_a_rule_are_one_entry_with_its_first_places() -> None:
    told = check_json(report({DROP: 25, BLANK: 1}))

    dropped, blanked = told["findings"]
    assert (dropped["rule"], dropped["effect"], dropped["consequence"], dropped["count"]) == (DROP, "drop", "row", 25)
    assert (blanked["rule"], blanked["effect"], blanked["consequence"], blanked["count"]) == (BLANK, "warn", "value", 1)
    assert len(dropped["places"]) == 20
    assert dropped["places"][0] == {
        "file": "KPR_IPL",
        "line": 100,
        "path": "PERSON 17 / TJENESTE 3",
        "said": "Case 0.",
    }
    assert told["counts"] == {"stop": 0, "drop": 25, "warn": 1, "note": 0}
    assert told["verdict"] == "25 rows would be dropped, 1 value blanked."


def test_what_drops_nothing_and_must_be_accepted_is_no_dropped_row() -> None:
    lines = list(check_screen(report({DROP: 2, DOUBT: 1}), names=("a", "b"), rules="2024", page=None, everything=False))

    assert lines[0] == "2 rows would be dropped, 1 finding must be accepted."
    assert [line.split()[0] for line in lines if line.endswith("]")] == ["DROPPED", "ACCEPT"]
    assert "    kpr-send send --accept-findings 3" in lines


def test_the_figures_are_this_years() -> None:
    told = check_json(report(this=year({"15": 12, "": 1}, without=2)))["figures"]

    assert (told["year"], told["persons"], told["persons_without_service"], told["idents"]) == (2024, 15, 2, 15)
    assert (told["services"], told["refused"], told["hours"], told["starts"]) == (13, 0, 45.5, [2] + [1] * 11)
    assert [(each["type"], each["name"], each["users"], each["hours"]) for each in told["types"]] == [
        ("15", "Helsetjenester i hjemmet", 12, 42.0),
        ("", "", 1, 3.5),
    ]


def test_the_comparison_is_there_where_last_years_file_was() -> None:
    assert check_json(report())["comparison"] is None

    told = check_json(report(this=year({"15": 30, "6": 2}), last=year({"15": 40}, of=2023)))["comparison"]

    assert told["last_year"]["year"] == 2023
    assert told["persons"] == {"last": 40, "this": 32, "percent": -20.0}
    assert [(each["type"], each["users"]) for each in told["types"]] == [
        ("6", {"last": 0, "this": 2, "percent": None}),
        ("15", {"last": 40, "this": 30, "percent": -25.0}),
    ]


def test_it_is_json_whatever_was_found() -> None:
    made = report({DROP: 1}, last=year({"3": 1}, of=2023), findings=(finding("melding.period", line=0, path=""),))

    assert json.loads(json.dumps(check_json(made))) == check_json(made)

"""Each requirement has one line with a verdict, and either a test that proves it or the reason why there is none."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from tests.ebxml.test_answers_rules import MAIL_ROWS, XML_ROWS
from tests.ebxml.test_mail_rules import JSON_RULES, MAIL_RULES, XML_RULES
from tests.helpers.repository import ROOT

_PAGE: Final = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
_ROWS: Final = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in _PAGE.splitlines()
    if re.match(r"\| \d+ \|", line)
]
_VERDICTS: Final = {"conforms", "**deviates**", "not covered", "unknown"}
_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_requirement_stands_there_once_in_order() -> None:
    assert [int(row[0].strip("| ")) for row in _ROWS] == list(range(1, 119))
    assert {len(row) for row in _ROWS} == {6}


def test_what_conforms_names_a_test_and_what_does_not_says_why() -> None:
    for row in _ROWS:
        number, verdict, why = row[0], row[4], row[5].rstrip(" |")
        assert verdict in _VERDICTS, number
        reason = _TEST.sub("", why).strip(" ,.")
        assert _TEST.search(why) if verdict == "conforms" and "Not our case" not in why else reason, number


def test_every_test_that_it_names_is_in_its_file() -> None:
    for path, name in _TEST.findall(_PAGE):
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"


def test_its_sum_is_of_its_rows() -> None:
    counts = Counter(row[4] for row in _ROWS)

    said = re.search(r"Of 118 requirements (\d+) conform, (\d+) deviate, (\d+) are not covered and of (\d+)", _PAGE)

    assert said is not None
    assert [int(number) for number in said.groups()] == [
        counts[verdict] for verdict in ("conforms", "**deviates**", "not covered", "unknown")
    ]


_RULES: Final = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in _PAGE.splitlines()
    if re.match(r"\| rule \d", line)
]


def test_every_numbered_rule_of_hits_1172_stands_there_once() -> None:
    numbers = [row[0].removeprefix("| ").split()[1] for row in _RULES]
    assert (
        len(numbers) == len(set(numbers)) == 126 + 7
    )  # 54 and 259 are two rules each; seven paragraphs have no number
    assert {len(row) for row in _RULES} == {5}
    known = {int(re.sub(r"\D", "", one)) for one in numbers if "." not in one}
    assert len(known) == 124
    assert known <= {*range(2, 124), *range(250, 275), 279, 363}


def test_a_rule_that_conforms_names_a_test_and_one_that_does_not_says_why() -> None:
    for number, _, _, verdict, why in _RULES:
        assert verdict in _VERDICTS, number
        assert _TEST.search(why) if verdict == "conforms" else _TEST.sub("", why).strip(" ,.|"), number


def test_a_rule_that_is_tried_on_messages_stands_there() -> None:
    tried = {*MAIL_RULES, *XML_RULES, *JSON_RULES, *(row[0] for row in (*MAIL_ROWS, *XML_ROWS))}
    conform = {row[0].split()[-1]: row[4] for row in _RULES if row[3] != "not covered"}
    assert tried - {*conform} == set()
    assert {number for number in tried & {*conform} if "tests/ebxml/" not in conform[number]} == set()


def test_the_sum_of_rules_is_of_their_rows() -> None:
    counts = Counter(row[3] for row in _RULES)
    said = re.search(r"Of 133 rules (\d+) conform, (\d+) deviate, (\d+) are not covered and of (\d+)", _PAGE)
    assert said is not None
    assert [int(number) for number in said.groups()] == [
        counts[verdict] for verdict in ("conforms", "**deviates**", "not covered", "unknown")
    ]

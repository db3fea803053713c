"""G6, of the library: ten thousand national ids in the inputs, none in a report, its page or an error of a check."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kpr_sender.errors import KprError
from kpr_sender.model import Environment, Language
from kpr_sender.preflight import check
from kpr_sender.render.check_page import check_page
from kpr_sender.render.language import speaking
from tests.helpers.figures import figure
from tests.helpers.planted_ids import IDS, YEAR, Pair, found_in, ids, planted

MADE_AT = datetime(2025, 1, 6, 9, 15, tzinfo=UTC)


def _said(pair: Pair, wanted: frozenset[str]) -> Iterator[str]:
    """Yield everything that a check says: each finding, the figures, an error with all that led to it."""
    # In production more rules apply; elsewhere last year's file, which is read in the same way.
    for environment, compared in ((Environment.PRODUKSJON, None), (Environment.LOKAL, [pair.of_last_year().encode()])):
        try:
            report = check(
                [pair.fagmelding.encode()],
                [pair.identmelding.encode()],
                YEAR,
                environment=environment,
                is_test_person=wanted.__contains__,
                last_year=compared,
            )
        except KprError as error:
            yield "".join(traceback.format_exception(error))
            continue
        yield from map(repr, report.findings)
        yield repr((report.counts, report.statistics, report.comparison))
        yield f"{report.refusal!r} {report.refusal}"
        if compared:  # the one that has everything in it
            with speaking(Language.NB):
                yield check_page(report, made_at=MADE_AT, names=("fagmelding.xml", "identmelding.xml"))


def test_none_of_ten_thousand_ids_in_the_inputs_is_in_a_report(tmp_path: Path) -> None:
    numbers = ids()
    wanted = frozenset(numbers)
    texts = 0
    leaks = []
    for name, pair in planted(tmp_path, numbers):
        for text in _said(pair, wanted):
            texts += 1
            if found_in(text, wanted):
                leaks.append(name)  # where, not which

    figure("national ids looked for in every finding", ids=IDS, texts=texts, leaked=len(leaks))
    assert leaks == []

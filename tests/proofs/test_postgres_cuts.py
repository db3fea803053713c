"""G1, G2: whatever statement of a submission's life the database breaks at, nothing is lost and nothing is sent twice.

A statement's connection is cut before it or before its answer, the lease's session is ended, the server ends what was
idle, or refuses it. What each run says must be what the database holds. In every run of the suite the journal's calls
are broken several times in a life, and the real engine at some statements; nightly that at every one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any, Final

import psycopg
import pytest

from tests.helpers.figures import figure
from tests.helpers.nightly import stride
from tests.helpers.postgres import Database
from tests.helpers.stage import Stage, stage, strike
from tests.proofs.postgres_life import AtDesk, Break, Counts, OnStage, Scene, World, break_at, keys_loaded, statements

_CASES: Final = {Break.BEFORE: 9, Break.AFTER: 8, Break.LEASE: 5, Break.IDLE: 4, Break.REFUSED: 2}
"""Of each scene, of the journal's calls, in each run of the suite."""
_MOST_IN_A_LIFE: Final = 6
_OF_THE_ENGINE: Final = 2
_FIGURES: Final = {
    Break.REFUSED: ("PostgreSQL: statement refused, serialization failure", "refused"),
}
_CUT: Final = ("PostgreSQL: connection cut at a statement", "cuts")
_PARTS: Final = 4  # no test may take five minutes


@pytest.fixture(scope="module")
def on() -> Iterator[Stage]:
    made = stage()
    with keys_loaded(made):
        yield made
    strike(made)


@pytest.fixture
def boss(postgres: Database) -> Iterator[psycopg.Connection[Any]]:
    """One for all cases: each connection takes longer than most statements."""
    with postgres.boss() as connection:
        yield connection


_numbers: Final = itertools.count(1)


def _new(database: Database) -> Database:
    """Return a journal of its own in the database."""
    return replace(database, queue=f"{database.queue}-{next(_numbers)}")


def _judge(how: Break, counts: Counts) -> None:
    name, broken = _FIGURES.get(how, _CUT)
    figure(name, **counts.figures(broken))
    assert not counts.wrong, "\n".join(counts.wrong)
    assert (counts.lost, counts.duplicated) == (0, 0)


@pytest.mark.parametrize("how", Break, ids=lambda how: how.name.lower())
@pytest.mark.parametrize("scene", Scene, ids=lambda scene: scene.name.lower())
def test_broken_again_and_again_nothing_is_lost_and_nothing_sent_twice(
    postgres: Database, boss: psycopg.Connection[Any], scene: Scene, how: Break
) -> None:
    """One statement of each of the first runs."""
    last = _last(AtDesk(scene), scene, postgres, boss)
    random, counts = Random(f"{scene} {how}"), Counts()
    while counts.broken < _CASES[how]:
        numbers = [1 + int(last * random.random() ** 2) for _ in range(_MOST_IN_A_LIFE)]
        break_at(AtDesk(scene), _new(postgres), boss, how, numbers, counts)
    _judge(how, counts)


@pytest.mark.parametrize("how", Break, ids=lambda how: how.name.lower())
def test_the_engine_broken_at_some_statements_loses_nothing_and_sends_nothing_twice(
    on: Stage, postgres: Database, boss: psycopg.Connection[Any], how: Break
) -> None:
    last, counts = _last(OnStage(on, Scene.DELIVERED), Scene.DELIVERED, postgres, boss), Counts()
    place = list(Break).index(how) + 1
    for number in range(last * place // 6 // _OF_THE_ENGINE, last, last // _OF_THE_ENGINE):
        break_at(OnStage(on, Scene.DELIVERED), _new(postgres), boss, how, [number], counts)
    _judge(how, counts)
    assert counts.broken, "it came to that"


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("how", Break, ids=lambda how: how.name.lower())
@pytest.mark.parametrize("scene", Scene, ids=lambda scene: scene.name.lower())
def test_the_engine_broken_at_every_statement_loses_nothing_and_sends_nothing_twice(
    on: Stage, postgres: Database, boss: psycopg.Connection[Any], scene: Scene, how: Break, part: int
) -> None:
    """Cut at each in one of the ways, by turns, and refused at every fifth: in each of them it would be some hours."""
    last, counts = _last(OnStage(on, scene), scene, postgres, boss), Counts()
    cuts: list[Break] = [each for each in Break if each is not Break.REFUSED]
    ways = cuts if how in cuts else list(Break)
    place = ways.index(how)
    this_night = range(1 + place, last + 1, len(ways))[place % stride() :: stride()]
    for number in this_night[part::_PARTS]:
        break_at(OnStage(on, scene), _new(postgres), boss, how, [number], counts)
    _judge(how, counts)


_known: Final[dict[tuple[type[World], Scene], int]] = {}


def _last(made: World, scene: Scene, postgres: Database, boss: psycopg.Connection[Any]) -> int:
    """Return how many statements an undisturbed life has; learnt once."""
    if (type(made), scene) not in _known:
        _known[type(made), scene] = statements(made, _new(postgres), boss)
    return _known[type(made), scene]

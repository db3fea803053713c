"""The model of lease, fence, bus, FHI and a person (docs/model.md): its rules are the product's, and spin explores it.

``tests/proofs/lease/`` has it in Promela. At night spin visits every state that it can be in, within the bounds below;
each rule that is broken on purpose must be found, and each exception of docs/guarantees.md must be real.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from kpr_sender import states
from kpr_sender.states import Cause, Lifecycle, Reaction, Recorded, Row, ShipmentState, Trigger
from tests.helpers.figures import figure
from tests.helpers.repository import ROOT

NO_SPIN: Final = "no spin here"
"""Begins as tests/conftest.py knows it, which sees to it that the run says so aloud."""

MODEL: Final = ROOT / "tests" / "proofs" / "lease"
_TABLE: Final = (MODEL / "states.pml").read_text("utf-8")
_ROWS: Final = {
    "needs a person": "SEALED_NEEDS_PERSON",
    "settled by a person": "PUBLISHED_SETTLED",
    "the bus never had it": "CANCELLED_NEVER_THERE",
}
_RECORDED: Final = {
    (Cause.PUBLISH_BEGINS, Cause.NO_OUTCOME): "TAKEN_AS_SENT",
    (Cause.PERSON_CANCELS,): "TAKEN_AS_CANCELLED",
}

_BY_MAIL: Final = frozenset({Cause.ACKNOWLEDGED, Cause.MESSAGE_ERROR, Cause.BOUNCED, Cause.SIGNAL_NOTED})
"""What only a mail can say (docs/edi.md): the model's bus is Tjenestebuss."""

# Bounds: faults in all, words by which a person lets the content go again, answers of FHI's, failovers.
EXPLORED: Final = {
    "faults": (2, 1, 1, 0),
    "faults and a failover": (1, 1, 0, 1),
    "answers and a failover": (0, 1, 1, 1),
}
DOUBLED: Final = "copies<=allowed"
_LITTLE: Final = (1, 1, 0, 0)
_A_FAILOVER: Final = (0, 1, 0, 1)
# What breaks one rule: the bounds in which spin finds it, and what it finds.
BROKEN: Final = {
    "NO_FENCE": (_LITTLE, ""),
    "NO_MONOTONIC_CHECK": (_LITTLE, DOUBLED),
    "NOT_ARRIVED_TOO_EARLY": (_LITTLE, DOUBLED),
    "RECOVERS_AS_NOT_SENT": (_LITTLE, DOUBLED),
    "NO_TIMELINE": (_A_FAILOVER, DOUBLED),
    "NO_WAIT_AFTER_FAILOVER": (_A_FAILOVER, DOUBLED),
    "RECONNECTS": (_A_FAILOVER, DOUBLED),
}
# What remains, each as docs/guarantees.md has it: spin finds that it is real.
REMAINS: Final = {
    "NO_STOP_EXCUSES": _LITTLE,
    "NO_DOUBT_EXCUSES": _LITTLE,
    "SNAPSHOT": _A_FAILOVER,
    "OLD_PRIMARY_GOES_ON": _A_FAILOVER,
    "BUS_WAITS_LONGER": _LITTLE,
}


def test_every_cell_of_the_model_s_table_is_the_product_s() -> None:
    named: list[tuple[str, Row]] = [(state.name, row) for state, row in states.TABLE.items()]
    named += [(_ROWS[one.name], one.row) for one in states.VARIANTS if one.name in _ROWS]
    named += [("EARLIER", states.EARLIER)]
    rows = {name: _without_mail(row) for name, row in named}
    for one in states.VARIANTS:
        if one.name not in _ROWS:  # made by mails alone: without them it is a row like another
            assert _without_mail(one.row) in rows.values(), one.name
    product = {(name, cause.name, _cell(cell)) for name, cells in rows.items() for cause, cell in cells.items()}
    cells = re.findall(r"^ *CELL\((\w+), (\w+), (\w+)\)$", _TABLE, re.MULTILINE)
    assert set(cells) == product
    assert len(cells) == len(product), "a cell twice"


def test_what_the_model_lets_go_and_hands_over_is_what_the_product_does() -> None:
    for macro, of_product in (
        ("LETS_GO", {cause for cause, brings in states.SIDE_EFFECTS.items() if brings.lets_go}),
        ("HANDS_OVER", {cause for cause, brings in states.SIDE_EFFECTS.items() if brings.hands_over}),
    ):
        defined = re.search(rf"^#define {macro}\(c\) (.*)$", _TABLE, re.MULTILINE)
        assert defined
        assert set(re.findall(r"c == (\w+)", defined[1])) == {cause.name for cause in of_product - _BY_MAIL}


def test_every_switch_of_the_model_is_tried() -> None:
    """And none is tried that the model does not have: spin would find nothing, and the proof would be of nothing."""
    text = (MODEL / "lease.pml").read_text("utf-8")
    bounds = {"FAULTS", "WORDS", "ANSWERS", "FAILOVERS"}
    asked_for = set(re.findall(r"^#ifn?def (\w+)", text, re.MULTILINE)) | set(re.findall(r"defined\((\w+)\)", text))
    assert asked_for - bounds == BROKEN.keys() | REMAINS.keys()


@pytest.mark.nightly
@pytest.mark.parametrize("name", EXPLORED)
def test_g1_g2_nothing_goes_twice_without_a_word_and_every_state_has_a_way_on(name: str, tmp_path: Path) -> None:
    said = _explored(tmp_path, EXPLORED[name])
    assert "errors: 0" in said
    visited = re.search(r"(\S+) states, stored", said)
    assert visited
    changes = [int(one, 16) for one in re.findall(r"^change (\w+)$", said, re.MULTILINE)]
    for change in changes:
        _require_the_product_s(change)
    assert len(changes) > 20
    figure(
        f"model of the lease: {name}", states=int(float(visited[1])), changes=len(changes), duplicated=0, dead_ends=0
    )


@pytest.mark.nightly
@pytest.mark.parametrize("broken", BROKEN)
def test_g1_a_rule_that_is_broken_is_found(broken: str, tmp_path: Path) -> None:
    bounds, what = BROKEN[broken]
    said = _explored(tmp_path, bounds, broken)
    assert "errors: 1" in said
    assert what in said
    figure("model of the lease: rules broken and found", found=1)


@pytest.mark.nightly
@pytest.mark.parametrize("remains", REMAINS)
def test_what_is_said_to_remain_is_real(remains: str, tmp_path: Path) -> None:
    assert DOUBLED in _explored(tmp_path, REMAINS[remains], remains)


def _without_mail(row: Row) -> Row:
    """Leave out what only mails do, and what waits sealed anew to go by mail."""
    other_way = (Cause.PERSON_RESENDS, ShipmentState.SEALED)
    waits = Cause.PUBLISH_BEGINS in row
    return {
        cause: cell
        for cause, cell in row.items()
        if cause not in _BY_MAIL and not (waits and (cause, cell) == other_way)
    }


def _cell(cell: ShipmentState | Reaction | tuple[Recorded, ...]) -> str:
    if isinstance(cell, tuple):
        return _RECORDED[tuple(one.cause for one in cell)]
    # What it contradicts is said in other words; what it does is the same.
    names: dict[ShipmentState | Reaction, str] = {
        Reaction.EARLIER: "OF_EARLIER",
        Reaction.CONTRADICTS_EARLIER: Reaction.CONTRADICTS.name,
    }
    return names.get(cell, cell.name)


def _explored(folder: Path, bounds: tuple[int, int, int, int], *broken: str) -> str:
    """Return what spin's verifier says of the model with these bounds, where some of its rules are broken."""
    if shutil.which("spin") is None or shutil.which("gcc") is None:
        pytest.skip(f"{NO_SPIN}: apt-get install spin gcc")
    for file in MODEL.glob("*.pml"):
        shutil.copy(file, folder)
    given = [
        f"-D{name}={bound}" for name, bound in zip(("FAULTS", "WORDS", "ANSWERS", "FAILOVERS"), bounds, strict=True)
    ]
    flags = [*given, *(f"-D{one}" for one in broken)]
    subprocess.run(["spin", "-a", *flags, "lease.pml"], cwd=folder, check=True, capture_output=True)
    # The compiler's own optimizing takes longer than a small search.
    how = "-O0" if broken else "-O1"
    compiled = ["gcc", how, "-w", "-DSAFETY", "-DNOREDUCE", "-DCOLLAPSE", "-DMEMLIM=4000", "-o", "pan", "pan.c"]
    subprocess.run(compiled, cwd=folder, check=True, capture_output=True)
    ran = subprocess.run(["./pan", "-m100000"], cwd=folder, capture_output=True, text=True, check=False)
    assert "max search depth too small" not in ran.stdout
    assert "memory" not in ran.stdout.partition("(Spin Version")[0], "it ran out of memory"
    return ran.stdout


def _require_the_product_s(change: int) -> None:
    """Let the product make the same change of the same shipment: state, marks and what waits, all of it."""
    before, after = _life(change & 0xFFFF), _life(change >> 16 & 0xFFFF)
    cause = Cause[_numbers("CAUSES")[change >> 32 & 0xFF]]
    trigger = Trigger(cause, datetime(2026, 1, 1, tzinfo=UTC), why="why", who="kari", earlier=bool(change >> 40 & 1))
    made = states.apply(before, trigger).after
    assert _compared(made) == _compared(after), (before, cause, trigger.earlier)


def _life(packed: int) -> Lifecycle:
    early = packed >> 8 & 0xFF
    return Lifecycle(
        state=ShipmentState[_numbers("ROWS")[packed & 0xF]],
        needs_person=bool(packed >> 4 & 1),
        settled=bool(packed >> 5 & 1),
        alarm="somebody else's" if packed >> 6 & 1 else "",
        handed_over=bool(packed >> 7 & 1),
        early_answer=Cause[_numbers("CAUSES")[early]] if early else None,
    )


def _compared(life: Lifecycle) -> tuple[object, ...]:
    return (
        life.state, life.needs_person, life.settled, bool(life.alarm), life.handed_over, life.early_answer
    )  # fmt: skip


def _numbers(until: str) -> Mapping[int, str]:
    """Return the names of the model's numbers, of the list that ends with a name."""
    listed: dict[int, str] = {}
    for name, number in re.findall(r"^#define (\w+) (\d+)", _TABLE, re.MULTILINE):
        if name == until:
            return listed
        if int(number) == 1:
            listed = {}
        listed[int(number)] = name
    raise AssertionError(until)

"""Pictures of figures: where each bar, line and word of one stands. The templates draw them as SVG.

Drawn for the width of a telephone, and enlarged from there, so that what is written in them can be read at any width.
This year's bars are filled and last year's are outlined: nothing is said by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 320
_LABEL: Final = 12  # from a row's top to the foot of its words
_UNDER: Final = 4  # from there to its first bar
_BAR: Final = 8.5
_GAP: Final = 1
_PADDING: Final = 8
_VALUE: Final = 46  # right of the longest bar, for its number
_LEAST: Final = 1.5  # anything at all shows as this much

_LONGEST: Final = 48  # characters of a label

_PLOT_LEFT: Final = 34
_PLOT_TOP: Final = 14
_PLOT_HEIGHT: Final = 130
_FOOT: Final = 20


@dataclass(frozen=True, slots=True)
class ChartBar:
    """One bar: its place, its number, and what it is (``this``, ``last``, or what its colour goes by)."""

    kind: str
    value: float
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class ChartRow:
    """Words with the bars under them, or over them in a chart of columns."""

    label: str
    x: float
    y: float
    bars: tuple[ChartBar, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture.

    Attributes:
        height: Of ``WIDTH`` units.
        rows: With everything in them that is to be drawn.
        marks: Heights with their numbers, in a chart of columns; empty else.
    """

    height: float
    rows: tuple[ChartRow, ...]
    marks: tuple[tuple[float, float], ...] = ()
    width: int = WIDTH


def bars(rows: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> Chart:
    """Return a chart of lying bars.

    Args:
        rows: Words, and the bars under them: what each is, and how much.
    """
    most = max((value for _, values in rows for _, value in values), default=0)
    placed, top = [], 0.0
    for label, values in rows:
        made = tuple(
            ChartBar(
                kind, value, 0, top + _LABEL + _UNDER + at * (_BAR + _GAP), _length(value, most, WIDTH - _VALUE), _BAR
            )
            for at, (kind, value) in enumerate(values)
        )
        placed.append(ChartRow(_short(label), 0, top + _LABEL, made))
        top += _LABEL + _UNDER + len(values) * (_BAR + _GAP) + _PADDING
    return Chart(max(top, 1), tuple(placed))


def columns(rows: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> Chart:
    """Return a chart of standing bars, with lines to read them by.

    Args:
        rows: Words, and the bars over them: what each is, and how much.
    """
    most = _scale(max((value for _, values in rows for _, value in values), default=0))
    step = (WIDTH - _PLOT_LEFT) / max(len(rows), 1)
    foot = _PLOT_TOP + _PLOT_HEIGHT
    placed = []
    for number, (label, values) in enumerate(rows):
        left = _PLOT_LEFT + number * step
        width = min((step - 5) / len(values), 16)
        first = left + (step - width * len(values)) / 2
        made = []
        for at, (kind, value) in enumerate(values):
            height = _length(value, most, _PLOT_HEIGHT)
            made.append(ChartBar(kind, value, first + at * width, foot - height, width - _GAP, height))
        placed.append(ChartRow(label, left + step / 2, foot + _LABEL, tuple(made)))
    marks = tuple((foot - share * _PLOT_HEIGHT, share * most) for share in ((0, 0.5, 1) if most else (0,)))
    return Chart(foot + _FOOT, tuple(placed), marks)


def _length(value: float, most: float, longest: float) -> float:
    return max(value / most * longest, _LEAST) if value else 0.0


def _scale(most: float) -> float:
    """Return the next round number whose half is one, too: what an axis ends with."""
    if not most:
        return 0
    power = max(10.0 ** (len(f"{most:.0f}") - 1), 10.0)
    return next(
        step * power for step in (0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10) if step * power >= most
    )


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1].rstrip()}…"

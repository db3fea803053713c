"""``python -m bench [--pairs N] [NAME ...]``: measure ours beside theirs, print a table, write bench.json."""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Final

from bench.cases import checking, fleet, fleet_send, flood, page, protection, sending, size, start
from bench.measure import ROOT, Case, Sample, Unavailable

_CASES: Final = {case.name: case for module in (protection, sending, checking, start) for case in module.CASES}
_COUNTED: Final = (size, flood, fleet, fleet_send, page)
_COUNTS: Final = {count.name: count for module in _COUNTED for count in module.COUNTS}
_FEWEST_PAIRS: Final = 5
_ROW: Final = "{:<24} {:>6} {:>7} {:>9} {:>9} {:>9} {:>9}  {}"


def main() -> None:
    """Run the cases named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--pairs", type=int, default=_FEWEST_PAIRS, help="alternating runs of each side; medians count")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", choices=[[], *_CASES, *_COUNTS], help=", ".join((*_CASES, *_COUNTS))
    )
    arguments = parser.parse_args()
    print(_ROW.format("", "ratio", "aim", "ours s", "theirs s", "ours MB", "theirs MB", ""))
    results: dict[str, dict[str, float]] = {}
    for name in arguments.names or (*_COUNTS, *_CASES):
        if name in _COUNTS:
            counted = _COUNTS[name]
            try:
                results[name] = {"count": round(counted.count(), 2)}
            except Unavailable as missing:
                print(f"NOT MEASURED: {name}. {missing}")
                continue
            print(_ROW.format(name, results[name]["count"], counted.aim, *[""] * 4, counted.what), flush=True)
            continue
        try:
            figures = _measure(_CASES[name], max(arguments.pairs, _FEWEST_PAIRS))
        except Unavailable as missing:
            print(f"NOT MEASURED: {name}. {missing}")
            continue
        results[name] = figures
        cells = [f"{value:.3f}" if key.endswith("_s") else f"{value:.1f}" for key, value in figures.items()][1:]
        print(_ROW.format(name, f"{figures['ratio']:.2f}", _CASES[name].aim, *cells, _CASES[name].what), flush=True)
    (ROOT / "bench.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _measure(case: Case, pairs: int) -> dict[str, float]:
    ours: list[Sample] = []
    theirs: list[Sample] = []
    with case.sides() as (run_ours, run_theirs):
        for _ in range(pairs):
            ours.append(run_ours())
            theirs.append(run_theirs())
    seconds = [statistics.median(sample.seconds for sample in side) for side in (ours, theirs)]
    peaks = [statistics.median(sample.peak_mb for sample in side) for side in (ours, theirs)]
    return {
        "ratio": round(seconds[0] / seconds[1], 3),
        "ours_s": round(seconds[0], 4),
        "theirs_s": round(seconds[1], 4),
        "ours_peak_mb": round(peaks[0], 1),
        "theirs_peak_mb": round(peaks[1], 1),
    }


if __name__ == "__main__":
    main()

"""Checking a pair against every rule: beside lxml, which reads the fagmelding and validates it, and at growing sizes.

Every side is a process of its own. The first case measures whole processes. The others divide the seconds beyond those
of a pair with one person by the fagmelding's MB, so that a check whose time grows with the file has the ratio 1; their
memory is that of the whole process.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.measure import DATA, ROOT, Case, Run, Sample, Unavailable, pipeline, python

_BYTES_PER_MB: Final = 1_000_000


def _data() -> dict[str, str]:
    """Make the pairs; return where the official schema is, or what is missing."""
    told = subprocess.run(python("bench.check_data"), check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    found: dict[str, str] = json.loads(told)
    return found


def _run(command: list[str]) -> Sample:
    nothing = Path(os.devnull)
    return pipeline([command], nothing, nothing)


def _check(size: str) -> Sample:
    return _run(python("bench.check_pair", DATA / f"check-{size}"))


@contextmanager
def _beside_lxml() -> Iterator[tuple[Run, Run]]:
    found = _data()
    if "missing" in found:
        raise Unavailable(found["missing"])
    theirs = python("bench.check_xsd", found["schema"], DATA / "check-20mb" / "fagmelding.xml")
    yield lambda: _check("20mb"), lambda: _run(theirs)


@contextmanager
def _growing(size: str) -> Iterator[tuple[Run, Run]]:
    _data()

    def per_mb(size: str) -> Run:
        megabytes = (DATA / f"check-{size}" / "fagmelding.xml").stat().st_size / _BYTES_PER_MB

        def run() -> Sample:
            start, whole = _check("start"), _check(size)
            return Sample(whole.above(start).seconds / megabytes, whole.peak_mb)

        return run

    yield per_mb(size), per_mb("20mb")


CASES: Final = (
    Case("check_vs_xsd", "pair of 20 MB, all rules; lxml parse + XSD, 80 MB at most", "2.0", _beside_lxml),
    Case("check_200mb_vs_20mb", "seconds a MB: 200 MB in 80 MB of memory; 20 MB", "1.0", lambda: _growing("200mb")),
)

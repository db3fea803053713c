"""Foreign bytes: whatever they are, a parser reads them or refuses them as it documents, and soon.

Samples are spoilt: bytes changed, taken out, put in, doubled, cut off, spliced with another sample's. In the suite some
hundred of each parser, always the same; in the night as many as half a minute gives, new ones each time.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Sequence
from typing import Final

import pytest

from tests.helpers.figures import figure
from tests.helpers.nightly import scaled
from tests.proofs.fuzz_parser import Target
from tests.proofs.fuzz_targets import NAMES, SLOWER, target

EXAMPLES: Final = 200
SECONDS: Final = 30
LONGEST: Final = 5_000  # milliseconds for one example
HANGING: Final = 60.0  # seconds, on a machine that does other things at night
# Lengths that no data has, indefinite ones, and the beginnings of what is refused.
WORDS: Final = (
    b"\x00", b"\xff", b"\x80", b"\x84\xff\xff\xff\xff", b"\x30\x80", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff",
    b"\xa0\x00", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<!--x-->", b"&b;", b"]]>", b"-----BEGIN A-----",
    b"\xef\xbb\xbf", b"\xc2\xa0",
)  # fmt: skip

KINDS: Final = ("change", "insert", "delete", "double", "cut", "splice")


def spoilt(samples: Sequence[bytes], number: int, edits: Sequence[tuple[str, int, int, bytes]]) -> bytes:
    """Return a sample with edits at places anywhere in it."""
    data = samples[number % len(samples)]
    for kind, place, length, word in edits:
        begin = place % (len(data) + 1)
        end = min(begin + length, len(data))
        other = samples[length % len(samples)]
        data = {
            "change": data[:begin] + word + data[begin + len(word) :],
            "insert": data[:begin] + word * (1 + length % 50) + data[begin:],
            "delete": data[:begin] + data[end:],
            "double": data[:end] + data[begin:],
            "cut": data[:begin],
            "splice": data[:begin] + other[place % (len(other) + 1) :],
        }[kind]
    return data


def read_spoilt(parser: Target, seed: int) -> None:
    """Spoil a sample and read it; fails for what is not documented, and for what takes too long."""
    data = drawn(parser.samples, random.Random(seed))
    try:
        worked, waited = seconds(parser, data)
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
    assert worked < LONGEST / 1_000, f"seed {seed}: too long"
    assert waited < HANGING, f"seed {seed}: too long"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_spoilt_is_read_or_refused_as_documented(name: str) -> None:
    with target(name) as parser:
        for sample in parser.samples:
            with contextlib.suppress(*parser.documented):
                parser.read(sample)
        examples = EXAMPLES // SLOWER.get(name, 1)
        for seed in range(examples):
            read_spoilt(parser, seed)
    figure("spoilt bytes read", **{name: examples})


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_what_is_spoilt_is_read_or_refused_all_night(name: str) -> None:
    began, examples = time.monotonic(), 0
    first = time.time_ns()
    with target(name) as parser:
        while time.monotonic() - began < scaled(SECONDS):
            read_spoilt(parser, first + examples)
            examples += 1
    figure("spoilt bytes read, all night", **{name: examples, "in_all": examples})


def seconds(parser: Target, data: bytes) -> tuple[float, float]:
    """Return how long it takes to read something, or to refuse it as documented: of the processor, and of the clock."""
    began, worked = time.monotonic(), time.process_time()
    with contextlib.suppress(*parser.documented):
        parser.read(data)
    return time.process_time() - worked, time.monotonic() - began


def drawn(samples: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a sample with some edits: hypothesis takes twenty times longer for it than most parsers to refuse it."""

    def word() -> bytes:
        return rng.choice(WORDS) if rng.random() < 0.5 else rng.randbytes(rng.randint(1, 8))

    return spoilt(
        samples,
        rng.randrange(len(samples)),
        [
            (rng.choice(KINDS), rng.randrange(2**20), rng.randrange(2 ** rng.choice((3, 12))), word())
            for _ in range(rng.randint(1, 6))
        ],
    )

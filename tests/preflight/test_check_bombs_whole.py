"""Files made to hurt, given to ``check`` whole: bounded time and memory, and a clear word or capped findings."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from kpr_sender.errors import InputRefused
from kpr_sender.model import Environment
from kpr_sender.preflight import CheckReport, check
from kpr_sender.preflight.model import STORED
from kpr_sender.sandbox.sample_errors_pair import PairChange, written
from tests.helpers.figures import figure
from tests.helpers.peak_memory import grown_mb

YEAR: Final = 2024
FAGMELDING, IDENTMELDING = (text.encode() for text in written(YEAR, [PairChange()]))
MEBI: Final = 1 << 20
PIECE: Final = 1 << 16  # as a file is read
MOST_MB: Final = 100  # beyond what the process has when it begins; a person at the limit takes most of it
MOST_SECONDS: Final = 40  # of CPU; the slowest of the suite's takes some four

PERSON_BEGINS: Final = FAGMELDING.index(b"<PERSON ")
PERSON_ENDS: Final = FAGMELDING.index(b"</PERSON>")
PATIENT: Final = IDENTMELDING.index(b"<PasientIdent ")

DEEP: Final = "nested more than 256 deep"
LONG: Final = "a tag or comment of more than"
LARGE: Final = "a record of more than"
DTD: Final = "document type declaration"

Pieces = Iterable[bytes]


@dataclass(frozen=True)
class Bomb:
    """What stands at one place of a right file, and what comes of it.

    Attributes:
        inside: What stands there, lazily.
        at: Where; before the person's end tag in the fagmelding, before the patient in the identmelding where not said.
        says: The word that the refusal must say; empty where there is none.
        finds: The rules that are broken.
        ends: Whether the rest of the file follows.
    """

    inside: Callable[[], Pieces]
    at: int
    says: str = ""
    finds: tuple[str, ...] = ()
    ends: bool = True


def white(mebibytes: int) -> Pieces:
    return itertools.repeat((b" " * 63 + b"\n") * (MEBI // 64), mebibytes)


def many(unit: bytes, count: int) -> Pieces:
    at_once = max(1, PIECE // len(unit))
    yield from itertools.repeat(unit * at_once, count // at_once)
    yield unit * (count % at_once)


def between(first: bytes, inside: Pieces, last: bytes) -> Pieces:
    yield first
    yield from inside
    yield last


def entities() -> bytes:
    nested = [b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 20)]
    return b'<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">' + b"".join(nested) + b"]>"


def in_both(at_root: int, in_record: int, begins: int, *, blank: int) -> dict[str, Bomb]:
    """What hurts any file: places between two records, in one, and before the root; so many MB of white space."""
    deep = 100_000
    return {
        "100 000 deep": Bomb(lambda: itertools.chain(many(b"<a>", deep), many(b"</a>", deep)), at_root, DEEP),
        "an attribute of 20 MB": Bomb(lambda: between(b"<a b='", many(b"1", 20_000_000), b"'/>"), at_root, LONG),
        "a million attributes": Bomb(
            lambda: between(b"<a", (b" a%d='1'" % n for n in range(1_000_000)), b"/>"), at_root, LONG
        ),
        "a comment of 20 MB": Bomb(lambda: between(b"<!--", many(b" ", 20_000_000), b"-->"), at_root, LONG),
        "a record's text of 20 MB": Bomb(lambda: between(b"<a>", many(b"x", 20_000_000), b"</a>"), at_root, LARGE),
        "a record of a million rows": Bomb(lambda: between(b"<a>", many(b"<b/>", 1_000_000), b"</a>"), at_root, LARGE),
        "100 000 names": Bomb(lambda: (b"<a%d/>" % n for n in range(100_000)), at_root, finds=("structure.element",)),
        "white space": Bomb(lambda: white(blank), at_root),
        "white space in a record": Bomb(lambda: between(b"<a>", white(blank), b"</a>"), at_root, LARGE),
        "text of 20 MB": Bomb(lambda: many(b"x", 20_000_000), at_root, finds=("structure.text",)),
        "entities within entities": Bomb(lambda: [entities()], begins, DTD),
        "an entity from a file": Bomb(
            lambda: [b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'], begins, DTD
        ),
        "an entity that nobody declared": Bomb(lambda: [b"&a;"], at_root, "undefined entity"),
        "an end in a tag": Bomb(lambda: [b'<a b="1"'], at_root, "not well-formed", ends=False),
        "an end in a record": Bomb(lambda: [b""], in_record, "not well-formed", ends=False),
        "an end between two": Bomb(lambda: [b""], at_root, "not well-formed", ends=False),
    }


def persons(count: int) -> Iterator[bytes]:
    """Persons with one wrong value each, a hundred at a time."""
    for first in range(20_000, 20_000 + count, 100):
        yield b"".join(
            b'<PERSON pePeID="%d"><peAlder>+1</peAlder></PERSON>\n' % pid for pid in range(first, first + 100)
        )


WRONG: Final = ("pair.no-ident", "peAlder.format", "person.no-service")

OF_FAGMELDING: Final[dict[str, Bomb]] = in_both(PERSON_BEGINS, PERSON_ENDS, FAGMELDING.index(b"<IPLOS"), blank=200) | {
    "100 000 deep in a person": Bomb(
        lambda: itertools.chain(many(b"<a>", 100_000), many(b"</a>", 100_000)), PERSON_ENDS, DEEP
    ),
    "100 000 deep as containers": Bomb(
        lambda: itertools.chain(many(b"<IPLOS>", 100_000), many(b"</IPLOS>", 100_000)), PERSON_BEGINS, DEEP
    ),
    "200 000 comments without an end": Bomb(lambda: many(b"<!--", 200_000), PERSON_BEGINS, "not well-formed"),
    "200 000 instructions without an end": Bomb(lambda: many(b"<?", 200_000), PERSON_BEGINS, "not well-formed"),
    "white space of 200 MB in a person": Bomb(lambda: white(200), PERSON_ENDS, LARGE),
    "a person of 20 MB": Bomb(
        lambda: many(b"<DIAGNOSE diPeID='10001' diDiID='2'/>\n", 20_000_000 // 38), PERSON_ENDS, LARGE
    ),
    "a head of 5 MB without a person": Bomb(
        lambda: many(b"<a>" + b"1" * 990 + b"</a>\n", 5_000), PERSON_BEGINS, "not well-formed", ends=False
    ),
    "a head of 5 MB before a person": Bomb(
        lambda: many(b"<a>" + b"1" * 990 + b"</a>\n", 5_000), PERSON_BEGINS, finds=("structure.element",)
    ),
    "30 000 persons with one wrong value each": Bomb(lambda: persons(30_000), PERSON_BEGINS, finds=WRONG),
}
OF_IDENTMELDING: Final[dict[str, Bomb]] = in_both(PATIENT, PATIENT + 20, IDENTMELDING.index(b"<Melding"), blank=50) | {
    "100 000 deep as containers": Bomb(
        lambda: itertools.chain(many(b"<Institusjon>", 100_000), many(b"</Institusjon>", 100_000)), PATIENT, DEEP
    ),
    "30 000 patients with one wrong value each": Bomb(
        lambda: (b'<PasientIdent pid="%d" fid="11111111111" typeID="1"/>\n' % pid for pid in range(20_000, 50_000)),
        PATIENT,
        finds=("ident.invalid", "pair.no-person", "pair.several-pids"),
    ),
}
NIGHTLY: Final[dict[str, Bomb]] = {
    "white space of 1 GB": Bomb(lambda: white(1024), PERSON_BEGINS),
    "line ends of 1 GB": Bomb(lambda: many(b"\n", 1 << 30), PERSON_BEGINS),
    "300 000 persons with one wrong value each": Bomb(lambda: persons(300_000), PERSON_BEGINS, finds=WRONG),
}


def whole(right: bytes, bomb: Bomb) -> Pieces:
    """Yield the file in pieces of the size that files are read in."""
    held = bytearray(right[: bomb.at])
    for piece in bomb.inside():
        held += piece
        while len(held) >= PIECE:
            yield bytes(held[:PIECE])
            del held[:PIECE]
    yield bytes(held)
    if bomb.ends:
        yield right[bomb.at :]


def answer(fagmelding: Pieces, identmelding: Pieces) -> CheckReport | InputRefused:
    try:
        return check(fagmelding, identmelding, YEAR, environment=Environment.LOKAL)
    except InputRefused as refused:
        return refused


def evaluate(
    fagmelding: Callable[[], Pieces], identmelding: Callable[[], Pieces], bomb: Bomb, *, seconds: float
) -> None:
    answers: list[CheckReport | InputRefused] = []
    begun = time.process_time()
    grown = grown_mb(lambda: answers.append(answer(fagmelding(), identmelding())))
    took = time.process_time() - begun
    said = answers[0]
    figure("bombs against the whole check", files=1)
    if isinstance(said, InputRefused):
        assert bomb.says, said.what
        assert bomb.says in said.what
    else:
        assert bomb.says == ""
        assert set(bomb.finds) == said.counts.keys()
        assert max(Counter(finding.rule for finding in said.findings).values(), default=0) <= STORED
    assert grown < MOST_MB
    assert took < seconds


@pytest.mark.parametrize("bomb", OF_FAGMELDING.values(), ids=OF_FAGMELDING)
def test_a_bomb_in_the_fagmelding_costs_little(bomb: Bomb) -> None:
    evaluate(lambda: whole(FAGMELDING, bomb), lambda: [IDENTMELDING], bomb, seconds=MOST_SECONDS)


@pytest.mark.parametrize("bomb", OF_IDENTMELDING.values(), ids=OF_IDENTMELDING)
def test_a_bomb_in_the_identmelding_costs_little(bomb: Bomb) -> None:
    evaluate(lambda: [FAGMELDING], lambda: whole(IDENTMELDING, bomb), bomb, seconds=MOST_SECONDS)


@pytest.mark.nightly
@pytest.mark.parametrize("bomb", NIGHTLY.values(), ids=NIGHTLY)
def test_a_bomb_of_a_gigabyte_costs_little(bomb: Bomb) -> None:
    evaluate(lambda: whole(FAGMELDING, bomb), lambda: [IDENTMELDING], bomb, seconds=10 * MOST_SECONDS)

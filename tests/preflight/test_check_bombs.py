"""Files made to hurt: bounded time and memory, and a clear word."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import pytest

from kpr_sender.preflight.catalogue.fields import iplos
from kpr_sender.preflight.header import Refusal
from tests.helpers.figures import figure
from tests.helpers.peak_memory import grown_mb
from tests.helpers.structure_judge import breaches
from tests.helpers.structure_samples import IPLOS

NAMESPACE: Final = "http://www.npr.no/xmlstds/iplos/2019"
HEAD: Final = IPLOS.replace(b"</PERSON>\n</IPLOS>", b"")  # up to the end of the first person's last row
TAIL: Final = b"</PERSON>\n</IPLOS>"
BEFORE: Final = HEAD[: HEAD.index(b"<PERSON")]
MEBI: Final = 1 << 20
MOST_MB: Final = 80  # beyond what the process has when it begins; a person at the limit takes most of it
MOST_SECONDS: Final = 30  # of CPU; the slowest takes some three


def _white(mebibytes: int) -> Iterator[bytes]:
    return itertools.repeat((b" " * 63 + b"\n") * (MEBI // 64), mebibytes)


def _many(unit: bytes, count: int) -> Iterator[bytes]:
    piece = unit * 1_000
    return itertools.repeat(piece, count // 1_000)


# What the file holds, lazily -> the word that must be said; None where the file is right.
BOMBS: Final[dict[str, tuple[Callable[[], Iterable[bytes]], str | None]]] = {
    "100 000 deep in a person": (
        lambda: itertools.chain([HEAD], _many(b"<a>", 100_000), _many(b"</a>", 100_000), [TAIL]),
        "nested more than 256 deep",
    ),
    "100 000 deep as containers": (
        lambda: itertools.chain([BEFORE], _many(b"<IPLOS>", 100_000), _many(b"</IPLOS>", 100_000), [b"</IPLOS>"]),
        "nested more than 256 deep",
    ),
    "an attribute of 20 MB": (
        lambda: itertools.chain([HEAD, b"<TJENESTE tjPeID='"], _many(b"1", 20_000_000), [b"'/>", TAIL]),
        "a tag or comment of more than",
    ),
    "a million attributes": (
        lambda: itertools.chain([HEAD, b"<TJENESTE"], (b" a%d='1'" % n for n in range(1_000_000)), [b"/>", TAIL]),
        "a tag or comment of more than",
    ),
    "a comment of 20 MB": (
        lambda: itertools.chain([HEAD, b"<!--"], _many(b" ", 20_000_000), [b"-->", TAIL]),
        "a tag or comment of more than",
    ),
    "a text of 20 MB": (
        lambda: itertools.chain([HEAD, b"<DIAGNOSE>"], _many(b"x", 20_000_000), [b"</DIAGNOSE>", TAIL]),
        "a record of more than",
    ),
    "a person of a million rows": (
        lambda: itertools.chain([HEAD], _many(b'<DOGNTILBUD dgPeID="1" dgDgID="1"/>', 1_000_000), [TAIL]),
        "a record of more than",
    ),
    "a million names": (
        lambda: itertools.chain([BEFORE], (b"<a%d/>" % n for n in range(100_000)), [b"</IPLOS>"]),
        "does not belong in IPLOS",
    ),
    "white space of 200 MB between persons": (
        lambda: itertools.chain([HEAD, b"</PERSON>"], _white(200), [b"</IPLOS>"]),
        None,
    ),
    "white space of 200 MB in a person": (
        lambda: itertools.chain([HEAD], _white(200), [TAIL]),
        "a record of more than",
    ),
    "text of 20 MB between persons": (
        lambda: itertools.chain([HEAD, b"</PERSON>"], _many(b"x", 20_000_000), [b"</IPLOS>"]),
        "IPLOS has text in it",
    ),
    "entities within entities": (
        lambda: [
            b'<!DOCTYPE IPLOS [<!ENTITY a "aaaaaaaaaa">',
            *(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 20)),
            b"]>",
            BEFORE,
            b"&a19;</IPLOS>",
        ],
        "document type declaration",
    ),
    "an entity from a file": (
        lambda: [b'<!DOCTYPE IPLOS [<!ENTITY a SYSTEM "file:///etc/hostname">]>', BEFORE, b"&a;</IPLOS>"],
        "document type declaration",
    ),
    "an entity that nobody declared": (lambda: [BEFORE, b"&a;</IPLOS>"], "undefined entity"),
    "a truncated file": (lambda: [HEAD, b'<TJENESTE tjPeID="1"'], "not well-formed"),
    "a file that ends in a record": (lambda: [HEAD], "not well-formed"),
}
NIGHTLY: Final[dict[str, tuple[Callable[[], Iterable[bytes]], str | None]]] = {
    "white space of 1 GB": (lambda: itertools.chain([HEAD, b"</PERSON>"], _white(1024), [b"</IPLOS>"]), None),
    "line ends of 1 GB": (
        lambda: itertools.chain([HEAD, b"</PERSON>"], _many(b"\n", 1 << 30), [b"</IPLOS>"]),
        None,
    ),
}


def _said(pieces: Iterable[bytes]) -> str | None:
    """Return what is said first of a file; it is read to its end all the same."""
    first: str | None = None
    try:
        for breach in breaches(pieces, iplos(), NAMESPACE):
            first = first or breach.message
    except Refusal as refusal:
        return refusal.what
    return first


def _check(make: Callable[[], Iterable[bytes]], says: str | None, *, seconds: float) -> None:
    said: list[str | None] = []
    begun = time.process_time()
    grown = grown_mb(lambda: said.append(_said(make())))
    took = time.process_time() - begun
    assert (said[0] is None) if says is None else (said[0] is not None and says in said[0])
    assert grown < MOST_MB
    assert took < seconds
    figure("bombs against the structure check", files=1)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_little_time_and_memory(name: str) -> None:
    _check(*BOMBS[name], seconds=MOST_SECONDS)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NIGHTLY)
def test_a_gigabyte_of_nothing_takes_no_memory(name: str) -> None:
    _check(*NIGHTLY[name], seconds=10 * MOST_SECONDS)

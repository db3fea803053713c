"""What is evaluated from memory is what structure and rules say of it, and counts what they count."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final

import pytest

from kpr_sender.errors import InputRefused
from kpr_sender.model import Environment
from kpr_sender.preflight import CheckReport, check
from kpr_sender.preflight.persons import Persons
from kpr_sender.sandbox.sample import write_pair
from tests.helpers.figures import figure
from tests.helpers.nightly import scaled
from tests.helpers.structure_mutations import documents

FILES: Final = 600
NIGHTLY: Final = 10_000
PARTS_NIGHTLY: Final = 10

CheckVerdict = tuple[object, ...]

TEXTS: Final = (
    *("", " ", "0", "1", "01", " 1", "1 ", "7", "13", "15", "99", "x", "20240101", "20240231", "20250601", "99991231"),
    *("1.5", "168.1", "32768", "12345678901", "\u0663", "\u00e6", "a]]>b", "a>b", 'a"b', "&#49;", "\t1", "1\r", "\x0b"),
)
BITS: Final = (
    *(" ", "\n", "\r\n", "x", ">", "<", '"', "/", "&", "\x00", "\x01", "\x0c", "\ufffe", "<x/>", "</PERSON>", "]]>"),
    *("<!-- -->", "<!--</PERSON>-->", "<?a?>", "<![CDATA[1]]>", "<FUNKSJON ", "</FUNKSJON>", "<TJENESTE ", "="),
)


def _value(text: str, random: Random) -> str:
    at = random.choice(list(re.finditer(">([^<>]*)</", text)))
    return text[: at.start(1)] + random.choice(TEXTS) + text[at.end(1) :]


def _attribute(text: str, random: Random) -> str:
    at = random.choice(list(re.finditer('="([^"]*)"', text)))
    return text[: at.start(1)] + random.choice(TEXTS) + text[at.end(1) :]


def _bit(text: str, random: Random) -> str:
    at = random.randrange(text.index("<PERSON"), len(text))
    return text[:at] + random.choice(BITS) + text[at + random.randint(0, 2) :]


def _between(text: str, random: Random) -> str:
    at = random.choice([found.start() for found in re.finditer("<", text)])
    return text[:at] + random.choice(BITS) + text[at:]


def _row(text: str, random: Random) -> re.Match[str]:
    rows = r"<(PERSONOPPL|FUNKSJON|TJENESTE|DIAGNOSE|DOGNTILBUD) .*?</\1>\s*|<([a-z]\w+)>[^<]*</\2>\s*"
    return random.choice(list(re.finditer(rows, text, re.DOTALL)))


def _drop(text: str, random: Random) -> str:
    row = _row(text, random)
    return text[: row.start()] + text[row.end() :]


def _repeat(text: str, random: Random) -> str:
    row = _row(text, random)
    return text[: row.start()] + row[0] + text[row.start() :]


def _move(text: str, random: Random) -> str:
    row, other = _row(text, random), _row(text, random)
    rest = text[: row.start()] + text[row.end() :]
    at = min(other.start(), len(rest))
    return rest[:at] + row[0] + rest[at:]


def _piece(text: str, random: Random) -> str:
    """One of the pieces that a file is cut into, in the place of another."""
    pieces = re.split('([<>"])', text[text.index("<PERSON") :])
    one, other = random.sample(range(len(pieces)), 2)
    pieces[one] = pieces[other]
    return text[: text.index("<PERSON")] + "".join(pieces)


def _name(text: str, random: Random) -> str:
    """One start or end tag's name in the place of another's, the like one of the same row most often."""
    tags = list(re.finditer(r"</?([A-Za-z]+)[ >]", text))
    number = random.randrange(len(tags) - 12)
    one, other = tags[number], tags[number + random.randint(1, 12)]
    return text[: one.start(1)] + other[1] + text[one.end(1) :]


def _pretty(text: str, _: Random) -> str:
    return text.replace("><", ">\n  <")


def _crlf(text: str, _: Random) -> str:
    return text.replace("\n", "\r\n")


MUTATIONS: Final[Sequence[Callable[[str, Random], str]]] = (
    *(
        _value,
        _value,
        _value,
        _attribute,
        _attribute,
        _bit,
        _between,
        _drop,
        _repeat,
        _move,
        _name,
        _name,
        _piece,
        _pretty,
        _crlf,
    ),
)


def _samples(folder: Path, count: int, seed: int) -> Iterator[bytes]:
    random = Random(f"samples {seed}")
    begun = [write_pair(folder, year=2024, persons=3, seed=each)[0].read_text(encoding="utf-8") for each in range(6)]
    for _ in range(count):
        text = random.choice(begun)
        for mutate in random.choices(MUTATIONS, k=random.choice((0, 1, 1, 2, 3))):
            text = mutate(text, random)
        yield text.encode()


def _verdict(fagmelding: bytes, ident: bytes) -> CheckVerdict:
    try:
        report = check([fagmelding], [ident], 2024, environment=Environment.PRODUKSJON)
    except InputRefused as error:
        return (str(error),)
    return _of(report)


def _of(report: CheckReport) -> CheckVerdict:
    figures = report.statistics
    types = {code: figures.of(code) for code in figures.types}
    counted = {code: (each.users, each.services, each.hours, each.starts) for code, each in types.items()}
    refusal = None if report.refusal is None else str(report.refusal)
    return (report.findings, report.counts, report.persons, report.services, counted, figures.without_service, refusal)


def _differences(folder: Path, monkeypatch: pytest.MonkeyPatch, *, count: int, seed: int) -> list[bytes]:
    ident = write_pair(folder, year=2024, persons=3)[1].read_bytes()
    files = [*_samples(folder, count // 2, seed), *(each.data() for each in documents("kpr_ipl", count // 2, seed))]
    plain = [_verdict(each, ident) for each in files]
    monkeypatch.setattr(Persons, "read", lambda _self, _record: None)
    differing = [each for at, each in enumerate(files) if _verdict(each, ident) != plain[at]]
    figure("persons from memory against structure and rules", files=len(files), misclassified=len(differing))
    return differing


def test_same_verdict_with_and_without_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _differences(tmp_path, monkeypatch, count=FILES, seed=1)[:3]


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(scaled(PARTS_NIGHTLY)))
def test_same_verdict_of_many_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    assert not _differences(tmp_path, monkeypatch, count=NIGHTLY // PARTS_NIGHTLY, seed=2 + part)[:3]

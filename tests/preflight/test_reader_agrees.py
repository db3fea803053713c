"""However a file is written the same is found in it, and what lxml calls not well-formed is refused."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from lxml import etree

from kpr_sender.errors import InputRefused
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.splice import open_payload
from kpr_sender.model import Environment
from kpr_sender.preflight import CheckReport, check
from kpr_sender.sandbox.sample import write_pair
from kpr_sender.sandbox.sample_errors import FAGMELDING, IDENTMELDING, SamplePair, pairs
from kpr_sender.sandbox.sample_errors_pair import PairChange, written
from tests.helpers.figures import figure
from tests.helpers.nightly import scaled

YEAR: Final = 2024
SUITE: Final = 500
NIGHT: Final = 20_000
PARTS_NIGHTLY: Final = 20
FORCED: Final[dict[str, Callable[[bytes], bytes]]] = {
    "a comment in the first person": lambda data: re.sub(rb"(<PERSON[^>]*>)", rb"\1<!-- -->", data, count=1),
    "single quotes": lambda data: data[: (at := data.index(b"<PERSON"))] + data[at:].replace(b'"', b"'"),
    "a comment before the root": lambda data: re.sub(rb"(<IPLOS )", rb"<!-- <IPLOS> -->\1", data, count=1),
    "an instruction in each person": lambda data: data.replace(b"</PERSON>", b"<?x?></PERSON>"),
}
"""The same file written in other ways; every line stays where it is."""


def answer(fagmelding: bytes, identmelding: bytes) -> CheckReport | InputRefused:
    try:
        return check([fagmelding], [identmelding], YEAR, environment=Environment.LOKAL)
    except InputRefused as refused:
        return refused


def told(report: CheckReport) -> tuple[object, ...]:
    """Everything but hash and length of the file."""
    findings = Counter(report.findings)
    types = {code: report.statistics.of(code) for code in report.statistics.types}
    users = {code: (each.users, each.services, round(each.hours, 6), each.starts) for code, each in types.items()}
    return findings, dict(report.counts), report.persons, report.services, report.idents, users


def agree(pair: SamplePair) -> None:
    fagmelding, identmelding = (pair.files[name].encode() for name in (FAGMELDING, IDENTMELDING))
    plain = answer(fagmelding, identmelding)
    assert isinstance(plain, CheckReport)
    for name, forced in FORCED.items():
        other = answer(forced(fagmelding), identmelding)
        assert isinstance(other, CheckReport), name
        assert told(other) == told(plain), name
    figure("one file written in several ways", files=len(FORCED), findings=sum(plain.counts.values()), missed=0)


@pytest.mark.parametrize(
    "pair", [each for each in pairs(YEAR) if not each.expected.refused], ids=lambda pair: pair.expected.folder
)
def test_the_same_errors_are_found_however_it_is_written(pair: SamplePair) -> None:
    agree(pair)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_sample_is_read_alike_however_it_is_written(tmp_path: Path, seed: int) -> None:
    files = write_pair(tmp_path, year=YEAR, persons=40, seed=seed)
    agree(SamplePair(next(pairs(YEAR)).expected, {path.name: path.read_text("utf-8") for path in files}))


# -- well-formed or not -----------------------------------------------------------------------------------------------

RIGHT: Final = tuple(text.encode() for text in written(YEAR, [PairChange()]))
_FEFF: Final = "\ufeff".encode()
SNIPPETS: Final = (
    b"<", b">", b"&", b"&amp;", b"&#0;", b"&#xD800;", b"&#x10FFFF;", b"&x;", b'"', b"'", b"/", b"=", b" ", b"\0",
    b"\x0b", b"\xff", b"\xc3\xa5", b"\xc3", b"\xef\xbf\xbf", b"\xed\xa0\x80", b"]]>", b"<![CDATA[", b"<!-- -->",
    b"<!-- -- -->",
    b"<?x?>", b"<?xml?>", b"<!DOCTYPE x>", b"<x:a/>", b' a="1"', b' a="1" a="2"', b"<a/>", b"</PERSON>", b"<PERSON>",
    b' xmlns=""', b' xmlns:x="urn:x"', b' xmlns:x=""', b"\r", b"\xef\xbb\xbf", b":", b"<a>" * 300,
)  # fmt: skip


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A byte or some changed: replaced, dropped, doubled, put in, or the rest cut off."""
    for _ in range(chance.choice((1, 1, 1, 2))):
        at = chance.randrange(len(data))
        end = min(len(data), at + chance.choice((1, 1, 2, 5, 40)))
        data = chance.choice(
            (
                data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :],
                data[:at] + data[end:],
                data[:end] + data[at:],
                data[:at] + chance.choice(SNIPPETS) + data[at:],
                data[:at] + chance.choice(SNIPPETS) + data[end:],
                data[: max(1, at)] if not chance.randrange(4) else data[:at] + chance.choice(SNIPPETS) + data[at:],
            )
        )
    return data


def well_formed(data: bytes) -> bool | None:
    """What lxml says of a file as it would be spliced in; None where it warns of what expat takes."""
    try:
        _, spliced = open_payload([data])
        content = b"".join(spliced)
    except MessageRefused:
        return False
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    # Behind a blank, as in the Hodemelding: a second declaration or mark is an error there.
    failed = False
    try:
        etree.fromstring(b" " + content, parser)
    except etree.XMLSyntaxError:
        failed = True
    said = [complaint.type_name for complaint in parser.error_log]
    if not said:
        return not failed
    # A namespace that is no absolute URI, or another name that begins with xml, is an error by neither
    # recommendation; expat takes it.
    return None if re.search("WAR_NS_URI|SPACE_VALUE|RESERVED_XML_NAME", said[0]) else False


def by_a_later_edition(files: list[bytes], which: int) -> bool:
    """Whether nothing but a name is in the way that the fifth edition of XML 1.0 allows and expat, older, does not."""
    plainer = [data.replace(_FEFF, b"x") if at == which else data for at, data in enumerate(files)]
    found = answer(plainer[0], plainer[1])
    return _FEFF in files[which] and not (isinstance(found, InputRefused) and "well-formed" in found.what)


def disagreements(count: int, seed: int) -> Iterator[tuple[int, str]]:
    chance = random.Random(seed)
    for number in range(count):
        which = chance.randrange(2)
        files = list(RIGHT)
        files[which] = mutated(files[which], chance)
        expected, found = well_formed(files[which]), answer(files[0], files[1])
        if expected is False and not isinstance(found, InputRefused):
            yield number, "not well-formed, and taken"
        refused = expected is True and isinstance(found, InputRefused) and "well-formed" in found.what
        if refused and not by_a_later_edition(files, which):
            yield number, "well-formed, and refused as if it were not"


def test_what_libxml2_refuses_is_refused_and_nothing_else_is_called_not_well_formed() -> None:
    wrong = list(disagreements(SUITE, 20241231))

    figure("mutated bytes, well-formed or not", files=SUITE, misclassified=len(wrong))
    assert wrong == []


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(scaled(PARTS_NIGHTLY)))
def test_it_is_so_for_many_more_files(part: int) -> None:
    wrong = list(disagreements(NIGHT // PARTS_NIGHTLY, 17 + part))

    figure("mutated bytes, well-formed or not", files=NIGHT // PARTS_NIGHTLY, misclassified=len(wrong))
    assert wrong == []

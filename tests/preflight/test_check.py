"""One pass over each file: however it is cut and written, with places that are right, few of them, in little memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from pathlib import Path

import pytest

from kpr_sender.errors import InputRefused
from kpr_sender.model import Environment
from kpr_sender.preflight import CheckReport, check
from kpr_sender.preflight.model import STORED
from kpr_sender.sandbox.sample import write_pair
from tests.helpers.chunks import cut
from tests.helpers.peak_memory import grown_mb

WRONG = b"<tjTjenType>98</tjTjenType>"
RULE = "tjTjenType.code"
MOST_MB = 40  # of growth; the aim for a whole process is 80 MB


def pair(folder: Path, persons: int) -> tuple[bytes, bytes]:
    fagmelding, identmelding = write_pair(folder, year=2024, persons=persons)
    return fagmelding.read_bytes(), identmelding.read_bytes()


def evaluate(fagmelding: Iterable[bytes], identmelding: Iterable[bytes]) -> CheckReport:
    return check(fagmelding, identmelding, 2024, environment=Environment.LOKAL)


def with_wrong_type(fagmelding: bytes) -> bytes:
    """Give every TJENESTE a type that there is not."""
    before, *rows = fagmelding.split(b"<tjTjenType>")
    return before + b"".join(WRONG + row.partition(b"</tjTjenType>")[2] for row in rows)


def lines_of(data: bytes, what: bytes) -> list[int]:
    return [number for number, line in enumerate(data.split(b"\n"), start=1) if what in line]


def test_cutting_anywhere_changes_nothing(tmp_path: Path) -> None:
    fagmelding, identmelding = pair(tmp_path, 2)
    fagmelding = with_wrong_type(fagmelding)
    whole = evaluate([fagmelding], [identmelding])
    assert whole.counts[RULE] > 1
    for at in range(1, len(fagmelding), 97):
        cut_there = evaluate(cut(fagmelding, [at, at + 1]), [identmelding])
        assert (cut_there.findings, cut_there.payloads) == (whole.findings, whole.payloads)
    bytes_alone = evaluate((fagmelding[at : at + 1] for at in range(len(fagmelding))), [identmelding])
    assert bytes_alone.findings == whole.findings
    for at in range(1, len(identmelding), 5):
        assert evaluate([fagmelding], cut(identmelding, [at])).counts == whole.counts


@pytest.mark.parametrize("plainly", [True, False])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_lines_are_right_however_it_is_written(tmp_path: Path, line_end: bytes, plainly: bool) -> None:  # noqa: FBT001
    fagmelding, identmelding = pair(tmp_path, 3)
    fagmelding = with_wrong_type(fagmelding).replace(b"\n", line_end)
    if not plainly:
        fagmelding = fagmelding.replace(b"<PERSON ", b"<!-- </PERSON> -->" + line_end + b"<PERSON ")
    report = evaluate([fagmelding], [identmelding])
    found = [finding.line for finding in report.findings if finding.rule == RULE]
    assert found == lines_of(fagmelding, WRONG)
    assert report.persons == 3


def test_prefixes_and_comments_are_read_as_well(tmp_path: Path) -> None:
    fagmelding, identmelding = pair(tmp_path, 3)
    plain = evaluate([fagmelding], [identmelding])
    prefixed = fagmelding.replace(b"</", b"\x00").replace(b"<", b"<k:").replace(b"\x00", b"</k:")
    prefixed = prefixed.replace(b"<k:?xml", b"<?xml").replace(b"xmlns=", b"xmlns:k=")
    commented = fagmelding.replace(b"</PERSON>", b"<!-- </PERSON> --></PERSON>", 1)
    for other in (prefixed, commented):
        report = evaluate([other], [identmelding])
        assert (report.counts, report.persons, report.services) == (plain.counts, plain.persons, plain.services)


@pytest.mark.parametrize("zone", ["Z", "+01:00", "-14:00", "+14:00", "-00:00"])
def test_the_identmelding_s_dates_may_have_a_zone(tmp_path: Path, zone: str) -> None:
    fagmelding, identmelding = pair(tmp_path, 3)
    zoned, dates = re.subn(rb'="(2[0-9]{3}-[0-9]{2}-[0-9]{2})"', rb'="\g<1>' + zone.encode() + b'"', identmelding)

    report = evaluate([fagmelding], [zoned])

    assert dates == 3
    assert report.counts == evaluate([fagmelding], [identmelding]).counts
    assert (report.stops, report.drops) == (0, 0)
    assert None not in report.payloads


def test_every_breach_is_counted_and_the_first_kept(tmp_path: Path) -> None:
    fagmelding, identmelding = pair(tmp_path, 60)
    fagmelding = with_wrong_type(fagmelding)
    report = evaluate([fagmelding], [identmelding])
    found = [finding.line for finding in report.findings if finding.rule == RULE]
    assert report.counts[RULE] == report.services == fagmelding.count(WRONG) > STORED
    assert found == lines_of(fagmelding, WRONG)[:STORED]


def test_person_without_end_is_refused(tmp_path: Path) -> None:
    """Sixteen MB of one person: neither reader takes them."""
    fagmelding, identmelding = pair(tmp_path, 1)
    head, _, person = fagmelding.partition(b"<PERSON ")
    row = person[person.index(b"<FUNKSJON") :].partition(b"</FUNKSJON>")[0] + b"</FUNKSJON>\n"
    start = person[: person.index(b"<FUNKSJON")]
    endless = [head + b"<PERSON " + start, *repeat(row * 1_000, 16_500_000 // len(row * 1_000))]
    with pytest.raises(InputRefused, match="record of more than"):
        evaluate(endless, [identmelding])


def test_memory_is_flat(tmp_path: Path) -> None:
    """Forty MB of persons grow this process by what is remembered, not by the file."""
    fagmelding, identmelding = pair(tmp_path, 500)
    head, _, persons = fagmelding.partition(b"<PERSON ")
    persons = b"<PERSON " + persons.removesuffix(b"</IPLOS>\n")
    times = 40_000_000 // len(persons)

    def pieces() -> Iterator[bytes]:
        yield head
        yield from islice(repeat(persons), times)
        yield b"</IPLOS>\n"

    assert grown_mb(lambda: evaluate(pieces(), [identmelding])) < MOST_MB

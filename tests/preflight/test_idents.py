"""The fast reader of an identmelding passes what is certainly right, and finds with the general one what that finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import pytest

from kpr_sender.errors import InputRefused
from kpr_sender.model import Environment
from kpr_sender.preflight import check
from kpr_sender.preflight.catalogue.fields import xpr_ide
from kpr_sender.preflight.header import Refusal
from kpr_sender.preflight.reading.general import Event
from kpr_sender.preflight.reading.idents import PATIENT, IdentReader
from kpr_sender.preflight.record import Element
from kpr_sender.preflight.schema.certain import Certain
from kpr_sender.sandbox.sample import write_pair
from tests.helpers.figures import figure
from tests.helpers.nightly import scaled
from tests.helpers.structure_mutations import documents

FILES: Final = 400
NIGHTLY: Final = 10_000
PARTS_NIGHTLY: Final = 10
NAMESPACE: Final = "http://www.npr.no/xmlstds/53_1_2_ide"
HEAD: Final = f'<Melding xmlns="{NAMESPACE}">\n<Institusjon institusjonID="1">\n'
PATIENTS: Final = "".join(f'<{PATIENT} pid="{number}" fid="1390012345{number}" typeID="1"/>\n' for number in range(4))
TAIL: Final = "</Institusjon>\n</Melding>\n"


class Heard:
    """Who passed, by pid and line, and who was told of."""

    def __init__(self) -> None:
        self.passed_: list[tuple[str, int]] = []
        self.told_: list[tuple[str, int]] = []

    def told(self, event: Event) -> None:
        if isinstance(event, Element) and event.name == PATIENT:
            self.told_.append((event.attributes.get("pid", ""), event.line))

    def passed(self, keys: Mapping[str, str], line: int) -> None:
        self.passed_.append((keys["pid"], line))


def heard(text: str, *, size: int = 1 << 16) -> Heard:
    sink = Heard()
    reader = IdentReader(NAMESPACE, partial(Certain(xpr_ide("53.1.2")).keys, PATIENT), sink, lines_before=0)
    data = text.encode()
    for at in range(0, len(data), size):
        reader.read(data[at : at + size])
    reader.end()
    return sink


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
@pytest.mark.parametrize(
    "text",
    [
        HEAD + PATIENTS + TAIL,
        (HEAD + PATIENTS + TAIL).replace("\n", "\r\n"),
        HEAD + PATIENTS.replace("\n", "") + TAIL,
        HEAD + PATIENTS.replace('"/>', '"\n  />').replace(" fid", "\n\tfid") + TAIL,
        f"<!-- <{PATIENT} > -->".join([HEAD, PATIENTS]) + TAIL,
        HEAD.replace(">\n", f"><!-- {'x' * 70_000} -->\n") + PATIENTS + TAIL,
    ],
    ids=["as an EPJ writes it", "CRLF", "one line", "many lines", "a comment before", "a long head"],
)
def test_what_is_written_plainly_passes_with_its_line(text: str, size: int) -> None:
    if size == 1 and len(text) > 1 << 16:
        return  # a head that comes byte by byte is looked at anew each time
    sink = heard(text, size=size)
    if "-->" not in text:
        assert not sink.told_
        assert [pid for pid, _ in sink.passed_] == ["0", "1", "2", "3"]
    lines = [text[: found.start()].count("\n") + 1 for found in re.finditer(f'<{PATIENT}\\s+pid="', text)]
    assert [line for _, line in sink.passed_ + sink.told_] == lines


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('fid="13900123452"', "fid='13900123452'"),
        ('fid="13900123452"', 'fid = "13900123452"'),
        ('fid="13900123452"', 'fid="1390<0123452"'),
        ('fid="13900123452"', 'fid="&#49;3900123452"'),
        ('fid="13900123452"', 'fid="139\n00123452"'),
        ('fid="13900123452"', 'fid="139\u066300123452"'),
        ('fid="13900123452"', 'fid="13900123452" fid="13900123452"'),
        ('fid="13900123452"', 'fid="13900123452" x="1"'),
        ('fid="13900123452"', 'fid="13900123452" xmlns="x"'),
        ('fid="13900123452"', 'fid="13900123452"x'),
        ('fid="13900123452"', ""),
        ('pid="2"', ""),
        ('fid="13900123452" typeID="1"/>', 'fid="13900123452" typeID="1" "x/>'),
        ('fid="13900123452" typeID="1"/>', 'fid="13900123452" typeID="1" ""/>'),
        ('fid="13900123452" typeID="1"/>', 'fid="13900123452" typeID="1/>'),
        (f'<{PATIENT} pid="2"', f'< {PATIENT} pid="2"'),
        (f'<{PATIENT} pid="2"', f'x<{PATIENT} pid="2"'),
        (f'<{PATIENT} pid="2"', f'<!-- --><{PATIENT} pid="2"'),
        (f'<{PATIENT} pid="2"', f'<!-- <{PATIENT} pid="2"'),
        (f'<{PATIENT} pid="2"', f'<x:{PATIENT} pid="2"'),
        (f'<{PATIENT} pid="2"', f'</Institusjon><Institusjon institusjonID="2"><{PATIENT} pid="2"'),
        (f'<{PATIENT} pid="2"', f'<{PATIENT} pid="2"></{PATIENT}><{PATIENT} pid="2"'),
    ],
)
def test_from_what_is_written_otherwise_on_nothing_passes(old: str, new: str) -> None:
    text = HEAD + PATIENTS + TAIL
    assert old in text
    try:
        sink = heard(text.replace(old, new))
    except Refusal:
        return
    assert [pid for pid, _ in sink.passed_] == ["0", "1"]


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(NAMESPACE, "x"),
        HEAD.replace("<Institusjon", '<Institusjon xmlns="x"'),
        HEAD.replace("xmlns", "xmlns:x"),
        HEAD.replace("<Melding", "<Wrapped><Melding"),
        HEAD.partition("\n")[0],
        f"{HEAD}<Kontaktperson>",
        f"{HEAD}<!-- ",
        f"{HEAD}<![CDATA[",
    ],
)
def test_nothing_passes_where_it_does_not_stand_in_its_place(head: str) -> None:
    try:
        sink = heard(head + PATIENTS + TAIL)
    except Refusal:
        return
    assert not sink.passed_


# -- against the general reader ---------------------------------------------------------------------------------------

BITS: Final = (
    *(" ", "\n", "\r", "\r\n", "x", ">", "<", '"', "'", "/", "/>", "&", "&amp;", "\x00", "\ufffe", "<x/>", "=", "]]>"),
    *(
        "<!-- -->",
        "<!--",
        "-->",
        "<?a?>",
        "<![CDATA[1]]>",
        f"<{PATIENT} ",
        f"</{PATIENT}>",
        "</Institusjon>",
        "</Melding>",
    ),
    *("</Melding>", '<Institusjon institusjonID="1">', ' pid="1"', ' xmlns="x"', "\u00e6", "\t"),
)


def _bit(text: str, random: Random) -> str:
    at = random.randrange(len(text))
    return text[:at] + random.choice(BITS) + text[at + random.randint(0, 2) :]


def _between(text: str, random: Random) -> str:
    at = random.choice([found.start() for found in re.finditer("[<>]", text)])
    return text[:at] + random.choice(BITS) + text[at:]


def _value(text: str, random: Random) -> str:
    at = random.choice(list(re.finditer('="([^"]*)"', text)))
    return text[: at.start(1)] + random.choice(("", "0", "1", " 1", "x", "12345678901", *BITS)) + text[at.end(1) :]


def _piece(text: str, random: Random) -> str:
    pieces = re.split('([<>"\n])', text)
    one, other = random.sample(range(len(pieces)), 2)
    pieces[one] = pieces[other]
    return "".join(pieces)


def _around(text: str, random: Random) -> str:
    """Leave it as it is, or write all of it in another way."""
    return random.choice((text, text, text.replace("\n", "\r\n"), text.replace("\n", ""), text.replace('" ', '"\n ')))


MUTATIONS: Final[Sequence[Callable[[str, Random], str]]] = (_bit, _bit, _between, _value, _value, _piece, _around)


def _samples(begun: Sequence[str], count: int, random: Random) -> Iterator[bytes]:
    for _ in range(count):
        text = random.choice(begun)
        for mutate in random.choices(MUTATIONS, k=random.choice((0, 1, 1, 2, 3))):
            text = mutate(text, random)
        yield text.encode()


def _verdict(fagmelding: bytes, ident: bytes, size: int) -> tuple[object, ...]:
    pieces = [ident[at : at + size] for at in range(0, len(ident), size)]
    try:
        report = check([fagmelding], pieces, 2024, environment=Environment.PRODUKSJON)
    except InputRefused as error:
        return (str(error),)
    return report.findings, report.counts, report.idents, str(report.refusal)


def _differences(folder: Path, monkeypatch: pytest.MonkeyPatch, *, count: int, seed: int) -> list[bytes]:
    random = Random(f"idents {seed}")
    pairs = [write_pair(folder, year=2024, persons=3, seed=each) for each in range(6)]
    begun, fagmelding = [pair[1].read_text("utf-8") for pair in pairs], pairs[0][0].read_bytes()
    made = [each.data() for form in ("kpr_ide_53_1_2", "kpr_ide_53_1_3") for each in documents(form, count // 4, seed)]
    files = [(each, random.choice((1, 13, 1 << 16))) for each in (*_samples(begun, count // 2, random), *made)]
    plain = [_verdict(fagmelding, *each) for each in files]
    monkeypatch.setattr(IdentReader, "_in_unit", lambda *_: False)
    differing = [each[0] for at, each in enumerate(files) if _verdict(fagmelding, *each) != plain[at]]
    figure("plain identmelding against the general reader", files=len(files), misclassified=len(differing))
    return differing


def test_same_verdict_with_and_without_the_fast_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _differences(tmp_path, monkeypatch, count=FILES, seed=1)[:3]


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(scaled(PARTS_NIGHTLY)))
def test_same_verdict_of_many_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    assert not _differences(tmp_path, monkeypatch, count=NIGHTLY // PARTS_NIGHTLY, seed=2 + part)[:3]

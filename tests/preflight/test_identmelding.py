"""Each PasientIdent is read with its line, and nothing is missed in one that looks right at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final

import pytest

from kpr_sender.errors import InputRefused
from kpr_sender.model import Environment
from kpr_sender.preflight import check
from kpr_sender.preflight.identmelding import PATIENT
from kpr_sender.preflight.reader import Record
from kpr_sender.preflight.structure import Model
from kpr_sender.sandbox.sample import write_pair
from tests.helpers.figures import figure
from tests.helpers.nightly import scaled
from tests.helpers.structure_judge import events
from tests.helpers.structure_mutations import documents

FILES: Final = 400
NIGHTLY: Final = 10_000
PARTS_NIGHTLY: Final = 10
NAMESPACE: Final = "http://www.npr.no/xmlstds/53_1_2_ide"
HEAD: Final = f'<Melding xmlns="{NAMESPACE}">\n<Institusjon institusjonID="1">\n'
PATIENTS: Final = "".join(f'<{PATIENT} pid="{number}" fid="1390012345{number}" typeID="1"/>\n' for number in range(4))
TAIL: Final = "</Institusjon>\n</Melding>\n"


def lines(text: str, *, size: int = 1 << 16) -> list[int]:
    """Return the line of each PasientIdent."""
    data = text.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [each.line for each in events(pieces, NAMESPACE) if isinstance(each, Record) and each.name == PATIENT]


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
def test_each_is_read_with_its_line(text: str, size: int) -> None:
    expected = [text[: found.start()].count("\n") + 1 for found in re.finditer(f'<{PATIENT}\\s+pid="', text)]
    assert lines(text, size=size) == expected


# -- against structure -------------------------------------------------------------------------------------------------

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
    begun = [pair[1].read_text("utf-8") for pair in pairs]
    # The same persons, without their rows: what is evaluated is the identmelding.
    fagmelding = re.sub(rb"<peKomnr>.*?(?=</PERSON>)", b"", pairs[0][0].read_bytes(), flags=re.DOTALL)
    made = [each.data() for form in ("kpr_ide_53_1_2", "kpr_ide_53_1_3") for each in documents(form, count // 4, seed)]
    files = [(each, random.choice((1, 13, 1 << 16))) for each in (*_samples(begun, count // 2, random), *made)]
    plain = [_verdict(fagmelding, *each) for each in files]
    monkeypatch.setattr(Model, "has_valid_attributes", lambda *_: False)
    differing = [each[0] for at, each in enumerate(files) if _verdict(fagmelding, *each) != plain[at]]
    figure("identmelding, in short against structure", files=len(files), misclassified=len(differing))
    return differing


def test_same_verdict_in_short_and_by_structure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _differences(tmp_path, monkeypatch, count=FILES, seed=1)[:3]


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(scaled(PARTS_NIGHTLY)))
def test_same_verdict_of_many_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    assert not _differences(tmp_path, monkeypatch, count=NIGHTLY // PARTS_NIGHTLY, seed=2 + part)[:3]

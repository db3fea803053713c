"""Pairs of files with ten thousand synthetic national ids in them, wherever a file has room for one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Final

from kpr_sender.sandbox.sample import write_pair
from kpr_sender.sandbox.tenor import fodselsnummer

IDS: Final = 10_000
YEAR: Final = 2024

_SEPARATED: Final = re.compile(r"\d(?:[\s.\u2010-\u2015/_-]{0,3}\d){10,}")
_HALVES: Final = re.compile(r"(?=(\d{6})\D{1,3}(\d{5}))")
_WITHOUT_ZERO: Final = re.compile(r"(?<!\d)\d{10}(?!\d)")
_LENGTH: Final = 11
_AS_WRITTEN: Final = ("{0} {1}", "{0}-{1}", "{0}.{1}", "{0}:{1}", "{0}/{1}", "{0}_{1}", "{0}#{1}", "A-{0}-{1}")

Next = Callable[[], str]


@dataclass(frozen=True)
class Pair:
    """Two files, as text."""

    fagmelding: str
    identmelding: str

    def write(self, folder: Path) -> None:
        """Put them where the configuration looks for them."""
        (folder / "fagmelding.xml").write_text(self.fagmelding, "utf-8")
        (folder / "identmelding.xml").write_text(self.identmelding, "utf-8")

    def of_last_year(self) -> str:
        """Return the fagmelding as if it were last year's."""
        return self.fagmelding.replace(f">{YEAR}0101<", f">{YEAR - 1}0101<").replace(
            f">{YEAR}1231<", f">{YEAR - 1}1231<"
        )


def ids(count: int = IDS) -> list[str]:
    """Return that many different ids of Skatteetaten's Tenor range."""
    random = Random(11)
    first = date(1920, 1, 1)
    made: dict[str, None] = {}
    while len(made) < count:
        made[fodselsnummer(first + timedelta(random.randrange(37_000)), woman=True, random=random)] = None
    return list(made)


def found_in(text: str, wanted: frozenset[str]) -> set[str]:
    """Return which ids stand in a text.

    Also inside longer runs of digits, with separators between them, in their two halves with anything between, and
    without the leading zero that a number loses.
    """
    runs = [re.sub(r"\D", "", match[0]) for match in _SEPARATED.finditer(text)]
    found = {run[at : at + _LENGTH] for run in runs for at in range(len(run) - _LENGTH + 1)}
    found |= {match[1] + match[2] for match in _HALVES.finditer(text)}
    found |= {f"0{match[0]}" for match in _WITHOUT_ZERO.finditer(text)}
    return found & wanted


def sample(folder: Path, persons: int) -> Pair:
    """Return a pair in which all is right."""
    fagmelding, identmelding = write_pair(folder, year=YEAR, persons=persons, seed=persons)
    return Pair(fagmelding.read_text("utf-8"), identmelding.read_text("utf-8"))


def _put(pattern: str, text: str, new: Next, *forms: str) -> str:
    """Put an id in the place of each second group, in the forms by turns."""
    turns = cycle(forms or ("{0}{1}",))

    def replace(match: re.Match[str]) -> str:
        number = new()
        return f"{match[1]}{next(turns).format(number[:6], number[6:])}{match[3]}"

    return re.sub(pattern, replace, text)


def as_fid(pair: Pair, new: Next) -> Pair:
    """Each person's own number, as it should be."""
    return Pair(pair.fagmelding, _put(r'( fid=")([^"]*)(")', pair.identmelding, new))


def as_pid(pair: Pair, new: Next) -> Pair:
    """An EPJ that uses the national id as the person's key, in both files and in every row."""
    pids = {pid: new() for pid in re.findall(r'<PERSON pePeID="([^"]*)"', pair.fagmelding)}

    def renamed(text: str) -> str:
        return re.sub(r'((?:PeID| pid)=")([^"]*)(")', lambda match: f"{match[1]}{pids[match[2]]}{match[3]}", text)

    return Pair(renamed(pair.fagmelding), renamed(pair.identmelding))


def as_pid_without_zero(pair: Pair, new: Next) -> Pair:
    """The same through a spreadsheet, in one place at a time: ids as whole numbers."""

    def numbered() -> str:
        return str(int(new()))

    return Pair(
        _put(r'(PeID=")([^"]*)(")', pair.fagmelding, numbered, "{0}{1}"),
        _put(r'( pid=")([^"]*)(")', pair.identmelding, numbered, "{0}{1}"),
    )


def as_lone_pid(pair: Pair, new: Next) -> Pair:
    """The same in one place at a time, so that nothing fits together."""
    return Pair(_put(r'(PeID=")([^"]*)(")', pair.fagmelding, new), _put(r'( pid=")([^"]*)(")', pair.identmelding, new))


def as_twin(pair: Pair, new: Next) -> Pair:
    """One number under several pids, and a person twice."""
    number = new()
    once, twice = (f'<PasientIdent pid="{pid}" fid="{number}" typeID="1"/>' for pid in (number, new()))
    person = f'<PERSON pePeID="{new()}"></PERSON>'
    return Pair(
        pair.fagmelding.replace("</IPLOS>", f"{person * 2}</IPLOS>"),
        pair.identmelding.replace("</Institusjon>", f"{once * 2}{twice}</Institusjon>"),
    )


def as_contact(pair: Pair, new: Next) -> Pair:
    """Names, telephones, mail: free text about those who send."""
    form = "Kari {0} {1} Eksempel"
    return Pair(
        _put(r"(<(?:Navn|Telefon|Epost)>)([^<]*)(<)", pair.fagmelding, new, form),
        _put(r'((?:kontPerson|meldTelefon|meldEpost1|typeKontaktperson)=")([^"]*)(")', pair.identmelding, new, form),
    )


def as_system(pair: Pair, new: Next) -> Pair:
    """What the producing system says of itself, its running number and the reporting unit."""
    return Pair(
        _put(r"(<(?:iiSysID|iiSysVersjon|iiLopenr)>)([^<]*)(<)", pair.fagmelding, new),
        _put(r'((?:leverandor|navnEPJ|versjonEPJ|versjonUt|lopenr|institusjonID)=")([^"]*)(")', pair.identmelding, new),
    )


def as_running_number(pair: Pair, new: Next) -> Pair:
    """An identmelding's running number is text, and otherwise all is right."""
    return Pair(pair.fagmelding, _put(r'( lopenr=")([^"]*)(")', pair.identmelding, new, "A-{0}{1}"))


def as_value(pair: Pair, new: Next) -> Pair:
    """Every code, date, count and organisation number of every person."""
    return Pair(_put(r"(<(?:pe|po|fn|tj|di|dg)\w+>)([^<]*)(<)", pair.fagmelding, new), _typed(pair, new))


def as_spaced_value(pair: Pair, new: Next) -> Pair:
    """The same as people write them."""
    return Pair(_put(r"(<(?:pe|po|tj|di|dg)\w+>)([^<]*)(<)", pair.fagmelding, new, *_AS_WRITTEN), pair.identmelding)


def _typed(pair: Pair, new: Next) -> str:
    return _put(r'( typeID=")([^"]*)(")', pair.identmelding, new)


def as_key(pair: Pair, new: Next) -> Pair:
    """The rows' own keys."""
    return Pair(
        _put(r'((?:PoID|FnID|TjID|VeID|VeNrID|DiID|DgID)=")([^"]*)(")', pair.fagmelding, new), pair.identmelding
    )


def as_header(pair: Pair, new: Next) -> Pair:
    """The header's own fields."""
    return Pair(
        _put(r"(<(?:iiInnhType|iiKomnr|iiBydelsnr|iiFraDato|iiTilDato|iiLagetDato)>)([^<]*)(<)", pair.fagmelding, new),
        _put(r'((?:DatoPeriode|uttakDato|meldingstype)=")([^"]*)(")', pair.identmelding, new),
    )


def as_spaced_header(pair: Pair, new: Next) -> Pair:
    """The same as people write them, and what the system says of itself."""
    names = "iiInnhType|iiKomnr|iiBydelsnr|iiFraDato|iiTilDato|iiLagetDato|iiSysID|iiSysVersjon|Type"
    attributes = "DatoPeriode|uttakDato|meldingstype|navnEPJ|versjonEPJ|institusjonID|typeID|typeKontaktperson"
    return Pair(
        _put(rf"(<(?:{names})>)([^<]*)(<)", pair.fagmelding, new, *_AS_WRITTEN[1:]),
        _put(rf'((?:{attributes})=")([^"]*)(")', pair.identmelding, new, *_AS_WRITTEN[1:]),
    )


def as_version(pair: Pair, new: Next) -> Pair:
    """The version."""
    pattern = r'( versjon=")([^"]*)(")'
    return Pair(_put(pattern, pair.fagmelding, new), _put(pattern, pair.identmelding, new))


def as_spaced_version(pair: Pair, new: Next) -> Pair:
    """The version, with a dot in it as versions have."""
    pattern = r'( versjon=")([^"]*)(")'
    return Pair(_put(pattern, pair.fagmelding, new, "{0}.{1}"), _put(pattern, pair.identmelding, new, "{0}.{1}"))


def as_namespace(pair: Pair, new: Next) -> Pair:
    """The namespace."""
    pattern = r'( xmlns=")([^"]*)(")'
    return Pair(_put(pattern, pair.fagmelding, new, "urn:{0}{1}"), _put(pattern, pair.identmelding, new, "urn:{0}:{1}"))


def as_root(pair: Pair, new: Next) -> Pair:
    """The root element's name."""
    one, number = f"r{new()}", new()
    other = f"r{number[:6]}-{number[6:]}"
    return Pair(re.sub(r"(</?)IPLOS\b", rf"\g<1>{one}", pair.fagmelding),
                re.sub(r"(</?)Melding\b", rf"\g<1>{other}", pair.identmelding))  # fmt: skip


def as_unknown_attribute(pair: Pair, new: Next) -> Pair:
    """Attributes that nobody knows, by name and by value."""
    pattern = r"(<(?:PERSON|TJENESTE|PERSONOPPL|PasientIdent|Institusjon|INNHINFO))()(\b)"
    names = (' a{0}{1}="x"', ' a{0}-{1}="x"')
    fagmelding = _put(pattern, pair.fagmelding, new, *names)
    return Pair(_put(pattern, fagmelding, new, ' ukjent="{0}-{1}"'), _put(pattern, pair.identmelding, new, *names))


def as_unknown_element(pair: Pair, new: Next) -> Pair:
    """Elements that nobody knows, in and out of the namespace, and text where none belongs."""
    pattern = r"()()(</(?:PERSON|TJENESTE|INNHINFO|IPLOS)>)"
    text = _put(pattern, pair.fagmelding, new, "<e{0}{1}/>", "<e{0}.{1}/>")
    text = _put(pattern, text, new, '<n:f xmlns:n="urn:{0}{1}"/>')
    text = _put(pattern, text, new, "{0} {1}")
    return Pair(text, _put(r"()()(</(?:Institusjon|Melding)>)", pair.identmelding, new, "<e{0}{1}/>{0}.{1}"))


def as_comment(pair: Pair, new: Next) -> Pair:
    """Comments and processing instructions, which every file may have."""
    return Pair(
        _put(r"()()(<PERSON |</IPLOS>)", pair.fagmelding, new, "<!-- {0}{1} -->"),
        _put(r"()()(<PasientIdent |</Melding>)", pair.identmelding, new, "<?p{0}{1} {0}{1}?>"),
    )


BROKEN: Final = (
    "<x{0}></y{0}>",
    "&x{0};",
    '<x{0} a="1" a="2"/>',
    "<p{0}:x/>",
    "<x{0}",
    '<x a{0}="1" a{0}="2"/>',
    "<{0}/>",
    '<x a="{0}/>',
    "]]>{0}",
    "<!DOCTYPE x{0}>",
    "<?xml {0}?>",
    "&#{0};",
    "<x>{0}</IPLOS>{0}",
)
"""What no parser takes, each of which one tells in words of its own."""


def as_broken(what: str) -> Callable[[Pair, Next], Pair]:
    """Return a planter of one thing that is no XML, in the middle of both files."""

    def plant(pair: Pair, new: Next) -> Pair:
        return Pair(
            pair.fagmelding.replace("</PERSON>", what.format(new()) + "</PERSON>", 1),
            pair.identmelding.replace("</Institusjon>", what.format(new()) + "</Institusjon>", 1),
        )

    return plant


PLANTERS: Final[dict[str, tuple[Callable[[Pair, Next], Pair], int]]] = {
    "own number": (as_fid, 40),
    "pid": (as_pid, 40),
    "lone pid": (as_lone_pid, 20),
    "pid without zero": (as_pid_without_zero, 20),
    "twin": (as_twin, 3),
    "contact": (as_contact, 3),
    "system": (as_system, 3),
    "running number": (as_running_number, 3),
    "value": (as_value, 20),
    "spaced value": (as_spaced_value, 20),
    "key": (as_key, 20),
    "header": (as_header, 3),
    "spaced header": (as_spaced_header, 9),
    "version": (as_version, 3),
    "spaced version": (as_spaced_version, 3),
    "namespace": (as_namespace, 3),
    "root": (as_root, 3),
    "unknown attribute": (as_unknown_attribute, 30),
    "unknown element": (as_unknown_element, 30),
    "comment": (as_comment, 30),
    **{f"broken {number}": (as_broken(what), 3) for number, what in enumerate(BROKEN)},
}
"""By name: how ids are planted, and in how many persons' pair."""


def planted(folder: Path, numbers: list[str]) -> Iterator[tuple[str, Pair]]:
    """Yield every pair, and last an identmelding of persons who have the numbers that are left."""
    left = iter(numbers)
    for name, (plant, persons) in PLANTERS.items():
        yield name, plant(sample(folder, persons), lambda: next(left))
    few = sample(folder, 3)
    many = "".join(f'<PasientIdent pid="{pid}" fid="{one}" typeID="1"/>\n' for pid, one in enumerate(left, start=1))
    yield "fid", Pair(few.fagmelding, few.identmelding.replace("</Institusjon>", f"{many}</Institusjon>"))

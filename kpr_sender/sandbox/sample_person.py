"""One synthetic person of a fagmelding: who they are, what help they get, as an IPLOS 3.7 ``PERSON`` element.

The tables say what a record must have by its kind (rules of IPLOS 3.7) and how common each kind is; the shares are
made up to look like a municipality, they are no statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final

from kpr_sender.sandbox.tenor import fodselsnummer

# Kodeverk 9151. Codes 12, 13 and 16 ended with 2018.
_SOKNAD: Final = frozenset({1, 2, 3, 4, 5, 7, 8, 9, 11, 15, 17, 18, 19, 20, 21, 22, 29})
_VEDTAK_DATE: Final = _SOKNAD | {14, 23, 24}
_VEDTAK: Final = _SOKNAD | {14, 23}
_ROLLING: Final = frozenset({8})
_ORGANISATION: Final = frozenset({1, 2, 3, 4, 8, 15, 17, 18, 19, 20, 21, 22, 25})
_HOURS: Final = {
    1: (0.5, 6.0),
    2: (1.0, 8.0),
    3: (10.0, 80.0),
    4: (4.0, 30.0),
    7: (2.0, 12.0),
    9: (2.0, 6.0),
    11: (4.0, 20.0),
    15: (0.5, 20.0),
    17: (6.0, 30.0),
    22: (8.0, 60.0),
}
"""Hours a week, lowest and highest, where tjTimerUke is required (0.01-168)."""
_HOUSING: Final = 29
_SHORT_STAYS: Final = frozenset({18, 19, 20, 25})

_SERVICES: Final = {
    "child": {2: 4, 7: 20, 8: 14, 9: 24, 11: 16, 15: 14, 26: 3, 14: 1},
    "adult": {1: 18, 2: 10, 3: 4, 4: 10, 6: 5, 9: 14, 11: 2, 15: 34, 18: 2, 23: 1, 27: 3, 28: 2, 29: 9},
    "old": {
        1: 26, 4: 7, 5: 9, 6: 28, 15: 40, 17: 3, 18: 5, 19: 4, 20: 7, 21: 11,
        22: 1, 24: 1, 25: 2, 26: 3, 27: 5, 28: 4, 29: 7,
    },
}  # fmt: skip
"""Tjenestetype and its weight, by age group."""
_AGES: Final = {"child": (1, 17, 12), "adult": (18, 66, 26), "old": (67, 101, 62)}
"""Lowest and highest age in years, and share of all persons."""
_DIAGNOSES: Final = {
    "child": (("ICPC-2", "P85"), ("ICPC-2", "P81"), ("ICD-10", "F840"), ("ICD-10", "G809"), ("ICD-10", "Q909")),
    "adult": (("ICPC-2", "P72"), ("ICPC-2", "P76"), ("ICPC-2", "N86"), ("ICPC-2", "T90"), ("ICD-10", "F700")),
    "old": (("ICPC-2", "P70"), ("ICPC-2", "K90"), ("ICPC-2", "R95"), ("ICPC-2", "K77"), ("ICD-10", "G20")),
}
_FUNCTIONS: Final = tuple(range(1, 19))
_FUNCTION_VALUES: Final = (("1", 38), ("2", 24), ("3", 20), ("4", 10), ("5", 5), ("9", 3))
_OPEN: Final = "99991231"
_NEEDED: Final = "1"
_GUESTS_HOME: Final = "9999"
_EARLIEST: Final = date(2005, 1, 1)


@dataclass(frozen=True, slots=True)
class Person:
    """Who the record is about.

    Attributes:
        pid: Local running number: pePeID in the fagmelding, pid in the identmelding. Not derived from ``fid``.
        fid: Synthetic fødselsnummer (Tenor), only in the identmelding.
        group: ``child``, ``adult`` or ``old``.
    """

    pid: int
    fid: str
    born: date
    woman: bool
    group: str
    died: date | None


@dataclass(frozen=True, slots=True)
class Municipality:
    """What all persons of one extract share."""

    kommunenummer: str
    bydel: str
    year: int
    institutions: tuple[str, ...]


def person(pid: int, year: int, random: Random) -> Person:
    """Make up one person who is alive at the beginning of the year."""
    group = random.choices(tuple(_AGES), [share for _, _, share in _AGES.values()])[0]
    lowest, highest, _ = _AGES[group]
    born = date(year - random.randint(lowest, highest), 1, 1) + timedelta(days=random.randrange(365))
    woman = _happens(random, percent=62 if group == "old" else 45)
    died = None
    if group == "old" and _happens(random, percent=10):
        died = date(year, 1, 1) + timedelta(days=random.randrange(365))
    return Person(pid, fodselsnummer(born, woman=woman, random=random), born, woman, group, died)


def person_xml(who: Person, where: Municipality, random: Random) -> str:
    """Return the ``PERSON`` element, elements in the schema's order."""
    return _SampleRecord(who, where, random).xml()


@dataclass(frozen=True, slots=True)
class _SampleRecord:
    """One person's record while it is written."""

    who: Person
    where: Municipality
    random: Random

    def xml(self) -> str:
        who, year_begins = self.who, date(self.where.year, 1, 1)
        guest = _happens(self.random, percent=2)
        registered = self._day_since(_EARLIEST)
        codes = self._choose_services()
        parts = (
            f'<PERSON pePeID="{who.pid}">',
            _elements(
                ("peAlder", self.where.year - who.born.year),
                ("peKjonn", "K" if who.woman else "M"),
                ("peKomnr", _GUESTS_HOME if guest else self.where.kommunenummer),
                ("peBydelsnr", "00" if guest else self.where.bydel),
                ("peFraDato", _day(registered)),
                ("peDodDato", _day(who.died) if who.died else None),
                ("peEndrDato", _day(self._day_since(year_begins))),
            ),
            self._personal_details(codes, self._day_since(year_begins)),
            *self._functions(_day(self._day_since(registered))),
            *(self._service(number, code) for number, code in enumerate(codes, start=1)),
            *self._diagnoses(),
            *self._round_the_clock(codes),
            "</PERSON>\n",
        )
        return "\n".join(parts)

    @property
    def _last_day(self) -> date:
        return self.who.died or date(self.where.year, 12, 31)

    @property
    def _end(self) -> str:
        return _day(self.who.died) if self.who.died else _OPEN

    def _day_since(self, first: date) -> date:
        """A day of this person's life up to the end of the year, not before ``first``."""
        return _day_between(max(first, self.who.born), self._last_day, self.random)

    def _choose_services(self) -> list[int]:
        weights = _SERVICES[self.who.group]
        wanted = self.random.choices((1, 2, 3, 4), (45, 30, 17, 8))[0]
        return sorted(set(self.random.choices(tuple(weights), tuple(weights.values()), k=wanted)))

    def _personal_details(self, codes: list[int], since: date) -> str:
        random, month, day = self.random, f"{since:%Y%m}", _day(since)
        work = random.choices(("1", "2", "9"), (15, 25, 60))[0]
        leisure = random.choices(("1", "2", "9"), (30, 50, 20))[0]
        reviewed, mapped = _happens(random, percent=40), _happens(random, percent=50)
        at_risk = mapped and _happens(random, percent=30)
        parent = self.who.group == "adult" and _happens(random, percent=20)
        waiting, habilitation = _happens(random, percent=3), _happens(random, percent=8)
        fields = _elements(
            ("poHusstand", "3" if self.who.group == "child" else random.choice("12")),
            ("poOmsorgBarn", "1" if parent else "2"),
            ("poPrivHjelp", random.choice("123456")),
            ("poBoligTilr", random.choices("12", (70, 30))[0]),
            ("poVurdTann", month if _happens(random, percent=30) else None),
            ("poVurdLege", month if _happens(random, percent=70) else None),
            ("poIndPlan", random.choices("1234", (12, 58, 10, 20))[0]),
            ("poHarKoordinator", random.choices(("11", "12", "13", "14"), (12, 58, 10, 20))[0]),
            ("poArbBistBehov", work),
            ("poArbBistMottar", random.choice("123") if work == _NEEDED else None),
            ("poArbTranspBehov", work),
            ("poArbTranspMottar", random.choice("123") if work == _NEEDED else None),
            ("poFriBistBehov", leisure),
            ("poFriBistMottar", random.choice("123") if leisure == _NEEDED else None),
            ("poFriTranspBehov", leisure),
            ("poFriTranspMottar", random.choice("123") if leisure == _NEEDED else None),
            ("poLegeMiddGj", "1" if reviewed else "2"),
            ("poLegeMiddGjDato", day if reviewed else None),
            ("poErnKartlagt", "1" if mapped else "2"),
            ("poErnKartlagtDato", day if mapped else None),
            ("poErnRisiko", ("1" if at_risk else "2") if mapped else None),
            ("poErnRisikoDato", day if mapped else None),
            ("poErnPlan", "1" if at_risk else None),
            ("poErnPlanDato", day if at_risk else None),
            ("poFraDato", day),
            ("poTilDato", self._end),
            ("poVenteliste", "1" if waiting else None),
            ("poVentelisteDato", day if waiting else None),
            ("poHeldg", "1" if _HOUSING in codes else None),
            ("poHab", "1" if habilitation else None),
            ("poHabDato", day if habilitation else None),
        )
        return f'<PERSONOPPL poPeID="{self.who.pid}" poPoID="1">{fields}</PERSONOPPL>'

    def _functions(self, assessed: str) -> Iterator[str]:
        if _happens(self.random, percent=10):  # nobody assesses for an alarm alone
            return
        values, weights = zip(*_FUNCTION_VALUES, strict=True)
        for number, value in zip(_FUNCTIONS, self.random.choices(values, weights, k=len(_FUNCTIONS)), strict=True):
            fields = _elements(
                ("fnFunkType", number), ("fnFunkVerdi", value), ("fnFraDato", assessed), ("fnTilDato", self._end)
            )
            yield f'<FUNKSJON fnPeID="{self.who.pid}" fnFnID="{number}">{fields}</FUNKSJON>'

    def _service(self, number: int, code: int) -> str:
        random, year_begins = self.random, date(self.where.year, 1, 1)
        earliest = max(self.who.born, _EARLIEST, year_begins - timedelta(days=4 * 365))
        starts = self._day_since(year_begins if code in _SHORT_STAYS else earliest)
        decided = _day_between(max(earliest, starts - timedelta(days=30)), starts, random)
        applied = _day_between(max(earliest, decided - timedelta(days=60)), decided, random)
        refused = code in _SOKNAD and _happens(random, percent=2)
        ended = code in _SHORT_STAYS or _happens(random, percent=15)
        ends = _day(_day_between(max(starts, year_begins), self._last_day, random)) if ended else self._end
        fields = _elements(
            ("tjTjenType", code),
            ("tjSoknadDato", _day(applied) if code in _SOKNAD else None),
            ("tjVedtDato", _day(decided) if code in _VEDTAK_DATE else None),
            ("tjVedtak", ("1" if refused else "2") if code in _VEDTAK else None),
            ("tjTimerUke", f"{random.uniform(*_HOURS[code]):.2f}" if code in _HOURS else None),
            ("tjRullerende", random.choice("12") if code in _ROLLING else None),
            ("tjInstOrgnr", random.choice(self.where.institutions) if code in _ORGANISATION else None),
            ("tjFraDato", None if refused else _day(starts)),
            ("tjTilDato", None if refused else ends),
        )
        keys = f'tjPeID="{self.who.pid}" tjTjID="{number}" tjVeID="{number}" tjVeNrID="1"'
        return f"<TJENESTE {keys}>{fields}</TJENESTE>"

    def _diagnoses(self) -> Iterator[str]:
        known = self.random.sample(_DIAGNOSES[self.who.group], self.random.choice((0, 1, 1, 2)))
        for number, (system, code) in enumerate(known, start=1):
            fields = _elements(
                ("diKodeVersjon", system),
                ("diDiagKode", code),
                ("diFraDato", _day(self._day_since(_EARLIEST))),
                ("diTilDato", self._end),
            )
            yield f'<DIAGNOSE diPeID="{self.who.pid}" diDiID="{number}">{fields}</DIAGNOSE>'

    def _round_the_clock(self, codes: list[int]) -> Iterator[str]:
        if _HOUSING in codes:
            fields = _elements(
                ("dgInstOrgnr", self.random.choice(self.where.institutions)),
                ("dgFraDato", _day(self._day_since(_EARLIEST))),
                ("dgTilDato", self._end),
            )
            yield f'<DOGNTILBUD dgPeID="{self.who.pid}" dgDgID="1">{fields}</DOGNTILBUD>'


def _happens(random: Random, *, percent: int) -> bool:
    return random.randrange(100) < percent


def _elements(*pairs: tuple[str, object]) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in pairs if value is not None)


def _day(day: date) -> str:
    return f"{day:%Y%m%d}"


def _day_between(first: date, last: date, random: Random) -> date:
    return first + timedelta(days=random.randint(0, max(0, (last - first).days)))

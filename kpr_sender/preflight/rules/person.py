"""Rules on one PERSON with its rows: keys, dates across rows, hours, and what its number and residence are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from kpr_sender.preflight.header import shown
from kpr_sender.preflight.memory import Memory
from kpr_sender.preflight.model import Circumstances, PersonRecord, Row, Violation
from kpr_sender.preflight.person_ids import birth_date
from kpr_sender.preflight.rules.values import ELSEWHERE, is_day, is_number, not_valid
from kpr_sender.texts import Text

PERSON: Final = -1
"""In place of a row's index: the PERSON itself."""

_KEYS: Final[Mapping[str, tuple[str, str]]] = {
    "PERSONOPPL": ("poPeID", "poPoID"),
    "FUNKSJON": ("fnPeID", "fnFnID"),
    "TJENESTE": ("tjPeID", "tjTjID"),
    "DIAGNOSE": ("diPeID", "diDiID"),
    "DOGNTILBUD": ("dgPeID", "dgDgID"),
}
"""Each kind of row's reference to its PERSON, and its own key: together its primary key (IPLOS 3.7)."""

_REFUSED: Final = "1"  # tjVedtak, kodeverk 9171
_YES: Final = "1"
_WEEK: Final = 168  # hours
_OPEN: Final = "99991231"
_ID_DIGITS: Final = 11


class PersonRules:
    """Evaluates one PERSON after the other.

    Args:
        circumstances: The reporting year.
    """

    def __init__(self, circumstances: Circumstances) -> None:
        self._year = circumstances.year
        self._first_day = circumstances.first_day
        self._last_day = circumstances.last_day
        self._residences: Memory[str, str] = Memory(self._residence)
        self._long_numbers = self._dated_numbers = 0

    def person(self, record: PersonRecord) -> Iterator[tuple[int, Violation]]:
        """Yield what a person breaks: the row's index, or ``PERSON``, and the violation."""
        values = record.values
        pid = record.keys.get("pePeID", "")
        if len(pid) >= _ID_DIGITS - 1 and self._is_national_id(pid):
            message = Text("pePeID has {digits} digits, a date among them.", digits=len(pid))
            yield PERSON, Violation("person.national-id", "pePeID", message)
        residence = values.get("peKomnr")
        if residence and (wrong := self._residences[residence]):
            yield PERSON, Violation("person.residence", "peKomnr", wrong)
        yield from _keys(pid, record.rows)
        services = [(index, row.values) for index, row in enumerate(record.rows) if row.kind == "TJENESTE"]
        if not services and not _has_reason(record.rows):
            yield PERSON, Violation("person.no-service")
        if died := values.get("peDodDato"):
            yield from self._death(died, services)
        total = 0.0
        for _, service in services:
            if "tjTimerUke" in service:
                total += _hours[service["tjTimerUke"]]
        if total > _WEEK and (most := self._most_hours(service for _, service in services)) > _WEEK:
            message = Text("{hours} hours a week at the same time.", hours=most)
            yield PERSON, Violation("person.hours", "tjTimerUke", message)

    def _is_national_id(self, pid: str) -> bool:
        """Tell whether a pePeID is one.

        Eleven digits are no pePeID in any case. Ten may be a running number with a date in it by chance, one in some
        hundred of them; an EPJ that puts national ids there does so for everybody.
        """
        dated = birth_date(pid.zfill(_ID_DIGITS), self._year) is not None
        if len(pid) != _ID_DIGITS - 1:
            return dated
        self._long_numbers += 1
        self._dated_numbers += dated
        return dated and 2 * self._dated_numbers > self._long_numbers

    def _residence(self, number: str) -> str:
        return not_valid(number, self._year) if is_number(number) and number not in ELSEWHERE else ""

    def _death(self, died: str, services: Iterable[tuple[int, Mapping[str, str]]]) -> Iterator[tuple[int, Violation]]:
        if not is_day(died):
            return
        if died < self._first_day:
            message = Text("peDodDato is {day}; the reporting year is {year}.", day=shown(died), year=self._year)
            yield PERSON, Violation("person.dead-before-year", "peDodDato", message)
            return
        for index, service in services:
            begins = service.get("tjFraDato", "")
            if begins > died and is_day(begins) and service.get("tjVedtak") != _REFUSED:
                message = Text("tjFraDato is {begins}, peDodDato {died}.", begins=shown(begins), died=shown(died))
                yield index, Violation("person.service-after-death", "tjFraDato", message)

    def _most_hours(self, services: Iterable[Mapping[str, str]]) -> Decimal:
        """Return the most hours a week on any day of the year; a service's last day is the next one's first."""
        running = [
            (service.get("tjFraDato") or self._first_day, service.get("tjTilDato") or _OPEN, _exact(service))
            for service in services
            if service.get("tjVedtak") != _REFUSED
        ]
        days = {max(begins, self._first_day) for begins, _, _ in running if begins <= self._last_day}
        return max(
            (sum((hours for begins, ends, hours in running if begins <= day < ends), Decimal()) for day in days),
            default=Decimal(),
        )


def _keys(pid: str, rows: list[Row]) -> Iterator[tuple[int, Violation]]:
    seen = set()
    for index, row in enumerate(rows):
        reference, own = _KEYS[row.kind]
        keys = row.keys
        named = keys.get(reference)
        if named != pid and not _same(named, pid):
            yield index, Violation("person.reference", reference)
        seen.add((row.kind, keys.get(own)))
    if len(seen) < len(rows):
        yield from _duplicates(rows)


def _duplicates(rows: list[Row]) -> Iterator[tuple[int, Violation]]:
    first: dict[tuple[str, str], int] = {}
    for index, row in enumerate(rows):
        own = _KEYS[row.kind][1]
        key = row.keys.get(own)
        if key is None:
            continue  # structure says that it is missing
        if first.setdefault((row.kind, key), index) != index:
            message = Text("Another {kind} of this person has the same {key}.", kind=row.kind, key=own)
            yield index, Violation("person.duplicate-key", own, message)


def _same(one: str | None, other: str) -> bool:
    """Whether two keys are the same number; one that is missing is a matter of structure."""
    if one is None:
        return True
    return one.strip().lstrip("0") == other.strip().lstrip("0")


def _has_reason(rows: Iterable[Row]) -> bool:
    """(Re)habilitation is reported on the person since type 16 ended; who waits has no service yet."""
    details = (row.values for row in rows if row.kind == "PERSONOPPL")
    return any(_YES in {each.get("poHab"), each.get("poVenteliste")} for each in details)


def _exact(service: Mapping[str, str]) -> Decimal:
    return _number(service.get("tjTimerUke", "0"))


def _number(text: str) -> Decimal:
    """Hours that a week has; anything else is another rule's."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return Decimal()
    return number if number.is_finite() and 0 < number <= _WEEK else Decimal()


def _weekly_hours(text: str) -> float:
    return float(_number(text))


_hours: Final = Memory(_weekly_hours)

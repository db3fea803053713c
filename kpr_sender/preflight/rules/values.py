"""What one value alone breaks of its field's published requirements: form, code, range, and whether a day exists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final

from kpr_sender.model import is_organisation_number, is_synthetic_organisation, organisation_number
from kpr_sender.preflight.catalogue import kommuner
from kpr_sender.preflight.catalogue.codes import TJENESTETYPE, all_service_types, codes, lists
from kpr_sender.preflight.catalogue.fields import DATO, Field
from kpr_sender.preflight.header import hidden, shown
from kpr_sender.preflight.memory import Memory
from kpr_sender.preflight.model import Circumstances, Violation
from kpr_sender.preflight.rules.table import CODE, FORMAT, RANGE, not_of_form, requirements
from kpr_sender.texts import Text
from kpr_sender.wording import all_of, any_of

# Dates as IPLOS writes them, yyyymmdd: they compare as texts, once it is certain that they are dates.

_DIGITS = 8


def is_day(text: str) -> bool:
    """Tell whether a text has a day's form; what has not is a field rule's."""
    return len(text) == _DIGITS and text.isascii() and text.isdigit()


def before(earlier: str, later: str) -> bool:
    """Tell whether one day lies before another; false where either is none."""
    return earlier < later and is_day(earlier) and is_day(later)


# Rules on one organisation number, wherever it stands.


class OrganisationNumbers:
    """Evaluates organisation numbers; few different ones stand in a file, so each is looked at once.

    Args:
        circumstances: Whether only real units are wanted.
    """

    def __init__(self, circumstances: Circumstances) -> None:
        self._production = circumstances.production
        self._known: Memory[tuple[str, str], tuple[Violation, ...]] = Memory(self._evaluate)

    def violations(self, field: str, number: str) -> tuple[Violation, ...]:
        """Return what a number breaks, never quoting it: a wrong one may be anything.

        Args:
            field: The element or attribute it stands in.
            number: As it stands; a 0 may follow the nine digits.
        """
        return self._known[field, number]

    def _evaluate(self, place: tuple[str, str]) -> tuple[Violation, ...]:
        field, number = place
        if organisation_number(number) is None:
            return ()  # its form is a field rule's
        if not is_organisation_number(number):
            return (Violation("orgnr.invalid", field, Text("The first digit or the check digit is wrong.")),)
        if self._production and is_synthetic_organisation(number):
            return (Violation("orgnr.synthetic", field, Text("It begins with 2 or 3.")),)
        return ()


# Says why a kommunenummer is not valid at the end of the reporting year, the day FHI's letter names.

ELSEWHERE: Final = frozenset({"9000", "9900", "9999"})
"""Special cases of residence (XPR): no municipality of their own, so valid for a person and not for a sender."""


def is_number(text: str) -> bool:
    """Tell whether a text has a kommunenummer's form; what has not is a field rule's."""
    return len(text) == 4 and text.isascii() and text.isdigit()  # noqa: PLR2004 - kommunenummer have four digits


def not_valid(number: str, year: int) -> str:
    """Return a sentence on a kommunenummer that is not valid on 31 December, or nothing where it is.

    Args:
        number: Four digits.
        year: The reporting year.
    """
    if kommuner.valid(number, date(year, 12, 31)):
        return ""
    heirs = [f"{heir} {name}" for heir, name in kommuner.successors(number)]
    if heirs:
        return Text("{number} is now {heirs}.", number=number, heirs=all_of(heirs))
    last = kommuner.LAST_KNOWN_YEAR
    if year > last:
        return Text(
            "{number} is not a number of {year}, the last year we know the numbers of.", number=shown(number), year=last
        )
    return Text("{number} is not valid on 31 December {year}.", number=shown(number), year=year)


LIST_BY: Final[Mapping[str, tuple[str, Mapping[str, str], str]]] = {
    # Sight and hearing have scales of their own (IPLOS 3.7, fnFunkVerdi).
    "fnFunkVerdi": ("fnFunkType", {"13": "9166", "14": "9167"}, "9165"),
}
"""Fields whose code list another field of the row chooses: which one, list by its value, the list for all others."""

_MONTHS: Final = frozenset({"poVurdLege", "poVurdTann"})  # yyyymm by their descriptions, any six characters by pattern

Check = Callable[[str], Iterator[Violation]]

_DAY: Final = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])|99991231")
_MONTH: Final = re.compile("(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_MONTH_DIGITS: Final = 6
_QUOTABLE: Final = re.compile("[0-9]{1,4}|[0-9]{1,4}[.,][0-9]{1,3}|[A-Z]|" + _MONTH.pattern + "|" + _DAY.pattern)
"""Codes, hours and dates; a wrong value may be anything else, a name in the wrong field even."""


def quoted(value: str) -> str:
    """Return a wrong value for a finding, or only its length where it is no code, date or count."""
    return shown(value) if _QUOTABLE.fullmatch(value) else hidden(value)


def form(field: Field) -> re.Pattern[str]:
    """Return the receiver's pattern, to be matched in full. Digits are ASCII's: nobody writes others by intent."""
    return _DAY if field.format == DATO else re.compile(field.format, re.ASCII)


def bound(name: str, circumstances: Circumstances) -> str:
    """Return a bound's value where it is the period's, else the bound itself."""
    return {"iiFraDato": circumstances.first_day, "iiTilDato": circumstances.last_day}.get(name, name)


def checks(field: Field, circumstances: Circumstances) -> tuple[Check, ...]:
    """Return what there is to be checked of a field's values, none where nothing is required.

    A range whose bound is another field of the row is not among it, nor a code list that another field chooses.
    """
    required_aspects = requirements(field)
    made: list[Check] = []
    in_force = accepted(field, circumstances.year) if CODE in required_aspects else frozenset()
    if FORMAT in required_aspects:
        made.append(_form_check(field, in_force))
    if CODE in required_aspects and field.name not in LIST_BY:
        made.append(_code_check(field, in_force, circumstances.year))
    earliest, latest = bound(field.earliest, circumstances), bound(field.latest, circumstances)
    if RANGE in required_aspects and _NUMBER.fullmatch(earliest):
        made.append(_range_check(field, earliest, latest))
    if field.format == DATO:
        return (_valid_days(earliest, latest, (*made, _day_check(field))),)
    if field.name in _MONTHS:
        made.append(_month_check(field))
    return tuple(made)


def accepted(field: Field, year: int) -> frozenset[str]:
    """Return the codes that break no rule of the field's own.

    A tjenestetype that ended is among them: it breaks a rule of its own, which knows what took its place.
    """
    known = frozenset[str]().union(*(codes(oid, year) for oid in field.kodeverk if oid in lists()))
    if TJENESTETYPE in field.kodeverk:
        known |= {code for code, each in all_service_types().items() if each.replaced_by}
    return field.codes or known


def _form_check(field: Field, in_force: frozenset[str]) -> Check:
    fullmatch = form(field).fullmatch
    wrong = not_of_form(field, field.name)

    def check(value: str) -> Iterator[Violation]:
        # A code in force is valid whatever the pattern says: poHarKoordinator's have one character too many for theirs.
        if not fullmatch(value) and value not in in_force:
            yield Violation(
                f"{field.id}.{FORMAT}", field.name, Text("{wrong}: {value}.", wrong=wrong, value=quoted(value))
            )

    return check


def _code_check(field: Field, in_force: frozenset[str], year: int) -> Check:
    where = any_of(field.kodeverk)

    def check(value: str) -> Iterator[Violation]:
        if value and value not in in_force:
            message = no_code(field.name, value, where, year)
            yield Violation(f"{field.id}.{CODE}", field.name, message)

    return check


def no_code(name: str, value: str, lists: str, year: int) -> Text:
    """Return a sentence on a value that is no code.

    Args:
        name: The field.
        value: As it stands.
        lists: Where it should be, in words.
        year: In which it should be in force.
    """
    return Text(
        "{name} is {value}: no code of list {lists} in {year}.", name=name, value=quoted(value), lists=lists, year=year
    )


def _range_check(field: Field, earliest: str, latest: str) -> Check:
    outside = _number_outside if field.type == "decimal" else _day_outside if field.format == DATO else _month_outside

    def check(value: str) -> Iterator[Violation]:
        if outside(value, earliest, latest):
            yield Violation(f"{field.id}.{RANGE}", field.name, _outside(field.name, value, earliest, latest))

    return check


def _outside(name: str, value: str, earliest: str, latest: str) -> Text:
    if earliest == latest:
        return Text("{name} is {value}, not {bound}.", name=name, value=quoted(value), bound=earliest)
    return Text(
        "{name} is {value}, not between {earliest} and {latest}.",
        name=name,
        value=quoted(value),
        earliest=earliest,
        latest=latest,
    )


def _number_outside(value: str, earliest: str, latest: str) -> bool:
    try:
        return not Decimal(earliest) <= Decimal(value) <= Decimal(latest)
    except InvalidOperation:
        return False  # no number at all is the schema's business


def _day_outside(value: str, earliest: str, latest: str) -> bool:
    return is_day(value) and not earliest <= value <= latest


def _month_outside(value: str, earliest: str, latest: str) -> bool:
    months = slice(_MONTH_DIGITS)
    return _MONTH.fullmatch(value) is not None and not earliest[months] <= value <= latest[months]


def _month_check(field: Field) -> Check:
    def check(value: str) -> Iterator[Violation]:
        if value and not _MONTH.fullmatch(value):
            message = Text("{name} is {value}: no month as yyyymm.", name=field.name, value=quoted(value))
            yield Violation("dato.no-such-month", field.name, message)

    return check


def _valid_days(earliest: str, latest: str, made: tuple[Check, ...]) -> Check:
    """Return all checks of a day in one, which nearly every day passes at once."""
    limits = (earliest, latest) if is_day(earliest) else ("", "99999999")

    def check(value: str) -> Iterator[Violation]:
        if limits[0] <= value <= limits[1] and _exists[value]:
            return
        for each in made:
            yield from each(value)

    return check


def _is_in_the_calendar(day: str) -> bool:
    if _DAY.fullmatch(day) is None:
        return False
    try:
        date(int(day[:4]), int(day[4:6]), int(day[6:]))
    except ValueError:
        return False
    return True


_exists: Final = Memory(_is_in_the_calendar)


def _day_check(field: Field) -> Check:
    def check(value: str) -> Iterator[Violation]:
        if _DAY.fullmatch(value) and not _exists[value]:
            message = Text("{name} is {value}: there is no such day.", name=field.name, value=quoted(value))
            yield Violation("dato.no-such-day", field.name, message)

    return check

"""Is a text a value of an XSD simple type? The types and facets that the formats use, and no others.

The measure is what libxml2 takes, since that is what a schema validation says in practice. It differs from the letter
of XSD 1.0 in one point that shows here: white space around a date is not forgiven, while around a number it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from kpr_sender.preflight.catalogue.fields import DATO, Field
from kpr_sender.preflight.lines import WHITE
from kpr_sender.texts import Text, listed

Predicate = Callable[[str], bool]

_INTEGER: Final = re.compile(r"([+-]?)0*([0-9]*)")
_DECIMAL: Final = re.compile(r"[+-]?0*([0-9]*)(?:\.([0-9]*?)0*)?")
ZONE: Final = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))?"
"""What may follow an xs:date's day; JAXB writes it. The day is that of the zone: it stays the day that is written."""
_DATE: Final = re.compile(rf"(-?(?:[0-9]{{4}}|[1-9][0-9]{{4,18}}))-([0-9]{{2}})-([0-9]{{2}}){ZONE}")
_YEAR_DIGITS: Final = 4
_LATEST_YEAR: Final = 2**63 - 1
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_HEX: Final = "[0-9a-fA-F]"
_BARE_GUID: Final = "-".join(f"{_HEX}{{{count}}}" for count in (8, 4, 4, 4, 12))
_GUID: Final = re.compile(rf"{_BARE_GUID}|\{{{_BARE_GUID}\}}")
_DATO: Final = re.compile(r"[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")  # the 31st of June is one, too

_BITS: Final = {"long": 64, "int": 32, "short": 16}


def predicate(field: Field) -> Predicate:
    """Return the test whether a text is valid for a field.

    An element with a fixed value may be empty, for then it has that value; an attribute may not.
    """
    tests = [_TYPES[field.type], *(_FACETS[name](value, field.type) for name, value in _facets(field).items())]
    usual = {text for text in field.facets.get("enumeration", "").split() if all(test(text) for test in tests)}
    valid = tests[0] if len(tests) == 1 else lambda text: text in usual or all(test(text) for test in tests)
    return (lambda text: not text or valid(text)) if field.kind == "element" and "fixed" in field.facets else valid


def wanted(field: Field) -> str:
    """Return in words what a field's value must be."""
    return listed(_TYPE_WORDS[field.type], *(_FACET_WORDS[name](value) for name, value in _facets(field).items()))


def _facets(field: Field) -> Mapping[str, str]:
    """What concerns one value alone: uniqueness does not."""
    return {name: value for name, value in field.facets.items() if name != "unique"}


# -- types --------------------------------------------------------------------------------------------------------


def _any(_: str) -> bool:
    return True


def _integer(text: str) -> tuple[str, str] | None:
    """Return sign and digits without leading zeros, of any number of digits; None where it is no whole number."""
    found = _INTEGER.fullmatch(text.strip(WHITE))
    if found is None or found[0] in {"", "+", "-"}:
        return None
    return ("-" if found[1] == "-" and found[2] else "", found[2] or "0")


def _in_bits(bits: int) -> Predicate:
    most = 1 << (bits - 1)
    longest = len(str(most))

    def test(text: str) -> bool:
        number = _integer(text)
        if number is None or len(number[1]) > longest:  # int() is slow, and refuses, where there are thousands
            return False
        return -most <= int("".join(number)) < most

    return test


def _natural(text: str) -> bool:
    number = _integer(text)
    return number is not None and not number[0]


def _digits(text: str) -> tuple[int, int] | None:
    """Return how many digits count before and behind the point; None where it is no decimal number."""
    bare = text.strip(WHITE)
    found = _DECIMAL.fullmatch(bare)
    if found is None or not bare.strip("+-."):
        return None
    return len(found[1]), len(found[2] or "")


def _decimal(text: str) -> bool:
    return _digits(text) is not None


def _date(text: str) -> bool:
    found = _DATE.fullmatch(text)
    if found is None:
        return False
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    if not year or abs(year) > _LATEST_YEAR or not 1 <= month <= len(_DAYS) or not 1 <= day <= _DAYS[month - 1]:
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return leap or (month, day) != (2, 29)


def day_of(text: str) -> str:
    """Return the day of an xs:date as yyyymmdd, its zone left out; empty where it is none of four digits' years."""
    found = _DATE.fullmatch(text)
    return "".join(found.groups()) if found and len(found[1]) == _YEAR_DIGITS and _date(text) else ""


def _matches(pattern: re.Pattern[str]) -> Predicate:
    return lambda text: pattern.fullmatch(text) is not None


_TYPES: Final[Mapping[str, Predicate]] = {
    "string": _any,
    **{name: _in_bits(bits) for name, bits in _BITS.items()},
    "nonNegativeInteger": _natural,
    "decimal": _decimal,
    "date": _date,
    "guid": _matches(_GUID),
    DATO: _matches(_DATO),
}


# -- facets -------------------------------------------------------------------------------------------------------


def _value(text: str, type_: str) -> object:
    """Return what two texts for the same value have in common: 1 and 01 are one nonNegativeInteger."""
    return _integer(text) if type_ == "nonNegativeInteger" or type_ in _BITS else text


def _one_of(texts: list[str], type_: str) -> Predicate:
    values = {_value(text, type_) for text in texts}
    return lambda text: _value(text, type_) in values


def _total_digits(most: str, _: str) -> Predicate:
    return lambda text: (digits := _digits(text)) is not None and sum(digits) <= int(most)


def _fraction_digits(most: str, _: str) -> Predicate:
    return lambda text: (digits := _digits(text)) is not None and digits[1] <= int(most)


_FACETS: Final[Mapping[str, Callable[[str, str], Predicate]]] = {
    "minLength": lambda least, _: lambda text: len(text) >= int(least),
    "maxLength": lambda most, _: lambda text: len(text) <= int(most),
    "length": lambda length, _: lambda text: len(text) == int(length),
    "totalDigits": _total_digits,
    "fractionDigits": _fraction_digits,
    "enumeration": lambda values, type_: _one_of(values.split(), type_),
    "fixed": lambda value, type_: _one_of([value], type_),
}

_TYPE_WORDS: Final[Mapping[str, Text]] = {
    "string": Text("text"),
    **{name: Text("a whole number of {bits} bits", bits=bits) for name, bits in _BITS.items()},
    "nonNegativeInteger": Text("a whole number from 0"),
    "decimal": Text("a number with a decimal point"),
    "date": Text("a day as yyyy-mm-dd"),
    "guid": Text("a GUID"),
    DATO: Text("a day as yyyymmdd"),
}
_FACET_WORDS: Final[Mapping[str, Callable[[str], Text]]] = {
    "minLength": lambda least: Text("at least {length} characters", length=least),
    "maxLength": lambda most: Text("at most {length} characters", length=most),
    "length": lambda length: Text("{length} characters", length=length),
    "totalDigits": lambda most: Text("at most {digits} digits", digits=most),
    "fractionDigits": lambda most: Text("at most {digits} of them behind the point", digits=most),
    "enumeration": lambda values: Text("one of {values}", values=values),
    "fixed": lambda value: Text("always {value}", value=value),
}

"""Every rule by its id: those of the catalogue's ``rules.csv``, and the ones a format's fields make.

A field's published requirements become one rule each, ``<Field.id>.<aspect>``; their texts come from two small tables
here, so that 88 fields are described by a dozen sentences. Where ``rules.csv`` has a row of the same id,
that row counts: of some, reports say more than the specification.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Final

from kpr_sender.preflight.catalogue.codes import lists, rows
from kpr_sender.preflight.catalogue.fields import ALWAYS, DATO, Field, iplos, xpr_ide
from kpr_sender.preflight.model import Consequence, Effect, Rule

FORMAT: Final = "format"
MISSING: Final = "missing"
CODE: Final = "code"
RANGE: Final = "range"
ASPECTS: Final = (FORMAT, MISSING, CODE, RANGE)

ANYTHING: Final = "^.*$"
"""The format that every value has: nobody can break it."""

_NOT_OF_FORM: Final[Mapping[str, str]] = {
    DATO: "is no day as yyyymmdd",
    r"^\d+$": "is no number",
    r"^\d{1}$": "is not one digit",
    r"^\d{2}$": "is not two digits",
    r"^\d{4}$": "is not four digits",
    r"^\d{1,2}$": "is not one or two digits",
    r"^\d{1,10}$": "is not one to ten digits",
    r"^\d{9}0?$": "is not nine digits",
    r"^\d{1,3}\.\d{1,2}$": "is no number with a point and one or two decimals",
    "^.{0,1}$": "is longer than one character",
    "^.{0,6}$": "is longer than 6 characters",
    "^.{0,10}$": "is longer than 10 characters",
    "^.{0,15}$": "is longer than 15 characters",
}
"""What is wrong with a value that a published pattern does not hold."""

_BOUNDS: Final[Mapping[str, str]] = {"iiFraDato": "the period's first day", "iiTilDato": "the period's last day"}

_RECEIVER: Final[Mapping[Consequence, str]] = {
    Consequence.MESSAGE: "FHI discards the whole message.",
    Consequence.ROW: "FHI drops the row and everything under it.",
    Consequence.VALUE: "FHI blanks the value; the receipt is positive all the same.",
    Consequence.NONE: "FHI does nothing about it.",
}

_TITLE: Final[Mapping[str, str]] = {
    FORMAT: "{name} {not_of_form}",
    MISSING: "{name} is required{when} and missing",
    CODE: "{name} is no code of list {lists} that is in force",
    RANGE: "{name} {out_of_range}",
}

_ADVICE: Final[Mapping[str, str]] = {
    FORMAT: "Correct the value in the EPJ, or have its supplier fix the extract.",
    MISSING: "Register it in the EPJ and make a new extract.",
    CODE: "Use a code of the list that is in force in the reporting year; look at how local codes are mapped to it.",
    RANGE: "Correct the value in the EPJ.",
}

_EFFECT: Final[Mapping[Consequence, Effect]] = {
    Consequence.MESSAGE: Effect.STOP,
    Consequence.ROW: Effect.DROP,
    Consequence.VALUE: Effect.WARN,
    Consequence.NONE: Effect.WARN,
}

_EXCEPTIONS: Final[Mapping[str, Effect]] = {
    "tjTjenType.code": Effect.DROP,  # a service of no type counts nowhere, though the receipt is positive
}


def requirements(field: Field) -> Mapping[str, Consequence | None]:
    """Return what the receiver requires of a field, by aspect, with the consequence; None where none is published.

    What the schema requires (an enumeration, say) is not among it: a breach of that is structural. Nor is what nobody
    can check: codes of a list that is published nowhere, a pattern that every text has.
    """
    schema_lists_codes = "enumeration" in field.facets
    made = {
        FORMAT: bool(field.format) and field.format != ANYTHING,
        MISSING: bool(field.required_for),
        CODE: any(oid in lists() for oid in field.kodeverk) and not schema_lists_codes,
        RANGE: bool(field.earliest or field.latest),
    }
    published = {
        FORMAT: field.on_format,
        MISSING: field.on_missing,
        CODE: field.on_code,
        RANGE: field.on_range,
    }
    return {aspect: published[aspect] for aspect, required in made.items() if required}


def not_of_form(field: Field) -> str:
    """Return in words what is wrong with a value that has not the field's form."""
    return _NOT_OF_FORM.get(field.format, f"does not match {field.format}")


def out_of_range(field: Field) -> str:
    """Return in words what is wrong with a value out of the field's range."""
    earliest, latest = (_BOUNDS.get(bound, bound) for bound in (field.earliest, field.latest))
    if earliest == latest:
        return f"is not {earliest}"
    return f"is not between {earliest} and {latest}" if latest else f"is before {earliest}"


def _title(field: Field, aspect: str) -> str:
    return _TITLE[aspect].format(
        name=field.id,
        not_of_form=not_of_form(field),
        when="" if field.required_for == ALWAYS else " for the tjenestetype",
        lists=" or ".join(field.kodeverk),
        out_of_range=out_of_range(field),
    )


def _of_field(field: Field) -> Iterator[Rule]:
    for aspect, published in requirements(field).items():
        consequence = published or Consequence.NONE
        effect = _EFFECT[consequence]
        if aspect == FORMAT and consequence is Consequence.NONE:
            effect = Effect.NOTE
        published_or_not = "" if published else "; the requirement is published, no consequence is"
        yield Rule(
            id=f"{field.id}.{aspect}",
            consequence=consequence,
            effect=_EXCEPTIONS.get(f"{field.id}.{aspect}", effect),
            title=_title(field, aspect),
            receiver=_RECEIVER[consequence],
            advice=_ADVICE[aspect],
            source=f"{field.source}{published_or_not}",
        )


def _of_table() -> Iterator[Rule]:
    for row in rows("rules.csv"):
        consequence = Consequence(row["consequence"])
        yield Rule(
            id=row["id"],
            consequence=consequence,
            effect=Effect(row["effect"]),
            title=row["title"],
            receiver=row["receiver"] or _RECEIVER[consequence],
            advice=row["advice"],
            source=row["source"],
        )


class _Rules(Mapping[str, Rule]):
    """Reads the tables when the first rule is asked for: not every command checks files."""

    @functools.cached_property
    def _rules(self) -> Mapping[str, Rule]:
        made: dict[str, Rule] = {}
        for catalogue in (iplos(), xpr_ide("53.1.2"), xpr_ide("53.1.3")):
            for field in catalogue.fields.values():
                made |= {rule.id: rule for rule in _of_field(field)}
        return made | {rule.id: rule for rule in _of_table()}

    def __getitem__(self, key: str) -> Rule:
        return self._rules[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)


RULES: Final[Mapping[str, Rule]] = _Rules()

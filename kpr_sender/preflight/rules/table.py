"""Every rule by its id: those of the catalogue's ``rules.csv``, and the ones a format's fields make.

A field's published requirements become one rule each, ``<Field.id>.<aspect>``; their texts come from two small tables
here, so that 88 fields are described by a dozen sentences. Where ``rules.csv`` has a row of the same id,
that row counts: of some, reports say more than the specification.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kpr_sender.preflight.catalogue.codes import lists, rows
from kpr_sender.preflight.catalogue.fields import ALWAYS, DATO, Field, iplos, xpr_ide
from kpr_sender.preflight.model import Consequence, Effect, Rule
from kpr_sender.texts import Text, of_table
from kpr_sender.wording import any_of

FORMAT: Final = "format"
MISSING: Final = "missing"
CODE: Final = "code"
RANGE: Final = "range"
ASPECTS: Final = (FORMAT, MISSING, CODE, RANGE)

ANYTHING: Final = "^.*$"
"""The format that every value has: nobody can break it."""

_NOT_OF_FORM: Final[Mapping[str, Callable[[str], Text]]] = {
    DATO: lambda name: Text("{name} is no day as yyyymmdd", name=name),
    r"^\d+$": lambda name: Text("{name} is no number", name=name),
    r"^\d{1}$": lambda name: Text("{name} is not one digit", name=name),
    r"^\d{2}$": lambda name: Text("{name} is not two digits", name=name),
    r"^\d{4}$": lambda name: Text("{name} is not four digits", name=name),
    r"^\d{1,2}$": lambda name: Text("{name} is not one or two digits", name=name),
    r"^\d{1,10}$": lambda name: Text("{name} is not one to ten digits", name=name),
    r"^\d{9}0?$": lambda name: Text("{name} is not nine digits", name=name),
    r"^\d{1,3}\.\d{1,2}$": lambda name: Text("{name} is no number with a point and one or two decimals", name=name),
    "^.{0,1}$": lambda name: Text("{name} is longer than one character", name=name),
    "^.{0,6}$": lambda name: Text("{name} is longer than 6 characters", name=name),
    "^.{0,10}$": lambda name: Text("{name} is longer than 10 characters", name=name),
    "^.{0,15}$": lambda name: Text("{name} is longer than 15 characters", name=name),
}
"""What is wrong with a value that a published pattern does not hold."""

_BOUNDS: Final[Mapping[str, Text]] = {
    "iiFraDato": Text("the period's first day"),
    "iiTilDato": Text("the period's last day"),
}

_RECEIVER: Final[Mapping[Consequence, Text]] = {
    Consequence.MESSAGE: Text("FHI discards the whole message."),
    Consequence.ROW: Text("FHI drops the row and everything under it."),
    Consequence.VALUE: Text("FHI blanks the value; the receipt is positive all the same."),
    Consequence.NONE: Text("FHI does nothing about it."),
}

_ADVICE: Final[Mapping[str, Text]] = {
    FORMAT: Text("Correct the value in the EPJ, or have its supplier fix the extract."),
    MISSING: Text("Register it in the EPJ and make a new extract."),
    CODE: Text(
        "Use a code of the list that is in force in the reporting year; look at how local codes are mapped to it."
    ),
    RANGE: Text("Correct the value in the EPJ."),
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


def not_of_form(field: Field, name: str) -> Text:
    """Return in words what is wrong with a value that has not the field's form.

    Args:
        field: The field.
        name: What the words call it.
    """
    made = _NOT_OF_FORM.get(field.format)
    return made(name) if made else Text("{name} does not match {form}", name=name, form=field.format)


def _missing(field: Field) -> Text:
    if field.required_for == ALWAYS:
        return Text("{name} is required and missing", name=field.id)
    return Text("{name} is required for the tjenestetype and missing", name=field.id)


def _no_code(field: Field) -> Text:
    lists = any_of(field.kodeverk)
    return Text("{name} is no code of list {lists} that is in force", name=field.id, lists=lists)


def _out_of_range(field: Field) -> Text:
    earliest, latest = (_BOUNDS.get(bound, bound) for bound in (field.earliest, field.latest))
    if earliest == latest:
        return Text("{name} is not {bound}", name=field.id, bound=earliest)
    if latest:
        return Text("{name} is not between {earliest} and {latest}", name=field.id, earliest=earliest, latest=latest)
    return Text("{name} is before {earliest}", name=field.id, earliest=earliest)


_TITLE: Final[Mapping[str, Callable[[Field], Text]]] = {
    FORMAT: lambda field: not_of_form(field, field.id),
    MISSING: _missing,
    CODE: _no_code,
    RANGE: _out_of_range,
}


def _of_field(field: Field) -> Iterator[Rule]:
    for aspect, published in requirements(field).items():
        consequence = published or Consequence.NONE
        effect = _EFFECT[consequence]
        if aspect == FORMAT and consequence is Consequence.NONE:
            effect = Effect.NOTE
        source = of_table(field.source)
        yield Rule(
            id=f"{field.id}.{aspect}",
            consequence=consequence,
            effect=_EXCEPTIONS.get(f"{field.id}.{aspect}", effect),
            title=_TITLE[aspect](field),
            receiver=_RECEIVER[consequence],
            advice=_ADVICE[aspect],
            source=source
            if published
            else Text("{source}; the requirement is published, no consequence is", source=source),
        )


def _of_table() -> Iterator[Rule]:
    for row in rows("rules.csv"):
        consequence = Consequence(row["consequence"])
        yield Rule(
            id=row["id"],
            consequence=consequence,
            effect=Effect(row["effect"]),
            title=of_table(row["title"]),
            receiver=of_table(row["receiver"]) if row["receiver"] else _RECEIVER[consequence],
            advice=of_table(row["advice"]),
            source=of_table(row["source"]),
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

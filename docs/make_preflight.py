# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes the generated parts of docs/preflight.md: every field, every rule, every code list.

They come from the tables of ``kpr_sender/preflight/catalogue/``. Each part stands between two comments that name it;
everything else on the page is written by hand. Run it after a change there: ``python docs/make_preflight.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from kpr_sender.preflight.catalogue.codes import TJENESTETYPE, Code, all_service_types, lists
from kpr_sender.preflight.catalogue.fields import ALWAYS, DATO, Catalogue, Field, iplos, xpr_ide
from kpr_sender.preflight.model import Rule
from kpr_sender.preflight.rules.table import ASPECTS, RULES, requirements

TARGET: Final = Path(__file__).resolve().parent / "preflight.md"
_PART: Final = re.compile(r"<!-- (?P<name>rules|codes) -->\n.*?<!-- end -->", re.DOTALL)

_SUBJECTS: Final = {
    "INNHINFO": ("header",),
    "PERSON": ("person",),
    "TJENESTE": ("tjeneste", "orgnr"),
    "Melding": ("melding",),
    "Institusjon": ("institusjon",),
    "PasientIdent": ("ident",),
}
"""The first words of rules that belong to a block without being one field's."""

_ELSEWHERE: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    ("Either file's structure", ("structure",)),
    ("Any row or date", ("rad", "dato")),
    ("The fagmelding as a whole", ("file",)),
    ("The pair", ("pair",)),
    ("Last year's file (`--compare`)", ("year",)),
)

_RULES_HEAD: Final = ("rule", "what is wrong", "consequence", "`send`", "what FHI does", "what to do", "source")
_FIELDS_HEAD: Final = ("field", "what it is", "på norsk", "form", "codes", "range", "required")


def filled(page: str) -> str:
    """Return the page with its generated parts made anew."""
    parts = {"rules": _rules, "codes": _codes}
    return _PART.sub(
        lambda found: "\n".join([f"<!-- {found['name']} -->", *parts[found["name"]](), "<!-- end -->"]), page
    )


def _rules() -> Iterator[str]:
    for title, subjects in _ELSEWHERE[:1]:
        yield from _section(f"### {title}", (), _of(subjects))
    for title, catalogue in (("Fagmelding", iplos()), ("Identmelding", xpr_ide("53.1.3"))):
        for block in catalogue.blocks:
            fields = [field for field in _fields(catalogue) if field.parent == block]
            yield from _section(f"### {title}: {block}", fields, [*_of_fields(fields), *_of(_SUBJECTS.get(block, ()))])
    for title, subjects in _ELSEWHERE[1:]:
        yield from _section(f"### {title}", (), _of(subjects))


def _fields(catalogue: Catalogue) -> Iterator[Field]:
    for block in catalogue.blocks.values():
        yield from block.attributes.values()
        yield from (child for child in block.children if child.kind == "element")


def _of(subjects: Sequence[str]) -> list[Rule]:
    return [rule for rule in RULES.values() for subject in subjects if rule.id.startswith(f"{subject}.")]


def _of_fields(fields: Iterable[Field]) -> Iterator[Rule]:
    for field in fields:
        for rule in RULES.values():
            subject, _, aspect = rule.id.rpartition(".")
            if subject == field.id and (aspect in requirements(field) or aspect not in ASPECTS):
                yield rule


def _section(title: str, fields: Sequence[Field], rules: Iterable[Rule]) -> Iterator[str]:
    yield from ("", title, "")
    if fields:
        yield from _table(_FIELDS_HEAD, map(_field, fields))
        yield ""
    told = [_rule(rule) for rule in rules]
    if told:
        yield from _table(_RULES_HEAD, told)
    else:
        yield "No rules beyond the schema."


def _rule(rule: Rule) -> tuple[str, ...]:
    return f"`{rule.id}`", rule.title, rule.consequence, rule.effect, rule.receiver, rule.advice, rule.source


def _field(field: Field) -> tuple[str, ...]:
    form = "yyyymmdd" if field.format == DATO else f"`{field.format}`" if field.format else field.type
    codes = f"{' '.join(sorted(field.codes, key=int))} of {_joined(field)}" if field.codes else _joined(field)
    limits = f"{field.earliest} to {field.latest}".removesuffix(" to ") if field.earliest else ""
    required = field.required_for if field.required_for in {ALWAYS, ""} else f"for {_sorted(field.required_for)}"
    if not field.format and field.least:
        required = ALWAYS
    return f"`{field.id}`", field.english, field.norwegian, form, codes, limits, required


def _joined(field: Field) -> str:
    return ", ".join(field.kodeverk)


def _sorted(codes: str) -> str:
    return ", ".join(sorted(codes.split(), key=int))


def _codes() -> Iterator[str]:
    yield from ("", f"### {TJENESTETYPE}: tjenestetype", "")
    yield from _table(
        ("code", "what it is", "på norsk", "group", "reporting years", "organisation number", "source"),
        (
            (
                each.code.code,
                each.code.english,
                each.code.norwegian,
                each.group,
                _years(each.code, each.replaced_by),
                each.orgnr.replace("_", " "),
                each.code.source,
            )
            for each in all_service_types().values()
        ),
    )
    yield from ("", "### The other lists", "")
    yield from _table(
        ("list", "fields", "codes", "reporting years"),
        (
            (
                oid,
                ", ".join(f"`{name}`" for name in _users(oid)),
                "; ".join(f"{each.code} {each.english} ({each.norwegian})" for each in codes),
                "; ".join(sorted({_years(each, "") for each in codes})),
            )
            for oid, codes in lists().items()
            if oid != TJENESTETYPE
        ),
    )


def _users(oid: str) -> list[str]:
    every = [*iplos().fields.values(), *xpr_ide("53.1.3").fields.values()]
    return [field.id for field in every if oid in field.kodeverk]


def _years(code: Code, replaced_by: str) -> str:
    if code.first_year is None and code.last_year is None:
        return "all"
    years = f"from {code.first_year}" if code.last_year is None else f"to {code.last_year}"
    return f"{years}; {replaced_by}" if replaced_by else years


def _table(head: Sequence[str], told: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in told:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


if __name__ == "__main__":
    TARGET.write_text(filled(TARGET.read_text("utf-8")), "utf-8")

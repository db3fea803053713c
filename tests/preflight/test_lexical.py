"""A value is right for its type when libxml2 says so: every type and facet of the formats, against a schema of it."""

from __future__ import annotations

from functools import cache
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from kpr_sender.preflight.catalogue.fields import DATO
from kpr_sender.preflight.lexical import predicate, wanted
from tests.helpers.structure_mutations import CATALOGUES, VALUES

_OWN_TYPES = {
    DATO: ("string", '<length value="8"/><pattern value="[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"/>'),
    "guid": (
        "string",
        '<pattern value="({})|(\\{{{}\\}})"/>'.format(
            *2 * ("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",)
        ),
    ),
}
FIELDS = {
    " ".join((field.kind, field.type, *(f"{name}={value}" for name, value in sorted(field.facets.items())))): field
    for catalogue in CATALOGUES.values()
    for field in catalogue().fields.values()
}

numbers = st.from_regex(r"[ \n]?[+-]?0{0,3}[0-9]{0,20}(\.[0-9]{0,6})?[ \t]?", fullmatch=True)
dates = st.from_regex(
    r"-?[0-9]{4,5}-[0-2]?[0-9]-[0-3]?[0-9](Z|[+-][01][0-9]:[0-6][0-9])?|[0-9]{4}[01][0-9][0-3][0-9]", fullmatch=True
)
readable = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"))
texts = st.sampled_from(VALUES) | numbers | dates | readable


@cache
def _schema(name: str) -> etree.XMLSchema:
    field = FIELDS[name]
    base, facets = _OWN_TYPES.get(field.type, (field.type, ""))
    for facet, value in field.facets.items():
        if facet == "enumeration":
            facets += "".join(f'<enumeration value="{each}"/>' for each in value.split())
        elif facet not in {"fixed", "unique"}:
            facets += f'<{facet} value="{value}"/>'
    fixed = f"fixed={quoteattr(field.facets['fixed'])}" if "fixed" in field.facets else ""
    type_ = f'<simpleType><restriction base="{base}">{facets}</restriction></simpleType>'
    declared = (
        f'<complexType><attribute name="a" {fixed}>{type_}</attribute></complexType>'
        if field.kind == "attribute"
        else type_
    )
    return etree.XMLSchema(
        etree.fromstring(
            f'<schema xmlns="http://www.w3.org/2001/XMLSchema">'
            f'<element name="r" {fixed if field.kind == "element" else ""}>{declared}</element></schema>'
        )
    )


def _right_by_libxml2(name: str, text: str) -> bool:
    element = etree.Element("r")
    if FIELDS[name].kind == "attribute":
        element.set("a", text)
    elif text:
        element.text = text
    return _schema(name).validate(element)


@pytest.mark.parametrize("name", FIELDS)
def test_the_texts_that_tempt_are_judged_as_libxml2_judges_them(name: str) -> None:
    right = predicate(FIELDS[name])
    assert [text for text in VALUES if right(text) is not _right_by_libxml2(name, text)] == []


@given(name=st.sampled_from(list(FIELDS)), text=texts)
@example(name="attribute long", text="1" * 5_000)
@example(name="element decimal fractionDigits=2 totalDigits=5", text="0" * 5_000 + "1.10")
def test_any_text_is_judged_as_libxml2_judges_it(name: str, text: str) -> None:
    assert predicate(FIELDS[name])(text) is _right_by_libxml2(name, text)


def test_what_is_wanted_is_said_in_words() -> None:
    fields = CATALOGUES["kpr_ipl"]().fields
    assert wanted(fields["tjTimerUke"]) == (
        "a number with a decimal point, at most 5 digits, at most 2 of them behind the point"
    )
    assert {wanted(field) for field in FIELDS.values()} >= {"a day as yyyymmdd", "text, always P", "text"}

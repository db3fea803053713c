"""The catalogue against what it was made from: the official schemas, and the receiver's published rules."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Final

import pytest

from kpr_sender.preflight.catalogue.fields import Catalogue, Field, iplos, xpr_ide
from kpr_sender.preflight.model import Consequence
from kpr_sender.preflight.rules.values import accepted
from tests.helpers.catalogue_schemas import SchemaReader
from tests.helpers.figures import figure
from tests.helpers.shared import SHARED

SCHEMAS: Final = {
    "iplos-3.x/iplos_2019.xsd": iplos(),
    "xpr-53.1.2/XPR(ide).xsd": xpr_ide("53.1.2"),
    "xpr-53.1.3/XPR(ide).xsd": xpr_ide("53.1.3"),
}

CONSEQUENCES: Final = {
    "Slettemerk melding": Consequence.MESSAGE,
    "Slettemerk rad med underelementer": Consequence.ROW,
    "Sett verdi til NULL": Consequence.VALUE,
    "Ingen handling": Consequence.NONE,
    "": None,
}

A_YEAR_LATER: Final = "the rules name days of 2019, the year they were written for; ours are the reporting year's"
DIFFERENCES: Final = {
    ("iiFraDato", "earliest"): A_YEAR_LATER,
    ("iiFraDato", "latest"): A_YEAR_LATER,
    ("iiTilDato", "earliest"): A_YEAR_LATER,
    ("iiTilDato", "latest"): A_YEAR_LATER,
    ("fnFraDato", "latest"): A_YEAR_LATER,
}
"""Where the catalogue says something else than the published rules, and why."""

Facts = dict[str, object]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_structure_is_the_schema_s(name: str) -> None:
    catalogue: Catalogue = SCHEMAS[name]
    schema = SchemaReader(SHARED / "schemas" / "kpr" / name)

    assert catalogue.root == schema.root
    assert catalogue.blocks.keys() == schema.blocks.keys()
    for block, said in schema.blocks.items():
        ours = catalogue.blocks[block]
        assert {each: facts(field) for each, field in ours.attributes.items()} == {
            each: vars(attribute) for each, attribute in said.attributes.items()
        }
        assert [facts(field) for field in ours.children] == [vars(child) for child in said.children]
    figure("fields as the official schemas have them", formats=1, fields=len(catalogue.fields))


def facts(field: Field) -> Facts:
    return {
        "name": field.name,
        "kind": field.kind,
        "least": field.least,
        "most": field.most,
        "type": field.type,
        "facets": dict(field.facets),
    }


def published() -> Iterator[tuple[str, dict[str, str]]]:
    with (SHARED / "domain" / "iplos37_rules.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            contact = row["class"] == "iiKontakt"
            yield (f"iiKontakt.{row['element']}" if contact else row["element"]), row


def test_the_receiver_s_rules_are_the_published_ones() -> None:
    differing: dict[tuple[str, str], object] = {}
    rules = dict(published())
    fields = iplos().fields

    assert rules.keys() == fields.keys()
    for name, row in rules.items():
        field = fields[name]
        wanted: Facts = {
            "parent": row["class"],
            "format": "dato" if row["datatype"].startswith("Dato ") else row["regex"],
            "kodeverk": tuple(reference(each) for each in row["kodeverk"].split()),
            "earliest": bound(row["range_from"]),
            "latest": bound(row["range_to"]),
            "on_format": CONSEQUENCES[row["on_type_error"]],
            "on_missing": CONSEQUENCES[row["on_missing"]],
            "on_code": CONSEQUENCES[row["on_bad_code"]],
            "on_range": CONSEQUENCES[row["on_range_error"]],
            "required_for": required(row["required_when(1=always)"]),
        }
        for aspect, value in wanted.items():
            if getattr(field, aspect) != value:
                differing[name, aspect] = value
        assert field.facets.get("fixed", "") == row["fixed"]

    assert differing.keys() == DIFFERENCES.keys()
    assert set(map(str, differing.values())) == {"20190101", "20191231"}
    figure("published rules carried over", rules=len(rules), differences=len(DIFFERENCES))


def reference(text: str) -> str:
    return text.rpartition("@")[2]


def bound(text: str) -> str:
    return reference(text).replace("-", "")


def required(text: str) -> str:
    if text == "1":
        return "always"
    types = re.findall("@tjTjenType='([0-9]+)'", text)
    assert bool(types) == bool(text)
    return " ".join(types)


def test_the_codes_are_the_described_ones() -> None:
    described = {
        name: frozenset(re.findall(r"\b([0-9]{1,2}|[MK])\s+=", row["doc"]))
        for name, row in published()
        if row["kodeverk"] and " = " in row["doc"] and name != "fnFunkVerdi"  # its description is cut off in the source
    }

    assert len(described) == 20
    for name, codes in described.items():
        assert accepted(iplos().fields[name], 2024) == codes, name
    figure("code lists as described", fields=len(described))


@pytest.mark.parametrize("catalogue", SCHEMAS.values(), ids=SCHEMAS)
def test_every_field_and_block_says_what_it_is_and_where_that_is_from(catalogue: Catalogue) -> None:
    inside = [child for block in catalogue.blocks.values() for child in block.children]

    for field in [*catalogue.fields.values(), *inside]:
        assert len(field.english.split()) <= 14
        assert field.english.strip(" .") == field.english != ""
        assert field.norwegian.strip(" .") == field.norwegian != ""
        assert field.source.startswith(("IPLOS 3.7 ", "XPR(ide) 53.1"))


def test_our_descriptions_are_our_own() -> None:
    theirs = {
        row[column].strip(" .").casefold() for _, row in published() for column in ("name", "doc") if " " in row[column]
    }
    ours = {field.norwegian.casefold() for field in iplos().fields.values()}

    assert theirs & ours == set()

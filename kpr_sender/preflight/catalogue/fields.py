"""Every element and attribute of a format: order, cardinality, type, and what the receiver does where it is wrong.

Column for column as the tables have it. ``type`` and ``facets`` are what the schema requires (a breach is structural),
``format`` to ``required_for`` what the receiver's published rules require beyond it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kpr_sender.preflight.catalogue.codes import rows
from kpr_sender.preflight.model import Consequence

ALWAYS: Final = "always"
DATO: Final = "dato"
"""A day as yyyymmdd; 99991231 stands for no end."""


@dataclass(frozen=True, slots=True)
class Field:
    """One element or attribute with a simple value, or one block of them.

    Attributes:
        parent: The block it stands in; empty for the root.
        name: Its name.
        kind: ``attribute``, ``element`` or ``block``.
        least: How often it must stand there.
        most: How often it may; None for any number.
        type: Its type in the schema, ``dato`` for yyyymmdd; empty for a block.
        facets: What the schema adds: fixed, minLength, maxLength, totalDigits, fractionDigits, enumeration, unique.
        format: The receiver's own pattern, anchored, or ``dato``.
        kodeverk: Code lists that hold its values; the name of another field where that one says which.
        codes: Those of them its description admits, where that is not all.
        earliest: Smallest value, or the name of the field that has it.
        latest: Largest value, or the name of the field that has it.
        on_format: What the receiver does where ``format`` does not hold; None where nothing is published.
        on_missing: The same, where it is missing.
        on_code: The same, where its code is not in force.
        on_range: The same, where it is out of range.
        required_for: ``always``, or tjenestetyper separated by blanks, or empty.
        english: What it is, in a few words.
        norwegian: The same.
        source: Where all this is published, and what of it is inferred.
    """

    parent: str
    name: str
    kind: str
    least: int
    most: int | None
    type: str
    facets: Mapping[str, str]
    format: str
    kodeverk: tuple[str, ...]
    codes: frozenset[str]
    earliest: str
    latest: str
    on_format: Consequence | None
    on_missing: Consequence | None
    on_code: Consequence | None
    on_range: Consequence | None
    required_for: str
    english: str
    norwegian: str
    source: str

    @property
    def id(self) -> str:
        """What rules and findings call it; only the four under iiKontakt need their parent to be told apart."""
        return f"{self.parent}.{self.name}" if self.parent == "iiKontakt" else self.name


@dataclass(frozen=True, slots=True)
class Block:
    """One element that holds others.

    Attributes:
        name: The element's.
        attributes: By name.
        children: In the order they must stand; blocks and elements.
    """

    name: str
    attributes: Mapping[str, Field]
    children: tuple[Field, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """One format; there is one object for each.

    Attributes:
        root: The root element's name.
        blocks: By name, the root among them.
        fields: Every attribute and element with a simple value, by ``Field.id``.
    """

    root: str
    blocks: Mapping[str, Block]
    fields: Mapping[str, Field]


@functools.cache
def iplos() -> Catalogue:
    """Return IPLOS 3.7, the fagmelding."""
    return _catalogue("iplos_3_7.csv")


@functools.cache
def xpr_ide(version: str) -> Catalogue:
    """Return XPR(ide), the identmelding.

    Args:
        version: ``53.1.2`` or ``53.1.3``.
    """
    return _catalogue(f"xpr_ide_{version.replace('.', '_')}.csv")


def _catalogue(table: str) -> Catalogue:
    fields = [_field(row) for row in rows(table)]
    blocks = {
        block.name: Block(
            block.name,
            MappingProxyType(
                {each.name: each for each in fields if (each.parent, each.kind) == (block.name, "attribute")}
            ),
            tuple(each for each in fields if each.parent == block.name and each.kind != "attribute"),
        )
        for block in fields
        if block.kind == "block"
    }
    simple = {each.id: each for each in fields if each.kind != "block"}
    return Catalogue(fields[0].name, MappingProxyType(blocks), MappingProxyType(simple))


def _field(row: Mapping[str, str]) -> Field:
    return Field(
        parent=row["parent"],
        name=row["name"],
        kind=row["kind"],
        least=int(row["min"]),
        most=None if row["max"] == "n" else int(row["max"]),
        type=row["type"],
        facets=MappingProxyType(dict(facet.split("=", 1) for facet in row["facets"].split(";") if facet)),
        format=row["format"],
        kodeverk=tuple(row["kodeverk"].split()),
        codes=frozenset(row["codes"].split()),
        earliest=row["earliest"],
        latest=row["latest"],
        on_format=_consequence(row["on_format"]),
        on_missing=_consequence(row["on_missing"]),
        on_code=_consequence(row["on_code"]),
        on_range=_consequence(row["on_range"]),
        required_for=row["required_for"],
        english=row["english"],
        norwegian=row["norwegian"],
        source=row["source"],
    )


def _consequence(text: str) -> Consequence | None:
    return Consequence(text) if text else None

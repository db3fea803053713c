"""What an official schema says of each block, in the catalogue's terms, read from the schema file itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lxml import etree

_XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_OWN_TYPES: Final = {"DatoType": "dato", "guid": "guid"}
"""Types with a pattern of their own, which the catalogue calls by name."""


@dataclass(frozen=True)
class Said:
    """One attribute or child: name, kind, least, most (None: any number), type, facets."""

    name: str
    kind: str
    least: int
    most: int | None
    type: str = ""
    facets: Mapping[str, str] = field(default_factory=dict)


@dataclass
class SaidBlock:
    attributes: dict[str, Said] = field(default_factory=dict)
    children: list[Said] = field(default_factory=list)


class SchemaReader:
    """Reads one schema with what it includes and imports beside it."""

    def __init__(self, path: Path) -> None:
        self._named: dict[tuple[str, str], etree._Element] = {}
        self.blocks: dict[str, SaidBlock] = {}
        schema = self._load(path)
        self.root = next(each.get("name", "") for each in schema.iterchildren(f"{_XS}element"))
        self._block(self._named["element", self.root])

    def _load(self, path: Path) -> etree._Element:
        schema = etree.parse(path, etree.XMLParser(no_network=True, remove_comments=True)).getroot()
        for each in schema:
            if each.tag in {f"{_XS}include", f"{_XS}import"}:
                self._load(path.parent / each.get("schemaLocation", ""))
            elif each.get("name"):
                self._named.setdefault((etree.QName(each).localname, each.get("name", "")), each)
        return schema

    def _block(self, element: etree._Element) -> None:
        block = self.blocks.setdefault(element.get("name", ""), SaidBlock())
        for part in self._parts(element):
            if part.tag == f"{_XS}attribute":
                block.attributes[part.get("name", "")] = self._attribute(part)
            else:
                block.children.append(self._child(part))
        for unique in element.iterchildren(f"{_XS}unique"):
            (selector,) = unique.iterchildren(f"{_XS}selector")
            (key,) = unique.iterchildren(f"{_XS}field")
            inside = self.blocks[_local(selector.get("xpath", ""))].attributes
            name = key.get("xpath", "").removeprefix("@")
            said = inside[name]
            inside[name] = Said(
                said.name,
                said.kind,
                said.least,
                said.most,
                said.type,
                {**said.facets, "unique": element.get("name", "")},
            )

    def _parts(self, element: etree._Element) -> Iterator[etree._Element]:
        """Yield attributes and children of an element's complex type, those of its base first."""
        for inside in [element, *self._complex(element.get("type"))]:
            for each in inside.iter(f"{_XS}extension", f"{_XS}attribute", f"{_XS}element"):
                if each is inside or _owner(each) is not inside:
                    continue
                if each.tag == f"{_XS}extension":
                    yield from (part for base in self._complex(each.get("base")) for part in self._parts(base))
                else:
                    yield each

    def _complex(self, name: str | None) -> list[etree._Element]:
        found = self._named.get(("complexType", _local(name or "")))
        return [] if found is None else [found]

    def _attribute(self, each: etree._Element) -> Said:
        kind, facets = self._simple(each)
        return Said(each.get("name", ""), "attribute", int(each.get("use") == "required"), 1, kind, facets)

    def _child(self, each: etree._Element) -> Said:
        named = self._named["element", _local(each.get("ref", ""))] if each.get("ref") else each
        name = named.get("name", "")
        most = each.get("maxOccurs", "1")
        least, often = int(each.get("minOccurs", "1")), None if most == "unbounded" else int(most)
        if named.find(f"{_XS}complexType") is not None or self._complex(named.get("type")):
            if name not in self.blocks:
                self._block(named)
            return Said(name, "block", least, often)
        kind, facets = self._simple(named)
        return Said(name, "element", least, often, kind, facets)

    def _simple(self, each: etree._Element) -> tuple[str, dict[str, str]]:
        facets = {"fixed": each.get("fixed", "")} if each.get("fixed") else {}
        name = _local(each.get("type", ""))
        if name in _OWN_TYPES:
            return _OWN_TYPES[name], facets
        simple = self._named.get(("simpleType", name)) if name else each.find(f"{_XS}simpleType")
        if simple is None:
            return name, facets
        (restriction,) = simple.iterchildren(f"{_XS}restriction")
        for facet in restriction:
            key = etree.QName(facet).localname
            facets[key] = f"{facets[key]} {facet.get('value')}" if key in facets else facet.get("value", "")
        return _local(restriction.get("base", "")), facets


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _owner(each: etree._Element) -> etree._Element:
    """Return the element or named type whose content something is."""
    parent = each.getparent()
    while parent is not None and not parent.get("name"):
        each, parent = parent, parent.getparent()
    assert parent is not None
    return parent

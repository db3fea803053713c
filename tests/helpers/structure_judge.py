"""Whether a document is right, by our structure check and by libxml2 with the official schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lxml import etree

from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.messages.splice import open_payload
from kpr_sender.preflight.catalogue.fields import Catalogue
from kpr_sender.preflight.header import Refusal
from kpr_sender.preflight.reading.general import End, Event, Start, Text, read_document
from kpr_sender.preflight.reading.well_formed import check_well_formed
from kpr_sender.preflight.record import Element
from kpr_sender.preflight.schema.certain import Certain
from kpr_sender.preflight.structure import Fault, Structure

CONTAINERS = frozenset({"IPLOS", "Melding", "Institusjon"})


def faults(pieces: Iterable[bytes], catalogue: Catalogue, namespace: str) -> Iterator[Fault]:
    """Stream a document through the reader and the structure check."""
    structure = Structure(catalogue, namespace)
    for event in read_document(pieces, namespace=namespace, containers=CONTAINERS):
        yield from told(structure, event)


def told(structure: Structure, event: Event) -> Iterator[Fault]:
    """Tell the structure check of one event."""
    match event:
        case Start():
            yield from structure.start(event.name, event.attributes, event.line)
        case End():
            yield from structure.end(event.line)
        case Text():
            yield from structure.text(event.line)
        case Element():
            yield from structure.record(event)


def right_by_us(data: bytes, catalogue: Catalogue, namespace: str) -> bool:
    """Whether there is nothing to say against a file's bytes."""
    try:
        prolog, spliced = open_payload([data])
        payload = b"".join(spliced)
        check_well_formed(iter([payload] if payload else []), lines_before=prolog.lines)
        return not any(True for _ in faults([payload], catalogue, namespace))
    except (Refusal, MessageRefused):
        return False


def right_by_libxml2(data: bytes, schema: etree.XMLSchema) -> bool:
    """Whether libxml2 can read it and finds it valid."""
    try:
        tree = etree.fromstring(data, etree.XMLParser(no_network=True, resolve_entities=False, huge_tree=True))
    except etree.XMLSyntaxError:
        return False
    return schema.validate(tree)


def is_certain(element: Element, catalogue: Catalogue, certain: Certain) -> bool:
    """Whether the quick judgement takes a record, as a plain reader would ask for it."""
    block = catalogue.blocks.get(element.name)
    if block is None or (element.text.strip(" \t\r\n") if block.children else element.text):
        return False
    blocks = [each for each in element.children if each.name in catalogue.blocks]
    values = [each for each in element.children if each.name not in catalogue.blocks]
    return (
        all(not each.attributes and not each.children for each in values)
        and certain.keys(element.name, element.attributes)
        and all(certain.value(element.name, each.name)(each.text) for each in values)
        and certain.children(element.name, [each.name for each in element.children])
        and all(is_certain(each, catalogue, certain) for each in blocks)
    )

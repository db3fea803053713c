"""Whether a document is right, by our structure check and by libxml2 with the official schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lxml import etree

from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.splice import open_payload
from kpr_sender.preflight.catalogue.fields import Catalogue
from kpr_sender.preflight.header import Refusal
from kpr_sender.preflight.reader import Characters, End, Event, Reader, Record, Start
from kpr_sender.preflight.structure import Breach, Structure

CONTAINERS = frozenset({"IPLOS", "Melding", "Institusjon"})


def events(pieces: Iterable[bytes], namespace: str) -> Iterator[Event]:
    """Read a document from its root's start on."""
    reader = Reader(pieces)
    reader.root()
    yield from reader.events(namespace, CONTAINERS)


def breaches(pieces: Iterable[bytes], catalogue: Catalogue, namespace: str) -> Iterator[Breach]:
    """Stream a document through the reader and the structure check."""
    structure = Structure(catalogue, namespace)
    for event in events(pieces, namespace):
        match event:
            case Start():
                yield from structure.start(event.name, event.attributes, event.line)
            case End():
                yield from structure.end(event.line)
            case Characters():
                yield from structure.text(event.line)
            case Record():
                yield from structure.record(event.element)


def right_by_us(data: bytes, catalogue: Catalogue, namespace: str) -> bool:
    """Whether there is nothing to say against a file's bytes."""
    try:
        _, spliced = open_payload([data])
        return not any(True for _ in breaches(spliced, catalogue, namespace))
    except (Refusal, MessageRefused):
        return False


def right_by_libxml2(data: bytes, schema: etree.XMLSchema) -> bool:
    """Whether libxml2 can read it and finds it valid."""
    try:
        tree = etree.fromstring(data, etree.XMLParser(no_network=True, resolve_entities=False, huge_tree=True))
    except etree.XMLSyntaxError:
        return False
    return schema.validate(tree)

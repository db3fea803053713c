"""A Hodemelding is read as strictly as by a receiver that trusts nobody."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from lxml import etree

from kpr_sender.messages.hodemelding import NAMESPACE, frame
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.splice import splice
from kpr_sender.sandbox.hodemelding import StructureRefused, read
from tests.helpers.schemas import kpr_schema, payload
from tests.messages.parties import HODEMELDING


def message() -> bytes:
    head, tail = frame(HODEMELDING)
    return head + b"".join(splice([payload("kpr_ipl")])) + tail


def without(path: str) -> bytes:
    root = etree.fromstring(message())
    found = root.find("/".join(f"{{{NAMESPACE}}}{name}" for name in path.split("/")))
    assert found is not None
    parent = found.getparent()
    assert parent is not None
    parent.remove(found)
    return etree.tostring(root)


@pytest.mark.parametrize(
    "path",
    [
        "MsgInfo/Type",
        "MsgInfo/MIGversion",
        "MsgInfo/GenDate",
        "MsgInfo/MsgId",
        "MsgInfo/Sender",
        "MsgInfo/Receiver/Organisation/Organisation",
        "MsgInfo/Receiver/Organisation/Ident",
        "Document/RefDoc/Content",
        "Document/RefDoc/MsgType",
        "Document",
    ],
)
def test_reading_misses_nothing(path: str) -> None:
    with pytest.raises(MessageRefused):
        read(without(path))


OLD_AND_NEW = [
    (b"KPR_IPL", b"KPR_XYZ"),
    (b"v1.2 2006-05-24", b"v1.1 2006-02-15"),
    (b"/msghead/2006-05-24", b"/msghead/2005-01-01"),
    (b"<Id>900002</Id>", b"<Id>nine</Id>"),
    (b"0f0d9d5e-", b"{f0d9d5e-"),
    (b"2025-01-06T09:15:00+00:00", b"last winter"),
    (b"2025-01-06T09:15:00+00:00", b"2025-01-06T09:15:00"),
    (b'<MsgType V="XML"', b'<MsgType V="A"'),
    (b"</Content>", b"<x/></Content>"),
    (b"</Document>", b"</Document><Document/>"),
    (b"<MsgInfo>", b"<MsgInfo/><MsgInfo>"),
    (b"<Id>900002</Id>", b"<Id>900002<!--x-->9</Id>"),
    (b"<Id>900002</Id>", "<Id>900002\u00a0</Id>".encode()),
    (b"v1.2 2006-05-24", b"v1.2 2006-05-24<?x?>9"),
]


@pytest.mark.parametrize(("old", "new"), OLD_AND_NEW)
def test_reading_refuses_what_is_not_valid(old: bytes, new: bytes) -> None:
    good = message()
    assert old in good
    with pytest.raises(MessageRefused):
        read(good.replace(old, new))


def test_reading_is_bounded() -> None:
    with pytest.raises(MessageRefused, match="larger than 100 bytes"):
        read(message(), max_bytes=100)


def _elements(root: etree._Element) -> list[etree._Element]:
    """All elements but the payload's."""
    return [each for each in root.iter("*") if etree.QName(each).namespace == NAMESPACE]


def _place(element: etree._Element) -> tuple[etree._Element, int]:
    parent = element.getparent()
    assert parent is not None
    return parent, parent.index(element)


def _drop(element: etree._Element) -> None:
    parent, index = _place(element)
    del parent[index]


def _double(element: etree._Element) -> None:
    parent, index = _place(element)
    parent.insert(index, copy.deepcopy(element))


def _swap(element: etree._Element) -> None:
    parent, index = _place(element)
    parent.append(parent[index])


def _rename(element: etree._Element) -> None:
    element.tag = f"{{{NAMESPACE}}}Nonsense"


def _into_another_namespace(element: etree._Element) -> None:
    element.tag = "{urn:x}" + etree.QName(element).localname


def _with_child(element: etree._Element) -> None:
    etree.SubElement(element, f"{{{NAMESPACE}}}Id").text = "1"


def _with_attribute(element: etree._Element) -> None:
    element.set("unknown", "1")


def _with_text(element: etree._Element) -> None:
    element.text = "text"


MUTATIONS = (_drop, _double, _swap, _rename, _into_another_namespace, _with_child, _with_attribute, _with_text)


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_the_structure_is_refused_as_by_the_official_schema(mutate: Callable[[etree._Element], None]) -> None:
    """Each element of the header, changed in each way."""
    schema, whole = kpr_schema(), etree.fromstring(message())
    compared = 0
    for number in range(1, len(_elements(whole))):
        root = copy.deepcopy(whole)
        element = _elements(root)[number]
        if mutate is _with_child and element.tag.endswith("}Content"):
            continue  # its content is the payload's matter
        if mutate is _with_text and (not len(element) or element.tag.endswith("}Content")):
            continue  # what a value may be is another matter
        mutate(element)
        assert _structure_is_valid(root) == schema.validate(root), etree.tostring(element)
        compared += 1
    assert compared > 5


@pytest.mark.parametrize(
    "name", ["ProcessingStatus", "RequestedPriority", "ComMethod", "TypeOrganisation", "Address", "IssueDate", "CaseNo"]
)
def test_optional_elements_are_taken_where_the_official_schema_takes_them(name: str) -> None:
    schema, whole = kpr_schema(), etree.fromstring(message())
    taken = 0
    for number in range(1, len(_elements(whole))):
        root = copy.deepcopy(whole)
        parent, index = _place(_elements(root)[number])
        parent.insert(index, etree.Element(f"{{{NAMESPACE}}}{name}"))
        assert _structure_is_valid(root) == schema.validate(root), (name, etree.tostring(parent))
        taken += schema.validate(root)
    assert taken == {"ComMethod": 2, "TypeOrganisation": 4, "Address": 2, "CaseNo": 0}.get(name, 1)


def _structure_is_valid(root: etree._Element) -> bool:
    try:
        read(etree.tostring(root))
    except StructureRefused:
        return False
    except MessageRefused:
        return True  # valid, and still not as KPR takes them
    return True

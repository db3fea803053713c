"""A Hodemelding is read as strictly as by a receiver that trusts nobody."""

from __future__ import annotations

import pytest
from lxml import etree

from kpr_sender.messages.hodemelding import NAMESPACE, frame
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.messages.splice import splice
from kpr_sender.sandbox.hodemelding import read
from tests.helpers.schemas import payload
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

"""What eb:Schema says is what the document itself says, and nothing where it says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kpr_sender.ebxml.versions import content_schema
from kpr_sender.messages.hodemelding import frame
from kpr_sender.messages.splice import splice
from kpr_sender.sandbox.sample import write_pair
from tests.messages.parties import HODEMELDING


def framed(document: bytes) -> Iterator[bytes]:
    head, tail = frame(HODEMELDING)
    yield head
    yield from splice([document])
    yield tail


def test_the_documents_of_kpr_say_which_they_are(tmp_path: Path) -> None:
    fagmelding, identmelding = write_pair(tmp_path, year=2024, persons=1)

    assert content_schema(framed(fagmelding.read_bytes())) == ("http://www.npr.no/xmlstds/iplos/2019", "3.7")
    assert content_schema(framed(identmelding.read_bytes())) == ("http://www.npr.no/xmlstds/53_1_3_ide", "53.1.3")


@pytest.mark.parametrize(
    "document",
    [
        b'<IPLOS versjon="3.7"/>',
        b'<IPLOS xmlns="urn:a"/>',
        b"<IPLOS",
        b"<!-- -->" * 100_000 + b'<IPLOS xmlns="urn:a" versjon="3.7"/>',
        b"",
    ],
)
def test_a_document_that_does_not_say_has_none(document: bytes) -> None:
    assert content_schema(framed(document)) is None


def test_no_more_is_read_than_is_needed() -> None:
    def chunks() -> Iterator[bytes]:
        yield from list(framed(b'<!-- --><a:b xmlns:a="urn:a" version="1"><c xmlns="urn:c"/></a:b>'))[:2]
        pytest.fail("read on")

    assert content_schema(chunks()) == ("urn:a", "1")

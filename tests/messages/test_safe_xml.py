from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.messages import safe_xml
from kpr_sender.messages.refused import MessageRefused

LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 12))
DANGERS = {
    "billion laughs": b'<!DOCTYPE a [<!ENTITY l0 "lol">' + LAUGHS + b"]><a>&l11;</a>",
    "billion laughs in an attribute": b'<!DOCTYPE a [<!ENTITY l0 "lol">'
    + LAUGHS
    + b'<!ATTLIST a b CDATA "&l11;">]><a/>',
    "one file of this machine": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "one address of the net": b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]><a/>',
    "DTD elsewhere": b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>',
    "harmless DTD": b"<?xml version='1.0'?><!-- x --><!DOCTYPE a><a/>",
    "DTD in UTF-16": "<?xml version='1.0' encoding='utf-16'?><!DOCTYPE a><a/>".encode("utf-16"),
    "DTD behind much": b"<!--" + b"x" * 200_000 + b"--><!DOCTYPE a><a/>",
    "undeclared entity": b"<a>&x;</a>",
    "depth": b"<a>" * 200_000,
    "depth, well-formed": b"<a>" * 10_000 + b"</a>" * 10_000,
    "too large": b"<a>" + b"x" * 3_000_000 + b"</a>",
    "empty": b"",
    "no XML": b"AppRec",
    "cut off": b"<a><b></b>",
    "more behind it": b"<a/><a/>",
    "unknown encoding": b"<?xml version='1.0' encoding='rot13'?><a/>",
    "many-byte encoding": b"<?xml version='1.0' encoding='shift_jis'?><a/>",
    "wrong bytes": b"<a>\xff\xfe</a>",
}


@pytest.mark.parametrize("xml", DANGERS.values(), ids=DANGERS.keys())
def test_dangers_are_refused_quickly(xml: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(MessageRefused) as refused:
        safe_xml.parse(xml, max_bytes=2_000_000)
    assert time.process_time() - begun < 2
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize("secret", [b"</Olava>", b"&Olava;", b"<b Olava>", b"<!DOCTYPE Olava>"])
def test_a_refusal_quotes_nothing(secret: bytes) -> None:
    """Promise G6: libxml2's own messages quote the document."""
    with pytest.raises(MessageRefused) as refused:
        safe_xml.parse(b"<a>" + secret + b"</a>", max_bytes=1000)
    assert "Olava" not in f"{refused.value} {refused.value.__cause__}"


def sum_of(count: int, form: str) -> bytes:
    return "".join(form.format(number) for number in range(count)).encode()


@pytest.mark.parametrize(
    ("bomb", "what"),
    [
        (b"<a>" + b"<b/>" * 1_000_000 + b"</a>", "elements"),
        (b"<a " + sum_of(100_000, "x{}='' ") + b"/>", "attributes"),
        (b"<a " + sum_of(100_000, "xmlns:x{}='u' ") + b"/>", "namespace declarations"),
    ],
    ids=["elements", "attributes", "namespaces"],
)
def test_an_answer_that_would_cost_the_square_of_its_length_is_refused_quickly(bomb: bytes, what: str) -> None:
    """100,000 attributes cost a canonical form, which an XML signature is over, some minutes."""
    begun = time.process_time()
    with pytest.raises(MessageRefused, match=what):
        safe_xml.parse_answer(bomb, max_bytes=5_000_000)
    assert time.process_time() - begun < 3


def test_a_large_message_in_bounds_is_parsed() -> None:
    root = safe_xml.parse(b"<a>" + b"<b>x</b>\n" * 2_000_000 + b"</a>", max_bytes=50_000_000)
    assert len(root) == 2_000_000


@given(st.binary(max_size=300) | st.text("<>/a!?[]&; -'\"=xmlns:DOCTYPE", max_size=80).map(str.encode))
def test_whatever_comes_it_is_parsed_or_refused(xml: bytes) -> None:
    with contextlib.suppress(MessageRefused):
        safe_xml.parse(xml, max_bytes=200)

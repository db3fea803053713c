"""Mails as they come: what peers and servers really write is read, and bombs are bounded and quick."""

from __future__ import annotations

import base64
import time
from typing import Final

import pytest

from kpr_sender.ebxml.answers import Acknowledgment, classify
from kpr_sender.ebxml.mail import message_id_of
from kpr_sender.ebxml.read_mail import Mail, MailBounds, NotEbxml, may_be_read, read
from tests.ebxml.samples import ATTEMPT, MESSAGE_ID, acknowledged, raw, report, shipment
from tests.ebxml.test_answers import SAMPLES, from_kpr
from tests.ebxml.test_signature import sent

_SOAP: Final = b"<a/>"
_PART: Final = b"Content-Type: text/xml\n\n<a/>\n"
_BASE64: Final = b"Content-Type: text/xml\nContent-Transfer-Encoding: base64\n\n"
_MULTIPART: Final = b"Content-Type: multipart/related; boundary=b\n\n"


def mail_of(whole: bytes) -> Mail:
    mail = read(whole)
    assert isinstance(mail, Mail), mail
    return mail


def refusal_of(whole: bytes, bounds: MailBounds = MailBounds()) -> str:  # noqa: B008 - frozen
    mail = read(whole, bounds)
    assert isinstance(mail, NotEbxml), mail
    return mail.reason


@pytest.mark.parametrize(
    ("name", "soap", "parts"),
    [
        ("acknowledgment.eml", 6_592, []),
        ("egenandelforesporsel.eml", 5_345, ["EgenandelForesporsel_1.xml"]),
        ("riktigsignature.mime.txt", 5_010, ["attachmentId-58464a35-c22c-43fd-8427-51d6d1b64c65"]),
        ("content_description.eml", 0, ["ref1"]),
    ],
)
def test_the_mails_of_peers_are_read(name: str, soap: int, parts: list[str]) -> None:
    mail = mail_of((SAMPLES / name).read_bytes())
    assert mail.soap is not None
    assert mail.soap.body.lstrip().startswith(b"<")
    assert soap == 0 or abs(len(mail.soap.body) - soap) < 1_000
    assert list(mail.attachments) == parts
    assert not [part.problem for part in mail.parts if part.problem]
    assert may_be_read((SAMPLES / name).read_bytes()[:2_000])


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: text/xml\n",
        b"From kpr@edi.nhn.no Thu Jan 14 08:30:00 2027\nContent-Type: text/xml\n",
        b'SOAPACTION: "ebxml"\nContent-Type: Text/XML; charset="utf-8";\nContent-Transfer-Encoding: 8BIT\n',
        b"Date: Thu, 14 Jan 2027 09:30:00 +1\nMessage-ID: <1152>\nContent-Type: text/xml; charset\n",
        b"Message-Id: 7d3f5a52\nSubject: =?ISO-8859-1?Q?Legeoppgj=F8r?=\nContent-Type:\n\ttext/xml\n",
        b'To: mailto:a@b\nFrom: "B\xf8" <c@d>\nContent-Type: text/xml; charset=nonsense\n',
        b"Content-Type: text/xml\nContent-Type: text/plain\n",
    ],
)
def test_odd_headers_are_no_reason_not_to_read(head: bytes) -> None:
    for whole in (head + b"\n" + _SOAP, (head + b"\n" + _SOAP).replace(b"\n", b"\r\n")):
        mail = mail_of(whole)
        assert mail.soap is not None
        assert mail.soap.body == _SOAP


@pytest.mark.parametrize(
    "body",
    [
        b"--b\n" + _PART + b"--b--\n",
        b"--b\n" + _PART + b"--b--",
        b"--b\n" + _PART,
        b"This is a multi-part message.\n\n--b\n" + _PART + b"--b--\nAfterwards\n--b\nx",
        b"--b  \n" + _PART + b"--b-- \n",
        b"--b\n--b\n" + _PART + b"--b--",
        b"--b\nContent-Type: application/pkcs7-mime\nContent-ID: <p>\n\n0\n--b\n" + _PART + b"--b--",
        b"--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n" + _PART + b"--c--\n--b--",
        b"--bb\n--b\n" + _PART + b"--b--\n",
    ],
)
def test_the_envelope_is_found_wherever_its_part_is(body: bytes) -> None:
    for whole in (_MULTIPART + body, (_MULTIPART + body).replace(b"\n", b"\r\n")):
        mail = mail_of(whole)
        assert mail.soap is not None
        assert mail.soap.body.strip() == _SOAP


def test_start_names_the_envelope_where_there_are_two() -> None:
    two = b"--b\nContent-ID: <x>\n" + _PART + b"--b\nContent-ID: <y>\nContent-Type: text/xml\n\n<c/>\n--b--"
    for start, body in ((b"<y>", b"<c/>"), (b"y", b"<c/>"), (b"<z>", b"<a/>"), (b"<x>", b"<a/>")):
        head = _MULTIPART.replace(b"boundary", b'start="' + start + b'"; boundary')
        mail = mail_of(head + two)
        assert mail.soap is not None
        assert mail.soap.body == body


def test_an_acknowledgment_in_a_superfluous_multipart_is_taken() -> None:
    soap, _ = sent(acknowledged(shipment().references))
    for encoding, body in (("base64", base64.encodebytes(soap)), ("binary", soap), ("8bit", soap)):
        part = f"--b\nContent-Type: text/xml\nContent-Transfer-Encoding: {encoding}\n\n".encode() + body + b"\n--b--"
        found = classify(mail_of(_MULTIPART + part), from_kpr())
        assert isinstance(found, Acknowledgment)
        assert found.assurance.is_verified


@pytest.mark.parametrize(
    ("whole", "why"),
    [
        (b"", "of another type"),
        (b"\n\n\n", "of another type"),
        (b"Content-Type: text/plain\n\nHei", "of another type"),
        (b"Content-Type: text/html\n\n<html>", "of another type"),
        (_MULTIPART + b"--b\n\nHei\n--b--", "no part of text/xml"),
        (_MULTIPART + b"no boundary at all", "no part of text/xml"),
        (b"Content-Type: multipart/related\n\n" + _PART, "no boundary"),
        (b'Content-Type: multipart/related; boundary="' + b"x" * 201 + b'"\n\n', "no boundary"),
        (_BASE64 + b"PGEv*g==", "base64 of one of its parts"),
        (
            b"Content-Type: text/xml\nContent-Transfer-Encoding: base64\n\nPGEvPg==PGEvPg==",
            "base64 of one of its parts",
        ),
        (_BASE64 + b"PGEvP", "base64 of one of its parts"),
        (b"Content-Type: text/xml\nContent-Transfer-Encoding: x-uuencode\n\nx", "encoded in a way that is not known"),
        (b"A: b\n" * 7_000 + b"Content-Type: text/xml\n\n<a/>", "more than 1000 headers"),
        (b"A: " + b"b" * 70_000 + b"\nContent-Type: text/xml\n\n<a/>", "headers are larger than 65536 bytes"),
        (b'Content-Type: text/xml; a="' + b";" * 60_000 + b"\n\n<a/>", "Content-Type is too long"),
    ],
)
def test_what_is_not_ours_is_said_to_be_none_with_the_reason(whole: bytes, why: str) -> None:
    assert why in refusal_of(whole)


def nested(levels: int) -> bytes:
    """Return multiparts in multiparts, the boundaries of which are all the same length."""
    whole = _PART
    for level in range(levels):
        name = f"{level:09}".encode()
        whole = b"Content-Type: multipart/related; boundary=" + name + b"\n\n--" + name + b"\n" + whole
    return whole


def test_bombs_are_bounded_and_quick() -> None:
    large = MailBounds(max_bytes=20_000_000)
    began = time.process_time()
    assert isinstance(read(nested(4)), Mail)
    assert "nested deeper than 4 levels" in refusal_of(nested(5))
    assert "nested deeper than 4 levels" in refusal_of(nested(1_500))
    assert "more than 30 parts" in refusal_of(_MULTIPART + (b"--b\n" + _PART) * 100_000, large)
    assert "more than 30 parts" in refusal_of(_MULTIPART + b"--b\n" * 1_000_000, large)
    wide = b"Content-Type: multipart/related; boundary=c\n\n" + (b"--c\n" + _PART) * 25
    assert "more than 30 parts" in refusal_of(_MULTIPART + (b"--b\n" + wide) * 25)
    assert "larger than 8000000 bytes" in refusal_of(bytes(8_000_001))
    assert isinstance(read(_MULTIPART + b"\n-" * 5_000_000, large), NotEbxml)
    assert isinstance(read(_MULTIPART + b"--b" + b" " * 10_000_000, large), NotEbxml)
    assert isinstance(read(_BASE64 + b"" + b"\n" * 10_000_000, large), Mail)
    assert isinstance(
        read(b"Content-Type: text/xml\nContent-Transfer-Encoding: quoted-printable\n\n" + b"=" * 5_000_000, large), Mail
    )
    assert not isinstance(
        classify(mail_of(report("failed") + b"\nAction: failed" * 100_000), from_kpr()), Acknowledgment
    )
    assert time.process_time() - began < 5  # 0.6 s on a machine that does nothing else


def test_a_sandbox_reads_what_the_largest_mail_may_be() -> None:
    mail = raw(shipment(b"<" * 3_000_000))
    assert "larger" in refusal_of(mail, MailBounds(max_bytes=len(mail) - 1))
    found = read(mail, MailBounds(max_bytes=len(mail)))
    assert isinstance(found, Mail)
    assert message_id_of(found.headers["Message-ID"] or "") == MESSAGE_ID
    assert len(next(iter(found.attachments.values())).body) > 3_000_000


def test_a_mail_that_cannot_be_ours_is_passed_over_by_its_headers() -> None:
    for head in (b"Content-Type: text/plain\n\n", b"", b"A: b\n" * 7_000, b"Content-Type: multipart/mixed\n\n"):
        assert not may_be_read(head)
    assert may_be_read(report("failed")[:100])
    assert may_be_read(raw(shipment(), ATTEMPT)[:700])

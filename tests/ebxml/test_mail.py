"""Mails as they are sent: as long as was said before, the same at every reading, of the profile's form."""

from __future__ import annotations

import email
import email.policy
import subprocess
from dataclasses import replace
from email.message import Message
from pathlib import Path

import pytest

from kpr_sender.cms.read import Policy, decrypt
from kpr_sender.cms.read_signed import verify as verify_signed_data
from kpr_sender.ebxml.mail import (
    MailAddresses,
    PayloadForm,
    attempt_id,
    header_block,
    message_id_of,
    payload_mail_length,
)
from tests.ebxml.samples import ATTEMPT, CONTENT, MESSAGE_ID, OURS, SENT, acknowledged, raw, shipment
from tests.helpers import pki
from tests.helpers.pki import Kind

_INNER = b"Content-Type: application/xml\r\nContent-Transfer-Encoding: binary\r\n\r\n"


def _decoded(part: Message) -> bytes:
    decoded = part.get_payload(decode=True)
    assert isinstance(decoded, bytes)
    return decoded


@pytest.mark.parametrize("signed_inside", [False, True])
@pytest.mark.parametrize("inner_mime", [False, True])
def test_python_s_own_email_reads_what_is_sent_and_it_opens_to_the_payload(
    *, signed_inside: bool, inner_mime: bool
) -> None:
    content = CONTENT * 40_000
    mail = shipment(content, form=PayloadForm(signed_inside=signed_inside, inner_mime=inner_mime))
    whole = raw(mail)

    read = email.message_from_bytes(whole, policy=email.policy.SMTP)
    soap, payload = read.iter_parts()
    opened = bytes(decrypt(_decoded(payload), decrypters=[pki.key_pair(Kind.RECEIVER_ENCRYPTION)], policy=Policy()))
    if signed_inside:
        opened = verify_signed_data(opened, signers=[pki.certificate(Kind.SIGNER)], policy=Policy()).content

    assert opened == (_INNER if inner_mime else b"") + content
    assert soap["Content-ID"] == read.get_param("start")
    assert soap.get_content_charset() == "utf-8"
    assert b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n" in whole
    assert not read.defects + soap.defects + payload.defects
    assert max(map(len, whole.split(b"\r\n"))) < 1000
    assert b"\n" not in whole.replace(b"\r\n", b"")
    assert b"".join(mail.chunks()) == whole[-mail.length :]


def test_openssl_opens_what_is_sent(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(pki.key_pem(Kind.RECEIVER_ENCRYPTION))
    (tmp_path / "certificate.pem").write_bytes(pki.certificate_pem(Kind.RECEIVER_ENCRYPTION))
    _, payload = email.message_from_bytes(raw(shipment()), policy=email.policy.SMTP).iter_parts()
    command = [
        "openssl",
        "cms",
        "-decrypt",
        "-inform",
        "DER",
        "-binary",
        "-recip",
        "certificate.pem",
        "-inkey",
        "key.pem",
    ]
    done = subprocess.run(command, input=_decoded(payload), cwd=tmp_path, check=True, capture_output=True)
    assert done.stdout == CONTENT
    shown = subprocess.run(
        ["openssl", "cms", "-cmsout", "-print", "-noout", "-inform", "DER"],
        input=_decoded(payload),
        check=True,
        capture_output=True,
    ).stdout
    assert b"aes-256-cbc" in shown
    assert b"rsaEncryption" in shown
    assert b"signedData" not in shown


@pytest.mark.parametrize("length", [1, 56, 57, 58, 57 * 8192 - 500, 1_000_003])
def test_the_length_is_known_before_anything_is_sealed(length: int) -> None:
    content = b"<" * length
    for form in (PayloadForm(), PayloadForm(signed_inside=True, inner_mime=True)):
        mail = shipment(content, form=form)
        said = payload_mail_length(
            length,
            sent=SENT,
            addresses=OURS,
            signer=pki.key_pair(Kind.SIGNER),
            recipient=pki.certificate(Kind.RECEIVER_ENCRYPTION),
            form=form,
        )
        assert mail.length == len(b"".join(mail.chunks()))
        assert said - len(header_block(mail.head)) - mail.length == 2_000


def test_an_attempt_s_ids_lead_back_to_the_message() -> None:
    envid = attempt_id(MESSAGE_ID, "a1B2")
    assert [message_id_of(one) for one in (envid, f"<{envid}@edi.nhn.no>", f" <{envid.upper()}@x> ")] == [
        MESSAGE_ID
    ] * 3
    assert [message_id_of(one) for one in (MESSAGE_ID, f"<{MESSAGE_ID}@x>", "<1152>", "", f"x{envid}")] == [""] * 5
    assert f"Message-ID: <{ATTEMPT}@edi.nhn.no>\r\n".encode() in raw(shipment())
    for bad in ("", "a b", "a\r\nb", "æ"):
        with pytest.raises(ValueError, match="letters and digits"):
            attempt_id(MESSAGE_ID, bad)


def test_no_header_can_be_smuggled_in() -> None:
    for address in ("a@b\r\nBcc: c@d", "a b@c", "kpr@edi.nhn.no\n", "", "a@æ"):
        with pytest.raises(ValueError, match="EDI address"):
            MailAddresses("a@b", address)
    with pytest.raises(ValueError, match="Action"):
        shipment(sent=replace(SENT, names=replace(SENT.names, action="KPR\r\nBcc: c@d")))


def test_an_acknowledgment_is_one_part_of_text_xml() -> None:
    read = email.message_from_bytes(raw(acknowledged(shipment().references)), policy=email.policy.SMTP)
    assert (read.get_content_type(), read["Content-Transfer-Encoding"]) == ("text/xml", "base64")
    assert read["SOAPAction"] == '"ebXML"'
    assert _decoded(read).startswith(b'<?xml version="1.0" encoding="UTF-8"?>')

"""Sealing for EDI: the mail's body is stored, addresses are the registered ones, the size is known before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from lxml import etree

from kpr_sender.cms.read import Policy
from kpr_sender.ebxml.answers import Correspondence, PayloadMessage, classify
from kpr_sender.ebxml.content import open_payload
from kpr_sender.ebxml.mail import header_block, mail_head
from kpr_sender.ebxml.read_mail import Mail, read
from kpr_sender.errors import ConfigInvalid, InputRefused
from kpr_sender.inbound.mails import own_references
from kpr_sender.messages.hodemelding import frame
from kpr_sender.model import MessageType, Transport
from kpr_sender.outbound.mail_sealing import MailSealing
from kpr_sender.outbound.port import Route, Sealed, Unsealed
from kpr_sender.registry.port import Counterpart, RegisteredParty, RegisteredQueues, RegisterEntry
from kpr_sender.settings.edi import EdiSettings
from tests.helpers import pki
from tests.helpers.municipality import SENDER_HER_ID, municipality
from tests.helpers.pki import Kind
from tests.messages.parties import HODEMELDING

_OURS: Final = "kommune-kpr@edi.example.no"
_THEIRS: Final = "kpr@edi.example.no"
_AT: Final = datetime(2027, 1, 14, 8, 30, tzinfo=UTC)
_MESSAGE_ID: Final = "7d3f5a52-8f7e-4a53-9d0c-2f8a6f1f7a01"
_DOCUMENT: Final = b'<IPLOS xmlns="http://www.npr.no/xmlstds/iplos/2019" versjon="3.7">\xc3\xa6</IPLOS>'


@pytest.fixture
def sealing(tmp_path: Path) -> MailSealing:
    return MailSealing(
        municipality(tmp_path).configure(), EdiSettings(address=_OURS, receiver_address=_THEIRS), lambda: _AT
    )


def counterpart(edi_address: str = "") -> Counterpart:
    encryption = pki.certificate(Kind.RECEIVER_ENCRYPTION)
    return Counterpart(1, "", encryption, (pki.certificate(Kind.RECEIVER_SIGNER),), edi_address=edi_address)


def registered(address: str) -> RegisterEntry:
    party = RegisteredParty(her_id=SENDER_HER_ID, name="", active=True)
    return RegisterEntry(party, RegisteredQueues(edi=address), (), ())


def unsealed(document: bytes = _DOCUMENT) -> Unsealed:
    head, tail = frame(HODEMELDING)
    whole = head + document + tail

    def chunks() -> Iterator[bytes]:
        yield whole[:1_000]
        yield whole[1_000:]

    return Unsealed(
        type=MessageType.KPR_IPL,
        msg_id=HODEMELDING.msg_id,
        message_id=_MESSAGE_ID,
        made_at=_AT,
        sender=HODEMELDING.sender,
        receiver=HODEMELDING.receiver,
        addresses=Route(_THEIRS, _OURS),
        where="fagmelding.xml",
        length=len(whole),
        chunks=chunks,
    )


def stored(sealed: Sealed) -> Mail:
    """Return the mail that is sent: what is stored, and the headers that are made of it."""
    body = b"".join(map(bytes, sealed.chunks))
    assert len(body) == sealed.length
    envelope = sealed.envelope
    head = mail_head(envelope.reply_to, envelope.queue, envelope.subject, envelope.content_type)
    mail = read(header_block(head) + body)
    assert isinstance(mail, Mail)
    return mail


def test_what_is_stored_is_a_mail_that_the_receiver_verifies_and_opens(sealing: MailSealing) -> None:
    message = unsealed()

    sealed = sealing.seal(message, counterpart(), pki.key_pair(Kind.SIGNER))

    mail = stored(sealed)
    us, them = message.sender.service_her_id, message.receiver.service_her_id
    found = classify(mail, Correspondence(them, us, [pki.certificate(Kind.SIGNER)]))
    assert isinstance(found, PayloadMessage)
    assert found.assurance.is_verified
    assert (found.header.message_id, found.header.conversation_id) == (_MESSAGE_ID, message.msg_id)
    assert (found.header.service, found.header.action) == ("S-KPR_IPL", "KPR_IPL")
    assert found.header.cpa_id == f"{min(us, them)}_{max(us, them)}"
    keys = [pki.key_pair(Kind.RECEIVER_ENCRYPTION)]
    opened = open_payload(found.payload, decrypters=keys, signers=(), policy=Policy())
    assert opened == b"".join(message.chunks())
    assert (sealed.envelope.transport, sealed.envelope.subject) == (Transport.EDI, "KPR_IPL")
    assert (mail.headers["From"], mail.headers["To"]) == (_OURS, _THEIRS)


def test_the_envelope_names_the_documents_own_schema_or_none_and_no_system(sealing: MailSealing) -> None:
    def said(document: bytes) -> tuple[object, object]:
        mail = stored(sealing.seal(unsealed(document), counterpart(), pki.key_pair(Kind.SIGNER)))
        assert mail.soap is not None
        root = etree.fromstring(mail.soap.body)
        schema, description = root.find(".//{*}Schema"), root.findtext(".//{*}MessageHeader/{*}Description")
        return (None if schema is None else list(schema.attrib.values())), description and json.loads(description)

    schema, description = said(_DOCUMENT)
    assert schema == ["http://www.npr.no/xmlstds/iplos/2019", "3.7"]
    assert isinstance(description, dict)
    assert description["MSH-system"] == "kpr-sender"
    assert said(b'<IPLOS xmlns="urn:a"/>') == (None, None)


def test_a_mail_that_would_be_too_large_is_refused_before_anything_is_sealed(sealing: MailSealing) -> None:
    message = unsealed(_DOCUMENT.replace(b"\xc3", b"x" * 40_000 + b"\xc3"))
    length = sealing.seal(message, counterpart(), pki.key_pair(Kind.SIGNER)).length
    read: list[int] = []

    def chunks() -> Iterator[bytes]:
        for chunk in message.chunks():
            read.append(len(chunk))
            yield chunk

    counted = replace(message, chunks=chunks)
    tight = replace(sealing, edi=replace(sealing.edi, max_mail_bytes=length))
    with pytest.raises(InputRefused, match=r"more than .* \(edi.max_mail_bytes\)"):
        tight.seal(counted, counterpart(), pki.key_pair(Kind.SIGNER))
    assert len(read) == 2  # once, for what the document says of itself

    enough = replace(sealing, edi=replace(sealing.edi, max_mail_bytes=length + 3_000))
    assert enough.seal(counted, counterpart(), pki.key_pair(Kind.SIGNER)).length == length


def test_what_it_signs_is_read_from_what_is_stored(sealing: MailSealing) -> None:
    """An acknowledgement is compared with it, however large the payload is that follows."""
    sealed = sealing.seal(unsealed(_DOCUMENT * 60_000), counterpart(), pki.key_pair(Kind.SIGNER))
    body = b"".join(map(bytes, sealed.chunks))
    found = own_references(body, sealed.envelope.content_type)
    assert [one.uri.partition(":")[0] for one in found] == ["", "cid"]
    assert own_references(body[:500], sealed.envelope.content_type) == ()


def test_from_and_to_are_the_registered_addresses(sealing: MailSealing) -> None:
    """HITS 1172, rules 261 and 262."""
    known = HODEMELDING.receiver
    assert sealing.addresses(known, counterpart(), None) == Route(_THEIRS, _OURS)
    # The register's writing counts, where it differs in case alone.
    assert sealing.addresses(known, counterpart(_THEIRS.upper()), registered(_OURS.title())) == Route(
        _THEIRS.upper(), _OURS.title()
    )
    with pytest.raises(ConfigInvalid, match=r"edi.receiver_address is kpr@edi.example.no; Adresseregisteret has npr@"):
        sealing.addresses(known, counterpart("npr@edi.example.no"), None)
    with pytest.raises(ConfigInvalid, match=r"edi.address is kommune-kpr@edi.example.no; Adresseregisteret has other@"):
        sealing.addresses(known, counterpart(), registered("other@edi.example.no"))
    with pytest.raises(ConfigInvalid, match=f"No EDI address is registered for HER-id {SENDER_HER_ID}"):
        sealing.addresses(known, counterpart(), registered(""))  # asked, the register has none for us
    nothing = replace(sealing, edi=replace(sealing.edi, receiver_address=""))
    with pytest.raises(ConfigInvalid, match="is not known"):
        nothing.addresses(known, counterpart(), None)
    assert nothing.addresses(known, counterpart(_THEIRS), None).to == _THEIRS

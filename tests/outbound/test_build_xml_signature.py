"""``hodemelding.xmldsig``: what is sent carries a signature that holds, and a receipt's own signature must hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from lxml import etree

from kpr_sender.bus.port import Inbound, Outbound
from kpr_sender.client import Client
from kpr_sender.errors import InputRefused
from kpr_sender.keys.files import KeyPair
from kpr_sender.messages.splice import splice
from kpr_sender.messages.xml_signature import verify_enveloped
from kpr_sender.sandbox.pki import impostor
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Changes, Municipality
from tests.helpers.xml_signatures import sign_enveloped, signxml_holds, xmlsec1_holds

NewClient = Callable[..., Client]
SIGNED: Changes = {"hodemelding": {"xmldsig": True}}
NAMESPACE = b"http://www.w3.org/2000/09/xmldsig#"


def test_what_is_sent_is_signed_and_the_payload_s_bytes_are_untouched(
    new_client: NewClient, bus: MemoryBus, fhi: Fhi, kommune: Municipality
) -> None:
    client = new_client(bus, SIGNED)
    client.submit()
    certificate = kommune.pki.certificate("kommune-signing")
    for message, file in zip(bus.published, (kommune.fagmelding, kommune.identmelding), strict=True):
        xml = fhi.opened(message)
        assert b"".join(splice([file.read_bytes()])) in xml
        assert xml.count(b"<ds:Signature ") == 1
        assert verify_enveloped(xml, certificate)
        assert signxml_holds(xml, certificate)
        assert xmlsec1_holds(xml, certificate)
        assert not xmlsec1_holds(xml.replace(b"Saksbehandling", b"saksbehandling", 1), certificate)
    assert client.wait(timeout=5).exit_code == 0


def test_nothing_is_signed_so_unless_it_is_wanted(new_client: NewClient, bus: MemoryBus, fhi: Fhi) -> None:
    new_client(bus).submit()
    assert [NAMESPACE in fhi.opened(message) for message in bus.published] == [False, False]


def test_a_file_that_programs_canonicalise_differently_is_refused(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality
) -> None:
    text = kommune.fagmelding.read_bytes()
    kommune.fagmelding.write_bytes(text.replace(b"<IPLOS ", b'<IPLOS xmlns:x="urn:a&amp;b" ', 1))
    with pytest.raises(InputRefused, match="namespace name") as refused:
        new_client(bus, SIGNED).submit()
    assert refused.value.where == str(kommune.fagmelding)
    assert bus.published == []


def receipt_bus(fhi: Fhi, change: Callable[[bytes], bytes], *, sealed: bool = True) -> MemoryBus:
    """A bus behind which FHI answers with a receipt that ``change`` has had in hand."""

    def answer(message: Outbound) -> list[Inbound]:
        xml = change(fhi.apprec(message))
        return [fhi.inbound(message, fhi.sealed(xml) if sealed else xml)]

    return MemoryBus(answer)


def by_fhi(fhi: Fhi) -> Callable[[bytes], bytes]:
    return lambda xml: sign_enveloped(xml, fhi.key("fhi-signing"))


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "not sealed, and believed"])
def test_a_signed_receipt_is_believed(new_client: NewClient, fhi: Fhi, *, sealed: bool) -> None:
    client = new_client(
        receipt_bus(fhi, by_fhi(fhi), sealed=sealed), {"receiver": {"unsealed_receipts": not sealed}}
    )  # fmt: skip
    client.submit()
    assert client.wait(timeout=5).exit_code == 0


def by_another(fhi: Fhi) -> Callable[[bytes], bytes]:
    """Signed by somebody with FHI's name, whose certificate is inside."""
    right = fhi.key("fhi-signing")
    key, certificate = impostor(right.certificate, datetime.now(UTC))
    return lambda xml: sign_enveloped(xml, KeyPair(certificate, key))


def altered(fhi: Fhi) -> Callable[[bytes], bytes]:
    """A rejection that became an acceptance after it was signed."""

    def change(xml: bytes) -> bytes:
        root = etree.fromstring(sign_enveloped(xml, fhi.key("fhi-signing")))
        status = next(root.iter("{*}Status"))
        status.set("DN", "OK!")
        return etree.tostring(root)

    return change


def wrapped(fhi: Fhi) -> Callable[[bytes], bytes]:
    """A right signature that stands somewhere else than last in the root."""

    def change(xml: bytes) -> bytes:
        root = etree.fromstring(sign_enveloped(xml, fhi.key("fhi-signing")))
        root.insert(0, root[-1])
        return etree.tostring(root)

    return change


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "not sealed"])
@pytest.mark.parametrize("spoil", [by_another, altered, wrapped])
def test_g4_a_receipt_whose_own_signature_does_not_hold_is_kept_and_not_believed(
    new_client: NewClient, fhi: Fhi, spoil: Callable[[Fhi], Callable[[bytes], bytes]], *, sealed: bool
) -> None:
    bus = receipt_bus(fhi, spoil(fhi), sealed=sealed)
    client = new_client(bus, {"receiver": {"unsealed_receipts": not sealed}})
    client.submit()
    report = client.wait(timeout=0)
    receipts = [receipt for shipment in report.submission.shipments for receipt in shipment.receipts]
    assert [(receipt.verified, "XML signature" in receipt.problem) for receipt in receipts] == [(False, True)] * 2
    assert report.exit_code == 76
    assert bus.settled == []

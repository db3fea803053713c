"""``kpr-send receipts accept`` and ``discard``: a person's decision on a receipt, by its number (G4, G5)."""

from __future__ import annotations

from tests.helpers.desk import Desk
from tests.helpers.fhi import Fhi

WHY = ("--reason", "FHI, e-post 10.1.", "--by", "Kari")


def test_a_receipt_is_accepted_or_discarded_by_the_number_that_receipts_prints(desk: Desk, fhi: Fhi) -> None:
    desk.sent()
    first, second = desk.bus.published
    nameless = fhi.apprec(first).replace(b"<Id>171479</Id>", b"<Id>x</Id>", 1)
    forged = fhi.sealed(fhi.apprec(second), signed_by=fhi.key("kommune-signing"))
    desk.bus.put(fhi.inbound(first, fhi.sealed(nameless)))
    desk.bus.put(fhi.inbound(second, forged))
    with desk.client() as client:
        assert client.wait(timeout=0).exit_code == 76
    shown = desk.command("receipts").out
    assert "receipt 1" in shown
    assert "receipt 2" in shown

    refused = desk.command("receipts", "accept", "2", *WHY)
    assert refused.code == 64
    assert "registered certificate signed, for our MsgId and type" in refused.out + refused.err
    discarded = desk.command("receipts", "discard", "2", *WHY)
    assert "Receipt 2 is discarded." in discarded.out
    assert discarded.code == 76, "the other one is still in question"
    accepted = desk.command("--json", "receipts", "accept", "1", *WHY)

    assert accepted.code == accepted.json()["exit_code"] == 80
    assert [one["state"] for one in accepted.json()["shipments"]] == ["delivered", "published"]
    for again in ("accept", "discard"):
        assert desk.command("receipts", again, "1", *WHY).code == 64, "it is verified now"
    listed = desk.command("--json", "receipts").json()["receipts"]
    assert [(one["number"], one["verified"], one["discarded"]) for one in listed] == [
        (1, True, False),
        (2, False, True),
    ]


def test_an_unknown_number_is_refused_before_key_or_register_is_asked(desk: Desk) -> None:
    desk.sent()
    for name in ("kommune-encryption.p12", "fhi-signing.pem"):
        (desk.kommune.folder / "pki" / name).unlink()

    for decision in ("accept", "discard"):
        told = desk.command("receipts", decision, "7", *WHY)
        assert told.code == 64
        assert "There is no receipt 7 in this journal." in told.out + told.err
    assert desk.command("receipts", "accept", "0", *WHY).code == 64
    assert desk.command("receipts", "accept", "1", "--by", "Kari").code == 64

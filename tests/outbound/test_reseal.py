"""The receiver's certificate changes while a pair is sealed: sealed anew where nobody has seen it, else not sent."""

from __future__ import annotations

import hashlib
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import pytest

from kpr_sender.bus.port import Outbound, Outcome, Reach, Verdict
from kpr_sender.client import Client
from kpr_sender.cms.certificates import named
from kpr_sender.errors import (
    AccessRefused,
    AlreadySubmitted,
    BusUnreachable,
    ConfigInvalid,
    InputMissing,
    InputRefused,
    KprError,
)
from kpr_sender.events import Event, EventKind
from kpr_sender.fault_points import FaultPoint, armed
from kpr_sender.inbound.receipt import Handling
from kpr_sender.journal.queries import SqlView
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.journal.values import JournalEvent
from kpr_sender.journal.verify import verify
from kpr_sender.keys.files import KeyPair
from kpr_sender.model import Environment, Submission
from kpr_sender.operator.resolve import Decision
from kpr_sender.report import Report
from kpr_sender.texts import Text
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality

NewClient = Callable[..., Client]

NEW: Final = {"receiver": {"encryption_certificate": "pki/kommune-encryption.pem"}}
"""FHI's next certificate: any other one for encryption will do."""
NO_CREDIT: Final = Outcome(Verdict.NOT_SENT, Reach.NO_CREDIT, error=ConfigInvalid(Text("Unroutable.")))


class FhiRotated(Fhi):
    """FHI, once it has the new key only."""

    def key(self, name: str) -> KeyPair:
        return super().key("kommune-encryption" if name == "fhi-encryption" else name)


@pytest.fixture
def rotated(kommune: Municipality) -> FhiRotated:
    return FhiRotated(kommune.pki)


@pytest.fixture
def new_bus(rotated: FhiRotated) -> MemoryBus:
    return MemoryBus(rotated.answer)


@pytest.fixture
def sealed(new_client: NewClient, silent_bus: MemoryBus) -> Submission:
    """A pair that is sealed for the old certificate; the bus was down."""
    return sealed_only(new_client(silent_bus), silent_bus)


def sealed_only(client: Client, bus: MemoryBus) -> Submission:
    bus.connect_error = BusUnreachable(Text("Refused."))
    with pytest.raises(BusUnreachable):
        client.submit()
    bus.connect_error = None
    return status(client).submission


def status(client: Client) -> Report:
    report = client.status()
    assert report is not None
    return report


def history(kommune: Municipality, msg_id: str) -> list[JournalEvent]:
    with journal_of(kommune) as view:
        return list(view.events(msg_id))


def journal_of(kommune: Municipality) -> SqlView:
    view = SqliteJournal.open_readonly(kommune.journal, Environment.LOKAL)
    assert view is not None
    return view


def demand_sound(kommune: Municipality) -> None:
    found = verify(kommune.journal, Environment.LOKAL)
    assert found is not None
    assert found.findings == ()


def test_the_certificates_used_are_in_the_journal_per_shipment_and_receipt(
    new_client: NewClient, bus: MemoryBus, fhi: Fhi, kommune: Municipality
) -> None:
    client = new_client(bus)
    client.submit()
    report = client.wait(timeout=5)
    encryption, signing, receivers = (
        named(fhi.pki.certificate(name)) for name in ("fhi-encryption", "kommune-signing", "fhi-signing")
    )
    for shipment, told in zip(report.submission.shipments, report.as_json()["shipments"], strict=True):
        assert shipment.certificates is not None
        assert (shipment.certificates.encryption, shipment.certificates.signing) == (encryption, signing)
        assert [receipt.signer for receipt in shipment.receipts] == [receivers]
        assert told["certificates"]["encryption"] == {"sha1": encryption.sha1, "serial": encryption.serial}
        assert told["certificates"]["signing"]["sha1"] == signing.sha1
        assert told["receipt"]["signer"]["sha1"] == receivers.sha1
        created = history(kommune, shipment.msg_id)[0]
        assert created.details["encryption_sha1"] == encryption.sha1
    demand_sound(kommune)


def test_what_the_bus_never_saw_is_sealed_anew_under_the_same_names(
    new_client: NewClient, sealed: Submission, new_bus: MemoryBus, rotated: FhiRotated, kommune: Municipality
) -> None:
    with journal_of(kommune) as view:
        envelopes = [view.envelope(shipment.msg_id) for shipment in sealed.shipments]
    client = new_client(new_bus, NEW)
    assert client.submit().sent == 2
    assert client.wait(timeout=5).exit_code == 0
    now = status(client).submission
    for before, after, message, envelope in zip(sealed.shipments, now.shipments, new_bus.taken, envelopes, strict=True):
        assert (after.msg_id, after.message_id) == (before.msg_id, before.message_id)
        assert (message.message_id, message.envelope) == (before.message_id, envelope)
        assert after.hodemelding_sha256 == before.hodemelding_sha256
        assert after.sealed_sha256 == hashlib.sha256(message.body).hexdigest() != before.sealed_sha256
        assert rotated.hodemelding(message).msg_id == before.msg_id
        assert before.certificates is not None
        (resealed,) = (event for event in history(kommune, before.msg_id) if event.what == "resealed")
        assert resealed.details["was_sealed_sha256"] == before.sealed_sha256
        assert resealed.details["sealed_sha256"] == after.sealed_sha256
        assert resealed.details["was_encryption_sha1"] == before.certificates.encryption.sha1
        assert resealed.details["encryption_sha1"] == named(rotated.pki.certificate("kommune-encryption")).sha1
    demand_sound(kommune)


def test_g2_what_anybody_put_on_the_queue_keeps_nothing_from_being_sealed_anew(
    new_client: NewClient, sealed: Submission, new_bus: MemoryBus, fhi: Fhi, kommune: Municipality
) -> None:
    with journal_of(kommune) as view:
        written = [Outbound(s.message_id, view.envelope(s.msg_id), view.sealed(s.msg_id)) for s in sealed.shipments]
    client = new_client(new_bus)
    for message in written:
        forged = fhi.sealed(fhi.apprec(message), signed_by=fhi.key("kommune-signing"))
        assert client.handle(fhi.inbound(message, forged)) is Handling.HOLD
    client = new_client(new_bus, NEW)
    assert client.submit().sent == 2
    report = client.wait(timeout=5)
    assert report.exit_code == 0
    for shipment, message, before in zip(report.submission.shipments, new_bus.taken, written, strict=True):
        assert (message.message_id, message.body == before.body) == (before.message_id, False)
        assert [receipt.verified for receipt in shipment.receipts] == [False, True], "what came stays stored"
    demand_sound(kommune)


def test_it_is_said_aloud_once(
    new_client: NewClient, sealed: Submission, silent_bus: MemoryBus, events: list[Event]
) -> None:
    silent_bus.connect_error = BusUnreachable(Text("Refused."))
    events.clear()
    for _ in range(2):
        with pytest.raises(BusUnreachable):
            new_client(silent_bus, NEW).submit()
    told = [event.msg_id for event in events if event.kind is EventKind.SEALED]
    assert told == [shipment.msg_id for shipment in sealed.shipments]


def test_with_the_same_certificate_the_same_bytes_go(
    new_client: NewClient, sealed: Submission, silent_bus: MemoryBus
) -> None:
    report = new_client(silent_bus).submit()
    assert [shipment.sealed_sha256 for shipment in report.submission.shipments] == [
        shipment.sealed_sha256 for shipment in sealed.shipments
    ]


def test_g3_what_was_offered_even_once_is_neither_sent_nor_sealed_anew(
    new_client: NewClient, silent_bus: MemoryBus, kommune: Municipality
) -> None:
    silent_bus.outcomes.append(NO_CREDIT)
    before = new_client(silent_bus).submit().submission
    assert [shipment.attempts for shipment in before.shipments] == [1, 0]
    client = new_client(silent_bus, NEW)
    with pytest.raises(AccessRefused, match="It was offered before") as refused:
        client.submit()
    assert "--replaces" in refused.value.next_step
    assert "kpr@fhi.no" in refused.value.next_step
    assert len(silent_bus.published) == 1
    assert [one.sealed_sha256 for one in status(client).submission.shipments] == [
        one.sealed_sha256 for one in before.shipments
    ]
    assert status(client).exit_code == 77, "G5: status says the same"
    demand_sound(kommune)
    # The way out that it names.
    kommune.new_extract()
    report = new_client(silent_bus, NEW).submit(replaces=before.submission_id, reason="Avtalt med FHI.")
    assert (report.sent, report.exit_code) == (2, 80)


def test_what_a_person_lets_go_again_is_sealed_anew_under_a_message_id_that_the_bus_has_not_seen(
    new_client: NewClient, silent_bus: MemoryBus, kommune: Municipality
) -> None:
    client = new_client(silent_bus)
    first = client.submit().submission.shipments[0]
    client.resolve(first.msg_id, Decision.NOT_ARRIVED, reason="FHI har den ikke.", by="Kari")
    assert new_client(silent_bus, NEW).submit().sent == 1
    before, _, after = silent_bus.published
    assert (after.message_id != before.message_id, after.body != before.body) == (True, True)
    now = status(new_client(silent_bus)).submission.shipments[0]
    assert (now.msg_id, now.message_id) == (first.msg_id, after.message_id)
    assert [one.message_id for one in now.earlier] == [before.message_id, after.message_id]
    demand_sound(kommune)


def test_g3_what_a_person_let_go_is_sealed_anew_also_where_the_bus_was_offered_it_since_or_all_else_has_changed(
    new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi, kommune: Municipality
) -> None:
    client = new_client(silent_bus)
    first = client.submit().submission.shipments[0]
    stranger = fhi.sealed(fhi.apprec(silent_bus.taken[0]), signed_by=fhi.key("kommune-signing"))
    client.handle(fhi.inbound(silent_bus.taken[0], stranger))
    client.resolve(first.msg_id, Decision.NOT_ARRIVED, reason="FHI har den ikke.", by="Kari")
    silent_bus.outcomes.append(NO_CREDIT)
    offered = client.submit().submission.shipments[0]
    assert (offered.state, offered.attempts) == ("sealed", 2)
    other = {**NEW, "bus": {"receipts_queue": "other"}}
    assert new_client(silent_bus, other).submit().sent == 1
    *_, refused, after = silent_bus.published
    assert refused.message_id == offered.message_id
    assert len({first.message_id, offered.message_id, after.message_id}) == 3, "no message-id has two kinds of bytes"
    assert (refused.body == after.body, after.envelope.reply_to) == (False, "other")
    now = status(new_client(silent_bus)).submission.shipments[0]
    assert (now.msg_id, now.message_id) == (first.msg_id, after.message_id)
    assert [one.message_id for one in now.earlier] == [first.message_id, offered.message_id]
    demand_sound(kommune)


def test_without_the_very_same_file_nothing_is_sealed_anew(
    new_client: NewClient, sealed: Submission, silent_bus: MemoryBus, kommune: Municipality
) -> None:
    whole = kommune.identmelding.read_bytes()
    kommune.identmelding.unlink()
    with pytest.raises(InputMissing):
        new_client(silent_bus, NEW).submit()
    kommune.identmelding.write_bytes(whole)
    kommune.new_extract()
    with pytest.raises(AlreadySubmitted):
        new_client(silent_bus, NEW).submit()
    assert status(new_client(silent_bus)).submission.shipments == sealed.shipments
    assert silent_bus.published == []


def test_a_file_that_changes_after_it_was_checked_leaves_the_old_bytes(
    new_client: NewClient, sealed: Submission, silent_bus: MemoryBus, kommune: Municipality, events: list[Event]
) -> None:
    class Meddling(list[Event]):
        def append(self, event: Event) -> None:
            if event.kind is EventKind.CONTINUED:
                whole = kommune.fagmelding.read_bytes()
                kommune.fagmelding.write_bytes(whole[:-1] + b" ")

    client = Client(kommune.configure(NEW), bus=silent_bus, on_event=Meddling().append)
    new_client(silent_bus).close()
    with client, pytest.raises(InputRefused, match="changed while it was read"):
        client.submit()
    assert silent_bus.published == []
    assert [one.sealed_sha256 for one in status(new_client(silent_bus)).submission.shipments] == [
        one.sealed_sha256 for one in sealed.shipments
    ]
    demand_sound(kommune)


@pytest.mark.parametrize(
    "other", [{"sender": {"name": "ANNEN KOMMUNE"}}, {"bus": {"receipts_queue": "other"}}], ids=["party", "reply-to"]
)
def test_another_hodemelding_or_envelope_is_another_message(
    new_client: NewClient, sealed: Submission, silent_bus: MemoryBus, other: dict[str, dict[str, object]]
) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be sealed anew as the same message"):
        new_client(silent_bus, {**NEW, **other}).submit()
    assert silent_bus.published == []


@pytest.mark.usefixtures("sealed")
def test_the_tables_themselves_refuse_bytes_for_what_was_offered(kommune: Municipality) -> None:
    """G3: should a rule in the program ever be forgotten, the trigger still stands."""
    store = (
        "INSERT INTO version SELECT NULL, shipment_id, msg_id, message_id, receiver_her_id, envelope, sealed_id, "
        "sealed_sha256, sealed_bytes, hodemelding_sha256, encryption_sha1, encryption_serial, signing_sha1, "
        "signing_serial, since, since FROM shipment"
    )
    change = (
        "UPDATE shipment SET sealed_id = (SELECT max(sealed_id) FROM sealed), sealed_sha256 = payload_sha256, "
        "encryption_sha1 = lower(hex(zeroblob(20))) WHERE type = 'KPR_IPL'"
    )
    offered = "UPDATE shipment SET state = 'publishing', attempts = 1"
    for before in (offered, "UPDATE shipment SET attempts = 1", "UPDATE shipment SET needs_person = 1"):
        with closing(sqlite3.connect(kommune.journal, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO sealed (bytes) VALUES (x'00')")
            connection.execute(store)
            connection.execute(before)
            with pytest.raises(sqlite3.IntegrityError, match="what is sealed never changes"):
                connection.execute(change)
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")
            connection.execute("INSERT INTO sealed (bytes) VALUES (x'00')")
            with pytest.raises(sqlite3.IntegrityError, match="what is sealed never changes"):
                connection.execute(change)
            connection.execute(store)
            connection.execute(change)
            connection.execute("ROLLBACK")


def killed_at(kommune: Municipality, number: int, ledger: Path) -> bool:
    """Send in a process of its own that dies at the n-th fault point; return whether it came so far."""
    settings = kommune.configure(NEW)
    child = os.fork()
    if child == 0:
        reached = itertools.count(1)

        def die(_point: FaultPoint) -> None:
            if next(reached) == number:
                os._exit(9)

        with suppress(BaseException):
            bus = MemoryBus()
            bus.on_publish = lambda message: ledger.open("a").write(f"{message.message_id}\n")
            with armed(die), Client(settings, bus=bus) as client:
                client.submit()
            os._exit(0)
        os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}
    return code == 9


def stages(tmp_path: Path) -> Iterator[tuple[int, Municipality]]:
    for number in itertools.count(1):
        yield number, municipality(tmp_path / str(number))


def test_g1_g3_a_crash_anywhere_leaves_old_or_new_and_one_of_each_at_fhi(tmp_path: Path) -> None:
    seen: set[tuple[str, ...]] = set()
    for number, kommune in stages(tmp_path):
        bus, ledger = MemoryBus(), kommune.folder / "ledger"
        with Client(kommune.configure(), bus=bus) as client:
            before = sealed_only(client, bus)
        died = killed_at(kommune, number, ledger)
        keys = {name: Fhi(kommune.pki).key(name).certificate for name in ("fhi-encryption", "kommune-encryption")}
        sha1s = {named(certificate).sha1: name for name, certificate in keys.items()}
        with journal_of(kommune) as view:
            left = []
            for kept in view.submissions()[0].shipments:
                old = next(one for one in before.shipments if one.msg_id == kept.msg_id)
                assert kept.certificates is not None
                left.append(sha1s[kept.certificates.encryption.sha1])
                assert (left[-1] == "fhi-encryption") == (kept.sealed_sha256 == old.sealed_sha256)
                assert hashlib.sha256(view.sealed(kept.msg_id)).hexdigest() == kept.sealed_sha256
            seen.add(tuple(left))
        demand_sound(kommune)
        again = MemoryBus(FhiRotated(kommune.pki).answer)
        with Client(kommune.configure(NEW), bus=again) as client, suppress(KprError):
            report = client.submit()
        sent = ledger.read_text().split() if ledger.exists() else []
        sent += [message.message_id for message in again.taken]
        for shipment in report.submission.shipments:
            assert sent.count(shipment.message_id) == 1 or (
                shipment.message_id not in sent and shipment.state == "in_doubt"
            )
        demand_sound(kommune)
        if not died:
            break
    first, then = "fhi-encryption", "kommune-encryption"
    assert seen == {(first, first), (then, first), (then, then)}

"""The pair's way through the engine: sealed, published once, delivered only when verified."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from kpr_sender.bus.port import Outbound, Outcome, Reach, Verdict
from kpr_sender.client import Client
from kpr_sender.cms.port import Decrypter, Signer
from kpr_sender.errors import (
    AccessRefused,
    AlreadySubmitted,
    BusUnreachable,
    ConfigInvalid,
    InDoubt,
    InputMissing,
    InputRefused,
    NothingSubmitted,
    UsageError,
)
from kpr_sender.events import Event, EventKind
from kpr_sender.keys.files import load_pkcs12
from kpr_sender.model import MessageType, SubmissionState
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality

NewClient = Callable[..., Client]

NO_CREDIT = Outcome(Verdict.NOT_SENT, Reach.NO_CREDIT, error=BusUnreachable(Text("The bus gives no credit.")))
UNROUTABLE = Outcome(Verdict.NOT_SENT, Reach.OUTCOME, condition="released", error=ConfigInvalid(Text("Unroutable.")))
LOST = Outcome(Verdict.IN_DOUBT, Reach.HANDED_OVER, 4711, "connection aborted", error=InDoubt(Text("Connection lost.")))


def states(client: Client) -> list[ShipmentState]:
    report = client.status()
    assert report is not None
    return [shipment.state for shipment in report.submission.shipments]


def test_two_files_in_two_verified_receipts_out(new_client: NewClient, bus: MemoryBus, fhi: Fhi) -> None:
    client = new_client(bus)
    report = client.submit()
    assert (report.submission.state, report.exit_code, report.sent) == (SubmissionState.PUBLISHED, 80, 2)
    report = client.wait(timeout=5)
    assert (report.submission.state, report.exit_code) == (SubmissionState.DELIVERED, 0)
    assert [message.envelope.subject for message in bus.published] == ["KPR_IPL", "KPR_IDE"]
    assert len(bus.settled) == 2
    for shipment, message in zip(report.submission.shipments, bus.published, strict=True):
        hodemelding = fhi.hodemelding(message)
        assert hodemelding.msg_id == shipment.msg_id
        assert hodemelding.sender.service_her_id == 900002
        assert (hodemelding.receiver.her_id, hodemelding.receiver.service_her_id) == (85217, 171479)
        assert message.message_id not in (shipment.msg_id, "")


def test_g1_a_second_run_sends_nothing_and_says_why(new_client: NewClient, bus: MemoryBus, events: list[Event]) -> None:
    client = new_client(bus)
    client.submit()
    client.wait(timeout=5)
    again = new_client(bus).submit()
    assert (again.exit_code, again.sent) == (0, 0)
    assert len(bus.published) == 2
    assert any(event.kind is EventKind.CONTINUED for event in events)


def test_g3_a_repeated_attempt_sends_the_same_bytes(new_client: NewClient, bus: MemoryBus) -> None:
    bus.outcomes.extend([NO_CREDIT, UNROUTABLE])
    first = new_client(bus).submit()
    assert first.exit_code == 78
    report = new_client(bus).submit()
    assert report.exit_code == 80
    attempts: dict[str, list[Outbound]] = {}
    for message in bus.published:
        attempts.setdefault(message.message_id, []).append(message)
    assert [len(same) for same in attempts.values()] == [3, 1]
    assert all(message == same[0] for same in attempts.values() for message in same)
    assert report.submission.shipments[0].attempts == 3


def test_g1_in_doubt_is_never_published_again_by_itself(new_client: NewClient, silent_bus: MemoryBus) -> None:
    silent_bus.outcomes.append(LOST)
    report = new_client(silent_bus).submit()
    assert report.exit_code == 83
    assert [shipment.state for shipment in report.submission.shipments] == ["in_doubt", "published"]
    for _ in range(3):
        client = new_client(silent_bus)
        assert client.submit().exit_code == 83
        assert client.wait(timeout=0).exit_code == 83
    assert len(silent_bus.published) == 2


def test_g4_a_receipt_settles_what_was_in_doubt(new_client: NewClient, bus: MemoryBus) -> None:
    bus.outcomes.append(LOST)
    client = new_client(bus)
    assert client.submit().exit_code == 83
    assert client.wait(timeout=5).exit_code == 0


def test_g2_a_crash_while_publishing_leaves_it_in_doubt(new_client: NewClient, silent_bus: MemoryBus, fhi: Fhi) -> None:
    silent_bus.outcomes.append(KeyboardInterrupt())
    client = new_client(silent_bus)
    with pytest.raises(KeyboardInterrupt):
        client.submit()
    assert states(client) == ["publishing", "sealed"]
    again = new_client(silent_bus)
    report = again.submit()
    assert [shipment.state for shipment in report.submission.shipments] == ["in_doubt", "published"]
    assert [message.envelope.subject for message in silent_bus.published] == ["KPR_IPL", "KPR_IDE"]
    for message in silent_bus.published:
        for answer in fhi.answer(message):
            silent_bus.put(answer)
    assert again.wait(timeout=5).exit_code == 0


def test_g1_publishing_is_durable_before_the_first_byte(
    new_client: NewClient, silent_bus: MemoryBus, kommune: Municipality
) -> None:
    seen: list[list[ShipmentState]] = []
    client = new_client(silent_bus)
    silent_bus.on_publish = lambda _message: seen.append(states(client))
    client.submit()
    assert seen == [["publishing", "sealed"], ["published", "publishing"]]


def test_only_what_certainly_was_not_sent_is_tried_again(new_client: NewClient, bus: MemoryBus) -> None:
    bus.outcomes.extend([NO_CREDIT, NO_CREDIT])
    report = new_client(bus).submit()
    assert report.exit_code == 80
    assert [shipment.attempts for shipment in report.submission.shipments] == [3, 1]


@pytest.mark.parametrize(
    ("error", "code"),
    [(BusUnreachable(Text("Refused.")), 69), (AccessRefused(Text("Wrong password.")), 77)],
    ids=["69", "77"],
)
def test_g5_an_unreachable_bus_is_in_the_journal_too(
    new_client: NewClient, bus: MemoryBus, error: BusUnreachable, code: int
) -> None:
    bus.connect_error = error
    client = new_client(bus)
    with pytest.raises(type(error)):
        client.submit()
    report = client.status()
    assert report is not None
    assert report.exit_code == error.exit_code == code
    assert bus.published == []


def test_a_new_extract_is_refused_until_it_says_what_it_replaces(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality
) -> None:
    client = new_client(bus)
    first = client.submit()
    client.wait(timeout=5)
    kommune.new_extract()
    with pytest.raises(AlreadySubmitted, match=first.submission.submission_id):
        client.submit()
    with pytest.raises(UsageError):
        client.submit(replaces=first.submission.submission_id)
    second = client.submit(replaces=first.submission.submission_id, reason="Agreed with FHI: missing services.")
    assert second.submission.replaces == first.submission.submission_id
    assert client.wait(timeout=5).exit_code == 0
    # The same command once more continues the replacement; it does not replace anything again.
    again = client.submit(replaces=first.submission.submission_id, reason="Agreed with FHI: missing services.")
    assert (again.submission.submission_id, again.sent) == (second.submission.submission_id, 0)
    assert len(bus.published) == 4


def test_half_a_new_pair_is_sent_by_half(new_client: NewClient, bus: MemoryBus, kommune: Municipality) -> None:
    client = new_client(bus)
    first = client.submit()
    client.wait(timeout=5)
    kommune.fagmelding.write_bytes(kommune.fagmelding.read_bytes().replace(b"<iiLopenr>1<", b"<iiLopenr>2<"))
    with pytest.raises(AlreadySubmitted):
        client.submit()
    report = client.submit(replaces=first.submission.submission_id, reason="Avtalt med FHI.")
    assert (report.sent, report.submission.shipments[1].msg_id) == (1, first.submission.shipments[1].msg_id)
    assert [message.envelope.subject for message in bus.published] == ["KPR_IPL", "KPR_IDE", "KPR_IPL"]


def test_a_file_that_changes_while_it_is_sealed_is_refused(
    bus: MemoryBus, kommune: Municipality, events: list[Event]
) -> None:
    def rewrite(event: Event) -> None:
        events.append(event)
        if event.kind is EventKind.CHECKED and event.type is MessageType.KPR_IDE:
            text = kommune.fagmelding.read_bytes()
            kommune.fagmelding.write_bytes(text.replace(b"<peKjonn>M", b"<peKjonn>K", 1))

    with Client(kommune.configure(), bus=bus, on_event=rewrite) as client:
        with pytest.raises(InputRefused, match="changed while it was read"):
            client.submit()
        assert client.status() is None
    assert bus.published == []


@pytest.mark.parametrize(
    ("name", "other", "usage"),
    [
        ("fhi-encryption.pem", "fhi-signing.pem", "keyEncipherment"),
        ("fhi-signing.pem", "fhi-encryption.pem", "nonRepudiation"),
    ],
)
def test_nothing_is_sealed_for_a_certificate_made_for_another_use(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality, name: str, other: str, usage: str
) -> None:
    (kommune.pki.folder / name).write_bytes((kommune.pki.folder / other).read_bytes())
    client = new_client(bus)
    with pytest.raises(AccessRefused, match=usage):
        client.submit()
    assert client.status() is None


def test_a_missing_file_is_named(new_client: NewClient, bus: MemoryBus, kommune: Municipality) -> None:
    kommune.identmelding.unlink()
    with pytest.raises(InputMissing) as caught:
        new_client(bus).submit()
    assert str(kommune.identmelding) in str(caught.value)


def test_another_municipality_s_file_is_refused(new_client: NewClient, bus: MemoryBus) -> None:
    with pytest.raises(InputRefused, match="9999"):
        new_client(bus, {"sender": {"kommunenummer": "0301"}}).submit()


def test_sizes_are_measured_on_the_sealed_bytes(new_client: NewClient, bus: MemoryBus, events: list[Event]) -> None:
    with pytest.raises(InputRefused, match="refuse_bytes"):
        new_client(bus, {"limits": {"warn_bytes": 500, "refuse_bytes": 3000}}).submit()
    assert bus.published == []
    new_client(bus, {"limits": {"warn_bytes": 1000}}).submit()
    assert any(event.kind is EventKind.WARNING and "sealed" in event.text for event in events)


def test_g6_no_event_holds_a_name_or_national_id(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality, events: list[Event]
) -> None:
    client = new_client(bus)
    client.submit()
    client.wait(timeout=5)
    told = "".join(map(repr, events)) + repr(client.status())
    ids = {part.split('"')[0] for part in kommune.identmelding.read_text().split('fid="')[1:]}
    assert len(ids) == 5
    assert not [fid for fid in ids if fid in told]


def test_waiting_without_a_submission_says_that_there_is_none(new_client: NewClient, bus: MemoryBus) -> None:
    with pytest.raises(NothingSubmitted):
        new_client(bus).wait(timeout=0)


def test_the_journal_and_the_receipts_are_the_owner_s_alone(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality
) -> None:
    client = new_client(bus)
    client.submit()
    client.wait(timeout=5)
    copies = sorted((kommune.folder / "receipts").iterdir())
    assert len(copies) == 2
    private: list[Path] = [kommune.journal, *copies]
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    assert all(b"AppRec" in copy.read_bytes() for copy in copies)


def test_keys_in_a_hardware_module_need_no_file(kommune: Municipality, bus: MemoryBus) -> None:
    class Module:
        """Signs and decrypts; its keys never come out."""

        def __init__(self) -> None:
            passphrase = kommune.pki.passphrase()
            self._signing = load_pkcs12(kommune.pki.pkcs12("kommune-signing"), passphrase, name="module")
            self._encryption = load_pkcs12(kommune.pki.pkcs12("kommune-encryption"), passphrase, name="module")
            self.chain = self._signing.chain
            self.certificate = self._signing.certificate

        def sign_digest(self, digest: bytes) -> bytes:
            return self._signing.sign_digest(digest)

        def signer(self, *, at: datetime) -> Signer:
            return self

        def decrypters(self) -> list[Decrypter]:
            return [self._encryption]

    settings = kommune.configure()
    module = Module()
    for name in ("kommune-signing.p12", "kommune-encryption.p12"):
        (kommune.pki.folder / name).unlink()
    with Client(settings, bus=bus, keys=module) as client:
        client.submit()
        assert client.wait(timeout=5).exit_code == 0

"""Whatever is done to a journal, in whatever order: the promises that hold after each step."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from kpr_sender.errors import InternalError, LastError, NeedsPerson
from kpr_sender.journal import postgres_storage
from kpr_sender.journal.port import JournalStorage
from kpr_sender.journal.sqlite_storage import SqliteStorage
from kpr_sender.journal.values import NewShipment
from kpr_sender.model import CertificateName, Certificates, Envelope, Environment, Shipment
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.states import (
    ENDED,
    PERSON_CAUSES,
    SENT_AGAIN,
    TRANSITIONS,
    Cause,
    ImpossibleTransition,
    ReceiptStatus,
    ShipmentState,
)
from tests.helpers.nightly import scaled
from tests.helpers.postgres import Database
from tests.journal.builders import (
    CERTIFICATES,
    Clock,
    add_unverified,
    add_verified,
    content_of,
    in_chunks,
    new_submission,
    replayed,
)

EXAMPLES_POSTGRES = 5
EXAMPLES_NIGHTLY = 100
_WHICH = st.integers(0, 1)
_ANSWERS = st.sampled_from([b"answer 1", b"answer 2", b"answer 3"])
_ERROR = st.sampled_from([None, LastError("bus-unreachable", "No route."), LastError("in-doubt", "No outcome.")])


class AnyOrder(RuleBasedStateMachine):
    """Operations on one pair, allowed or not, with a restart anywhere."""

    stored: Callable[[Path], JournalStorage]
    """Return where a new journal is stored; what belongs to this machine is in the folder."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.storage = self.stored(Path(self.folder.name))
        self.journal = self.storage.open(who="vakt")
        self.msg_ids: tuple[str, ...] = ()
        self.fixed: dict[str, tuple[object, ...]] = {}
        self.before: dict[str, Shipment] = {}
        self.transfers: dict[str, int] = {}
        self.new: dict[str, NewShipment] = {}
        self.certificates = itertools.count(1)

    @initialize()
    def create(self) -> None:
        new = new_submission()
        self.new = {shipment.msg_id: shipment for shipment in new.shipments}
        shipments = self.journal.create(new).shipments
        self.msg_ids = tuple(shipment.msg_id for shipment in shipments)
        self.fixed = {msg_id: self._fixed(msg_id) for msg_id in self.msg_ids}
        self.transfers = dict.fromkeys(self.msg_ids, 0)
        self.before = {shipment.msg_id: shipment for shipment in shipments}

    @rule(which=_WHICH)
    def reseal(self, which: int) -> None:
        """Only what was never offered; the ids, the envelope and the payload stay."""
        msg_id, before = self.msg_ids[which], self.before[self.msg_ids[which]]
        number = next(self.certificates)
        content = content_of(f"{msg_id} {number}", 4000 + number)
        certificates = Certificates(CertificateName(f"{number:040x}", "03"), CERTIFICATES.signing)
        new = replace(
            self.new[msg_id],
            certificates=certificates,
            sealed_bytes=len(content),
            sealed=in_chunks(content),
        )
        offered = self.transfers[msg_id] > before.earlier_attempts
        answered = any(receipt.verified for receipt in before.receipts) and not before.earlier_attempts
        untouched = before.state is ShipmentState.SEALED and not (
            offered or before.needs_person or before.alarm or answered
        )
        try:
            after = self.journal.reseal(new, why="New.")
        except (InternalError, NeedsPerson):
            assert not untouched
            return
        assert untouched
        assert after.certificates == certificates
        message_id, _, _, *others = self.fixed[msg_id]
        self.fixed[msg_id] = (message_id, after.sealed_sha256, content, *others)

    @rule(which=_WHICH)
    def begin_publish(self, which: int) -> None:
        msg_id = self.msg_ids[which]
        try:
            self.journal.begin_publish(msg_id)
        except (ImpossibleTransition, NeedsPerson):
            return
        assert self.before[msg_id].state is ShipmentState.SEALED
        self.transfers[msg_id] += 1

    @rule(which=_WHICH, cause=st.sampled_from(Cause), error=_ERROR)
    def end_publish(self, which: int, cause: Cause, error: LastError | None) -> None:
        msg_id = self.msg_ids[which]
        try:
            self.journal.end_publish(msg_id, cause, evidence={"bytes": 5}, error=error)
        except ImpossibleTransition:
            return
        assert self.before[msg_id].state is ShipmentState.PUBLISHING

    @rule(which=_WHICH, status=st.sampled_from(ReceiptStatus), sealed=_ANSWERS)
    def verified(self, which: int, status: ReceiptStatus, sealed: bytes) -> None:
        add_verified(self.journal, self.msg_ids[which], status, sealed=sealed)

    @rule(which=_WHICH, sealed=_ANSWERS)
    def unverified(self, which: int, sealed: bytes) -> None:
        msg_id = self.msg_ids[which]
        add_unverified(self.journal, msg_id, sealed=sealed)
        assert self._shipment(msg_id).state is self.before[msg_id].state

    @rule(which=_WHICH)
    def fault(self, which: int) -> None:
        self.journal.fault(self.msg_ids[which], condition="c", description="d")

    @rule(which=_WHICH, cause=st.sampled_from(Cause))
    def decide(self, which: int, cause: Cause) -> None:
        msg_id = self.msg_ids[which]
        try:
            decided = self.journal.decide(msg_id, cause, reason="asked FHI", by="kari")
        except ImpossibleTransition:
            return
        before = self.before[msg_id].state
        assert decided.state is (before if cause is Cause.PERSON_SETTLES else TRANSITIONS[before][cause])
        assert cause in PERSON_CAUSES - SENT_AGAIN

    @rule(which=_WHICH)
    def let_go(self, which: int) -> None:
        """The same bytes under a message-id that the bus has not seen."""
        msg_id, before = self.msg_ids[which], self.before[self.msg_ids[which]]
        message_id = f"let-go-{next(self.certificates)}"
        try:
            self.journal.let_go(msg_id, message_id=message_id, reason="asked FHI", by="kari")
        except ImpossibleTransition:
            return
        assert before.state in {ShipmentState.PUBLISHED, ShipmentState.IN_DOUBT, ShipmentState.CANCELLED}
        _, sealed_sha256, content, envelope, *others = self.fixed[msg_id]
        assert isinstance(envelope, Envelope)
        self.fixed[msg_id] = (
            *(message_id, sealed_sha256, content, replace(envelope, correlation_id=message_id)),
            *others,
        )
        self.new[msg_id] = replace(
            self.new[msg_id], message_id=message_id, envelope=replace(envelope, correlation_id=message_id)
        )

    @rule(which=_WHICH)
    def resend(self, which: int) -> None:
        """Sealed anew; what was rejected gets another MsgId elsewhere, which names the pair anew."""
        msg_id, before = self.msg_ids[which], self.before[self.msg_ids[which]]
        number = next(self.certificates)
        content = content_of(f"{msg_id} {number}", 4000 + number)
        message_id = f"resent-{number}"
        new = replace(self.new[msg_id], message_id=message_id, sealed_bytes=len(content), sealed=in_chunks(content))
        if before.state is ShipmentState.REJECTED:
            return
        try:
            (after,) = self.journal.resend({msg_id: new}, reason="asked FHI", by="kari")
        except ImpossibleTransition:
            return
        assert before.state in {ShipmentState.SEALED, ShipmentState.FAULTED, ShipmentState.CANCELLED}
        *_, payload_sha256 = self.fixed[msg_id]
        self.fixed[msg_id] = (message_id, after.sealed_sha256, content, new.envelope, payload_sha256)
        self.new[msg_id] = new

    @rule(which=_WHICH, error=_ERROR)
    def note_error(self, which: int, error: LastError | None) -> None:
        self.journal.note_error(self.msg_ids[which], error)
        assert self._shipment(self.msg_ids[which]).last_error == error

    @rule()
    def restart(self) -> None:
        written = self.journal.submissions(), self.journal.events(None)
        self.journal.close()
        self.journal = self.storage.open(who="vakt")
        assert (self.journal.submissions(), self.journal.events(None)) == written

    @rule()
    def recover(self) -> None:
        publishing = {m for m, shipment in self.before.items() if shipment.state is ShipmentState.PUBLISHING}
        assert set(self.journal.recover()) == publishing
        assert all(self._shipment(m).state is not ShipmentState.PUBLISHING for m in self.msg_ids)

    @invariant()
    def what_holds_after_each_step(self) -> None:
        self._only_along_the_table()
        self._history_replays_to_the_present()
        self._delivered_only_by_a_verified_receipt()
        self._attempts_are_counted_and_bytes_stand()
        self._another_process_sees_the_same()
        self.before = {msg_id: self._shipment(msg_id) for msg_id in self.msg_ids}

    def _only_along_the_table(self) -> None:
        for msg_id in self.msg_ids:
            old, new = self.before[msg_id].state, self._shipment(msg_id).state
            # An answer that overtook the outcome follows it in the same step: two ways on.
            one_on = set(TRANSITIONS[old].values())
            two_on = {further for state in one_on for further in TRANSITIONS[state].values()}
            assert new in {old} | one_on | (two_on if old is ShipmentState.PUBLISHING else set())
            if old in ENDED:
                assert new is old

    def _history_replays_to_the_present(self) -> None:
        assert replayed(self.journal.events(None)) == {m: self._shipment(m).state for m in self.msg_ids}

    def _delivered_only_by_a_verified_receipt(self) -> None:
        """G4."""
        for msg_id in self.msg_ids:
            shipment = self._shipment(msg_id)
            if shipment.state is ShipmentState.DELIVERED:
                assert any(r.verified and r.status is ReceiptStatus.OK for r in shipment.receipts)

    def _attempts_are_counted_and_bytes_stand(self) -> None:
        """G1, G3."""
        for msg_id in self.msg_ids:
            assert self._shipment(msg_id).attempts == self.transfers[msg_id]
            assert self._fixed(msg_id) == self.fixed[msg_id]

    def _another_process_sees_the_same(self) -> None:
        with self.storage.reading() as view:
            assert view is not None
            assert view.submissions() == self.journal.submissions()

    def _shipment(self, msg_id: str) -> Shipment:
        shipment = self.journal.shipment(msg_id)
        assert shipment is not None
        return shipment

    def _fixed(self, msg_id: str) -> tuple[object, ...]:
        shipment = self._shipment(msg_id)
        return (
            shipment.message_id,
            shipment.sealed_sha256,
            self.journal.sealed(msg_id),
            self.journal.envelope(msg_id),
            shipment.payload_sha256,
        )

    def teardown(self) -> None:
        found = self.storage.verify()
        assert found is not None
        assert found.findings == ()
        self.journal.close()
        self.folder.cleanup()


class InFile(AnyOrder):
    """In a file."""

    @staticmethod
    def stored(folder: Path) -> JournalStorage:
        settings = JournalSettings(path=folder / "journal.db", receipts_dir=folder / "receipts")
        return SqliteStorage(settings, Environment.LOKAL, Clock())


TestAnyOrder = InFile.TestCase
TestAnyOrder.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def in_postgres(database: Database, examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_storage, "LEASE_SECONDS", -1_000_000)  # nobody else has ever sent here
    numbers = itertools.count(1)

    def stored(folder: Path) -> JournalStorage:
        its = replace(database, folder=folder, queue=f"{database.queue}-{next(numbers)}")
        return its.storage(now=Clock())

    monkeypatch.setattr(AnyOrder, "stored", staticmethod(stored), raising=False)
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            phases=(Phase.generate,),  # as in test_state_machine
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_they_hold_in_postgresql_too(postgres: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    in_postgres(postgres, EXAMPLES_POSTGRES, monkeypatch)


@pytest.mark.nightly
def test_they_hold_in_postgresql_all_night(postgres: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    in_postgres(postgres, scaled(EXAMPLES_NIGHTLY), monkeypatch)

"""Every receipt of ``cases.py``, in every order: what is believed, kept, settled and left to others (G4, G5)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kpr_sender.bus.port import Inbound, Outbound, Outcome, Reach, Verdict
from kpr_sender.client import Client
from kpr_sender.errors import InputRefused
from kpr_sender.inbound.receipt import Handling
from kpr_sender.report import Report
from kpr_sender.settings.values import Settings
from tests.helpers import pki
from tests.helpers.fake_time import FakeTime
from tests.helpers.fhi import Fhi
from tests.helpers.figures import figure
from tests.helpers.look_memory import let_the_pause_pass
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality
from tests.inbound.cases import CASES, EXPIRED_FILE, UNKNOWN_MSG_ID, Case, Made

_FOREIGN: Final = 1_000
_KEYS: Final = {
    f"keys.{use}": {
        "pkcs12": None,
        "passphrase_file": None,
        "certificate": f"pki/kommune-{name}.pem",
        "key": f"kommune-{name}.key",
    }
    for use, name in (("signing", "signing"), ("decryption", "encryption"))
}
_NO_OUTCOME: Final = Outcome(Verdict.IN_DOUBT, Reach.HANDED_OVER)


@dataclass
class Stage:
    """A municipality with its queue; each ``client`` is a run of its own."""

    kommune: Municipality
    case: Case
    version: str
    bus: MemoryBus = field(default_factory=MemoryBus)
    put: list[Inbound] = field(default_factory=list)

    @property
    def fhi(self) -> Fhi:
        return Fhi(self.kommune.pki)

    @cached_property
    def settings(self) -> Settings:
        """The same for every run, read once."""
        return self.kommune.configure({**self.case.changes, **_KEYS})

    def client(self, clock: timedelta | None = None) -> Client:
        ahead = self.case.clock if clock is None else clock
        standing = FakeTime()  # one look takes four seconds at most: it must not matter how slow the machine is
        return Client(self.settings, bus=self.bus, now=lambda: datetime.now(UTC) + ahead, monotonic=standing)

    def prepare(self) -> None:
        """Our keys as PEM, which open a hundred times as fast as PKCS#12, and an earlier certificate of FHI's."""
        folder = self.kommune.folder
        for name in ("kommune-signing", "kommune-encryption"):
            private_key = self.fhi.key(name).private_key
            pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (folder / f"{name}.key").write_bytes(pem)
        (folder / EXPIRED_FILE).write_bytes(pki.certificate_pem(pki.Kind.EXPIRED_SIGNER))

    def submit(self) -> None:
        with self.client(self.case.clock_before) as client:
            client.submit()

    def faulty(self) -> list[Inbound]:
        """What comes for the fagmelding."""
        return self.case.make(Made(self.fhi, self.bus.published[0], self._other_msg_id(), self.version))

    def right(self, number: int) -> list[Inbound]:
        """The right receipt for the fagmelding (0) or the identmelding (1)."""
        return self.fhi.answer(self.bus.published[number], version=self.version)

    def deliver(self, messages: list[Inbound]) -> None:
        for message in messages:
            self.put.append(message)
            self.bus.put(message)

    def wait(self) -> None:
        let_the_pause_pass(self.kommune.journal)
        with self.client() as client:
            client.wait(timeout=0)

    def _other_msg_id(self) -> str:
        return self.report().submission.shipments[1].msg_id

    def report(self) -> Report:
        report = self.client().status()
        assert report is not None
        return report


@dataclass(frozen=True)
class Expected:
    """What must stand at the end."""

    state: str
    code: int
    kept: tuple[bool, ...]


def _as_the_table_has_it(case: Case) -> Expected:
    return Expected(case.state, case.code, case.kept)


def _in_doubt_until_answered(case: Case) -> Expected:
    waiting = case.state == "published"
    return Expected("in_doubt" if waiting else case.state, 83 if waiting else case.code, case.kept)


_ALARM = 82


def _the_right_one_decides(case: Case) -> Expected:
    alarm = case.code == _ALARM and case.state == "published"  # that somebody else delivers, too, stays so
    return Expected("delivered", _ALARM if alarm else 0, (*case.kept, True))


def _as_a_file(case: Case) -> Expected:
    if case.from_file:
        return Expected("published", 80, ())
    return _as_the_table_has_it(case)


# -- how it comes ---------------------------------------------------------------------------------------------------


def _first(stage: Stage) -> None:
    stage.submit()
    stage.deliver(stage.faulty() + stage.right(1))
    stage.wait()


def _out_of_order(stage: Stage) -> None:
    stage.submit()
    stage.deliver(stage.right(1) + stage.faulty())
    stage.wait()


def _before_our_own_outcome(stage: Stage) -> None:
    """A vendor's listener reads it while the transfer of the fagmelding has no outcome yet."""
    threads: list[threading.Thread] = []

    with stage.client(stage.case.clock_before) as client:

        def answer(message: Outbound) -> None:
            if message is stage.bus.published[0]:
                messages = stage.faulty()
                stage.put.extend(messages)
                threads.append(threading.Thread(target=listen, args=(messages,)))
                threads[0].start()

        def listen(messages: list[Inbound]) -> None:
            for message in messages:
                if client.handle(message) is Handling.SETTLE:
                    stage.bus.settled.append(message)
                else:
                    stage.bus.put(message)

        stage.bus.on_publish = answer
        client.submit()
        threads[0].join(30)
    if len(stage.bus.published) > 1:
        stage.deliver(stage.right(1))
    else:
        assert stage.case.code == 82, "only an alarm that came first stops the half beside (G1)"
    stage.wait()


def _while_in_doubt(stage: Stage) -> None:
    stage.bus.outcomes.append(_NO_OUTCOME)
    _first(stage)


def _then_the_right_one(stage: Stage) -> None:
    _first(stage)
    stage.deliver(stage.right(0))
    stage.wait()


def _among_foreign_messages(stage: Stage) -> None:
    stage.submit()
    foreign = _foreign(stage)
    part = len(foreign) // 3
    stage.deliver(foreign[:part] + stage.faulty() + foreign[part:-part] + stage.right(1) + foreign[-part:])
    stage.wait()


def _from_files(stage: Stage) -> None:
    stage.submit()
    with stage.client() as client:
        client.add_receipt(stage.right(1)[0].body)
        codes = []
        for message in stage.faulty():
            try:
                codes.append(client.add_receipt(message.body).exit_code)
            except InputRefused as error:
                codes.append(error.exit_code)
    assert codes[-1] == stage.case.file_code


def _foreign(stage: Stage) -> list[Inbound]:
    """What other systems' messages on the queue look like: everything one may meet, FHI's own receipts for them too."""
    fhi, sent = stage.fhi, stage.bus.published[0]
    hospital = {"fromHerId": "8094866"}
    xml = fhi.apprec(sent, version=stage.version, msg_id=UNKNOWN_MSG_ID).replace(b"KPR_IPL", b"BKM")
    kinds = [
        fhi.inbound(sent, sent.body, correlation_id="other", properties=hospital),
        fhi.inbound(sent, b"hello", correlation_id="other", properties=hospital),
        fhi.inbound(sent, b"<MsgHead/>", correlation_id="", properties={}),
        fhi.inbound(sent, xml, correlation_id="other"),
    ]
    for_them = fhi.inbound(sent, fhi.sealed(xml), correlation_id="other")
    count = _FOREIGN - 20
    made = [replace(kinds[number % len(kinds)], message_id=f"foreign-{number}") for number in range(count)]
    made[count // 2 : count // 2] = [replace(for_them, message_id=f"foreign-apprec-{number}") for number in range(20)]
    return made


Way = tuple[Callable[[Stage], None], Callable[[Case], Expected]]
WAYS: Final[dict[str, Way]] = {
    "first": (_first, _as_the_table_has_it),
    "out of order": (_out_of_order, _as_the_table_has_it),
    "before our own outcome": (_before_our_own_outcome, _as_the_table_has_it),
    "while in doubt": (_while_in_doubt, _in_doubt_until_answered),
    "then the right one": (_then_the_right_one, _the_right_one_decides),
    "among 1,000 foreign messages": (_among_foreign_messages, _as_the_table_has_it),
    "from files": (_from_files, _as_a_file),
}
_SECOND_VERSION_WAYS: Final = ("first", "from files")
_AMONG_FOREIGN: Final = ("positive", "negative then positive", "wrong signer, right certificate bundled", "20 MB")


def _possible(case: Case, way: str) -> bool:
    """Whether the way says anything of the case."""
    if way == "then the right one":
        return case.state == "published"  # what is answered is not waited for any more
    if way == "out of order":
        return "then" not in case.name and "duplicated" not in case.name  # the same: the first of the two ends it
    return (case.name, way) != ("for the other shipment", "before our own outcome")


def _in_the_suite(case: Case, version: str, way: str) -> bool:
    if way == "among 1,000 foreign messages":
        return version == "1.0" and case.name in _AMONG_FOREIGN
    return version == "1.0" or way in _SECOND_VERSION_WAYS


ROWS: Final = [
    pytest.param(
        *(case, version, way),
        id=f"{case.name}, AppRec {version}, {way}",
        marks=() if _in_the_suite(case, version, way) else pytest.mark.nightly,
    )
    for case in CASES
    for version in case.versions
    for way in WAYS
    if _possible(case, way)
]


@pytest.mark.parametrize(("case", "version", "way"), ROWS)
def test_g4_a_receipt_does_what_the_table_says(tmp_path: Path, case: Case, version: str, way: str) -> None:
    stage = Stage(municipality(tmp_path), case, version)
    stage.prepare()
    play, expect = WAYS[way]
    expected = expect(case)
    play(stage)
    alone = len(stage.bus.published) == 1  # an alarm came first
    seen = _look(stage, other="sealed" if alone else "delivered")
    settled = Counter(message.message_id for message in stage.bus.settled)
    lost = Counter(message.message_id for message in stage.put) - settled - _ids(stage.bus.inbox)
    foreign_settled = sum(count for message_id, count in settled.items() if message_id.startswith("foreign"))
    wrongly = seen.state in {"delivered", "delivered_with_errors"} and seen.state != expected.state
    figure("receipts", cases=1, wrongly_delivered=int(wrongly), lost=lost.total(), foreign_settled=foreign_settled)
    assert seen == expected
    assert (lost.total(), foreign_settled) == (0, 0)
    if way != "from files":
        rights = settled.total() - foreign_settled - case.settled
        assert rights == (2 if way == "then the right one" else 0 if alone else 1), (
            "of the case's own, as many as the table says"
        )
    if way in {"first", "while in doubt"}:
        stage.wait()  # another run meets the same messages on the queue again
        assert _look(stage) == expected
        assert _ids(stage.bus.settled) == settled


def _look(stage: Stage, *, other: str = "delivered") -> Expected:
    report = stage.report()
    shipment, half_beside = report.submission.shipments
    assert half_beside.state == other
    kept = tuple(receipt.verified for receipt in shipment.receipts)
    return Expected(shipment.state.value, report.exit_code, kept)


def _ids(messages: Iterable[Inbound]) -> Counter[str]:
    return Counter(message.message_id for message in messages)

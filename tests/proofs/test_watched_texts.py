"""G6: what others write reaches no notice, ping or metric with a national id in it, however the id is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeVar, cast

from kpr_sender.app import utc_now
from kpr_sender.cli.called import Called
from kpr_sender.errors import AccessRefused, KprError, LastError, QueueShared
from kpr_sender.events import Event, EventKind
from kpr_sender.journal.values import JournalEvent, NoticeRecord, SubmissionEntry
from kpr_sender.model import ErrorMessage, MailNote, MessageType, NoteKind, ReceiptError, SourceFile, Submission
from kpr_sender.notify.metrics_file import PrometheusFile
from kpr_sender.notify.port import Delivery
from kpr_sender.operator.certificates import CertificateInUse
from kpr_sender.operator.run_watch import RunWatch
from kpr_sender.profiles.profile import norwegian_time
from kpr_sender.states import ShipmentState as S
from kpr_sender.texts import as_text
from tests.helpers.figures import figure
from tests.helpers.municipality import municipality
from tests.helpers.planted_ids import IDS, ids
from tests.helpers.submissions import AT, pair, receipt, shipment
from tests.proofs.test_foreign_texts import EVERY_SHAPE, _found, _texts

if TYPE_CHECKING:
    from kpr_sender.journal.port import JournalStorage
    from kpr_sender.notify.port import MetricsFile, Notifier, Pinger

_T = TypeVar("_T")
_AT_ONCE = 10


@dataclass
class _Planted:
    """A journal, whoever is told of it, and what they were told; each text of others has other ids in it."""

    texts: Iterator[str]
    told: list[str] = field(default_factory=list)
    addresses: int = 1

    @property
    def text(self) -> str:
        return next(self.texts, "")

    def submissions(self) -> tuple[Submission, ...]:
        said = ReceiptError(self.text, self.text, self.text, self.text)
        answers = [replace(receipt(verified=one, problem=self.text), errors=(said,)) for one in (True, False)]
        half = replace(
            shipment(MessageType.KPR_IPL, S.REJECTED, receipts=tuple(answers), needs_person=True),
            last_error=LastError(QueueShared.code, self.text),
            error_message=ErrorMessage(AT, self.text, self.text, self.text),
            noted=(MailNote(NoteKind.DELAYED, AT, self.text, self.text),),
            file=SourceFile(self.text, self.text),
            lopenr=self.text,
            alarm=self.text,
        )
        waiting = [replace(half, state=state) for state in (S.PUBLISHED, S.IN_DOUBT)]
        faulted = pair(half, replace(half, state=S.FAULTED))
        return replace(pair(half, S.DELIVERED), reason=self.text), pair(*waiting), faulted

    def entries(self) -> tuple[SubmissionEntry, ...]:
        return ()

    def events(self, msg_id: str | None) -> tuple[JournalEvent, ...]:
        return (JournalEvent(AT, msg_id or "", "person-arrived", self.text, self.text, {self.text: self.text}),)

    def certificates(self) -> tuple[CertificateInUse, ...]:
        error = AccessRefused(as_text(self.text), where=self.text, next_step=as_text(self.text))
        return (CertificateInUse("the bus's TLS", self.text, error=error),)

    def send(self, messages: Mapping[int, tuple[str, str]], **_: object) -> Mapping[int, Delivery]:
        self.told += [part for message in messages.values() for part in message]
        return dict.fromkeys(messages, Delivery.NOT_SENT)

    def end(self, *, failure: int | None, text: str, **_: object) -> str:
        self.told += [str(failure), text]
        return self.text

    def read(self) -> Mapping[str, Mapping[tuple[str, ...], float]]:
        metrics = ("kpr_runs_total", "kpr_certificate_not_after_timestamp_seconds", "kpr_certificate_refused")
        planted: Mapping[tuple[str, ...], float] = {("lokal", self.text): 1.0, (self.text, "lokal"): 1.0}
        return dict.fromkeys(metrics, planted)

    def flaws(self) -> tuple[KprError, ...]:
        return (AccessRefused(as_text(self.text), where=self.text),)

    def refused(self) -> None:
        """It may be written to."""

    def notices(self) -> tuple[NoticeRecord, ...]:
        return ()

    def note_notices(self, records: object) -> None:
        self.told.append(str(records))

    def close(self) -> None:
        """It has nothing to close."""


def test_none_of_ten_thousand_ids_is_in_a_notice_a_ping_or_a_metric(tmp_path: Path) -> None:
    numbers = ids()
    wanted = frozenset(numbers)
    shapes = [list(_texts(numbers, written, _AT_ONCE)) for written in EVERY_SHAPE.values()]
    by_turns = iter([each[at % len(shapes)] for at, each in enumerate(zip(*shapes, strict=True))])
    settings, path, leaked = municipality(tmp_path).configure(), tmp_path / "kpr.prom", 0
    soon = datetime.now(norwegian_time()).date() + timedelta(days=3)
    settings = replace(
        settings,
        monitor=replace(settings.monitor, metrics_file=path),
        report=replace(settings.report, deadline=soon),
    )
    for text in by_turns:
        planted = _Planted(by_turns)
        storage = SimpleNamespace(
            reading=partial(nullcontext, planted), open=partial(_same, planted), require_own=planted.close
        )
        metrics = SimpleNamespace(read=planted.read, write=PrometheusFile(path).write)
        called = Called(("--env", "lokal", "--config", f"/home/{text}.toml"), ("status", "certs", "reviewed"))
        watch = RunWatch(
            settings=settings,
            who=text,
            now=utc_now,
            journal=cast("JournalStorage", storage),
            ping=cast("Pinger", planted),
            notifier=partial(_same, cast("Notifier", planted)),
            metrics=partial(_same, cast("MetricsFile", metrics)),
            scheduled=True,
            certificates=planted.certificates,
            say=called.completed,
        )
        watch.end(83, lambda: False)
        _, _, _, title, body, _ = planted.told
        assert title.endswith(" notices")
        for kind in ("In doubt: 2024-1", "Faulted: 2024-1", "Messages of others", "A certificate", "3 days left"):
            assert kind in body
        said = [Event(EventKind.WARNING, one).text for one in watch.concerns]
        assert len(said) > 2
        leaked += bool(_found(" x ".join([*planted.told, *said, path.read_text("utf-8")]), wanted))

    figure("national ids in every shape through notices, pings and metrics", ids=IDS, leaked=leaked)
    assert leaked == 0


def _same(value: _T, **_: object) -> _T:
    return value

"""What follows a run, on a real journal: two runs never tell the same, also where one is killed while it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpr_sender.app import journal_storage
from kpr_sender.deadline import Stopped, never
from kpr_sender.errors import JournalUnwritable, KprError
from kpr_sender.journal.sqlite_storage import SqliteStorage
from kpr_sender.notify.port import Delivery, Measured
from kpr_sender.operator.run_watch import RunWatch
from kpr_sender.settings.values import Settings
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text
from tests.helpers.municipality import municipality
from tests.journal.builders import brought_to, open_journal

NOW = datetime(2025, 1, 10, 12, 0, tzinfo=UTC)


@dataclass
class Sender:
    """Sends nothing, and remembers what it was to send; something may happen meanwhile."""

    meanwhile: Callable[[], object] = lambda: None
    titles: list[str] = field(default_factory=list)
    addresses: int = 1

    def flaws(self) -> tuple[KprError, ...]:
        return ()

    def send(self, messages: Mapping[int, tuple[str, str]], *, stopped: Stopped = never) -> Mapping[int, Delivery]:
        self.titles += [title for title, _ in messages.values()]
        self.meanwhile()
        return dict.fromkeys(messages, Delivery.UNKNOWN if stopped() else Delivery.SENT)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A municipality with a shipment in doubt."""
    settings = municipality(tmp_path).configure()
    with open_journal(settings.journal.path) as journal:
        brought_to(journal, ShipmentState.IN_DOUBT)
    return settings


def watch(settings: Settings, sender: Sender, *, later: timedelta = timedelta()) -> RunWatch:
    def now() -> datetime:
        return NOW + later

    return RunWatch(
        settings=settings,
        who="cron",
        now=now,
        journal=journal_storage(settings, now=now),
        ping=None,
        notifier=lambda: sender,
        metrics=lambda: None,
        scheduled=False,
        certificates=tuple,
    )


def test_a_run_that_ends_while_another_tells_tells_nothing(settings: Settings) -> None:
    second = Sender()
    first = Sender(lambda: watch(settings, second).end(87, never))
    watch(settings, first).end(83, never)
    assert first.titles == ["TEST lokal: kpr-send: 2 notices"]  # in doubt; and 5 days left
    watch(settings, second).end(83, never)
    assert second.titles == []


def test_a_run_that_is_killed_while_it_tells_lets_the_next_day_s_tell_it_again(settings: Settings) -> None:
    def killed() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        watch(settings, Sender(killed)).end(83, never)
    again = Sender()
    watch(settings, again, later=timedelta(hours=10)).end(83, never)
    assert again.titles == []
    watch(settings, again, later=timedelta(hours=12)).end(83, never)
    assert again.titles == ["TEST lokal: kpr-send: 2 notices"]


def test_another_user_s_journal_is_neither_written_nor_told_of(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_storage: SqliteStorage) -> None:
        raise JournalUnwritable(Text("It is another user's."))

    monkeypatch.setattr(SqliteStorage, "require_own", refuse)
    before, sender = settings.journal.path.read_bytes(), Sender()
    watched = watch(settings, sender)
    watched.end(73, never)
    assert (sender.titles, settings.journal.path.read_bytes()) == ([], before)
    assert "another user's" in watched.concerns[0]


def test_after_a_signal_nothing_is_begun(settings: Settings) -> None:
    sender = Sender()
    watch(settings, sender).end(83, lambda: True)
    assert sender.titles == []


@dataclass
class Broken:
    """A ping and a metrics file that fail in ways that nobody has thought of."""

    error: BaseException

    def begin(self) -> None:
        raise self.error

    def end(self, *, failure: int | None, text: str, stopped: Stopped = never) -> str:
        raise self.error

    def read(self) -> Mapping[str, Mapping[tuple[str, ...], float]]:
        raise self.error

    def write(self, figures: Sequence[Measured]) -> None:
        raise self.error


class Panic(BaseException):
    """As pyo3 raises it for a panic of a native library."""


@pytest.mark.parametrize("error", [ValueError("https://hc.example/secret"), Panic("https://hc.example/secret")])
def test_what_fails_in_any_way_keeps_nothing_else_from_being_told(settings: Settings, error: BaseException) -> None:
    sender, broken = Sender(), Broken(error)
    watched = watch(settings, sender)
    watched.ping, watched.metrics, watched.scheduled = broken, lambda: broken, True
    watched.certificates = broken.begin  # type: ignore[assignment]  # raises before it returns anything
    watched.end(83, never)
    assert sender.titles == ["TEST lokal: kpr-send: 2 notices"]
    kind = type(error).__name__
    parts = ("ping", "metrics", "certificates", "metrics")
    assert watched.concerns == [f"{part}: an unexpected {kind} in kpr-sender." for part in parts]

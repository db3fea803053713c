"""What follows a run: ping, notices and metrics, however it ends; none of it changes what the run is."""

from __future__ import annotations

import os
import signal
import sys
import threading
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpr_sender.cli import session
from kpr_sender.cli.called import Called
from kpr_sender.cli.ending import Ending
from kpr_sender.cli.invocation import Invocation
from kpr_sender.journal.lock import JournalLock
from kpr_sender.model import Environment
from kpr_sender.operator.run_watch import RunWatch
from tests.helpers.desk import NO_OUTCOME, Desk
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import municipality
from tests.helpers.watcher import SECRET, Watcher

WAIT = ("wait", "--wait", "0")


@pytest.fixture
def watched(desk: Desk, watcher: Watcher) -> Desk:
    """A municipality whose runs are watched, with a shipment in doubt."""
    desk.sent(NO_OUTCOME)
    configure(desk, watcher.write(desk.kommune.folder, "a", "b"))
    return desk


def configure(desk: Desk, *changes: Mapping[str, Mapping[str, object]]) -> None:
    desk.kommune.write({section: keys for change in changes for section, keys in change.items()}, port=1)


def metrics(desk: Desk) -> str:
    return (desk.kommune.folder / "kpr.prom").read_text(encoding="utf-8")


def test_a_state_that_needs_a_person_is_told_once_and_its_end_and_every_run_is_pinged_and_measured(
    watched: Desk, watcher: Watcher
) -> None:
    first, second = watched.command(*WAIT), watched.command(*WAIT)
    assert (first.code, second.code) == (83, 83)
    told = {(name, title) for name, title, _ in watcher.notices}
    assert told == {(name, f"TEST lokal: kpr-send: In doubt: {submission(watched)}") for name in "ab"}
    assert len(watcher.notices) == 2
    assert f"kpr-send {watched.prefix} status {submission(watched)}" in watcher.notices[0][2]
    assert watcher.pings == [("/start", ""), ("/83", "TEST lokal: kpr-send: exit code 83")] * 2
    assert (len(set(watcher.rids)), watcher.rids[0], watcher.rids[2]) == (2, watcher.rids[1], watcher.rids[3])

    for line in (
        'kpr_runs_total{code="83",environment="lokal"} 2.0',
        'kpr_last_run_exit_code{environment="lokal"} 83.0',
        f'kpr_shipment_state{{environment="lokal",state="in_doubt",submission="{submission(watched)}",type="KPR_IPL"}}',
        'kpr_certificate_days_left{environment="lokal",role="ours for signing"} 36',
        'kpr_receipts{environment="lokal",status="ok"} 0.0',
        'kpr_days_to_deadline{environment="lokal",year="2024"} -',
        'kpr_notices_waiting{environment="lokal"} 0.0',
        'kpr_delivered{environment="lokal",year="2024"} 0.0',
    ):
        assert line in metrics(watched)
    assert "kpr_last_success" not in metrics(watched)

    halves = watched.command("--json", "status").json()["shipments"]
    (doubtful,) = (one["msg_id"] for one in halves if one["state"] == "in_doubt")
    decided = watched.command("resolve", doubtful, "--arrived", "--reason", "FHI har den", "--yes")
    assert decided.code == 69
    assert [title for _, title, _ in watcher.notices[2:]] == [
        f"TEST lokal: kpr-send: No longer in doubt: {submission(watched)}"
    ] * 2
    assert len(watcher.pings) == 4  # nobody waits for what a person does by hand
    assert 'code="69"' not in metrics(watched)
    assert 'kpr_last_run_exit_code{environment="lokal"} 83.0' in metrics(watched)
    assert 'state="in_doubt"' not in metrics(watched)

    journal, bundle = watched.command("journal", "export").out, watched.kommune.folder / "bundle.zip"
    assert watched.command("bundle", str(bundle)).code == 0
    with zipfile.ZipFile(bundle) as bundled:
        members = [bundled.read(name).decode("utf-8", "replace") for name in bundled.namelist()]
    assert "2 addresses" in "".join(members)  # as doctor says it
    for text in (*(run.out + run.err for run in (first, second, decided)), journal, metrics(watched), *members):
        assert SECRET not in text
    assert SECRET.encode() not in watched.kommune.journal.read_bytes()


def submission(desk: Desk) -> str:
    return str(desk.command("--json", "status").json()["submission"])


def test_one_address_that_is_away_is_tried_by_the_next_run_and_the_run_is_as_it_is_without(
    watched: Desk, watcher: Watcher
) -> None:
    watcher.answers |= {"/notice/b": 503, f"/ping/{SECRET}/83": 404, f"/ping/{SECRET}/start": 404}
    unheard = watched.command(*WAIT)
    assert [name for name, *_ in watcher.notices] == ["a"]
    assert 'kpr_notices_waiting{environment="lokal"} 1.0' in metrics(watched)
    assert "did not take the ping: HTTP 404" in unheard.err
    assert "did not reach 1 address; a later run tries again" in unheard.err

    watcher.answers.clear()
    heard = watched.command(*WAIT)
    assert [name for name, *_ in watcher.notices] == ["a", "b"]
    assert 'kpr_notices_waiting{environment="lokal"} 0.0' in metrics(watched)

    configure(watched)
    plain = watched.command(*WAIT)
    assert (unheard.code, unheard.out) == (heard.code, heard.out) == (plain.code, plain.out)


@pytest.mark.parametrize(
    ("arguments", "code", "ping"),
    [
        (("send", "none.xml", "none.xml"), 66, "/66"),
        (("send", "--wait-for-files", "none.xml", "none.xml"), 66, "/66"),
        (("send", "--wait", "0"), 69, "/69"),
        (("wait", "--wait", "0"), 89, "/89"),
    ],
)
def test_a_run_that_ends_in_an_error_is_pinged_with_its_code(
    desk: Desk, watcher: Watcher, arguments: tuple[str, ...], code: int, ping: str
) -> None:
    configure(desk, watcher.write(desk.kommune.folder))
    assert desk.command(*arguments).code == code
    assert [path for path, _ in watcher.pings] == ["/start", ping]
    assert f'kpr_runs_total{{code="{code}",environment="lokal"}} 1.0' in metrics(desk)


def test_what_is_nobodys_move_is_a_success_and_waiting_for_files_is_one(watched: Desk, watcher: Watcher) -> None:
    with JournalLock.acquire(watched.kommune.journal, now=lambda: datetime.now(UTC)):
        assert watched.command(*WAIT).code == 87
    assert watcher.pings == [("/start", ""), ("", "TEST lokal: kpr-send: exit code 87")]
    assert watcher.notices == []  # the run that has the lock tells
    assert 'kpr_last_success_timestamp_seconds{environment="lokal"}' in metrics(watched)


def test_not_all_delivered_before_the_deadline_is_told_by_a_run_that_waits_for_files(
    desk: Desk, watcher: Watcher
) -> None:
    day = (datetime.now(UTC) + timedelta(days=12)).date().isoformat()
    configure(desk, watcher.write(desk.kommune.folder), {"report": {"year": 2024, "deadline": day}})
    ran = desk.command("send", "--wait-for-files", "none.xml", "none.xml")
    assert (ran.code, [path for path, _ in watcher.pings]) == (0, ["/start", ""])
    ((_, title, text),) = watcher.notices
    assert title.startswith("TEST lokal: kpr-send: 1")
    assert "days left to report the data of 2024" in title
    assert day in text


def test_what_cannot_be_read_or_is_not_installed_is_said_and_decides_nothing(
    watched: Desk, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    (watched.kommune.folder / "ping-url").write_text(f"ftp://{SECRET}\n")
    ran = watched.command(*WAIT)
    assert ran.code == 83
    for extra in ("pip install 'kpr-sender[notify]'", "pip install 'kpr-sender[metrics]'", "begins with https://"):
        assert extra in ran.err
    assert SECRET not in ran.err
    (watched.kommune.folder / "notify-urls").unlink()
    assert watched.command(*WAIT).code == 83
    assert watched.command("notify", "--test").code == 78


def test_nothing_of_it_comes_before_the_result_or_changes_it(watched: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_watch: RunWatch, code: int, _stopped: object) -> None:
        print(f"told {code}")  # noqa: T201 - to see what stands before it
        raise RuntimeError(SECRET)

    monkeypatch.setattr(RunWatch, "end", fail)
    ran = watched.command(*WAIT)
    assert ran.code == 83
    assert "In doubt" not in ran.out.splitlines()[-1]
    assert ran.out.endswith("told 83\n")
    assert "In doubt" in ran.out or "in doubt" in ran.out
    assert ran.err.endswith("kpr-send: an unexpected RuntimeError after the result, which stands.\n")
    assert SECRET not in ran.err


def test_after_a_signal_nobody_is_told_of_anything(watched: Desk, watcher: Watcher) -> None:
    ending = Ending()
    invocation = Invocation(Called(), ending, Environment.LOKAL, watched.kommune.config)
    ending.begin()
    session.own_settings(invocation, scheduled=False)
    ending.finish_step = lambda: True
    with ending.listening():
        os.kill(os.getpid(), signal.SIGTERM)
    ending.known(83)
    ending.follow_up()
    assert (watcher.notices, watcher.pings) == ([], [])


def test_notices_are_in_the_configured_language_also_with_json(watched: Desk, watcher: Watcher) -> None:
    configure(watched, watcher.write(watched.kommune.folder), {"": {"environment": "lokal", "language": "nb"}})
    assert watched.command("--json", *WAIT).json()["exit_code"] == 83
    assert watcher.notices[0][1] == f"TEST lokal: kpr-send: I tvil: {submission(watched)}"


def test_without_a_watcher_nothing_of_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("kpr_sender.watching", "kpr_sender.notify"))]:
        monkeypatch.delitem(sys.modules, name)
    desk = Desk(municipality(tmp_path), MemoryBus(), [])
    desk.command(*WAIT)
    assert not [name for name in sys.modules if name.startswith(("kpr_sender.watching", "kpr_sender.notify"))]


def test_a_ping_that_cannot_be_begun_does_not_keep_the_run_from_what_it_does(
    watched: Desk, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def no_more_threads(thread: threading.Thread) -> None:
        if thread.name == "kpr-ping":
            raise RuntimeError(SECRET)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", no_more_threads)
    ran = watched.command(*WAIT)
    assert (ran.code, SECRET in ran.err) == (83, False)
    assert "ping: an unexpected RuntimeError in kpr-sender." in ran.err
    assert len(watcher.notices) == 2, "one to each address"

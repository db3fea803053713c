"""Mails of others in a mailbox on a server: looked at once a day, not at each run, and ours never passed for it."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpr_sender.client import Client
from kpr_sender.documents import FileDocument
from kpr_sender.edi.mailboxes import mailbox
from kpr_sender.edi.seen_mails import SeenMails
from kpr_sender.edi.smtp import SmtpSender
from kpr_sender.edi.transport import EdiTransport
from kpr_sender.settings.edi import MailboxKind, MailboxPlace
from tests.ebxml.samples import KPR, US, acknowledged, raw
from tests.helpers.edi_municipality import by_mail, edi_sandbox
from tests.helpers.fake_time import FakeTime
from tests.helpers.loopback import serving
from tests.helpers.municipality import Municipality
from tests.helpers.smtp_server import account, with_login

_FOREIGN = b"From: a@example.org\r\nContent-Type: text/plain\r\nSubject: Lunsj\r\n\r\nKlokken tolv.\r\n"
_NOON = datetime(2027, 1, 14, 12, tzinfo=UTC)


@dataclass
class _Server:
    """A POP3 server.

    Attributes:
        mails: What lies there, by UIDL.
        asked: Whose headers it was asked for.
    """

    mails: dict[str, bytes]
    asked: list[str] = field(default_factory=list)

    def behave(self, connected: socket.socket, _ended: threading.Event) -> None:
        connected.sendall(b"+OK hi\r\n")
        with closing(connected.makefile("r")) as lines:
            for line in lines:
                connected.sendall(self._answer(line.strip()))

    def _answer(self, line: str) -> bytes:
        names = list(self.mails)
        if line == "UIDL":
            listed = "".join(f"{at} {name}\r\n" for at, name in enumerate(names, start=1))
            return f"+OK\r\n{listed}.\r\n".encode()
        if line == "LIST":
            sizes = "".join(f"{at} {len(self.mails[name])}\r\n" for at, name in enumerate(names, start=1))
            return f"+OK\r\n{sizes}.\r\n".encode()
        if found := re.fullmatch(r"TOP (\d+) (\d+)", line):
            name = names[int(found[1]) - 1]
            if found[2] == "0":
                self.asked.append(name)
            return b"+OK\r\n" + self.mails[name] + b"\r\n.\r\n"
        return b"+OK\r\n"


@dataclass
class _Runs:
    """Runs one after the other, each of which looks once.

    Attributes:
        path: Where is remembered what they saw.
        at: The time.
        reader: The mailbox and for whom it is read.
    """

    path: Path
    port: int
    server: _Server
    at: datetime = _NOON
    reader: str = "pop3://box kommune"

    def run(self) -> tuple[list[str], list[str]]:
        """Return what a new run was handed, and whose headers it asked for."""
        place = MailboxPlace(MailboxKind.POP3, "127.0.0.1", self.port)
        settings = account(1, mailbox=place, connect_timeout=5.0, look_every=40.0, **with_login())
        clock, seen = FakeTime(), SeenMails(FileDocument(self.path), self.reader, lambda: self.at)
        transport = EdiTransport(
            settings,
            SmtpSender(settings),
            mailbox(settings),
            her_ids=(US, KPR),
            closing=clock,
            monotonic=clock,
            seen=seen,
        )
        came = []
        while (inbound := transport.receive(0)) is not None:
            came.append(inbound.message_id)
        asked, self.server.asked = self.server.asked, []
        return came, asked


@pytest.fixture
def server() -> _Server:
    return _Server({"others-1": _FOREIGN, "ours": raw(acknowledged(())), "others-2": _FOREIGN})


def test_each_run_looks_at_what_is_new_and_at_what_may_be_ours(server: _Server, tmp_path: Path) -> None:
    with serving(server.behave) as port:
        runs = _Runs(tmp_path / "journal.db.mailbox.json", port, server)
        assert runs.run() == (["ours"], ["others-1", "ours", "others-2"])
        assert runs.run() == (["ours"], ["ours"]), "what may be an answer comes again until it is taken"
        server.mails["others-3"] = _FOREIGN
        assert runs.run() == (["ours"], ["ours", "others-3"])
        del server.mails["others-1"]
        assert runs.run() == (["ours"], ["ours"])
        server.mails["others-1"] = _FOREIGN
        assert runs.run() == (["ours"], ["ours", "others-1"]), "what was gone is forgotten"
    assert not re.search(r"others|ours|pop3|kommune", runs.path.read_text("utf-8")), "no name is in it"
    assert runs.path.stat().st_mode & 0o077 == 0


def _a_day_later(runs: _Runs) -> None:
    runs.at += timedelta(days=1)


def _the_clock_went_back(runs: _Runs) -> None:
    runs.at -= timedelta(seconds=1)


def _another_mailbox(runs: _Runs) -> None:
    runs.reader = "pop3://other kommune"


def _damaged(runs: _Runs) -> None:
    runs.path.write_bytes(runs.path.read_bytes()[:-9])


def _not_ours(runs: _Runs) -> None:
    runs.path.write_text('{"schema":1,"key":7,"mails":null}', "utf-8")


def _unreadable(runs: _Runs) -> None:
    runs.path.unlink()
    runs.path.mkdir()


@pytest.mark.parametrize(
    "change", [_a_day_later, _the_clock_went_back, _another_mailbox, _damaged, _not_ours, _unreadable]
)
def test_what_is_remembered_is_never_more_than_a_saving(
    server: _Server, tmp_path: Path, change: Callable[[_Runs], None]
) -> None:
    """Each mail is looked at anew where it may not hold any more, and where it cannot be read or written."""
    with serving(server.behave) as port:
        runs = _Runs(tmp_path / "journal.db.mailbox.json", port, server)
        runs.run()
        change(runs)
        assert runs.run() == (["ours"], ["others-1", "ours", "others-2"])


def test_runs_of_one_municipality_remember_it_beside_its_journal(kommune: Municipality) -> None:
    server = _Server({"others-1": _FOREIGN, "others-2": _FOREIGN})
    with edi_sandbox(kommune) as box, serving(server.behave) as port:
        settings = by_mail(kommune, box, mailbox=f"pop3://127.0.0.1:{port}")
        with Client(settings) as client:
            client.submit()
        asked = []
        for _ in range(2):
            with Client(settings) as client:
                client.wait(timeout=0)
            asked.append(server.asked)
            server.asked = []
    assert asked == [["others-1", "others-2"], []]
    assert Path(f"{settings.journal.path}.mailbox.json").exists()

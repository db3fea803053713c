"""One mail that cannot be read, or is too large, keeps none of the others from being read, and is not forgotten."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from kpr_sender import regular_file
from kpr_sender.client import Client
from kpr_sender.ebxml.read_mail import USUAL_BOUNDS
from kpr_sender.edi.mailboxes import mailbox
from kpr_sender.edi.smtp import SmtpSender
from kpr_sender.edi.transport import EdiTransport
from kpr_sender.errors import BusUnreachable
from kpr_sender.events import Event
from kpr_sender.settings.edi import EdiSettings, MailboxKind, MailboxPlace
from kpr_sender.settings.sample_file import MAILBOX
from tests.ebxml.samples import KPR, US, acknowledged, raw
from tests.helpers.edi_municipality import by_mail, edi_sandbox
from tests.helpers.fake_time import FakeTime
from tests.helpers.loopback import serving
from tests.helpers.municipality import Municipality
from tests.helpers.others_mail import lay
from tests.helpers.postfix_dovecot import MailServers
from tests.helpers.smtp_server import account, with_login

pytestmark = pytest.mark.xdist_group("mail-servers")

_MAILS = 3


@pytest.fixture(scope="module")
def answer() -> bytes:
    return raw(acknowledged(()))


def _transport(settings: EdiSettings) -> EdiTransport:
    clock = FakeTime()
    box = mailbox(settings)
    return EdiTransport(settings, SmtpSender(settings), box, her_ids=(US, KPR), closing=clock, monotonic=clock)


def _received(transport: EdiTransport, came: list[str], error: str = "") -> None:
    """Add the names of what comes, until nothing does, or all of it could not be looked at."""
    with pytest.raises(BusUnreachable, match=error) if error else nullcontext():
        while (inbound := transport.receive(0)) is not None:
            came.append(inbound.message_id if inbound.readable else f"{inbound.message_id} too large")


def _pop3(mail: bytes, refused: dict[str, bytes]) -> Callable[..., None]:
    """Return a POP3 server with some copies of a mail, which answers some commands otherwise, by their beginning."""
    numbers = range(1, _MAILS + 1)
    lists = {"UIDL": [f"{one} u{one}" for one in numbers], "LIST": [f"{one} {len(mail)}" for one in numbers]}
    head = mail[: mail.index(b"\r\n\r\n") + 4]

    def said(line: str) -> bytes:
        for command, told in refused.items():
            if re.match(command, line):
                return told
        name, _, rest = line.partition(" ")
        if name in lists:
            return ("+OK\r\n" + "".join(f"{one}\r\n" for one in lists[name]) + ".\r\n").encode()
        if name == "CAPA":
            return b"+OK\r\nTOP\r\n.\r\n"
        if name == "TOP":
            return b"+OK\r\n" + (head if rest.endswith(" 0") else mail) + b"\r\n.\r\n"
        return b"+OK\r\n"

    def behave(connected: socket.socket, _ended: threading.Event) -> None:
        connected.sendall(b"+OK hi\r\n")
        with closing(connected.makefile("r")) as lines:
            for line in lines:
                if (told := said(line.strip())) == b"":
                    return
                connected.sendall(told)

    return behave


def _at(port: int, **changes: object) -> EdiSettings:
    place = MailboxPlace(MailboxKind.POP3, "127.0.0.1", port)
    return account(1, mailbox=place, connect_timeout=5.0, look_every=40.0, **with_login(), **changes)


@pytest.mark.parametrize(
    "refused",
    [
        {"TOP 1 [1-9]": b"-ERR [SYS/TEMP] it is broken\r\n"},
        {"TOP 1 ": b"-ERR [SYS/TEMP] it is broken\r\n"},
        {"TOP 1 ": b"-ERR [SYS/TEMP] it is broken\r\n", "CAPA": b"-ERR what\r\n"},
        {"TOP 1 [1-9]": b""},
        {"TOP 1 ": b""},
    ],
)
def test_a_mail_that_the_server_will_not_give_is_passed_and_comes_once_it_does(
    answer: bytes, refused: dict[str, bytes]
) -> None:
    with serving(_pop3(answer, refused)) as port:
        transport = _transport(_at(port))
        came: list[str] = []
        for _ in range(2):
            _received(transport, came, error="it is broken|connection ended")
        assert came == ["u2", "u3"]
        refused.clear()
        _received(transport, came)
    assert came == ["u2", "u3", "u1"]


def test_a_mail_that_turns_out_too_large_is_named_and_passed(answer: bytes) -> None:
    """Whatever the server says of its size."""
    large = b"+OK\r\n" + answer + b"x" * 200_000 + b"\r\n.\r\n"
    with serving(_pop3(answer, {"TOP 1 [1-9]": large})) as port:
        transport = _transport(_at(port, max_inbound=100_000))
        came: list[str] = []
        _received(transport, came)
    assert came == ["u1 too large", "u2", "u3"]


def test_dovecot_hangs_up_over_a_mail_and_the_others_come(mail_servers: MailServers, answer: bytes) -> None:
    """It says BYE to whoever asks for a mail that it cannot read; over POP3 it opens the whole mailbox to nobody."""
    for number in range(_MAILS):
        mail_servers.lay(answer, f"170000000{number}.M1P1.ours")
    (bad,) = mail_servers.maildir().rglob("1700000000.M1P1.ours*")
    owner = bad.stat()
    os.chown(bad, 0, 0)
    bad.chmod(0)
    came: list[str] = []
    _received(_transport(mail_servers.account(MailboxKind.POP3S)), came, error="SYS/TEMP")
    assert came == []
    transport = _transport(mail_servers.account(MailboxKind.IMAPS))
    for _ in range(2):
        _received(transport, came, error="the connection ended")
    (bad,) = mail_servers.maildir().rglob("1700000000.M1P1.ours*")  # Dovecot has moved it to cur
    os.chown(bad, owner.st_uid, owner.st_gid)
    bad.chmod(0o600)
    _received(transport, came)
    assert [name.partition(".")[2] for name in came] == ["2", "3", "1"]


@pytest.mark.parametrize("kind", [MailboxKind.MAILDIR, MailboxKind.FOLDER])
def test_a_file_that_may_not_be_read_is_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: MailboxKind, answer: bytes
) -> None:
    folder = tmp_path / "mail"
    within = folder / "new" if kind is MailboxKind.MAILDIR else folder
    for part in (within, folder / "cur"):
        part.mkdir(parents=True, exist_ok=True)
    for number in range(_MAILS):
        lay(within / f"{number}.eml", answer)
    opens = regular_file.open_regular

    def refused(path: Path, *, follow: bool = True) -> object:
        if path.name.startswith("0"):
            raise PermissionError(13, "Permission denied")
        return opens(path, follow=follow)

    transport = _transport(account(1, mailbox=MailboxPlace(kind, path=folder)))
    came: list[str] = []
    with monkeypatch.context() as patched:
        for module in ("laid_files", "edi.local_files"):
            patched.setattr(f"kpr_sender.{module}.open_regular", refused)
        for _ in range(2):
            _received(transport, came, error="A mail in the mailbox cannot be read: Permission denied")
    _received(transport, came)
    assert [name.partition(".")[0] for name in came] == ["1", "2", "0"]


def test_one_figure_bounds_a_mail_wherever_it_is_read(kommune: Municipality) -> None:
    """``edi.max_inbound``: what is fetched is read, too."""
    assert EdiSettings.__dataclass_fields__["max_inbound"].default == USUAL_BOUNDS.max_bytes
    events: list[Event] = []
    with edi_sandbox(kommune) as box:
        with Client(by_mail(kommune, box)) as client:
            client.submit()
        new = kommune.folder / MAILBOX / "new"
        for path in _receipts(new):
            mail = path.read_bytes()
            boundary = b"--" + re.findall(rb'boundary="([^"]+)"', mail)[0]
            more = b"\r\nContent-Type: text/plain\r\n\r\n" + b"disclaimer\r\n" * 1_000_000
            at = mail.rindex(boundary)
            path.write_bytes(mail[:at] + boundary + more + mail[at:])
        with Client(by_mail(kommune, box), on_event=events.append) as client:
            assert client.wait(timeout=0.5).exit_code == 80
            assert [one.text for one in events if "larger than edi.max_inbound" in one.text]
        with Client(by_mail(kommune, box, max_inbound=30_000_000)) as client:
            by_hand = _receipts(new)[0]
            client.add_receipt(by_hand.read_bytes())
            by_hand.unlink()
            assert client.wait(timeout=20).exit_code == 0


def _receipts(folder: Path) -> list[Path]:
    """Return both receipts, once they have come."""
    while len(found := [one for one in folder.iterdir() if b"Subject: APPREC" in one.read_bytes()]) < 2:
        threading.Event().wait(0.01)
    return found

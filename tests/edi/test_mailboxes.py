"""G8 with every kind of mailbox: nothing changes but what is ours and taken. POP3 and IMAP by a real Dovecot."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.edi.mailboxes import mailbox
from kpr_sender.edi.port import HEAD_BYTES, Mailbox, MailEntry, MailTooLarge
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, KprError, LoginRefused
from kpr_sender.settings.edi import EdiSettings, MailboxKind, MailboxPlace
from kpr_sender.settings.secrets import Secret
from tests.helpers.figures import figure
from tests.helpers.nightly import scaled
from tests.helpers.others_mail import answer, lay, others, places, state
from tests.helpers.postfix_dovecot import MailServers
from tests.helpers.smtp_server import THEIRS, account

pytestmark = pytest.mark.xdist_group("mail-servers")

_SERVED = [MailboxKind.IMAPS, MailboxKind.POP3S]


def _ours(entries: tuple[MailEntry, ...]) -> list[MailEntry]:
    return [one for one in entries if f"From: {THEIRS}".encode() in one.head]


def _taken(box: Mailbox, mails: int) -> None:
    """Look twice, fetch what may be ours, and take it; whatever the mailbox is."""
    look = box.look()
    assert look.complete
    assert len(look.entries) == len(look.keys) == mails
    assert all(len(one.head) <= HEAD_BYTES and one.size for one in look.entries)
    assert box.look(look.keys).entries == ()
    ours = _ours(look.entries)
    assert len(ours) == 2
    other = next(one for one in look.entries if b"Undelivered" in one.head)
    assert box.fetch(other) is not None  # nobody has seen it yet, and it might be an answer
    for number, entry in enumerate(ours):
        content = box.fetch(entry)
        assert content is not None
        assert content.replace(b"\r\n", b"\n") == answer(number)
        assert box.fetch(entry) == content
        assert box.take(entry)
        assert not box.take(entry)
        assert box.fetch(entry) is None
    assert box.look().keys == look.keys - {one.key for one in ours}
    assert box.probe().can_take


def _served(servers: MailServers, kind: MailboxKind, *, size: int, seed: int = 1) -> int:
    """Fill our mailbox behind Dovecot with others' mail, take ours; return how much there was, in bytes."""
    for number, (name, content) in enumerate(others(seed, size=size)):
        servers.lay(content, name, seen=number % 2 == 0)
    before = state(servers.maildir())
    for number in range(2):
        servers.lay(answer(number), f"1700000000.M{number}P1.ours")
    _taken(mailbox(servers.account(kind)), len(before) + 2)
    assert state(servers.maildir()) == before
    return sum(len(content) for content, _ in before.values())


@pytest.mark.parametrize("kind", _SERVED)
def test_a_served_mailbox_full_of_others_mail_is_as_it_was(mail_servers: MailServers, kind: MailboxKind) -> None:
    _served(mail_servers, kind, size=200_000)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", _SERVED)
def test_twenty_large_mailboxes_of_others_are_as_they_were(mail_servers: MailServers, kind: MailboxKind) -> None:
    chance, count, size = random.Random(7), scaled(20), 0
    for seed in range(count):
        size += _served(mail_servers, kind, size=chance.randrange(30_000_000, 95_000_000), seed=seed)
        for path in [*(mail_servers.maildir() / "new").iterdir(), *(mail_servers.maildir() / "cur").iterdir()]:
            path.unlink()
    figure("mailboxes full of others' mail", mailboxes=count, megabytes=size // 1_000_000, changed=0)


def _local(tmp_path: Path, kind: MailboxKind) -> tuple[EdiSettings, Callable[[str, bytes], None]]:
    folder = tmp_path / "mail"
    for part in ("new", "cur", "tmp") if kind is MailboxKind.MAILDIR else ("",):
        (folder / part).mkdir(parents=True, exist_ok=True)
    settings = account(1, mailbox=MailboxPlace(kind, path=folder), max_inbound=100_000)
    if kind is MailboxKind.FOLDER:
        return settings, lambda name, content: lay(folder / f"{name}.eml", content)
    places_of = {True: ("cur", ":2,S"), False: ("new", "")}

    def put(name: str, content: bytes) -> None:
        part, flags = places_of[len(name) % 2 == 0]
        lay(folder / part / f"{name}{flags}", content)

    return settings, put


def test_a_file_is_found_by_its_name_and_only_as_it_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of thousands is listed once in a look, not once more for each mail."""
    settings, put = _local(tmp_path, MailboxKind.FOLDER)
    for number in range(3):
        put(f"{number}", answer(number))
    box = mailbox(settings)
    first, changed, gone = box.look().entries
    put("1", answer(1) + b"more")
    (tmp_path / "mail" / "2.eml").unlink()
    with monkeypatch.context() as patched:
        patched.delattr(os, "listdir")
        patched.delattr(os, "scandir")
        assert box.fetch(first) == answer(0)
        assert (box.fetch(changed), box.take(changed), box.fetch(gone), box.take(gone)) == (None, False, None, False)
        assert box.take(first)
    assert set(places(tmp_path / "mail")) == {"1.eml", "done/0.eml"}


@pytest.mark.parametrize("kind", [MailboxKind.MAILDIR, MailboxKind.FOLDER])
def test_a_folder_full_of_others_mail_is_as_it_was(tmp_path: Path, kind: MailboxKind) -> None:
    settings, put = _local(tmp_path, kind)
    for name, content in others(1, size=200_000):
        put(name, content)
    before = places(tmp_path / "mail")
    for number in range(2):
        put(f"17000000{'0' * number}.ours", answer(number))
    box = mailbox(settings)
    _taken(box, len(before) + 2)
    after = places(tmp_path / "mail")
    done = {name for name in after if name.startswith("done/")}
    assert len(done) == (2 if kind is MailboxKind.FOLDER else 0)
    assert {name: one for name, one in after.items() if name not in done} == before
    large = next(one for one in box.look().entries if b"Subject: Large" in one.head)
    with pytest.raises(MailTooLarge):
        box.fetch(large)
    box.leave(large)
    assert len(box.look().keys) == len(before) - (kind is MailboxKind.FOLDER)


@pytest.mark.parametrize("kind", _SERVED)
def test_a_served_mailbox_says_why_it_cannot_be_read(
    mail_servers: MailServers, kind: MailboxKind, tmp_path: Path
) -> None:
    good = mail_servers.account(kind)
    assert good.mailbox is not None
    no_folder = MailboxPlace(MailboxKind.IMAPS, "localhost", mail_servers.imaps, "Nowhere")
    plain = MailboxKind.IMAP if kind is MailboxKind.IMAPS else MailboxKind.POP3
    cases: list[tuple[dict[str, Any], type[KprError]]] = [
        ({"mailbox_password": Secret("wrong")}, LoginRefused),
        ({"mailbox": MailboxPlace(kind, "127.0.0.1", good.mailbox.port, good.mailbox.folder)}, AccessRefused),
        ({"mailbox": MailboxPlace(kind, "localhost", mail_servers.smtp, "INBOX")}, ConfigInvalid),
        ({"mailbox": MailboxPlace(plain, "localhost", mail_servers.smtp, "INBOX")}, BusUnreachable),
        ({"mailbox": MailboxPlace(kind, "localhost", 1, "INBOX")}, BusUnreachable),
        *([({"mailbox": no_folder}, ConfigInvalid)] if kind is MailboxKind.IMAPS else []),
    ]  # fmt: skip
    for changes, error in cases:
        with pytest.raises(KprError) as raised:
            mailbox(mail_servers.account(kind, connect_timeout=2.0, **changes)).look()
        assert type(raised.value) is error, changes


def test_without_a_place_or_a_password_nothing_is_tried(tmp_path: Path) -> None:
    cases: list[dict[str, Any]] = [
        {},
        {"mailbox": MailboxPlace(MailboxKind.POP3S, "localhost", 1)},
        {"mailbox": MailboxPlace(MailboxKind.MAILDIR, path=tmp_path)},
        {"mailbox": MailboxPlace(MailboxKind.FOLDER, path=tmp_path / "gone")},
    ]
    for changes in cases:
        with pytest.raises(ConfigInvalid):
            mailbox(account(1, **changes)).look()

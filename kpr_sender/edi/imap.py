"""A mailbox over IMAP: EXAMINE and BODY.PEEK to look, which change nothing; SELECT only to take one mail out.

A mail is taken out by UID EXPUNGE (RFC 4315) or UID MOVE (RFC 6851). A plain EXPUNGE would remove what others have
marked for deletion, too: where the server has neither, nothing is removed.
"""

from __future__ import annotations

import imaplib
import logging
import re
import socket
import time
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from imapclient import IMAPClient  # type: ignore[import-untyped]  # it says no types
from imapclient.exceptions import (  # type: ignore[import-untyped]  # it says no types
    IMAPClientAbortError,
    IMAPClientError,
)

from kpr_sender.edi.dial import MailboxAccount, cut_off, handshake_of
from kpr_sender.edi.port import HEAD_BYTES, MailboxLook, MailboxProbe, MailEntry, MailNotRead, MailTooLarge
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid
from kpr_sender.privacy import foreign_text
from kpr_sender.texts import Text

TAKEN: Final = "kpr-sender"
"""Folder below ours that a mail is moved to where the server has MOVE and no UID EXPUNGE; made when it is needed."""
_AT_ONCE: Final = 25  # mails whose heads are asked for together
_SESSION_BYTES: Final = 64_000_000  # of answers, beside a whole mail
_LINE: Final = 1_000_000  # bytes, as imaplib's own
_SESSION_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 30.0
_NOT_NOW: Final = re.compile(r"\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\]", re.IGNORECASE)  # RFC 5530
_NOT_US: Final = re.compile(
    r"\[(AUTHORIZATIONFAILED|PRIVACYREQUIRED|CONTACTADMIN|NOPERM)\]|LOGINDISABLED", re.IGNORECASE
)
_SIZE: Final = b"RFC822.SIZE"
_FAILURES: Final = (IMAPClientError, OSError, ValueError, LookupError, TypeError)
"""The libraries fail in many ways on what is no IMAP, and show what they failed on."""

# At the level DEBUG it writes what it reads, which is others' mail, into whatever log the process has (promise G6).
logging.getLogger("imapclient").setLevel(logging.CRITICAL + 1)


class _ImapWire(imaplib.IMAP4):
    """imaplib over a socket of ours, which takes no more than we have asked for: a literal is as long as it says."""

    def __init__(self, connected: socket.socket, most: int) -> None:
        self._connected = connected
        self._left = most
        super().__init__()

    def open(self, host: str = "", port: int = 0, _timeout: float | None = None) -> None:
        self.host, self.port = host, port
        self.sock = self._connected
        self._stream = self.sock.makefile("rb")

    def read(self, size: int) -> bytes:
        self._count(size)
        return self._stream.read(size)

    def readline(self) -> bytes:
        line = self._stream.readline(_LINE)
        self._count(len(line))
        return line

    def shutdown(self) -> None:
        self._stream.close()
        self.sock.close()

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise self.abort(Text("it answers more than was asked for"))


class _ImapClient(IMAPClient):  # type: ignore[misc]  # it says no types
    """IMAPClient over a socket of ours."""

    def __init__(self, connected: socket.socket, most: int) -> None:
        self._connected, self._most = connected, most
        super().__init__("", ssl=False)

    def _create_IMAP4(self) -> _ImapWire:  # noqa: N802 - the library's name
        return _ImapWire(self._connected, self._most)

    def _set_read_timeout(self) -> None:
        """Leave the socket's own."""


class ImapMailbox:
    """A folder behind an IMAP server, as ``Mailbox`` says. Keys are UIDVALIDITY and UID.

    Args:
        account: The server, and who we are there.
        folder: Of the mailbox.
        max_inbound: The largest mail that is fetched, in bytes.
    """

    def __init__(self, account: MailboxAccount, folder: str, max_inbound: int) -> None:
        self._account = account
        self._folder = folder
        self._max_inbound = max_inbound

    def look(self, known: Container[str] = frozenset()) -> MailboxLook:
        """Look at what lies there: EXAMINE and SEARCH; size and BODY.PEEK of the headers of what is not known."""
        found: list[MailEntry] = []
        not_shown: list[int] = []
        with self._session() as client:
            ends = time.monotonic() + _LOOK_SECONDS
            keys = self._examined(client)
            new = [uid for uid in sorted(keys) if keys[uid] not in known]
            complete = True
            for at in range(0, len(new), _AT_ONCE):
                if at and time.monotonic() > ends:  # some at least: each look gets on, however slow the list is
                    complete = False
                    break
                asked = new[at : at + _AT_ONCE]
                try:
                    found += self._shown(client, {uid: keys[uid] for uid in asked})
                except _FAILURES:  # Dovecot hangs up over one mail that it cannot read
                    not_shown, complete = asked, False
                    break
        if len(not_shown) > 1:
            found += [self._shown_alone(uid, keys[uid]) for uid in not_shown]
        else:
            found += [MailEntry(keys[uid], 0, b"") for uid in not_shown]
        return MailboxLook(tuple(found), frozenset(keys.values()), complete)

    def fetch(self, entry: MailEntry) -> bytes | None:
        """Return one whole mail: EXAMINE and BODY.PEEK, so that it stays unseen."""
        with self._session() as client:
            uid = self._uid(entry, self._selected(client, readonly=True))
            if uid is None:
                return None
            try:
                sizes = client.fetch([uid], [_SIZE])
                if uid not in sizes:
                    return None
                if _number(sizes[uid]) > self._max_inbound:
                    raise MailTooLarge
                found = client.fetch([uid], [f"BODY.PEEK[]<0.{self._max_inbound + 1}>"])
            except _FAILURES as error:
                raise MailNotRead(self._unreadable(error)) from None
            content = _body(found.get(uid, {}))
            if not content:
                raise MailNotRead(self._account.refuses(Text("it shows nothing of one mail")))
            if len(content) > self._max_inbound:
                raise MailTooLarge
            return content

    def take(self, entry: MailEntry) -> bool:
        """Take one mail out: SELECT, and UID EXPUNGE or UID MOVE of it alone."""
        with suppress(BusUnreachable, ConfigInvalid), self._session() as client:
            uid = self._uid(entry, self._selected(client, readonly=False))
            if uid is None or uid not in client.fetch([uid], ["UID"]):
                return False
            if client.has_capability("UIDPLUS"):
                client.add_flags([uid], [b"\\Deleted"], silent=True)
                client.uid_expunge([uid])
            elif client.has_capability("MOVE"):
                client.move([uid], self._taken_folder(client))
            else:
                return False
            return uid not in client.fetch([uid], ["UID"])
        return False

    def leave(self, entry: MailEntry) -> None:
        """Leave a mail as it is."""

    def probe(self) -> MailboxProbe:
        """Say what lies there."""
        with self._session() as client:
            keys = self._examined(client)
            can_take = bool(client.has_capability("UIDPLUS") or client.has_capability("MOVE"))
            shown = handshake_of(client.socket())
            return MailboxProbe(shown, frozenset(keys.values()), can_take)

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _examined(self, client: _ImapClient) -> dict[int, str]:
        """Return each mail's UID with its key; nothing changes by it, and no mail is read."""
        said = self._selected(client, readonly=True)
        uids = client.search() if said.get(b"EXISTS") else []
        return {int(uid): f"{int(said.get(b'UIDVALIDITY', 0))}.{int(uid)}" for uid in uids}

    def _shown(self, client: _ImapClient, keys: Mapping[int, str]) -> list[MailEntry]:
        """Return what the server shows of these mails."""
        answer = client.fetch(list(keys), [_SIZE, f"BODY.PEEK[HEADER]<0.{HEAD_BYTES}>"])
        shown = {uid: answer.get(uid, {}) for uid in keys}
        return [MailEntry(keys[uid], _number(one), _body(one)[:HEAD_BYTES]) for uid, one in shown.items()]

    def _shown_alone(self, uid: int, key: str) -> MailEntry:
        """Return what the server shows of one mail in a session of its own, if it does not hang up over it."""
        with self._session() as client:
            self._selected(client, readonly=True)
            with suppress(*_FAILURES):
                return self._shown(client, {uid: key})[0]
        return MailEntry(key, 0, b"")

    def _unreadable(self, error: Exception) -> BusUnreachable:
        if isinstance(error, IMAPClientError) and not isinstance(error, IMAPClientAbortError):
            return self._account.refuses(foreign_text(_words(error)))
        return self._account.unreadable(error)

    def _uid(self, entry: MailEntry, said: Mapping[bytes, Any]) -> int | None:
        """Return a mail's UID; None where UIDs mean other mails by now."""
        validity, _, uid = entry.key.partition(".")
        same = validity == str(int(said.get(b"UIDVALIDITY", 0)))
        return int(uid) if same and uid.isascii() and uid.isdigit() else None

    def _taken_folder(self, client: _ImapClient) -> str:
        found = client.list_folders("", self._folder)
        delimiter = found[0][1].decode("ascii", "replace") if found and found[0][1] else "/"
        folder = f"{self._folder}{delimiter}{TAKEN}"
        if not client.folder_exists(folder):
            client.create_folder(folder)
        return folder

    @contextmanager
    def _session(self) -> Iterator[_ImapClient]:
        account = self._account
        try:
            with account.connected() as connection:
                with cut_off(connection, account.seconds, account.stopped):
                    client = _ImapClient(connection, _SESSION_BYTES + self._max_inbound)
                    self._log_in(client)
                with cut_off(connection, _SESSION_SECONDS, account.stopped):
                    yield client
                    with suppress(IMAPClientError, OSError):
                        client.logout()
        except _FAILURES as error:
            raise account.unreadable(error) from None

    def _log_in(self, client: _ImapClient) -> None:
        user, password = self._account.user, self._account.password.reveal()
        with self._account.login():
            try:
                if client.has_capability("AUTH=PLAIN"):
                    client.plain_login(user, password)
                elif (user + password).isascii():
                    client.login(user, password)
                else:
                    raise AccessRefused(
                        Text("The IMAP server takes user and password in ASCII only."),
                        where=self._account.server.where,
                    )
            except IMAPClientAbortError:
                raise
            except IMAPClientError as error:
                if isinstance(error.__context__, IMAPClientAbortError):
                    raise error.__context__ from None
                words = foreign_text(_words(error))
                not_now, not_us = (bool(sign.search(words)) for sign in (_NOT_NOW, _NOT_US))
                raise self._account.refused(words, not_now=not_now, not_us=not_us) from None

    def _selected(self, client: _ImapClient, *, readonly: bool) -> Mapping[bytes, Any]:
        try:
            said: Mapping[bytes, Any] = client.select_folder(self._folder, readonly=readonly)
        except IMAPClientAbortError:
            raise
        except IMAPClientError as error:
            words = foreign_text(_words(error))
            raise ConfigInvalid(
                Text("The IMAP server refused the folder {folder} ({words}).", folder=self._folder, words=words),
                where=self._account.server.where,
                next_step=Text("Check edi.mailbox: the folder stands behind the port, as in imaps://host:993/INBOX."),
            ) from None
        return said


def _number(answer: Mapping[bytes, Any]) -> int:
    size = answer.get(_SIZE, 0)
    return size if isinstance(size, int) else 0


def _body(answer: Mapping[bytes, Any]) -> bytes:
    """Return what BODY.PEEK asked for; the answer calls it BODY[...]<0>."""
    found = next((value for name, value in answer.items() if name.startswith(b"BODY[")), b"")
    return found if isinstance(found, bytes) else b""


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)

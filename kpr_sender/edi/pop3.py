"""A mailbox over POP3 (RFC 1939): short sessions, TOP to look and to read, DELE of what is taken.

A POP3 session keeps every other reader out, so none is longer than five seconds (promise G8); what is not seen by then
is seen by the next look. Nothing is deleted but by a session that ends with QUIT and is told so.
"""

from __future__ import annotations

import poplib
import socket
import time
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from kpr_sender.edi.dial import MailboxAccount, cut_off, handshake_of
from kpr_sender.edi.port import HEAD_BYTES, MailboxLook, MailboxProbe, MailEntry, MailNotRead, MailTooLarge
from kpr_sender.errors import BusUnreachable, ConfigInvalid
from kpr_sender.privacy import foreign_text
from kpr_sender.texts import Text

SESSION_SECONDS: Final = 5.0
"""How long a session may be; what it is for ends a second before, so that it can say goodbye."""
_LOOK_SECONDS: Final = 3.5
_LIST_BYTES: Final = 16_000_000  # a list of half a million mails
_ALL_LINES: Final = 2**31 - 1
_PIECE: Final = 1 << 16  # bytes of a line that are read at once
_HANG_UPS: Final = 10  # in a row: so many mails may make a server hang up before it counts as down
# RFC 2449, 8 and RFC 3206; and how servers say without a code that another session has the mailbox.
_NOT_NOW: Final = ("[IN-USE]", "[SYS/TEMP]", "[LOGIN-DELAY]", "LOCK", "IN USE")
_NOT_US: Final = "[SYS/PERM]"


class _Pop3Wire(poplib.POP3):
    """poplib's commands over a socket of ours; answers of any number and length of lines, bounded by us.

    poplib itself fails on a line of more than 2,048 bytes, which HTML mail often has, and holds all that comes.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._connected = connected
        super().__init__("")

    def _create_socket(self, _timeout: float | None) -> socket.socket:
        return self._connected

    def text(self, command: str, most: int) -> tuple[bytes, bool]:
        """Return the lines of an answer, each with its end, and whether they are all; the rest is read and dropped.

        Raises:
            poplib.error_proto: The server said no, or hung up.
        """
        self._putcmd(command)  # type: ignore[attr-defined]  # the library's own; it has none in public
        self._getresp()  # type: ignore[attr-defined]  # the same
        kept, complete, begins = bytearray(), True, True
        while piece := self.file.readline(_PIECE):
            if begins and piece.startswith(b"."):
                if piece.rstrip(b"\r\n") == b".":
                    return bytes(kept), complete
                piece = piece[1:]
            begins = piece.endswith(b"\n")
            complete = complete and len(kept) + len(piece) <= most
            kept += piece[: most - len(kept)]
        raise poplib.error_proto(Text("the connection ended"))

    def numbers(self, command: str) -> dict[int, str]:
        """Return what the server says of each mail: its number and one word."""
        found, complete = self.text(command, _LIST_BYTES)
        if not complete:
            raise poplib.error_proto(Text("there are too many mails"))
        pairs = (line.split() for line in found.decode("ascii", "replace").splitlines())
        return {int(pair[0]): pair[1] for pair in pairs if len(pair) > 1 and pair[0].isdigit()}


class Pop3Mailbox:
    """A mailbox behind a POP3 server, as ``Mailbox`` says. Keys are UIDLs.

    Args:
        account: The server, and who we are there.
        max_inbound: The largest mail that is fetched, in bytes.
    """

    def __init__(self, account: MailboxAccount, max_inbound: int) -> None:
        self._account = account
        self._max_inbound = max_inbound
        self._has_top = False  # whether it has ever shown a mail's headers
        self._hung_up = 0  # how often in a row the server hung up when asked for a mail's headers

    def look(self, known: Container[str] = frozenset()) -> MailboxLook:
        """Look at what lies there: UIDL, LIST, and TOP of what is not known."""
        found: list[MailEntry] = []
        with self._session() as session:
            ends = time.monotonic() + _LOOK_SECONDS
            numbers = self._keys(session)
            new = [(key, number) for key, number in numbers.items() if key not in known]
            sizes = session.numbers("LIST") if new else {}
            for key, number in new:
                if found and time.monotonic() > ends:  # one at least: each look gets on, however slow the lists are
                    break
                size = sizes.get(number, "")
                head = self._head(session, number, ends)
                found.append(MailEntry(key, int(size) if size.isdigit() else 0, head or b""))
                if head is None:
                    return MailboxLook(tuple(found), frozenset(numbers), complete=False)
            self._has_top = self._has_top or any(one.head for one in found)
            if found and not self._has_top:
                self._require_top(session)
        return MailboxLook(tuple(found), frozenset(numbers), complete=len(found) == len(new))

    def fetch(self, entry: MailEntry) -> bytes | None:
        """Return one whole mail: TOP with all lines, since RETR marks a mail as seen on many servers (Dovecot)."""
        with self._session() as session:
            number = self._keys(session).get(entry.key)
            if number is None:
                return None
            listed = session.numbers("LIST").get(number, "")
            size = int(listed) if listed.isdigit() else 0
            if size > self._max_inbound:
                raise MailTooLarge
            try:
                content, complete = session.text(f"TOP {number} {_ALL_LINES}", self._max_inbound)
                if complete and len(content) < size:  # this server's TOP has a bound of its own
                    content, complete = session.text(f"RETR {number}", self._max_inbound)
            except (OSError, poplib.error_proto) as error:
                raise MailNotRead(self._unreadable(error)) from None
            if not complete:
                raise MailTooLarge
            return content

    def take(self, entry: MailEntry) -> bool:
        """Delete a mail of ours; only QUIT does it, and where that is not answered it is not certain."""
        try:
            with self._session() as session:
                number = self._keys(session).get(entry.key)
                if number is None:
                    return False
                session.dele(number)
                session.quit()
        except BusUnreachable:
            return False
        return True

    def leave(self, entry: MailEntry) -> None:
        """Leave a mail as it is."""

    def probe(self) -> MailboxProbe:
        """Say what lies there."""
        with self._session() as session:
            shown = handshake_of(session.sock)
            return MailboxProbe(shown, frozenset(self._keys(session)), can_take=True)

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _keys(self, session: _Pop3Wire) -> dict[str, int]:
        """Return the mails that have a name of their own, which is what a number means from session to session."""
        try:
            said = session.numbers("UIDL")
        except poplib.error_proto as error:
            if not _refused(error) or _is_for_now(_words(error)):  # Dovecot, where it cannot read one of the mails
                raise
            raise self._lacks("UIDL") from None
        often = Counter(said.values())
        return {name: number for number, name in said.items() if often[name] == 1}

    def _head(self, session: _Pop3Wire, number: int, ends: float) -> bytes | None:
        """Return a mail's headers; nothing where the server will not show them, None where it hung up over them.

        Where it hung up after ``ends``, or over mail after mail, it is too slow, or down, and no mail is to blame.
        """
        try:
            head = session.text(f"TOP {number} 0", HEAD_BYTES)[0]
        except (OSError, poplib.error_proto) as error:
            if isinstance(error, poplib.error_proto) and _refused(error):
                return b""
            self._hung_up += 1
            if time.monotonic() > ends or self._hung_up > _HANG_UPS:
                self._hung_up = 0
                raise
            with suppress(OSError):
                session.close()
            return None
        self._hung_up = 0
        return head

    def _require_top(self, session: _Pop3Wire) -> None:
        """Refuse a server that showed no headers at all, unless it says that it can.

        Raises:
            ConfigInvalid: It has no TOP.
        """
        with suppress(poplib.error_proto):
            if b"TOP" in session.text("CAPA", HEAD_BYTES)[0].upper().split():
                return
        raise self._lacks("TOP")

    @contextmanager
    def _session(self) -> Iterator[_Pop3Wire]:
        """Yield a session that is logged in; it ends with QUIT, or what it deleted is not deleted."""
        account = self._account
        try:
            with account.connected() as connection:
                with cut_off(connection, account.seconds, account.stopped):
                    session = _Pop3Wire(connection)
                    self._log_in(session)
                with cut_off(connection, SESSION_SECONDS, account.stopped):
                    yield session
                    if session.sock is not None:  # poplib has none after QUIT
                        session.quit()
        except (OSError, poplib.error_proto) as error:
            raise self._unreadable(error) from None

    def _log_in(self, session: _Pop3Wire) -> None:
        with self._account.login():
            try:
                session.user(self._account.user)
                session.pass_(self._account.password.reveal())
            except poplib.error_proto as error:
                if not _refused(error):
                    raise
                words = _words(error)
                raise self._account.refused(
                    words, not_now=_is_for_now(words), not_us=_NOT_US in words.upper()
                ) from None

    def _lacks(self, command: str) -> ConfigInvalid:
        return ConfigInvalid(
            Text("The POP3 server has no {command}, without which others' mail would be touched.", command=command),
            where=self._account.server.where,
            next_step=Text("Read the mailbox over IMAP (imaps://) instead, if the server has it."),
        )

    def _unreadable(self, error: Exception) -> BusUnreachable:
        if isinstance(error, poplib.error_proto) and _refused(error):
            return self._account.refuses(_words(error))
        return self._account.unreadable(error)


def _refused(error: poplib.error_proto) -> bool:
    """Tell whether the server said no; else it said nothing that is an answer."""
    return bool(error.args) and isinstance(error.args[0], bytes) and error.args[0].startswith(b"-ERR")


def _is_for_now(words: str) -> bool:
    return any(sign in words.upper() for sign in _NOT_NOW)


def _words(error: poplib.error_proto) -> str:
    said = error.args[0] if error.args else b""
    return foreign_text(said.decode("utf-8", "replace")) if isinstance(said, bytes) else ""

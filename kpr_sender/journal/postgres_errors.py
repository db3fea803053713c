"""What goes wrong with the journal's database, in plain words: PostgreSQL's states (``SQLSTATE``) as our errors.

No message of the server's is repeated that may quote a row: its first line names tables and rules, never values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import psycopg

from kpr_sender.errors import (
    AccessRefused,
    ConfigInvalid,
    InternalError,
    JournalLocked,
    JournalUnwritable,
    KprError,
)
from kpr_sender.journal.file_errors import not_utf8
from kpr_sender.journal.rows import Unreadable
from kpr_sender.privacy import MAX_TEXT, redact_text
from kpr_sender.texts import Text, said

_AGAIN: Final = Text("Run the same command again; nothing is lost.")
_LOST: Final = (
    Text("The connection to the journal's database was lost."),
    Text("See that the database runs and is reached, then run the same command again."),
)
_RESTORE: Final = Text(
    "Send nothing by other means. Leave the database as it is, and ask for help before a backup is put in its place: "
    "a backup may not know what was sent since."
)

# The beginning of SQLSTATE (https://www.postgresql.org/docs/15/errcodes-appendix.html) -> what happened, what to do.
_SENTENCES: Final[Mapping[str, tuple[Text, Text]]] = {
    "08": _LOST,
    "25P03": _LOST,  # idle_in_transaction_session_timeout
    "57P": _LOST,  # the server ended the session, or is starting or stopping
    "53100": (Text("The database server's disk is full."), Text("Make room, then run the same command again.")),
    "53": (Text("The database server has no room for this now."), _AGAIN),
    "40": (Text("Another transaction of the database came in between."), _AGAIN),
    "55P03": (Text("Another transaction has kept the journal locked for too long."), _AGAIN),
    "57014": (Text("The database server has broken a statement off."), _AGAIN),
    "25006": (
        Text("The database takes no writes."),
        Text("Let journal.url name the server that does, then run the same command again."),
    ),
    "XX": (Text("The journal's database is damaged."), _RESTORE),
    "58": (Text("The database server's disk reports an error."), _AGAIN),
}
_NOT_ALLOWED: Final = "42501"
_LOGIN: Final = ("authentication failed", "no password supplied", "pg_hba.conf", "role ")


class StaleFence(JournalLocked):
    """Another holder has the lease: this one decides nothing any more."""


def lease_lost(place: str) -> StaleFence:
    """Return the error for a holder whose lease another has, or that it has lost."""
    return StaleFence(
        Text("This run has lost the journal's lease, and another may have it: it decides nothing more."),
        where=place,
        next_step=Text("Nothing need be done: whoever has the lease goes on. See kpr-send status."),
    )


def of_postgres(place: str, error: psycopg.Error) -> KprError:
    """Return the error to raise for one of PostgreSQL's."""
    state = error.sqlstate or ""
    if state == _NOT_ALLOWED:
        return AccessRefused(
            Text("The database user may not use the journal's tables: {error}.", error=_first_line(error)),
            where=place,
            next_step=Text("Let the user that ran kpr-send journal migrate grant it, or use that one."),
        )
    for begins in (state, state[:3], state[:2]):
        if begins in _SENTENCES:
            what, next_step = _SENTENCES[begins]
            return JournalUnwritable(what, where=place, next_step=next_step)
    if not state and isinstance(error, psycopg.OperationalError):
        return JournalUnwritable(_LOST[0], where=place, next_step=_LOST[1])
    return InternalError(Text("The journal refused a statement: {error}.", error=_first_line(error)), where=place)


def of_connecting(place: str, error: psycopg.Error) -> KprError:
    """Return the error to raise where no connection came about: the server's words are all there is."""
    words = str(error)
    line = redact_text(words.strip().splitlines()[-1] if words.strip() else type(error).__name__, MAX_TEXT)
    if any(one in words for one in _LOGIN):
        return AccessRefused(
            Text("The database refused the login: {line}", line=line),
            where=place,
            next_step=Text("Check the user in journal.url, and the password in journal.password_file or pgpass."),
        )
    if 'database "' in words and "does not exist" in words:
        return ConfigInvalid(
            Text("There is no such database: {line}", line=line),
            where=place,
            next_step=Text("Check journal.url, or have the database made: docs/fleet.md says how."),
        )
    return JournalUnwritable(Text("The database is not reached: {line}", line=line), where=place, next_step=_LOST[1])


def damaged(place: str, what: str) -> JournalUnwritable:
    """Return the error for content that cannot be as we wrote it; ``what`` is damaged, without its content."""
    return JournalUnwritable(Text("The journal is damaged: {what}.", what=what), where=place, next_step=_RESTORE)


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn what psycopg raises inside, and rows that do not read back, into the package's errors."""
    try:
        yield
    except Unreadable as error:
        raise damaged(place, said(error)) from error
    except psycopg.Error as error:
        raise of_postgres(place, error) from error
    except UnicodeEncodeError:
        raise not_utf8() from None


def _first_line(error: psycopg.Error) -> str:
    return redact_text(error.diag.message_primary or type(error).__name__, MAX_TEXT)

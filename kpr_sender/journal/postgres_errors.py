"""What goes wrong with the journal's database, in plain words: PostgreSQL's states (``SQLSTATE``) as our errors.

No message of the server's is repeated that may quote a row: its first line names tables and rules, never values.
"""

from __future__ import annotations

import re
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

# Of a connection that did not come about: the class of the error, what happened, what to do.
_NOT_REACHED: Final = (JournalUnwritable, Text("The database is not reached: {line}", line=""), _LOST[1])
_ADDRESS: Final = (
    ConfigInvalid,
    Text("The database's address is not valid: {line}", line=""),
    Text("Correct journal.url: docs/fleet.md has an example."),
)
_LOGIN: Final = (
    AccessRefused,
    Text("The database refused the login: {line}", line=""),
    Text(
        "Check the user in journal.url, the password in journal.password_file or pgpass, and that a client certificate "
        "is made out to that user."
    ),
)
_FULL: Final = (
    JournalUnwritable,
    Text("The database has no connection left: {line}", line=""),
    Text("Let fewer runs go at once (fleet.jobs), or have the server or the pooler take more connections."),
)
_CLIENT_FILE: Final = (
    ConfigInvalid,
    Text("The client certificate for the database, or its key, cannot be used: {line}", line=""),
    Text(
        "Check sslcert and sslkey in journal.url: PEM files, the key without a passphrase and for its owner alone "
        "(chmod 600)."
    ),
)
_CLIENT: Final = (
    AccessRefused,
    Text("The database does not accept our client certificate: {line}", line=""),
    Text("Name one that the server accepts for this user with sslcert and sslkey in journal.url."),
)
# Patterns in the words of libpq, the server and PgBouncer, the more special ones first: there is no SQLSTATE of it.
_CONNECTING: Final[Mapping[str, tuple[type[KprError], Text, Text]]] = {
    "certificate verify failed": (
        AccessRefused,
        Text("The database server's certificate cannot be verified: {line}", line=""),
        Text(
            "Let sslrootcert in journal.url name the certificate of the authority that issued the server's. Where it "
            "does, ask whoever runs the server, for example whether its certificate has ended. Do not lower sslmode."
        ),
    ),
    "does not match host name": (
        AccessRefused,
        Text("The database server's certificate is made out to another name: {line}", line=""),
        Text(
            "Let journal.url name the server as its certificate does; hostaddr= may say its address beside it. Do "
            "not lower sslmode."
        ),
    ),
    "root certificate": (
        ConfigInvalid,
        Text("The authority's certificate for the database cannot be used: {line}", line=""),
        Text("Let sslrootcert in journal.url name a PEM file with it that this user may read. Do not lower sslmode."),
    ),
    "server does not support SSL": (
        ConfigInvalid,
        Text("The database server has no TLS, which is required to another machine: {line}", line=""),
        Text("Have TLS switched on for the server (ssl = on), with a certificate."),
    ),
    "valid client certificate|certificate authentication failed": _CLIENT,
    "alert (unknown ca|bad certificate|certificate (required|expired|revoked))": _CLIENT,
    "certificate file|private key file": _CLIENT_FILE,
    "authentication failed|no password supplied": _LOGIN,
    "pg_hba.conf": (
        AccessRefused,
        Text("The database lets nobody in from here as this user: {line}", line=""),
        Text("Have a line for this machine, user and database added to the server's pg_hba.conf (hostssl)."),
    ),
    "permission denied for database": (
        AccessRefused,
        Text("The database user may not use this database: {line}", line=""),
        Text("Let the database's owner grant it (GRANT CONNECT), or use the owner in journal.url."),
    ),
    'database ".*" does not exist|no such database': (
        ConfigInvalid,
        Text("There is no such database: {line}", line=""),
        Text("Check journal.url, or have the database made: docs/fleet.md says how."),
    ),
    'role ".*" (does not exist|is not permitted)': _LOGIN,
    "too many (clients|connections)|connection slots|no more connections allowed": _FULL,
    "invalid (port number|integer value|[a-z_]+ value)|could not match|definition of service|service file": _ADDRESS,
    "unrecognized configuration parameter": _ADDRESS,
}


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
    """Return the error to raise where no connection came about: libpq's and the server's words are all there is."""
    lines = said(error).strip().splitlines() or [type(error).__name__]
    found = ((meant, line) for words, meant in _CONNECTING.items() for line in lines if re.search(words, line))
    otherwise = _ADDRESS if isinstance(error, psycopg.ProgrammingError) else _NOT_REACHED
    (kind, what, next_step), line = next(found, (otherwise, lines[-1]))
    return kind(what.with_values(lambda _: redact_text(line, MAX_TEXT)), where=place, next_step=next_step)


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

"""Connecting to the journal's database, and what is required of the server before anything is stored in it.

A journal that says *stored* must not lose it: a server that does not flush what it has committed, or that is itself a
copy of another, is refused. So is a pooler that gives a session's statements to several of the server's: a lock of the
session would be anybody's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from kpr_sender.errors import ConfigInvalid
from kpr_sender.journal.postgres_errors import of_connecting, translated
from kpr_sender.journal.postgres_rows import Connection, StoredTextLoader, row_factory
from kpr_sender.journal.postgres_schema import NAMESPACE
from kpr_sender.net import is_loopback
from kpr_sender.settings.journal import JournalSettings
from kpr_sender.texts import Text

LEASE_SECONDS: Final = 60
"""How long a session may be silent before the server ends it."""

LOCK_CLASS: Final = 0x4B505253
"""``KPRS``: the first number of our advisory locks, which are the journals' leases; the second is the journal's."""

PRESENT: Final = """
    (SELECT CAST(system_identifier AS TEXT) FROM pg_control_system()) AS system,
    CAST(CAST('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS BIT(32)) AS BIGINT) AS timeline
"""
"""The columns that name the server that one is connected to: its cluster's number, and PostgreSQL's timeline."""

_OLDEST: Final = 150_000
_PARAMETERS: Final = {
    "connect_timeout": 10,
    "application_name": "kpr-send",
    "client_encoding": "UTF8",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds: a cut cable is noticed, not waited for
}
_ROUNDS: Final = 4
_VERIFYING: Final = (b"verify-full", b"verify-ca")
_own_sessions: Final = set[str | None]()
"""Addresses behind whose pooler each client was found to have a session of its own, in this process."""
_FACTS: Final = """
    SELECT current_setting('server_version_num')::int AS version, current_setting('fsync') AS fsync,
           current_setting('full_page_writes') AS full_page_writes,
           current_setting('synchronous_commit') AS synchronous_commit, pg_is_in_recovery() AS standby,
           getdatabaseencoding() AS encoding,
           (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS sees_all,
           pg_backend_pid() AS session
"""
_REQUIRED: Final[tuple[tuple[Callable[[Any], bool], Text, Text], ...]] = (
    (
        lambda facts: facts["version"] >= _OLDEST,
        Text("The database server is older than PostgreSQL 15."),
        Text("Have it upgraded, or name another in journal.url."),
    ),
    (
        lambda facts: not facts["standby"],
        Text("The database server is a standby: it is a copy of another."),
        Text("Name the primary in journal.url."),
    ),
    (
        lambda facts: facts["fsync"] == "on",
        Text("The database server does not flush what it writes (fsync is off): it may lose what is stored."),
        Text("Have fsync set to on for the server."),
    ),
    (
        lambda facts: facts["full_page_writes"] == "on",
        Text("The database server may tear a page that it writes (full_page_writes is off)."),
        Text("Have full_page_writes set to on for the server."),
    ),
    (
        lambda facts: facts["synchronous_commit"] in {"on", "remote_apply"},
        Text("The database does not wait until what it has committed is durable (synchronous_commit)."),
        Text("Have synchronous_commit set to on or remote_apply for the server, the database and the user."),
    ),
    (
        lambda facts: facts["encoding"] == "UTF8",
        Text("The database's encoding is not UTF8."),
        Text("Have a database made with ENCODING 'UTF8', and name it in journal.url."),
    ),
    (
        lambda facts: not facts["sees_all"],
        Text("The database user sees every row (SUPERUSER or BYPASSRLS): nothing would keep municipalities apart."),
        Text("Use a user without these rights: docs/fleet.md says how it is made."),
    ),
)


def place_of(settings: JournalSettings) -> str:
    """Return what errors call the database: no user, no password."""
    try:
        named = conninfo_to_dict(settings.url or "")
    except psycopg.ProgrammingError:  # whoever connects says what is wrong with it
        return "journal.url"
    return f"postgresql://{named.get('host') or 'localhost'}:{named.get('port') or 5432}/{named.get('dbname') or ''}"


def connect(settings: JournalSettings, *, look_anew: bool = False) -> Connection:
    """Connect to the database and require what is required of its server; nothing is set for the session yet.

    Args:
        settings: Where the database is.
        look_anew: Look at a pooler in between also where this process found that each client has its own session.

    Raises:
        ConfigInvalid: The server, a pooler in between or the user must not have the journal.
        AccessRefused: The login is refused.
        JournalUnwritable: It is not reached.
    """
    connection = bare(settings)
    try:
        with translated(place_of(settings)):
            facts: Any = connection.execute(_FACTS).fetchone()
        _require(facts, place_of(settings))
        if facts["session"] != connection.info.backend_pid and (look_anew or settings.url not in _own_sessions):
            require_own_sessions(settings, connection)
            _own_sessions.add(settings.url)
    except BaseException:
        connection.close()
        raise
    return connection


def _require(facts: object, place: str) -> None:
    for holds, what, next_step in _REQUIRED:
        if not holds(facts):
            raise ConfigInvalid(what, where=place, next_step=next_step)


def parameters(settings: JournalSettings) -> dict[str, Any]:
    """Return what a connection is made with beside its address, the password among it."""
    given: dict[str, Any] = dict(_PARAMETERS)
    if settings.password is not None:
        given["password"] = settings.password.reveal()
    return given


def bare(settings: JournalSettings) -> Connection:
    """Connect, whatever the server is like; as ``connect``."""
    try:
        connection = psycopg.connect(
            settings.url or "", autocommit=True, row_factory=row_factory, **parameters(settings)
        )
    except psycopg.Error as error:
        raise of_connecting(place_of(settings), error) from None
    try:
        _require_tls(connection, place_of(settings))
    except BaseException:
        connection.close()
        raise
    connection.adapters.register_loader("text", StoredTextLoader)
    return connection


def _require_tls(connection: Connection, place: str) -> None:
    """Refuse another machine without a verified certificate: PGHOST, PGHOSTADDR and PGSSLMODE count for libpq, too."""
    used = {one.keyword: one.val for one in connection.pgconn.info}
    address = connection.info.hostaddr
    if address and not is_loopback(address) and used[b"sslmode"] not in _VERIFYING:
        raise ConfigInvalid(
            Text("The database is on another machine, and its certificate is not verified."),
            where=place,
            next_step=Text(
                "Name host and sslmode=verify-full in journal.url, and take PGHOST, PGHOSTADDR and PGSSLMODE out of "
                "the environment."
            ),
        )


def prepare(connection: Connection, *settings: tuple[str, object]) -> None:
    """Set a session up: where its tables are, and how long it may be silent in a transaction."""
    seconds = f"{LEASE_SECONDS}s"
    common: Iterable[tuple[str, object]] = (
        ("search_path", NAMESPACE),
        ("idle_in_transaction_session_timeout", seconds),
        ("lock_timeout", f"{LEASE_SECONDS + 10}s"),
    )
    chosen = [(name, str(value)) for name, value in (*common, *settings)]
    statement = f"SELECT {', '.join(['set_config(%s, %s, false)'] * len(chosen))}"
    connection.execute(statement.encode(), [part for pair in chosen for part in pair])


def require_own_sessions(settings: JournalSettings, connection: Connection) -> None:
    """Refuse a pooler that lets several clients take turns on a session of the server's.

    Between us and the server is one where the session's number that we were given is not the session's own. It then
    must give a second client another session while the first is there, and none what the first one has set.

    Args:
        settings: Where the database is.
        connection: An open one, on which nothing is under way.

    Raises:
        ConfigInvalid: It does not.
    """
    with translated(place_of(settings)):
        if _session(connection) == connection.info.backend_pid:
            return
        with bare(settings) as first:
            shared = any(_is_shared(settings, first, number) for number in range(_ROUNDS))
    if shared:
        raise ConfigInvalid(
            Text("A pooler between here and the database lets clients take turns on one session."),
            where=place_of(settings),
            next_step=Text(
                "Let journal.url name the server itself, or a pooler in session mode (pool_mode = session)."
            ),
        )


def _is_shared(settings: JournalSettings, first: Connection, number: int) -> bool:
    """Tell whether another client is given what the first one has; at once, or the first one something else."""
    with bare(settings) as other:
        before = _session(first)
        first.execute("SELECT set_config('kpr.probe', %s, false)", (str(number),))
        try:
            other.execute("BEGIN")
        except psycopg.errors.ProtocolViolation:  # PgBouncer's pool_mode = statement
            return True
        seen = other.execute("SELECT current_setting('kpr.probe', true)").fetchone()
        return _session(other) == before or bool(seen and seen[0]) or _session(first) != before


def _session(connection: Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return 0 if row is None else int(row[0])

"""What is kept beside a journal lies in the database where the journal does: another machine goes on with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from kpr_sender.bus.port import Source
from kpr_sender.documents import Document
from kpr_sender.errors import AccessRefused, JournalUnwritable, LoginRefused, UsageError
from kpr_sender.inbound.look_memory import LookMemory
from kpr_sender.inbound.looks import Looks
from kpr_sender.logins import Login, RefusedLogins
from kpr_sender.model import Environment
from kpr_sender.regular_file import TooLarge
from kpr_sender.texts import Text
from tests.helpers.postgres import Database


def test_a_refused_login_and_takes_of_others_messages_are_known_on_every_machine(postgres: Database) -> None:
    storage, elsewhere = postgres.storage(), postgres.storage(queue=f"other-{postgres.queue}")
    login = Login("bus", "tb", ("tb", "kommune"), lambda: "wrong")
    now: Callable[[], datetime] = lambda: datetime(2026, 1, 14, tzinfo=UTC)  # noqa: E731 - a clock that stands
    with pytest.raises(LoginRefused), RefusedLogins(storage.document("logins"), now).attempt(login):
        raise LoginRefused(Text("no"))
    with (
        pytest.raises(AccessRefused, match="is not repeated"),
        RefusedLogins(storage.document("logins"), now).attempt(login),
    ):
        pytest.fail("it was tried again")
    for other in (elsewhere, postgres.storage(Environment.VALIDERING)):
        with RefusedLogins(other.document("logins"), now).attempt(login):
            pass
    with RefusedLogins(storage.document("logins"), now, anyway=True).attempt(login):
        pass
    with RefusedLogins(storage.document("logins"), now).attempt(login):
        pass
    memory = LookMemory.load(storage.document("looks"))
    for deliveries in (1, 2):
        memory.keep(Source.RECEIPTS, Looks(takes={"one": deliveries}, others=3))
    again = LookMemory.load(storage.document("looks"))
    assert (again.looks, again._key) == (memory.looks, memory._key)
    assert LookMemory.load(elsewhere.document("looks")).looks[Source.RECEIPTS] == Looks()


def test_a_document_is_bounded_removed_and_not_there_in_words(postgres: Database) -> None:
    document: Document = postgres.storage().document("looks")
    with pytest.raises(FileNotFoundError):
        document.read(most=9)
    document.write(b"0123456789")
    assert document.read(most=10) == b"0123456789"
    with pytest.raises(TooLarge):
        document.read(most=9)
    for _ in range(2):
        document.remove()
    nowhere = postgres.storage(url="postgresql://kpr@127.0.0.1:1/kpr").document("looks")
    with pytest.raises(JournalUnwritable, match=r"looks, which stores .* cannot be read"):
        LookMemory.load(nowhere)


def test_what_is_kept_before_there_is_a_journal_is_no_journal(postgres: Database) -> None:
    """A refused login is noted by the first run, which may get no further: nothing was ever sent."""
    storage = postgres.storage()
    with pytest.raises(FileNotFoundError):
        storage.document("logins").read(most=9)

    with storage.reading() as view:
        assert view is None
    assert (storage.verify(), list(storage.export())) == (None, [])
    with pytest.raises(UsageError, match="There is no journal yet"):
        storage.back_up(postgres.folder / "copy.dump")

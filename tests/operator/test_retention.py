"""What is over leaves the journal for good by a person's decision: which, and what everybody says of it then."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from kpr_sender.app import journal_storage
from kpr_sender.bus.port import Inbound
from kpr_sender.client import Client
from kpr_sender.errors import JournalUnwritable, UsageError
from kpr_sender.events import ignore
from kpr_sender.inbound.archive import ReceiptCopies
from kpr_sender.journal.verify import verify
from kpr_sender.model import Environment, MessageType, Receipt
from kpr_sender.operator import retention
from kpr_sender.operator.resolve import Decision
from tests.helpers.desk import Desk, Terminal
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality

_ALL = ("--before", "2025", "--reason", "Oppbevaringsfristen er ute", "--by", "Kari")
_DONE = (*_ALL, "--yes")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A pair that is delivered, and that nobody has looked at yet."""
    kommune = municipality(tmp_path)
    bus = MemoryBus(Fhi(kommune.pki).answer)
    made = Desk(kommune, bus, [])
    with made.client() as client:
        client.submit()
        assert client.wait(timeout=5).exit_code == 0
    return made


def _contents(kommune: Municipality) -> list[bytes]:
    """Every byte string of the journal that pruning must make vanish."""
    with Client(kommune.configure()) as client:
        documents = client.receipts()
    with journal_storage(kommune.configure()).reading() as journal:
        assert journal is not None
        sealed = [journal.sealed(one.msg_id) for one in journal.submissions()[0].shipments]
    found = [*sealed, *(one.sealed for one in documents), *(one.xml for one in documents if one.xml)]
    assert len(found) == 6
    there = b"\0".join(file.read_bytes() for file in kommune.folder.glob("journal.db*"))
    pieces = [one[at : at + 64] for one in found for at in range(0, len(one) - 64, 700)]
    return [piece for piece in pieces if piece in there]  # all but those over the end of a page


def _left(kommune: Municipality, pieces: list[bytes]) -> int:
    """How many of the pieces are in any file of the journal, or among the copies of the receipts."""
    files = [*kommune.folder.glob("journal.db*"), *(kommune.folder / "receipts").rglob("*")]
    content = b"\0".join(file.read_bytes() for file in files if file.is_file())
    return sum(piece in content for piece in pieces)


def _sound(kommune: Municipality) -> bool:
    verified = verify(kommune.journal, Environment.LOKAL)
    assert verified is not None
    return verified.findings == ()


def test_what_is_delivered_and_reviewed_leaves_the_file_and_its_ids_stay(desk: Desk) -> None:
    pieces = _contents(desk.kommune)
    assert _left(desk.kommune, pieces) == len(pieces)
    before = desk.command("--json", "status").json()

    unseen = desk.command("--json", "journal", "prune", *_DONE).json()

    assert (unseen["over"], unseen["removed"]["messages"]) == ([], 0)
    assert "nobody has noted that FHI's feedback view was looked at" in unseen["stays"][0]["text"]
    assert _left(desk.kommune, pieces) == len(pieces)

    assert desk.command("reviewed", "--by", "Inga").code == 0
    assert desk.command("journal", "prune", *_ALL, "--dry-run").code == 0
    assert _left(desk.kommune, pieces) == len(pieces)
    large = desk.kommune.journal.stat().st_size

    pruned = desk.command("--json", "journal", "prune", *_DONE).json()

    assert pruned["removed"]["messages"] == pruned["removed"]["receipts"] == 2
    assert _left(desk.kommune, pieces) == 0
    assert desk.kommune.journal.stat().st_size < large
    assert list((desk.kommune.folder / "receipts").iterdir()) == []
    assert _sound(desk.kommune)
    after = desk.command("--json", "status").json()
    assert after["exit_code"] == 0
    for was, now in zip(before["shipments"], after["shipments"], strict=True):
        assert now.pop("pruned_at") is not None
        assert now == {name: value for name, value in was.items() if name != "pruned_at"}
    assert "Nothing is left to remove." in desk.command("journal", "prune", *_DONE).out


def test_everybody_says_that_it_was_removed(desk: Desk) -> None:
    desk.command("reviewed", "--by", "Inga")
    assert desk.command("journal", "prune", *_DONE).code == 0

    assert "sealed bytes and its receipts' content were removed" in desk.command("status").out
    shown = desk.command("receipts")
    assert (shown.code, shown.out.count("its bytes and its text were removed")) == (0, 2)
    assert [one["pruned"] for one in desk.command("--json", "receipts").json()["receipts"]] == [True, True]
    log = desk.command("journal", "log").out
    assert log.count("pruned, by Kari: Oppbevaringsfristen er ute") == 2
    exported = [json.loads(line) for line in desk.command("journal", "export").out.splitlines()]
    assert [one["pruned"] for one in exported if one["kind"] == "receipt"] == [True, True]
    assert "Kari" not in str(exported)
    assert desk.command("journal", "verify").code == 0
    with desk.client() as client, pytest.raises(JournalUnwritable, match="removed by a person's decision"):
        client._app.session.opened().sealed(_msg_id(desk))


def _msg_id(desk: Desk, kind: MessageType = MessageType.KPR_IPL) -> str:
    shipments = desk.command("--json", "status").json()["shipments"]
    return str(next(one["msg_id"] for one in shipments if one["type"] == kind))


def test_the_same_files_are_not_sent_again_and_a_replacement_is_possible(desk: Desk) -> None:
    desk.command("reviewed", "--by", "Inga")
    desk.command("journal", "prune", *_DONE)
    first = desk.command("--json", "status").json()["submission"]
    sent = len(desk.bus.published)

    with desk.client() as client:
        assert (client.submit().exit_code, len(desk.bus.published)) == (0, sent)
    desk.kommune.new_extract()
    with desk.client() as client:
        client.submit(replaces=first, reason="avtalt med FHI")
        assert client.wait(timeout=5).exit_code == 0
    assert len(desk.bus.published) == sent + 2
    assert _sound(desk.kommune)


def test_a_receipt_that_comes_again_is_a_duplicate_and_another_is_stored(desk: Desk) -> None:
    fhi, message = Fhi(desk.kommune.pki), desk.bus.published[0]
    again = desk.bus.settled[0]
    desk.command("reviewed", "--by", "Inga")
    desk.command("journal", "prune", *_DONE)

    with desk.client() as client:
        client.handle(again)
        assert [one.sealed for one in client.receipts()] == [b"", b""]
        rejected = fhi.answer(message, status="2")[0]
        client.handle(rejected)
        assert sum(bool(one.sealed) for one in client.receipts()) == 1
        assert client.status() is not None
    assert desk.command("status").code == 82  # it contradicts: a person must look, pruned or not
    assert _sound(desk.kommune)
    stays = desk.command("--json", "journal", "prune", *_DONE).json()
    assert (stays["over"], stays["removed"]["receipts"]) == ([], 0)
    assert "it is not over" in stays["stays"][0]["text"]


def test_what_is_rejected_and_settled_is_not_sent_again_after_it_was_removed(tmp_path: Path) -> None:
    kommune = municipality(tmp_path)
    fhi = Fhi(kommune.pki)

    def answer(message: object) -> list[Inbound]:
        return fhi.answer(message, status="2")  # type: ignore[arg-type]  # an Outbound, whatever the bus calls it

    desk = Desk(kommune, MemoryBus(answer), [])
    with desk.client() as client:
        client.submit()
        report = client.wait(timeout=5)
        ids = [one.msg_id for one in report.submission.shipments]
        for msg_id in ids:
            client.resolve(msg_id, Decision.SETTLED, reason="FHI vil ikke ha den", by="Inga")
    pieces = _contents(kommune)
    assert any(b"linje 7" in piece for piece in _with_detail(kommune))

    assert desk.command("journal", "prune", *_DONE).code == 0

    assert (_left(kommune, pieces), _with_detail(kommune)) == (0, [])
    with desk.client() as client, pytest.raises(UsageError, match="removed by a person's decision") as raised:
        client.resend(ids[0], reason="likevel", by="Inga")
    assert "--replaces ID" in raised.value.next_step
    assert "resend" not in desk.command("resolve", ids[0]).out
    assert _sound(kommune)


def _with_detail(kommune: Municipality) -> list[bytes]:
    """The files of the journal that hold an AppRec's OT."""
    contents = (file.read_bytes() for file in kommune.folder.glob("journal.db*"))
    return [content for content in contents if b"linje 7" in content]


@pytest.mark.parametrize(("typed", "options"), [("", ["--yes"]), ("ja\n", [])])
def test_a_terminal_asks_first(desk: Desk, monkeypatch: pytest.MonkeyPatch, typed: str, options: list[str]) -> None:
    desk.command("reviewed", "--by", "Inga")
    pieces = _contents(desk.kommune)
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert desk.command("journal", "prune", *_ALL).code == 130
    assert _left(desk.kommune, pieces) == len(pieces)
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert desk.command("journal", "prune", *_ALL, *options).code == 0
    assert _left(desk.kommune, pieces) == 0


def test_where_nobody_can_be_asked_nothing_is_removed(desk: Desk) -> None:
    assert desk.command("journal", "prune", *_ALL).code == 0, "there is nothing to ask about"
    desk.command("reviewed", "--by", "Inga")
    pieces = _contents(desk.kommune)
    refused = desk.command("journal", "prune", *_ALL)
    assert (refused.code, "--yes" in refused.err) == (64, True)
    assert _left(desk.kommune, pieces) == len(pieces)
    assert desk.command("status").out.count("pruned") == 0


def test_a_year_that_stays_and_words_that_are_not_clean_remove_nothing(desk: Desk) -> None:
    desk.command("reviewed", "--by", "Inga")
    pieces = _contents(desk.kommune)
    for arguments in (
        ("--before", "2024", "--reason", "ute", "--by", "Kari"),
        ("--before", "2025", "--reason", "rad 158520 12345", "--by", "Kari"),
        ("--before", "2025", "--reason", " ", "--by", "Kari"),
        ("--before", "2025", "--reason", "ute"),
    ):
        desk.command("journal", "prune", *arguments, "--yes")
    assert _left(desk.kommune, pieces) == len(pieces)


@pytest.mark.parametrize("stopped_at", ["copies", "compact"])
def test_what_a_killed_run_left_is_finished_by_the_next(
    desk: Desk, stopped_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.command("reviewed", "--by", "Inga")
    pieces = _contents(desk.kommune)
    settings = desk.kommune.configure()
    copies = ReceiptCopies(settings.journal.receipts_dir, ignore)

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with closing(journal_storage(settings).open(who="kari")) as journal, monkeypatch.context() as dying:
        if stopped_at == "copies":
            dying.setattr(ReceiptCopies, "remove", die)
        else:
            dying.setattr("kpr_sender.journal.connection.SqliteStore.compact", die)
        with pytest.raises(Killed):
            retention.prune(journal, copies, journal.submissions(), reason="ute", by="Kari")
    found = desk.command("--json", "journal", "verify").json()
    assert found["exit_code"] == 73
    assert "finishes that" in found["findings"][0]["text"]

    with desk.client() as client:
        client.submit()

    assert _left(desk.kommune, pieces) == 0
    assert _sound(desk.kommune)


def test_another_reader_makes_it_wait_and_the_next_run_finishes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kpr_sender.journal.connection._BUSY_SECONDS", 0.05)
    desk.command("reviewed", "--by", "Inga")
    pieces = _contents(desk.kommune)
    with journal_storage(desk.kommune.configure()).reading() as reader:
        assert reader is not None
        with reader._store.reading() as snapshot:  # type: ignore[attr-defined]  # a reader in the middle of its snapshot
            snapshot.execute("SELECT * FROM shipment").fetchone()
            refused = desk.command("journal", "prune", *_DONE)
    assert (refused.code, "Another process is reading the journal" in refused.err) == (73, True)
    assert desk.command("journal", "prune", *_DONE).code == 0
    assert _left(desk.kommune, pieces) == 0


def test_what_lies_elsewhere_is_named(desk: Desk) -> None:
    copy = desk.kommune.folder / "journal.db.before-7-20250101T000000Z"
    copy.write_bytes(b"")
    desk.command("reviewed", "--by", "Inga")
    inbox = desk.kommune.folder / "inbox"
    desk.kommune.write({"bus": {"receipts_from": "folder", "receipts_inbox": str(inbox)}}, port=1)
    told = desk.command("journal", "prune", *_DONE).out
    assert str(copy) in told
    assert str(inbox) in told


def test_a_copy_that_cannot_be_removed_is_said_and_removed_by_the_next_run(desk: Desk) -> None:
    desk.command("reviewed", "--by", "Inga")
    receipts = desk.kommune.folder / "receipts"

    def stuck(_self: object, _receipts: list[Receipt]) -> None:
        raise PermissionError(13, "Permission denied", str(receipts))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ReceiptCopies, "remove", stuck)
        ran = desk.command("journal", "prune", *_DONE)
    assert (ran.code, str(receipts) in ran.err) == (73, True)
    assert desk.command("journal", "prune", *_DONE).code == 0
    assert list(receipts.iterdir()) == []

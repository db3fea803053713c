"""G1: a journal that was put back, copied or lost is refused, and what goes on from it sends nothing by itself."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from kpr_sender.cli.main import run
from kpr_sender.client import Client
from kpr_sender.errors import AlreadySubmitted, BusUnreachable, JournalUnwritable
from kpr_sender.journal import marker, schema, witness
from kpr_sender.report import Report
from kpr_sender.states import ShipmentState
from kpr_sender.texts import Text
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import SENDER_HER_ID, Changes, Municipality, municipality

_UNREACHABLE = BusUnreachable(Text("Nobody is there."))


@dataclass
class Office:
    """A municipality with its journal in a folder of its own, and the bus it sends to."""

    kommune: Municipality
    bus: MemoryBus
    capsys: pytest.CaptureFixture[str]

    @property
    def state(self) -> Path:
        return self.kommune.folder / "state"

    @property
    def journal(self) -> Path:
        return self.state / "journal.db"

    @property
    def mark(self) -> Path:
        return self.state / "journal.db.mark"

    @property
    def witness(self) -> Path:
        found = marker.read(self.journal)
        assert found is not None
        return witness.folders(self.journal)[0] / f"{found.journal_id}.json"

    def send(self, journal: Path | None = None, *, changes: Changes | None = None) -> Report:
        path = str(journal or self.journal)
        settings = self.kommune.configure({"journal": {"path": path, "receipts_dir": "receipts"}, **(changes or {})})
        with Client(settings, bus=self.bus, by="vakt") as client:
            client.submit()
            return client.wait(timeout=0)

    def seal(self) -> None:
        """Send, while the bus is out of reach."""
        self.bus.connect_error = _UNREACHABLE
        with pytest.raises(BusUnreachable):
            self.send()
        self.bus.connect_error = None

    def command(self, *arguments: str, journal: Path | None = None) -> tuple[int, str]:
        self.kommune.configure({"journal": {"path": str(self.journal)}})
        path = ("--journal", str(journal)) if journal else ()
        code = run(["--env", "lokal", "--config", str(self.kommune.config), *path, *arguments])
        told = self.capsys.readouterr()
        return code, told.out + told.err

    def accept(self) -> tuple[int, str]:
        words = ("--accept-restored", "--reason", "FHI er spurt.", "--by", "Kari", "--yes")
        return self.command("journal", "verify", *words)


@pytest.fixture
def office(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Office:
    kommune = municipality(tmp_path)
    return Office(kommune, MemoryBus(Fhi(kommune.pki).answer), capsys)


def _backup(office: Office) -> Path:
    saved = office.kommune.folder / "saved.db"
    code, told = office.command("journal", "backup", str(saved))
    assert code == 0, told
    return saved


def _put_back(office: Office, saved: Path, *, mark: bool = True) -> None:
    for file in office.state.glob("journal.db-*"):
        file.unlink()
    shutil.copyfile(saved, office.journal)
    if not mark:
        office.mark.unlink()


def _backup_put_back(office: Office) -> Callable[[], None]:
    saved = _backup(office)
    return lambda: _put_back(office, saved)


def _backup_put_back_and_marker_lost(office: Office) -> Callable[[], None]:
    saved = _backup(office)
    return lambda: _put_back(office, saved, mark=False)


def _plain_copy_put_back(office: Office) -> Callable[[], None]:
    saved = shutil.copyfile(office.journal, office.kommune.folder / "saved.db")
    return lambda: _put_back(office, saved)


def _plain_copy_put_back_and_marker_lost(office: Office) -> Callable[[], None]:
    saved = shutil.copyfile(office.journal, office.kommune.folder / "saved.db")
    return lambda: _put_back(office, saved, mark=False)


def _folder_put_back(office: Office) -> Callable[[], None]:
    """As a file backup does it: journal and mark are both old, and agree."""
    saved = shutil.copytree(office.state, office.kommune.folder / "saved")

    def put_back() -> None:
        office.state.rename(office.kommune.folder / "broken")
        shutil.copytree(saved, office.state)

    return put_back


def _put_back_into_the_same_files(office: Office, saved: Path) -> None:
    """As ``cp saved/* state/`` does it."""
    for file in office.state.glob("journal.db-*"):
        file.unlink()
    for file in saved.glob("journal.db*"):
        shutil.copyfile(file, office.state / file.name)


def _both_put_back_into_the_same_files(office: Office) -> Callable[[], None]:
    saved = shutil.copytree(office.state, office.kommune.folder / "saved")
    return lambda: _put_back_into_the_same_files(office, saved)


def _both_put_back_and_witness_lost(office: Office) -> Callable[[], None]:
    """The marker alone tells: it is not in the file that it was written to."""
    put_back = _both_put_back_into_the_same_files(office)

    def do() -> None:
        put_back()
        office.witness.unlink()

    return do


def _both_put_back_as_if_nothing_had_happened(office: Office) -> Callable[[], None]:
    """The witness alone tells: even the marker is the very file of that time."""
    saved = shutil.copytree(office.state, office.kommune.folder / "saved")
    very_file = office.kommune.folder / "very-file"
    very_file.hardlink_to(office.mark)

    def put_back() -> None:
        _put_back_into_the_same_files(office, saved)
        very_file.replace(office.mark)

    return put_back


def _deleted(office: Office) -> Callable[[], None]:
    def delete() -> None:
        for file in office.state.glob("journal.db*"):
            if file != office.mark:
                file.unlink()

    return delete


def _emptied(office: Office) -> Callable[[], None]:
    """All of its folder is gone, or the disk that it is on was not mounted."""
    return lambda: shutil.rmtree(office.state)


def _overwrite(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def _marker_cut_off(office: Office) -> Callable[[], None]:
    return lambda: _overwrite(office.mark, office.mark.read_bytes()[:40])


def _marker_zeroed(office: Office) -> Callable[[], None]:
    return lambda: _overwrite(office.mark, bytes(office.mark.stat().st_size))


def _another_journal(office: Office) -> Callable[[], None]:
    def swap() -> None:
        other = office.kommune.folder / "other" / "journal.db"
        office.bus.connect_error = _UNREACHABLE
        with pytest.raises(BusUnreachable):
            office.send(other)
        office.bus.connect_error = None
        _put_back(office, other)

    return swap


_WAYS = (
    _backup_put_back,
    _backup_put_back_and_marker_lost,
    _plain_copy_put_back,
    _plain_copy_put_back_and_marker_lost,
    _folder_put_back,
    _both_put_back_into_the_same_files,
    _both_put_back_and_witness_lost,
    _both_put_back_as_if_nothing_had_happened,
    _deleted,
    _emptied,
    _marker_cut_off,
    _marker_zeroed,
    _another_journal,
)


@pytest.mark.parametrize("way", _WAYS, ids=lambda way: way.__name__.strip("_"))
def test_it_is_refused_and_nothing_is_sent_twice_even_when_accepted(
    office: Office, way: Callable[[Office], Callable[[], None]]
) -> None:
    office.seal()
    put_back = way(office)
    assert office.send().exit_code == 0
    assert len(office.bus.taken) == 2
    put_back()
    before = office.mark.read_bytes() if office.mark.exists() else None

    for _ in range(2):  # a refusal must not make the next run pass
        with pytest.raises(JournalUnwritable) as raised:
            office.send()
        assert "--accept-restored" in raised.value.next_step
        assert "kpr@fhi.no" in raised.value.next_step
    assert (office.mark.read_bytes() if office.mark.exists() else None) == before
    code, told = office.command("journal", "verify")
    assert code == 73, told

    code, told = office.accept()
    assert "Accepted: " in told
    try:
        report = office.send()
    except AlreadySubmitted as error:
        assert "MsgId" in error.next_step  # noqa: PT017 - the other outcome is a report
    else:
        assert all(shipment.state is not ShipmentState.SEALED for shipment in report.submission.shipments)
    assert len(office.bus.taken) == 2, "nothing went a second time"


def test_a_copied_folder_does_not_send_what_the_original_sends(office: Office) -> None:
    """Two copies: one of them goes on."""
    office.seal()
    copied = office.kommune.folder / "elsewhere"
    shutil.copytree(office.state, copied)
    with pytest.raises(JournalUnwritable, match="not the same file"):
        office.send(copied / "journal.db")
    assert office.send().exit_code == 0
    with pytest.raises(JournalUnwritable, match="not the same file"):
        office.send(copied / "journal.db")
    assert len(office.bus.taken) == 2


def test_a_folder_that_is_moved_goes_on(office: Office) -> None:
    office.seal()
    moved = office.kommune.folder / "elsewhere"
    office.state.rename(moved)
    assert office.send(moved / "journal.db").exit_code == 0
    assert len(office.bus.taken) == 2


def test_g1_where_a_folder_was_emptied_every_command_says_so_and_one_that_was_moved_leaves_its_place_free(
    office: Office,
) -> None:
    msg_ids = [shipment.msg_id for shipment in office.send().submission.shipments]
    moved = office.kommune.folder / "elsewhere"
    office.state.rename(moved)
    for words in (("status",), ("wait", "--wait", "0"), ("journal", "log"), ("journal", "backup", str(moved / "b"))):
        code, told = office.command(*words)
        assert (code, "the journal that was sent from here is gone" in told.lower()) == (73, True), told
    assert not office.journal.exists(), "no other is made there"
    # Where it is used in its new place it is known to be there.
    assert office.command("wait", "--wait", "0", journal=moved / "journal.db")[0] == 0
    assert office.command("status")[0] == 89
    assert office.send().exit_code == 0, "nobody is locked out"
    assert len(office.bus.taken) == 4
    # The next one that is lost there is missed all the same; once accepted, it is the one in use.
    for _ in range(2):
        shutil.rmtree(office.state)
        code, told = office.command("journal", "verify")
        assert (code, told.count("was begun from here, and is not in this journal: ask kpr@fhi.no")) == (73, 2)
        code, told = office.accept()
        assert (code, told.count("was begun, and is not in this journal")) == (73, 2)
        assert not any(msg_id in told for msg_id in msg_ids)
        with pytest.raises(AlreadySubmitted):
            office.send()
    assert len(office.bus.taken) == 4


def test_a_journal_without_what_was_sent_lets_nothing_new_be_sent_until_a_person_releases_it(office: Office) -> None:
    """G1: the worst case: the backup is older than the submission."""
    office.kommune.configure({"journal": {"path": str(office.journal)}})
    with Client(office.kommune.configure({"journal": {"path": str(office.journal)}}), bus=office.bus) as client:
        client._app.session.opened()
    saved = _backup(office)
    sent = office.send()
    msg_ids = [shipment.msg_id for shipment in sent.submission.shipments]
    _put_back(office, saved)
    code, told = office.command("journal", "verify")
    assert (code, [told.count(msg_id) for msg_id in msg_ids]) == (73, [1, 1]), "FHI is asked for these, then accepted"
    code, told = office.accept()
    assert code == 73, "what it has forgotten is a finding"
    assert all(msg_id in told for msg_id in msg_ids)

    for changes in ({}, {"sender": {"service_her_id": SENDER_HER_ID + 1}}, {}):
        with pytest.raises(AlreadySubmitted) as refused:
            office.send(changes=changes)
        assert all(msg_id in refused.value.what for msg_id in msg_ids)
    office.kommune.new_extract()
    for changes in ({}, {"sender": {"service_her_id": SENDER_HER_ID + 1}}):
        with pytest.raises(AlreadySubmitted):
            office.send(changes=changes)
    assert len(office.bus.taken) == 2

    assert office.command("journal", "release", msg_ids[0])[0] == 64, "nobody decided"
    for msg_id in msg_ids:
        code, told = office.command("journal", "release", msg_id, "--reason", "FHI ba om det.", "--by", "Kari", "--yes")
        assert code == 0, told
    assert office.command("journal", "verify")[0] == 0
    assert office.send().exit_code == 0
    assert len(office.bus.taken) == 4

    # What FHI answers now to what it has forgotten is nobody else's.
    fhi, settings = Fhi(office.kommune.pki), office.kommune.configure({"journal": {"path": str(office.journal)}})
    late = office.bus.taken[0]
    with Client(settings, bus=office.bus) as client:
        client.handle(fhi.inbound(late, fhi.sealed(fhi.apprec(late)), correlation_id="late"))
        known = client.status()
    assert known is not None
    assert known.exit_code == 82
    assert "it was begun before this journal was restored from backup or begun anew: FHI has it" in known.text()
    assert "another machine, program or journal delivers" not in known.text()


def test_g1_what_a_journal_and_marker_of_before_do_not_know_is_named_by_the_witness(office: Office) -> None:
    office.kommune.configure({"journal": {"path": str(office.journal)}})
    with Client(office.kommune.configure({"journal": {"path": str(office.journal)}}), bus=office.bus) as client:
        client._app.session.opened()
    saved = shutil.copytree(office.state, office.kommune.folder / "saved")
    msg_ids = [shipment.msg_id for shipment in office.send().submission.shipments]
    _put_back_into_the_same_files(office, saved)
    code, told = office.accept()
    assert code == 73, "what it has forgotten is a finding"
    assert all(msg_id in told for msg_id in msg_ids)
    with pytest.raises(AlreadySubmitted):
        office.send()
    assert len(office.bus.taken) == 2

    _put_back_into_the_same_files(office, saved)
    office.mark.unlink()
    shutil.copyfile(saved / office.mark.name, office.mark)
    with pytest.raises(JournalUnwritable):
        office.send()
    assert len(office.bus.taken) == 2, "what was accepted once is not accepted the next time"


def test_g1_the_witness_knows_of_a_transfer_before_its_first_byte(office: Office) -> None:
    known: list[int] = []
    office.bus.on_publish = lambda _message: known.append(office.witness.read_bytes().count(b"payload_sha256"))
    office.send()
    assert known == [1, 2]


def test_a_witness_that_cannot_be_written_or_read_prevents_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = office.kommune.folder / "nowhere"
    nowhere.write_text("no folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(nowhere))
    monkeypatch.setattr(witness, "_MACHINE", nowhere)
    office.seal()
    assert office.send().exit_code == 0
    assert len(office.bus.taken) == 2


def test_what_is_accepted_is_in_doubt_and_the_receipt_still_ends_it(office: Office) -> None:
    """G2: the receipt that came meanwhile was settled; another one may come, or a person decides."""
    office.seal()
    saved = _backup(office)
    office.bus.connect_error = None
    silent = MemoryBus()
    answering, office.bus = office.bus, silent
    assert office.send().exit_code == 80
    _put_back(office, saved)
    code, told = office.accept()
    assert code == 0, told
    for message in silent.taken:
        for inbound in answering._answer(message) if answering._answer else []:
            silent.put(inbound)
    assert office.send().exit_code == 0
    assert len(silent.taken) == 2
    _, told = office.command("journal", "export")
    acceptances = [json.loads(line) for line in told.splitlines() if json.loads(line)["kind"] == "acceptance"]
    assert len(acceptances) == 1
    assert "Kari" not in told


def test_nothing_is_accepted_where_nothing_speaks_against_it(office: Office) -> None:
    office.send()
    code, told = office.accept()
    assert code == 64
    assert "nothing to accept" in told


@pytest.mark.parametrize("missing", ["--reason", "--by"])
def test_nobody_accepts_without_a_reason_and_a_name(office: Office, missing: str) -> None:
    office.send()
    office.mark.unlink()
    words = {"--reason": "FHI er spurt.", "--by": "Kari"}
    given = [part for name, value in words.items() if name != missing for part in (name, value)]
    assert office.command("journal", "verify", "--accept-restored", "--yes", *given)[0] == 64
    with pytest.raises(JournalUnwritable):
        office.send()


def test_an_older_marker_is_brought_up(office: Office) -> None:
    """A crash leaves it behind the journal, which then knows more: harmless."""
    office.seal()
    kept = office.kommune.folder / "older"
    kept.hardlink_to(office.mark)  # the very file: a crash copies nothing
    older = kept.read_bytes()
    office.send()
    kept.replace(office.mark)
    assert office.send().exit_code == 0
    assert office.mark.read_bytes() != older
    assert len(office.bus.taken) == 2


def test_a_new_journal_may_take_the_place_of_one_that_never_sent(office: Office) -> None:
    office.seal()
    for file in office.state.glob("journal.db*"):
        if file != office.mark:
            file.unlink()
    assert office.send().exit_code == 0


def test_a_journal_of_the_version_before_gets_its_marker(office: Office) -> None:
    office.state.mkdir()
    with closing(sqlite3.connect(office.journal)) as connection:
        first = schema.MIGRATIONS[0]
        for statement in first.statements:
            connection.execute(statement)
        connection.execute("INSERT INTO migration VALUES (1, ?, '2025-01-01T00:00:00.000000Z')", (first.name,))
        connection.execute(
            "INSERT INTO journal (only_one, environment, created_at) VALUES (1, 'lokal', '2025-01-01T00:00:00.000000Z')"
        )
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    assert office.send().exit_code == 0
    found = marker.read(office.journal)
    assert found is not None
    assert len(found.begun) == 2
    assert len(found.journal_id) == 32
    assert office.command("journal", "verify")[0] == 0


def test_the_marker_is_private_and_holds_no_payload(office: Office) -> None:
    """G6."""
    office.send()
    assert office.mark.stat().st_mode & 0o777 == 0o600
    text = office.mark.read_text("utf-8")
    assert "EKSEMPEL" not in text
    assert "<" not in text

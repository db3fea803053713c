"""Keeping a pair: all of it or nothing, its sealed bytes as they were written, and never a second send."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path

import pytest

from kpr_sender.errors import AlreadySubmitted, ConfigInvalid, InDoubt, InternalError, KprError, NeedsPerson, UsageError
from kpr_sender.journal import sql_journal
from kpr_sender.journal.port import Journal
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.journal.values import NewSubmission
from kpr_sender.model import Environment, MessageType, SubmissionState
from kpr_sender.states import Cause, ReceiptStatus, ShipmentState
from tests.journal.builders import (
    ENVELOPE,
    add_verified,
    content_of,
    in_chunks,
    new_shipment,
    new_submission,
    resent,
)


def test_what_is_kept_reads_back(journal: Journal) -> None:
    new = new_submission(bydel="03")
    kept = journal.create(new)
    assert kept == journal.submission(new.submission_id)
    assert (kept.kommunenummer, kept.bydel, kept.year, kept.replaces) == ("4601", "03", 2024, None)
    assert kept.state is SubmissionState.SEALED
    assert kept.created_at.tzinfo is UTC
    for asked, shipment in zip(new.shipments, kept.shipments, strict=True):
        content = content_of(asked.msg_id, asked.sealed_bytes)
        assert journal.sealed(asked.msg_id) == content
        assert shipment.sealed_sha256 == hashlib.sha256(content).hexdigest()
        assert shipment.sealed_bytes == len(content)
        assert journal.envelope(asked.msg_id) == ENVELOPE
        assert journal.shipment_by_message_id(asked.message_id) == shipment == journal.shipment(asked.msg_id)
        (event,) = journal.events(asked.msg_id)
        assert (event.what, event.who, event.details["to"]) == ("created", "kari", "sealed")


def test_what_is_not_there_is_none(journal: Journal) -> None:
    assert journal.submission("2024-none") is None
    assert journal.shipment("none") is None
    assert journal.shipment_by_message_id("none") is None
    assert journal.submissions() == ()
    assert journal.events(None) == ()
    with pytest.raises(InternalError, match="no shipment"):
        journal.begin_publish("none")


def test_submissions_are_newest_first(journal: Journal) -> None:
    for year in (2024, 2023, 2025):
        journal.create(new_submission(f"{year}-1", year=year))
    assert [submission.year for submission in journal.submissions()] == [2025, 2023, 2024]


def test_a_pair_is_found_by_both_its_payloads(journal: Journal) -> None:
    new = new_submission()
    kept = journal.create(new)
    other = journal.create(new_submission("2023-1", year=2023))
    hashes = {shipment.type: shipment.payload_sha256 for shipment in new.shipments}

    def found(hashes: dict[MessageType, str], year: int = 2024) -> object:
        return journal.by_payloads(
            environment=Environment.LOKAL,
            sender_her_id=8140000,
            kommunenummer="4601",
            bydel="00",
            year=year,
            payload_sha256=hashes,
        )

    assert found(hashes) == kept
    assert found(hashes, year=2023) is None
    assert found({MessageType.KPR_IPL: hashes[MessageType.KPR_IPL]}) is None
    assert found(hashes | {MessageType.KPR_IDE: other.shipments[1].payload_sha256}) is None
    assert found({}) is None


def _too_short() -> Iterator[bytes]:
    yield b"x" * 4999


def _too_long() -> Iterator[bytes]:
    yield b"x" * 5000
    yield b"x"


def _broken() -> Iterator[bytes]:
    yield b"x" * 4000
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("sealed", "raised"), [(_too_short, InternalError), (_too_long, InternalError), (_broken, KeyboardInterrupt)]
)
def test_a_pair_is_kept_whole_or_not_at_all(
    journal: SqliteJournal, sealed: Callable[[], Iterator[bytes]], raised: type[BaseException]
) -> None:
    second = dataclasses.replace(new_shipment(MessageType.KPR_IDE), sealed=sealed())
    with pytest.raises(raised):
        journal.create(new_submission(shipments=(new_shipment(), second)))
    assert journal.submissions() == ()
    assert journal.events(None) == ()
    with journal._store.reading() as connection:
        assert connection.execute("SELECT count(*) FROM sealed").fetchone()[0] == 0
    assert journal.create(new_submission()).state is SubmissionState.SEALED


def test_another_environment_is_refused(journal: Journal) -> None:
    """G7."""
    with pytest.raises(ConfigInvalid, match=r"validering.*lokal"):
        journal.create(new_submission(environment=Environment.VALIDERING))


@pytest.mark.parametrize("which", [0, 1])
def test_the_same_payload_is_never_submitted_twice(journal: Journal, which: int) -> None:
    """G1: also when the other file is new, and when a reason is given."""
    new = new_submission()
    journal.create(new)
    again = [new_shipment(MessageType.KPR_IPL), new_shipment(MessageType.KPR_IDE)]
    again[which] = dataclasses.replace(again[which], payload_sha256=new.shipments[which].payload_sha256)
    with pytest.raises(AlreadySubmitted, match=r"2024-aaaa0001 of 2025-01-10 12:00 UTC") as raised:
        journal.create(
            new_submission("2024-2", shipments=tuple(again), replaces=new.submission_id, reason="agreed with FHI")
        )
    assert again[which].type.norwegian in raised.value.what
    assert "status 2024-aaaa0001" in raised.value.next_step
    assert len(journal.submissions()) == 1


def test_the_table_itself_refuses_the_same_payload(in_file: SqliteJournal) -> None:
    """G1: should a rule in the program ever be forgotten, the unique index still stands."""
    journal, new = in_file, new_submission()
    journal.create(new)
    with pytest.raises(InternalError, match="UNIQUE"), journal._store.writing() as connection:
        connection.execute(
            "INSERT INTO shipment SELECT 99, submission_id, environment, sender_her_id, year, type, 'other', 'other', "
            "receiver_her_id, envelope, payload_sha256, payload_bytes, lopenr, 99, sealed_sha256, sealed_bytes, "
            "created_at, state, 0, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, since, 0, 0, 0, NULL "
            "FROM shipment LIMIT 1"
        )


def test_g1_a_corrected_her_id_makes_no_other_content(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment, kommunenummer, bydel, year, type and payload are what makes two submissions the same."""
    new = new_submission()
    journal.create(new)
    hashes = {shipment.type: shipment.payload_sha256 for shipment in new.shipments}

    def again(**other: object) -> NewSubmission:
        same = tuple(dataclasses.replace(new_shipment(kind), payload_sha256=held) for kind, held in hashes.items())
        return new_submission("again", sender_her_id=8140001, shipments=same, **other)  # type: ignore[arg-type]

    def found(her_id: int, kommunenummer: str = "4601") -> str | None:
        held = journal.by_payloads(
            environment=Environment.LOKAL,
            sender_her_id=her_id,
            kommunenummer=kommunenummer,
            bydel="00",
            year=2024,
            payload_sha256=hashes,
        )
        return None if held is None else held.submission_id

    with pytest.raises(AlreadySubmitted, match="2024-aaaa0001"):
        journal.create(again())
    with monkeypatch.context() as rule:
        rule.setattr(sql_journal, "require_admissible", lambda *_, **__: None)  # should it ever be lost in the program
        with pytest.raises(InternalError, match="the same content is stored once"):
            journal.create(again(replaces="2024-aaaa0001", reason="agreed"))
    assert (found(8140000), found(8140001), found(8140001, "4602")) == ("2024-aaaa0001", "2024-aaaa0001", None)
    journal.create(again(kommunenummer="4602"))
    # A journal that had it twice before this rule is read as it is.
    with journal._store.writing() as connection:
        connection.execute("UPDATE submission SET kommunenummer = '4601'")
    with pytest.raises(AlreadySubmitted, match="submission again of"):
        journal.create(new_submission("third", sender_her_id=8140002))
    assert (found(8140000), found(8140001), found(8140002)) == ("2024-aaaa0001", "again", "2024-aaaa0001")


@pytest.mark.parametrize("other", [{"kommunenummer": "4602"}, {"bydel": "01"}, {"year": 2023}])
def test_another_municipality_district_or_year_is_free(journal: Journal, other: dict[str, object]) -> None:
    journal.create(new_submission())
    journal.create(new_submission("other", **other))  # type: ignore[arg-type]
    assert len(journal.submissions()) == 2


def test_g1_a_corrected_her_id_makes_no_other_year(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A year is submitted once, its other content, too: the HER-id is configuration, and configuration is corrected."""
    journal.create(new_submission())
    with pytest.raises(AlreadySubmitted, match="as submission 2024-aaaa0001 of") as raised:
        journal.create(new_submission("other", sender_her_id=8140001))
    assert "from HER-id 8140000, where HER-id 8140001 is configured now" in str(raised.value)
    with monkeypatch.context() as rule:
        rule.setattr(sql_journal, "require_admissible", lambda *_, **__: None)  # should it ever be lost in the program
        with pytest.raises(InternalError, match="a year is submitted once"):
            journal.create(new_submission("other", sender_her_id=8140001))
    assert len(journal.submissions()) == 1
    journal.create(new_submission("other", sender_her_id=8140001, replaces="2024-aaaa0001", reason="agreed"))


def test_g1_while_an_alarm_is_open_no_other_year_is_submitted(journal: Journal) -> None:
    """FHI has answered a message of somebody else's: which year it has of that one nobody knows."""
    _, second = journal.create(new_submission()).shipments
    first = journal.submissions()[0].shipments[0]
    journal.note_unknown_receipt(first.msg_id, original_msg_id="another", text="FHI has answered another.")
    with pytest.raises(NeedsPerson, match=r"FHI has answered another\. Nothing new is submitted") as raised:
        journal.create(new_submission("next", year=2025))
    assert f"resolve {second.msg_id} --settled" in raised.value.next_step, "which the answer does not name"
    journal.decide(second.msg_id, Cause.PERSON_SETTLES, reason="the other machine is stopped", by="kari")
    journal.create(new_submission("next", year=2025))


def _end(journal: Journal, submission_id: str, cause: Cause = Cause.ACCEPTED) -> None:
    submission = journal.submission(submission_id)
    assert submission is not None
    for shipment in submission.shipments:
        journal.begin_publish(shipment.msg_id)
        journal.end_publish(shipment.msg_id, cause, evidence={}, error=None)


def _answered(journal: Journal, submission_id: str) -> None:
    """Publish both, and let FHI answer: what has no answer is not replaced."""
    _end(journal, submission_id)
    submission = journal.submission(submission_id)
    assert submission is not None
    for shipment in submission.shipments:
        add_verified(journal, shipment.msg_id, ReceiptStatus.OK, sealed=shipment.msg_id.encode())


@pytest.mark.parametrize(
    ("replaces", "reason", "error", "text"),
    [
        (None, "", AlreadySubmitted, "2024 is submitted for this municipality, as submission b"),
        (None, "agreed", AlreadySubmitted, "--replaces b --reason"),
        ("a", "agreed", AlreadySubmitted, "a is not the latest"),
        ("zzz", "agreed", AlreadySubmitted, "zzz is not the latest"),
        ("b", "  ", AlreadySubmitted, "needs a reason"),
    ],
)
def test_a_second_different_submission_must_say_what_it_replaces_and_why(
    journal: Journal, replaces: str | None, reason: str, error: type[KprError], text: str
) -> None:
    journal.create(new_submission("a"))
    _answered(journal, "a")
    journal.create(new_submission("b", replaces="a", reason="agreed with FHI"))
    _answered(journal, "b")
    with pytest.raises(error) as raised:
        journal.create(new_submission("c", replaces=replaces, reason=reason))
    assert text in str(raised.value)
    assert len(journal.submissions()) == 2


def test_nothing_to_replace_is_a_usage_error(journal: Journal) -> None:
    with pytest.raises(UsageError, match="no submission 2023-x"):
        journal.create(new_submission(replaces="2023-x", reason="agreed"))


def test_a_replacement_is_in_both_histories(journal: Journal) -> None:
    journal.create(new_submission("a"))
    _answered(journal, "a")
    kept = journal.create(new_submission("b", replaces="a", reason=" agreed with FHI "))
    assert (kept.replaces, kept.reason) == ("a", "agreed with FHI")
    earlier = journal.submission("a")
    assert earlier is not None
    last = journal.events(earlier.shipments[0].msg_id)[-1]
    assert (last.what, last.why, last.who, last.details) == (
        "replaced",
        "agreed with FHI",
        "kari",
        {"by_submission": "b"},
    )


@pytest.mark.parametrize("state", [ShipmentState.PUBLISHING, ShipmentState.PUBLISHED, ShipmentState.IN_DOUBT])
def test_what_could_still_arrive_is_not_replaced(journal: Journal, state: ShipmentState) -> None:
    """G1: the old pair might be sent, or be there already."""
    journal.create(new_submission("a"))
    _answered(journal, "a")
    second = journal.create(new_submission("b", replaces="a", reason="agreed")).shipments
    for shipment in second:
        journal.begin_publish(shipment.msg_id)
    journal.end_publish(second[0].msg_id, Cause.ACCEPTED, evidence={}, error=None)
    if state is not ShipmentState.PUBLISHING:
        outcome = Cause.ACCEPTED if state is ShipmentState.PUBLISHED else Cause.NO_OUTCOME
        journal.end_publish(second[1].msg_id, outcome, evidence={}, error=None)
    with pytest.raises(InDoubt, match=rf"whether FHI has KPR_IPL .* and KPR_IDE \(MsgId {second[1].msg_id}\)"):
        journal.create(new_submission("c", replaces="b", reason="agreed"))
    last = journal.shipment(second[1].msg_id)
    assert last is not None
    assert last.state is state


def test_g2_what_the_bus_never_had_is_cancelled_by_its_replacement(journal: Journal) -> None:
    """Files that were sealed and are lost since cannot stop the year: the person with the reason cancels them."""
    first, second = journal.create(new_submission("a")).shipments
    journal.begin_publish(first.msg_id)
    journal.end_publish(first.msg_id, Cause.ACCEPTED, evidence={}, error=None)
    add_verified(journal, first.msg_id, ReceiptStatus.OK, sealed=b"1")
    journal.create(dataclasses.replace(new_submission("b", replaces="a", reason="wrong extract"), by="kari"))
    earlier = journal.submission("a")
    assert earlier is not None
    assert [shipment.state for shipment in earlier.shipments] == [ShipmentState.DELIVERED, ShipmentState.CANCELLED]
    last = journal.events(second.msg_id)[-1]
    assert (last.what, last.why, last.who) == (Cause.PERSON_CANCELS, "wrong extract", "kari")


def test_an_answered_shipment_is_not_cancelled_as_unsent(journal: Journal) -> None:
    new = new_submission("a")
    first, _ = journal.create(new).shipments
    _end(journal, "a")
    add_verified(journal, first.msg_id, ReceiptStatus.REJECTED, sealed=b"1")
    resent(journal, new.shipments[0], msg_id="another")
    add_verified(journal, first.msg_id, ReceiptStatus.OK, sealed=b"2")
    with pytest.raises(AlreadySubmitted, match="FHI has answered"):
        journal.create(new_submission("b", replaces="a", reason="wrong extract"))


def test_what_has_ended_may_be_replaced(journal: Journal) -> None:
    first, second = journal.create(new_submission("a")).shipments
    _end(journal, "a")
    add_verified(journal, first.msg_id, ReceiptStatus.OK, sealed=b"1")
    add_verified(journal, second.msg_id, ReceiptStatus.REJECTED, sealed=b"2")
    assert journal.create(new_submission("b", replaces="a", reason="agreed")).state is SubmissionState.SEALED


_LARGE = """
import resource, sys
from pathlib import Path
from tests.journal.builders import *
block = bytes(range(256)) * 4096
def sealed():
    for _ in range(200):
        yield block
journal = open_journal(Path(sys.argv[1]))
journal.create(new_submission("small", year=2023))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
new = new_shipment(sealed_bytes=200 * len(block), sealed=sealed())
journal.create(new_submission(shipments=(new,)))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
journal.close()
"""


def test_200_mb_are_written_with_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    root = Path(__file__).resolve().parents[2]
    environ = {**os.environ, "PYTHONPATH": str(root)}
    ran = subprocess.run([sys.executable, "-c", _LARGE, path], cwd=root, env=environ, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    assert int(ran.stdout) < 40, "MB of growth"
    assert path.stat().st_size > 200 * 1024 * 1024
    assert not path.with_name("journal.db-wal").exists()


def test_sealing_in_one_chunk_or_many_is_the_same(journal: Journal) -> None:
    content = content_of("x", 5000)
    one, many = (
        new_shipment(MessageType.KPR_IPL, sealed=in_chunks(content, 5000)),
        new_shipment(MessageType.KPR_IDE, sealed=in_chunks(content, 1)),
    )
    first, second = journal.create(new_submission(shipments=(one, many))).shipments
    assert first.sealed_sha256 == second.sealed_sha256


def test_entries_say_what_one_chooses_by_the_newest_first(journal: Journal) -> None:
    journal.create(new_submission("2023-aaaa0001", year=2023))
    first = journal.create(new_submission("2024-aaaa0001", bydel="03"))
    journal.create(new_submission("2024-bbbb0001"))
    again = new_submission("2024-aaaa0002", bydel="03", replaces=first.submission_id, reason="asked FHI")
    journal.create(again)

    assert [(one.submission_id, one.bydel, one.year, one.replaces) for one in journal.entries()] == [
        ("2024-aaaa0002", "03", 2024, "2024-aaaa0001"),
        ("2024-bbbb0001", "00", 2024, None),
        ("2024-aaaa0001", "03", 2024, None),
        ("2023-aaaa0001", "00", 2023, None),
    ]
    assert [one.submission_id for one in journal.entries()] == [one.submission_id for one in journal.submissions()]

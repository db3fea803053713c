from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kpr_sender.journal.values import NoticeRecord
from kpr_sender.journal.verify import verify
from kpr_sender.model import Environment
from tests.journal.builders import created, open_journal

_AT = datetime(2025, 1, 10, 12, 0, 0, 123456, tzinfo=UTC)


def test_what_was_told_is_there_for_the_next_run_and_leaves_the_history_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    waiting = NoticeRecord(
        kind="in-doubt", subject="2024-0000aaaa", began_at=_AT, waits=frozenset({1, 12}), unsure=frozenset({12})
    )
    other = NoticeRecord(kind="deadline-14", subject="2025-01-15", began_at=_AT, begin_sent_at=_AT)
    with open_journal(path) as journal:
        shipment = created(journal)
        assert journal.notices() == ()
        history = journal.events(None)
        journal.note_notices([waiting, other])

    later = _AT + timedelta(minutes=10)
    over = replace(waiting, ended_at=later, waits=frozenset(), tried_at=later, begin_sent_at=_AT, end_sent_at=later)
    with open_journal(path) as journal:
        assert journal.notices() == (other, waiting)
        journal.note_notices([over])

    with open_journal(path) as journal:
        assert journal.notices() == (other, over)
        assert journal.events(None) == history
        assert journal.shipment(shipment.msg_id) == shipment
    verified = verify(path, Environment.LOKAL)
    assert verified is not None
    assert verified.findings == ()

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kpr_sender.journal.port import JournalStorage
from kpr_sender.journal.values import NoticeRecord
from tests.journal.builders import created

_AT = datetime(2025, 1, 10, 12, 0, 0, 123456, tzinfo=UTC)


def test_what_was_told_is_there_for_the_next_run_and_leaves_the_history_as_it_is(stored: JournalStorage) -> None:
    waiting = NoticeRecord(
        kind="in-doubt", subject="2024-0000aaaa", began_at=_AT, waits=frozenset({1, 12}), unsure=frozenset({12})
    )
    other = NoticeRecord(kind="deadline-14", subject="2025-01-15", began_at=_AT, begin_sent_at=_AT)
    with closing(stored.open(who="vakt")) as journal:
        shipment = created(journal)
        assert journal.notices() == ()
        history = journal.events(None)
        journal.note_notices([waiting, other])

    later = _AT + timedelta(minutes=10)
    over = replace(waiting, ended_at=later, waits=frozenset(), tried_at=later, begin_sent_at=_AT, end_sent_at=later)
    with closing(stored.open(who="vakt")) as journal:
        assert journal.notices() == (other, waiting)
        journal.note_notices([over])

    with closing(stored.open(who="vakt")) as journal:
        assert journal.notices() == (other, over)
        assert journal.events(None) == history
        assert journal.shipment(shipment.msg_id) == shipment
    verified = stored.verify()
    assert verified is not None
    assert verified.findings == ()

"""G8 where this machine is slow: what was taken goes back in time, and nothing of ours is lost by that."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kpr_sender.bus.port import Source
from kpr_sender.client import Client
from kpr_sender.events import Event, EventKind
from kpr_sender.inbound.look_memory import LookMemory, beside
from kpr_sender.sandbox import foreign
from kpr_sender.sandbox.sandbox import Sandbox
from tests.helpers.command import until
from tests.helpers.municipality import SENDER_HER_ID, Municipality


@pytest.mark.parametrize("others", [0, 2])
def test_g8_what_waits_for_a_slow_caller_goes_back_in_time_and_is_settled_when_it_comes_again(
    kommune: Municipality, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """The first receipt takes until the bus has everything back, however long that is."""
    monkeypatch.setattr("kpr_sender.bus.receiver.LONGEST_HOLD", 0.4)
    back: list[bool] = []
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        queue = sandbox.receipts_queue

        def is_slow(event: Event) -> None:
            if event.kind is EventKind.RECEIPT and not back:
                back.append(False)
                until(lambda: all(one.returned for one in sandbox.queued(queue)))
                back.append(True)

        with Client(kommune.configure(port=sandbox.port), on_event=is_slow) as client:
            client.submit()
            until(lambda: sandbox.depth(queue) == 2)
            for _ in range(others):
                sandbox.put(queue, foreign.message(queue, to_her_id=SENDER_HER_ID, at=datetime.now(UTC)))
            report = client.wait(timeout=30)
        assert back == [False, True]
        assert report.exit_code == 0, "what is durable counts, although its copy went back"
        left = sandbox.queued(queue)
    if others:
        assert [one.returned for one in left] == [1] * 4, "it is not taken again before the pause is over"
        assert max(one.longest_held for one in left) < 2
    else:
        assert left == (), "what comes again is settled"
    looks = LookMemory.load(beside(kommune.journal)).looks[Source.RECEIPTS]
    assert (looks.others, sorted(looks.takes.values())) == (others, [1] * others), "each take counts"

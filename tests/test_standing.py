"""One table of what is known of a shipment by state and history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kpr_sender.model import MessageType
from kpr_sender.standing import STANDINGS, evidence, standing
from kpr_sender.states import ShipmentState
from tests.helpers.submissions import AT, shipment

S = ShipmentState


def test_every_state_has_a_row_for_any_history() -> None:
    last = {row.state: row for row in STANDINGS}
    for state in S:
        bare = shipment(MessageType.KPR_IPL, state)
        assert standing(bare).state is state
        assert last[state].holds(bare), "the last row of a state is for whatever is left"
        assert evidence(bare)


@pytest.mark.parametrize(
    ("changes", "words", "sent"),
    [
        ({"attempts": 0}, "never offered", "never offered to the bus"),
        ({}, "certainly does not have it", "offered to the bus, which did not take it"),
        ({"handed_over": True, "earlier_attempts": 1}, "sent again", "not under its present message-id"),
        ({"needs_person": True, "handed_over": True}, "until a person decides", "handed over"),
        ({"state": S.DELIVERED, "attempts": 0}, "FHI has confirmed it", "no sending of it is recorded in this journal"),
        ({"state": S.DELIVERED, "handed_over": True}, "FHI has confirmed it", "the bus's answer is not known"),
        (
            {"state": S.PUBLISHED, "published_at": AT, "acknowledged_at": AT},
            "acknowledged by KPR's message server",
            "acknowledged by",
        ),
        (
            {"state": S.DELIVERED, "handed_over": True, "acknowledged_at": AT},
            "FHI has confirmed it",
            "handed over, acknowledged by KPR's message server",
        ),
        ({"state": S.PUBLISHED, "published_at": AT, "arrived_at": AT}, "as a person says", "said by a person on"),
        (
            {"alarm": "Somebody else."},
            "settled the alarm, which is about a message of somebody else's",
            "did not take it",
        ),
    ],
)
def test_words_and_evidence_go_by_state_and_history(changes: dict[str, object], words: str, sent: str) -> None:
    bare = replace(shipment(MessageType.KPR_IPL, S.SEALED), published_at=None)
    one = replace(bare, **changes)  # type: ignore[arg-type]  # a test names fields freely
    assert words in standing(one).of(one)
    assert sent in evidence(one)

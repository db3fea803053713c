"""``kpr-send resend``: what it asks, and what it never does without a yes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kpr_sender.model import Shipment
from kpr_sender.states import ShipmentState
from tests.helpers.desk import Desk
from tests.helpers.memory_bus import ACCEPTED, error_queue_message

BECAUSE = ("--reason", "FHI har rettet sertifikatet")
Typing = Callable[[str], None]


@pytest.fixture
def faulted(desk: Desk) -> Shipment:
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    with desk.client() as client:
        client.handle(error_queue_message(desk.bus.taken[0]))
    return desk.shipment(first.msg_id)


@pytest.mark.parametrize("arguments", [(), ("--yes",), ("--reason", " ", "--yes"), BECAUSE])
def test_what_is_not_a_complete_decision_is_64(desk: Desk, faulted: Shipment, arguments: tuple[str, ...]) -> None:
    ran = desk.command("resend", faulted.msg_id, *arguments)
    assert (ran.code, desk.shipment(faulted.msg_id)) == (64, faulted), ran.err


def test_it_is_sealed_anew_and_the_next_send_sends_it(desk: Desk, faulted: Shipment) -> None:
    shown = desk.command("resolve", faulted.msg_id)
    assert f"kpr-send {desk.prefix} resend {faulted.msg_id} --reason TEXT" in shown.out
    ran = desk.command("--json", "resend", faulted.msg_id.upper(), *BECAUSE, "--by", "Kari", "--yes")
    value = ran.json()
    assert (ran.code, value["exit_code"], value["error"]["code"]) == (90, 90, "ready-to-send"), ran.err
    assert value["shipments"][0]["earlier"][0]["message_id"] == faulted.message_id
    status = desk.command("--json", "status")
    assert (status.code, status.json()) == (90, value), "G5"
    assert desk.command("resend", faulted.msg_id, *BECAUSE, "--yes").code == 64


def test_a_second_time_warns_and_needs_again(desk: Desk, faulted: Shipment) -> None:
    def fault() -> None:
        desk.sent(ACCEPTED)
        with desk.client() as client:
            client.handle(error_queue_message(desk.bus.taken[-1]))

    yes = (*BECAUSE, "--yes")
    assert desk.command("resend", faulted.msg_id, *yes).code == 90
    fault()
    ran = desk.command("--json", "resend", faulted.msg_id, *yes)
    assert (ran.code, desk.shipment(faulted.msg_id).state) == (64, ShipmentState.FAULTED)
    assert "was released to be sent again once before" in ran.json()["error"]["text"]
    assert "add --again" in ran.json()["error"]["next_step"]
    assert desk.command("resend", faulted.msg_id, *yes, "--again").code == 90
    fault()
    assert "2 times before" in desk.command("resend", faulted.msg_id, *yes).err
    assert len({message.message_id for message in desk.bus.taken}) == len(desk.bus.taken)


@pytest.mark.parametrize(("typed", "state"), [("y\n", ShipmentState.SEALED), ("n\n", ShipmentState.FAULTED)])
def test_on_a_terminal_it_shows_the_case_and_asks(
    desk: Desk, faulted: Shipment, typing: Typing, typed: str, state: ShipmentState
) -> None:
    typing(typed)
    ran = desk.command("resend", faulted.msg_id, *BECAUSE)
    assert "is to be sent again" in ran.err or "to be sent again?" in ran.err
    assert faulted.msg_id in ran.err
    assert desk.shipment(faulted.msg_id).state is state


def test_another_file_is_65_and_a_missing_one_66(desk: Desk, faulted: Shipment) -> None:
    other = str(desk.kommune.identmelding)
    assert desk.command("resend", faulted.msg_id, other, *BECAUSE, "--yes").code == 65
    assert desk.command("resend", faulted.msg_id, other + "x", *BECAUSE, "--yes").code in {64, 66}
    assert desk.shipment(faulted.msg_id) == faulted


def test_with_a_drop_folder_it_is_said_where_the_file_lies(desk: Desk, faulted: Shipment) -> None:
    """``files.fagmelding``, which does not go with ``files.drop``, is no place to name it."""
    drop = desk.kommune.folder / "in"
    drop.mkdir()
    desk.kommune.configure({"files": {"fagmelding": None, "identmelding": None, "drop": "in"}})
    arguments = ("resend", faulted.msg_id, *BECAUSE, "--yes")
    refused = desk.command(*arguments)
    assert (refused.code, f"Name it on the command line: it lies in a folder below {drop}" in refused.err) == (66, True)
    assert desk.command(*arguments, str(desk.kommune.fagmelding)).code == 90

"""What the check found decides whether a new pair is sealed, and only that."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from kpr_sender.client import Client
from kpr_sender.errors import InputRefused
from kpr_sender.events import Event, EventKind
from tests.helpers.command import kpr_send
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Changes, Municipality, municipality

NewClient = Callable[..., Client]


def change(kommune: Municipality, old: bytes, new: bytes, *, times: int = 1) -> None:
    """Change the fagmelding in so many places."""
    data = kommune.fagmelding.read_bytes()
    assert data.count(old) >= times
    kommune.fagmelding.write_bytes(data.replace(old, new, times))


def drop_two(kommune: Municipality, *, times: int = 2) -> None:
    """Let TJENESTE, two of them, end before the year: FHI drops them after a positive receipt."""
    data = kommune.fagmelding.read_bytes()
    first, *services = data.split(b"<TJENESTE ")
    for number in range(times):
        head, _, tail = services[number].partition(b"</TJENESTE>")
        fields = [each for each in head.split(b"<tj") if not each.startswith((b"FraDato", b"TilDato"))]
        services[number] = (
            b"<tj".join(fields) + b"<tjFraDato>20220101</tjFraDato><tjTilDato>20220201</tjTilDato></TJENESTE>" + tail
        )
    kommune.fagmelding.write_bytes(b"<TJENESTE ".join([first, *services]))


def test_nothing_is_sealed_that_fhi_would_discard(new_client: NewClient, bus: MemoryBus, kommune: Municipality) -> None:
    change(kommune, b"<peKjonn>", b"<peKjonnn>")
    change(kommune, b"</peKjonn>", b"</peKjonnn>")
    client = new_client(bus)
    with pytest.raises(InputRefused, match="does not belong in PERSON") as refused:
        client.submit()
    assert refused.value.where.startswith(f"{kommune.fagmelding} line ")
    assert client.status() is None
    assert bus.published == []


def test_what_a_person_has_accepted_stops_nothing_that_fhi_would_discard(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality
) -> None:
    change(kommune, b"<iiKomnr>9999<", b"<iiKomnr>3001<")
    with pytest.raises(InputRefused, match="3101 Halden"):
        new_client(bus, {"sender": {"kommunenummer": "3001"}}).submit(accept_findings=1)
    assert bus.published == []


def test_dropped_rows_stop_it_and_say_how_many_there_are(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality
) -> None:
    drop_two(kommune)
    client = new_client(bus)
    with pytest.raises(InputRefused, match="first of 2 findings") as refused:
        client.submit()
    assert "--accept-findings 2" in refused.value.next_step
    assert client.status() is None
    assert bus.published == []


@pytest.mark.parametrize("said", [1, 3])
def test_any_other_number_is_not_what_was_read(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality, said: int
) -> None:
    drop_two(kommune)
    client = new_client(bus)
    with pytest.raises(InputRefused, match=f"2 findings would have to be accepted, not {said}"):
        client.submit(accept_findings=said)
    assert client.status() is None


def test_a_number_where_there_is_nothing_to_accept_is_refused(new_client: NewClient, bus: MemoryBus) -> None:
    with pytest.raises(InputRefused, match="0 findings"):
        new_client(bus).submit(accept_findings=2)
    assert bus.published == []


def test_who_accepted_how_many_of_what_is_in_the_journal(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality, events: list[Event]
) -> None:
    drop_two(kommune)
    client = new_client(bus)
    assert client.submit(accept_findings=2, by="Kari Vakt").sent == 2
    assert any(event.kind is EventKind.WARNING and "Kari Vakt accepts 2 findings" in event.text for event in events)
    client.close()
    with closing(sqlite3.connect(kommune.journal)) as journal:
        rows = journal.execute("SELECT who, details FROM event WHERE what = 'findings-accepted'").fetchall()
    assert [(who, json.loads(details)) for who, details in rows] == [("Kari Vakt", {"tjeneste.outside-year": 2})] * 2
    assert kpr_send("--env", "lokal", "--config", kommune.config, "journal", "verify").code == 0


def test_one_finding_is_said_as_one(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality, events: list[Event]
) -> None:
    drop_two(kommune, times=1)
    client = new_client(bus)
    with pytest.raises(InputRefused, match="1 finding would have to be accepted, not 2"):
        client.submit(accept_findings=2)
    first, _ = client.submit(accept_findings=1, by="Kari Vakt").submission.shipments
    assert any("Kari Vakt accepts 1 finding of the check." in event.text for event in events)
    whys = {event.what: event.why for event in client.case(first.msg_id).history}
    assert whys["findings-accepted"] == "1 finding of the check was read and accepted."


def test_what_is_submitted_already_goes_on_whatever_is_found_now(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality
) -> None:
    """G2: the files are in the journal as they are; to refuse them now would leave their receipts unread."""
    drop_two(kommune)
    new_client(bus).submit(accept_findings=2)
    again = new_client(bus).submit()
    assert again.sent == 0
    assert new_client(bus).wait(timeout=5).exit_code == 0


def test_remarks_are_told_and_hinder_nothing(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality, events: list[Event]
) -> None:
    change(kommune, b"<iiLagetDato>20250106<", b"<iiLagetDato>20241201<")
    assert new_client(bus).submit().sent == 2
    assert any(event.kind is EventKind.WARNING and "remarks on the files" in event.text for event in events)


def test_the_identmelding_is_held_to_the_configured_organisation_number(
    bus: MemoryBus, kommune: Municipality, events: list[Event]
) -> None:
    """Of the pair's kommunenummer and organisation only the second stands in the identmelding."""

    def remarks(changes: Changes | None) -> int:
        events.clear()
        with Client(kommune.configure(changes), bus=bus, on_event=events.append) as client:
            client.submit()
        return sum(int(event.details.get("remarks", 0)) for event in events)

    of_the_file = kommune.identmelding.read_text("utf-8").partition('institusjonID="')[2][:9]
    own = remarks({"sender": {"organisation_number": of_the_file}})
    kommune = municipality(kommune.folder / "another")
    assert remarks({"sender": {"organisation_number": "310000000"}}) == own + 1

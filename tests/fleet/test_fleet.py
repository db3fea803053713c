"""``kpr_sender.Fleet``: the same steps for a program, from several threads at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from kpr_sender import Fleet
from kpr_sender.app import Parts, journal_storage, utc_now
from kpr_sender.errors import ConfigInvalid, InputMissing, NothingSubmitted, UsageError
from kpr_sender.events import Event
from kpr_sender.journal.values import Signal
from kpr_sender.outbound.drop import DropFolder
from kpr_sender.states import Cause
from tests.helpers.fhi import Fhi
from tests.helpers.fleet import fleet
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality

NAMES = ("0301-03", "1103", "4601")


class Program:
    """A vendor's program, with a connection of its own for each municipality."""

    def __init__(self, folder: Path) -> None:
        self.made = fleet(folder, *NAMES)
        text = self.made.path.read_text("utf-8").replace("embedded = true", "embedded = false")
        one = Municipality(folder / NAMES[0])
        lokal = one.config.read_text("utf-8")
        keys = lokal[lokal.index("[keys.signing]") :].replace(str(one.folder), f"{folder}/{{municipality}}")
        receiver = lokal[lokal.index("[receiver]") : lokal.index("[journal]")]
        receiver = receiver.replace(str(one.folder), f"{folder}/{{municipality}}")
        head, mark, rest = text.partition("\n[[municipality]]")
        self.made.path.write_text(f"{head}\n{receiver}\n{keys}\n{mark}{rest}", "utf-8")
        self.buses = {name: MemoryBus(Fhi(self.made.of(name).pki).answer) for name in NAMES}
        self.events: list[tuple[str, str]] = []

    def heard(self, name: str, event: Event) -> None:
        self.events.append((name, event.kind.value))

    def parts(self, name: str) -> Parts:
        return {"bus": self.buses[name], "by": "Kari"}

    def opened(self) -> Fleet:
        return Fleet(self.made.path, "lokal", on_event=self.heard, parts=self.parts)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def test_threads_look_after_all_municipalities_at_once(program: Program) -> None:
    with program.opened() as opened, ThreadPoolExecutor(6) as pool:
        assert opened.municipalities == NAMES
        list(pool.map(opened.submit, NAMES * 2))  # twice each: the second goes on with the first
        codes = [report.exit_code for report in pool.map(lambda name: opened.wait(name, timeout=0), NAMES)]

    assert codes == [0, 0, 0]
    assert [len(bus.published) for bus in program.buses.values()] == [2, 2, 2]
    assert {name for name, kind in program.events if kind == "receipt"} == set(NAMES)
    known = program.opened().status()
    assert [(one.name, one.error, one.report and one.report.exit_code) for one in known] == [
        (name, None, 0) for name in NAMES
    ]


def test_what_is_wrong_with_one_is_raised_by_its_own_calls_alone(program: Program) -> None:
    text = program.made.path.read_text("utf-8")
    program.made.path.write_text(f'{text}[municipality.report]\nyear = "none"\n', "utf-8")

    with program.opened() as opened:
        with pytest.raises(ConfigInvalid, match=r"4601: "):
            opened.submit("4601")
        with pytest.raises(UsageError, match="9999 is not in the fleet file"):
            opened.submit("9999")
        with pytest.raises(NothingSubmitted):
            opened.wait("1103", timeout=0)
        assert opened.submit("1103").sent == 2
        assert [one.name for one in opened.status("4601")] == ["4601"]
        with opened.client("1103") as client:
            assert client.wait(timeout=0).exit_code == 0


def test_a_closed_fleet_ends_a_wait_and_begins_nothing_more(program: Program) -> None:
    program.buses["1103"] = MemoryBus()
    opened = program.opened()
    opened.submit("1103")
    waiting = threading.Thread(target=opened.wait, args=("1103",), kwargs={"timeout": 600})
    waiting.start()
    try:
        opened.close()
    finally:
        waiting.join(60)
    assert not waiting.is_alive()
    with pytest.raises(UsageError, match="closed") as caught:
        opened.submit("4601")
    assert caught.value.next_step == "Make a new Fleet."


def test_a_pair_in_a_drop_folder_is_taken_and_moved_on(program: Program) -> None:
    text, place = program.made.path.read_text("utf-8"), program.made.folder / "1103/in"
    files = 'fagmelding = "{municipality}/fagmelding.xml"\nidentmelding = "{municipality}/identmelding.xml"\n'
    program.made.path.write_text(text.replace(files, 'drop = "{municipality}/in"\n'), "utf-8")
    place.mkdir()
    with program.opened() as opened:
        with pytest.raises(InputMissing):
            opened.submit("1103")
        one = program.made.of("1103")
        for file in (one.fagmelding, one.identmelding):
            file.rename(place / file.name)
        with opened.client("1103") as client:
            settings = client.settings
        folder = DropFolder.of(settings)
        assert folder is not None
        folder.glance(utc_now() - timedelta(seconds=31))  # an earlier run's look
        opened.submit("1103")
        assert len(list(place.glob("taken/*/*.xml"))) == 2
        assert opened.wait("1103", timeout=0).exit_code == 0
    assert len(list(place.glob("sent/*/*.xml"))) == 2


def test_the_status_of_all_has_what_a_mail_said_as_the_status_of_one_has(program: Program) -> None:
    name = NAMES[0]
    with program.opened() as opened, opened.client(name) as client:
        shipment = client.submit().submission.shipments[0]
        settings = client.settings
    said = Signal(message_id=shipment.message_id, sha256="0" * 64, condition="5.1.1", description="No such mailbox")
    with closing(journal_storage(settings).open(who="vakt")) as journal:
        assert journal.note_signal(shipment.msg_id, Cause.BOUNCED, said)

    with program.opened() as opened, opened.client(name) as client:
        alone = client.status()
        (among_all,) = opened.status(name)

    assert alone is not None
    assert among_all.report is not None
    assert among_all.report.submission == alone.submission
    words = [one.error_message.text for one in among_all.report.submission.shipments if one.error_message]
    assert words == ["5.1.1: No such mailbox"]

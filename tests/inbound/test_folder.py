"""Receipts from a folder that another message server lays them down in: what is taken, when, and where it goes."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from kpr_sender import regular_file
from kpr_sender.bus.port import Inbound, Outbound, Source
from kpr_sender.client import Client
from kpr_sender.cms.write import seal
from kpr_sender.errors import ConfigInvalid, InputMissing, UsageError
from kpr_sender.events import Event, EventKind
from kpr_sender.inbound import listen
from kpr_sender.inbound.folder import ReceiptsFolder
from tests.helpers.command import kpr_send
from tests.helpers.fake_time import FakeTime
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus, error_queue_message
from tests.helpers.municipality import Municipality

NewClient = Callable[..., Client]


class QueuesRead(MemoryBus):
    """Remembers which queues it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[Source] = set()

    def receive(self, timeout: float, sources: Collection[Source] = frozenset(Source)) -> Inbound | None:
        self.asked |= set(sources)
        return super().receive(timeout, sources)


@pytest.fixture
def inbox(kommune: Municipality) -> Path:
    folder = kommune.folder / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def queue() -> QueuesRead:
    return QueuesRead()


@pytest.fixture
def client(new_client: NewClient, queue: QueuesRead, inbox: Path) -> Client:
    """A client whose pair is published, and whose receipts come from the folder."""
    made = new_client(queue, from_folder(inbox))
    made.submit()
    return made


def from_folder(inbox: Path, **bus: object) -> dict[str, dict[str, object]]:
    return {"bus": {"receipts_from": "folder", "receipts_inbox": str(inbox), **bus}}


def lay(path: Path, content: bytes, *, age: float = 60) -> Path:
    path.write_bytes(content)
    os.utime(path, (time.time() - age,) * 2)
    return path


def answers(fhi: Fhi, bus: MemoryBus) -> list[bytes]:
    return [one.body for message in bus.published for one in fhi.answer(message)]


def forged(fhi: Fhi, message: Outbound) -> bytes:
    return fhi.sealed(fhi.apprec(message), signed_by=fhi.key("kommune-signing"))


def as_json(inbound: Inbound) -> bytes:
    return json.dumps(dict(inbound.properties), indent=1).encode()


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()} if folder.is_dir() else set()


def test_receipts_come_from_the_folder_and_no_queue_is_read(
    client: Client, queue: QueuesRead, fhi: Fhi, inbox: Path, kommune: Municipality
) -> None:
    first, second = answers(fhi, queue)
    assert client.wait(timeout=0).exit_code == 80, "an empty folder is no error"
    with pytest.raises(UsageError, match="No queue is read"):
        client.wait(timeout=0, look_anyway=True, reason="At once.", by="Kari")
    lay(inbox / "a.p7m", first)
    lay(inbox / "b.txt", base64.encodebytes(second))
    (inbox / "done").mkdir()
    lay(inbox / "done" / "a.p7m", b"an earlier one")

    assert client.wait(timeout=0).exit_code == 0

    assert queue.asked == set()
    assert names(inbox) == {"done"}
    assert names(inbox / "done") == {"a.p7m", "a.p7m.1", "b.txt"}
    assert (inbox / "done" / "a.p7m.1").read_bytes() == first, "over no other file"
    client.close()
    lay(inbox / "again.p7m", first)
    kommune.configure(from_folder(inbox))
    assert kpr_send("--env", "lokal", "--config", kommune.config, "wait", "--wait", "0").code == 0
    assert "again.p7m" in names(inbox / "done"), "a duplicate is harmless"


def test_the_error_queue_is_read_only_where_it_is_named(
    new_client: NewClient, queue: QueuesRead, fhi: Fhi, inbox: Path
) -> None:
    client = new_client(queue, from_folder(inbox, error_queue="900002_error"))
    client.submit()
    queue.put(error_queue_message(queue.published[0]))
    queue.put(fhi.answer(queue.published[1])[0])

    assert client.wait(timeout=0).submission.shipments[0].state == "faulted"
    assert queue.asked == {Source.ERRORS}
    assert [one.source for one in queue.inbox] == [Source.RECEIPTS], "the receipts queue is the other server's"


def test_each_file_goes_where_it_belongs_and_what_is_no_file_stays(
    client: Client, queue: QueuesRead, fhi: Fhi, inbox: Path, events: list[Event]
) -> None:
    first, second = queue.published
    other = error_queue_message(first, originalMessageId="11111111-2222-4333-8444-555555555555")
    elsewhere = lay(inbox.parent / "elsewhere", fhi.answer(second)[0].body)
    lay(inbox / "forged", forged(fhi, second))
    lay(inbox / "fault.json", as_json(error_queue_message(first, errorConditionData='["a"]')))
    lay(inbox / "other.json", as_json(other))
    lay(inbox / "letter", b"Hei!")
    dialog = fhi.sealed(b"<DialogMelding/>", signed_by=fhi.key("kommune-signing"))
    lay(inbox / "dialog", dialog)
    for_fhi = seal([b"<x/>"], 4, signer=fhi.key("kommune-signing"),
                   recipient=fhi.pki.certificate("fhi-encryption"))  # fmt: skip
    lay(inbox / "other key", b"".join(map(bytes, for_fhi)))
    lay(inbox / "broken.json", b"{" * 100_000)
    lay(inbox / "list.json", b'{"originalMessageId": ["a", {}]}')
    stays = {".hidden", "a.part", "a.tmp", "link", "pipe", "folder", "large", "new"}
    for name in (".hidden", "a.part", "a.tmp"):
        lay(inbox / name, b"Hei!")
    (inbox / "link").symlink_to(elsewhere)
    os.mkfifo(inbox / "pipe")
    (inbox / "folder").mkdir()
    lay(inbox / "large", bytes(8_000_001))
    lay(inbox / "new", fhi.answer(second)[0].body, age=1)
    events.clear()

    report = client.wait(timeout=0)

    assert report.exit_code == 76
    assert [shipment.state for shipment in report.submission.shipments] == ["faulted", "published"]
    assert names(inbox) == stays | {"done", "unverified", "not-ours"}
    assert names(inbox / "done") == {"fault.json"}
    assert names(inbox / "unverified") == {"forged", "other key"}
    assert names(inbox / "not-ours") == {"other.json", "letter", "dialog", "broken.json", "list.json"}
    assert (inbox / "done").stat().st_mode & 0o077 == 0
    warned = {Path(text.split(": ")[0]).name: text for text in (e.text for e in events if e.kind is EventKind.WARNING)}
    assert set(warned) == {"large", "other key"} | names(inbox / "not-ours")
    assert "bus.max_inbound" in warned["large"]
    assert "no sealed message" in warned["letter"]
    assert "names no message of this journal" in warned["other.json"]
    assert "sealed for" in warned["other key"]


def test_g2_what_is_unverified_is_evaluated_again_on_each_run(
    client: Client, new_client: NewClient, queue: QueuesRead, fhi: Fhi, inbox: Path, kommune: Municipality
) -> None:
    for number, message in enumerate(queue.published):
        lay(inbox / f"{number}", forged(fhi, message))
    assert client.wait(timeout=0).exit_code == 76
    msg_id = client.wait(timeout=0).submission.shipments[0].msg_id
    written = len(client.case(msg_id).history)
    assert client.wait(timeout=0).exit_code == 76
    assert len(client.case(msg_id).history) == written, "what says nothing new is no event"
    assert names(inbox / "unverified") == {"0", "1"}
    rolled_over = [str(kommune.folder / "pki" / name) for name in ("fhi-signing.pem", "kommune-signing.pem")]

    later = new_client(queue, {**from_folder(inbox), "receiver": {"signing_certificates": rolled_over}})

    assert later.wait(timeout=0).exit_code == 0
    assert (names(inbox / "unverified"), names(inbox / "done")) == (set(), {"0", "1"})


def test_what_is_discarded_is_done_with(client: Client, queue: QueuesRead, fhi: Fhi, inbox: Path) -> None:
    lay(inbox / "forged", forged(fhi, queue.published[0]))
    client.wait(timeout=0)
    (document,) = client.receipts()
    client.discard_receipt(document.receipt.receipt_id, reason="not FHI's", by="Kari")
    assert client.wait(timeout=0).exit_code == 80
    assert names(inbox / "done") == {"forged"}


def test_g5_a_folder_that_is_not_there_is_78_until_it_is(
    client: Client, queue: QueuesRead, fhi: Fhi, inbox: Path
) -> None:
    inbox.rmdir()
    with pytest.raises(ConfigInvalid, match="no such folder") as missing:
        client.wait(timeout=0)
    assert str(inbox) in missing.value.where
    status = client.status()
    assert status is not None
    assert status.exit_code == 78
    inbox.mkdir()
    assert client.wait(timeout=0).exit_code == 80


def test_g5_a_folder_in_which_nothing_can_be_moved_is_66_and_what_was_read_is_known(
    client: Client, queue: QueuesRead, fhi: Fhi, inbox: Path, kommune: Municipality
) -> None:
    first, second = answers(fhi, queue)
    (inbox / "done").symlink_to(kommune.folder, target_is_directory=True)
    lay(inbox / "a", first)
    with pytest.raises(InputMissing, match="safe in the journal") as refused:
        client.wait(timeout=0)
    assert str(inbox / "done") in refused.value.where
    status = client.status()
    assert status is not None
    assert [shipment.state for shipment in status.submission.shipments] == ["delivered", "published"]
    assert not (kommune.folder / "a").exists(), "through no link"
    (inbox / "done").unlink()
    lay(inbox / "b", second)
    assert client.wait(timeout=0).exit_code == 0
    assert names(inbox / "done") == {"a", "b"}


def test_one_file_that_cannot_be_read_keeps_no_other_from_being_taken(
    client: Client, queue: QueuesRead, fhi: Fhi, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = answers(fhi, queue)
    lay(inbox / "denied", first, age=90)
    lay(inbox / "b", second)
    opened = os.open

    def deny(path: Path, *arguments: int) -> int:
        if Path(path).name == "denied":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments)

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(InputMissing, match="Permission denied"):
        client.wait(timeout=0)
    status = client.status()
    assert status is not None
    assert status.exit_code == 66
    assert names(inbox / "done") == {"b"}


def test_a_run_that_waits_takes_what_comes_meanwhile(
    new_client: NewClient, queue: QueuesRead, fhi: Fhi, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "_LOOK_SECONDS", 0.01)
    client = new_client(queue, from_folder(inbox))
    client.submit()
    first, second = answers(fhi, queue)
    timer = threading.Timer(0.1, lambda: [lay(inbox / name, body) for name, body in (("a", first), ("b", second))])
    timer.start()
    assert client.wait(timeout=60).exit_code == 0
    timer.join()


def test_no_more_than_500_in_a_run(client: Client, inbox: Path, events: list[Event]) -> None:
    for number in range(502):
        lay(inbox / f"{number:03}", b"Hei!", age=1000 - number)
    client.wait(timeout=0)
    assert names(inbox) == {"500", "501", "not-ours"}, "the oldest first"
    assert any("the next run takes the others" in event.text for event in events)


def test_a_file_is_taken_when_it_is_unchanged_for_five_seconds_whatever_its_time(
    client: Client, inbox: Path, events: list[Event]
) -> None:
    clock, now = FakeTime(), [datetime.now(UTC)]
    folder = ReceiptsFolder(
        inbox,
        handler=lambda: client._app.receipt_handler,
        section=threading.Lock(),
        monotonic=clock,
        now=lambda: now[0],
        max_bytes=1000,
        observe=events.append,
    )
    lay(inbox / "of a clock that is fast", b"Hei", age=-3600)
    lay(inbox / "growing", b"Hei", age=-1)
    for _ in range(3):
        folder.take()
        clock.at += 2
        with (inbox / "growing").open("ab") as growing:
            growing.write(b"!")
    assert not names(inbox / "not-ours")
    folder.take()
    assert names(inbox / "not-ours") == {"of a clock that is fast"}
    clock.at += 5
    folder.take()
    assert names(inbox / "not-ours") == {"of a clock that is fast", "growing"}
    assert sum("lies in the future" in event.text for event in events) == 1


def test_one_that_was_put_aside_and_cannot_be_read_keeps_nothing_new_from_being_taken(
    client: Client, queue: QueuesRead, fhi: Fhi, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(inbox / "forged.p7m", forged(fhi, queue.published[0]))
    assert client.wait(timeout=0).exit_code == 76
    assert names(inbox / "unverified") == {"forged.p7m"}
    for number, answer in enumerate(answers(fhi, queue)):
        lay(inbox / f"{number}.p7m", answer)
    opens = regular_file.open_regular

    def refused(path: Path, *, follow: bool = True) -> BinaryIO:
        if path.name == "forged.p7m":
            raise PermissionError(13, "Permission denied")
        return opens(path, follow=follow)

    monkeypatch.setattr("kpr_sender.laid_files.open_regular", refused)
    assert client.wait(timeout=0).exit_code == 0
    assert names(inbox / "unverified") == {"forged.p7m"}

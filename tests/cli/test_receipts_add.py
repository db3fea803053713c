"""``kpr-send receipts add``: a receipt that another consumer took off our queue comes in as a file (G4, G5)."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable

import pytest

from kpr_sender.bus.port import Inbound
from kpr_sender.cli.main import run
from kpr_sender.client import Client
from kpr_sender.errors import BusUnreachable
from kpr_sender.texts import Text
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality

Add = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bus(kommune: Municipality) -> MemoryBus:
    bus = MemoryBus()
    with Client(kommune.configure(), bus=bus) as client:
        client.submit()
    return bus


@pytest.fixture
def receipts(bus: MemoryBus, fhi: Fhi) -> list[bytes]:
    """FHI's receipts for the fagmelding and the identmelding, as they were on the queue."""
    return [fhi.answer(message)[0].body for message in bus.published]


@pytest.fixture
def add(kommune: Municipality, capsys: pytest.CaptureFixture[str]) -> Add:
    """Put bytes into files and hand them to the command."""

    def call(*contents: bytes, options: tuple[str, ...] = ("--json",)) -> tuple[int, str, str]:
        files = []
        for number, content in enumerate(contents):
            files.append(kommune.folder / f"from-postmottak-{number}.p7m")
            files[-1].write_bytes(content)
        common = ["--env", "lokal", "--config", str(kommune.config)]
        code = run([*common, *options, "receipts", "add", *map(str, files)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CMS-----\n" + base64.encodebytes(der) + b"-----END CMS-----\n"


def pkcs7(der: bytes) -> bytes:
    return b"subject=/CN=FHI\r\n" + pem(der).replace(b" CMS-", b" PKCS7-").replace(b"\n", b"\r\n")


def smime(der: bytes) -> bytes:
    head = b'MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime;\r\n name="smime.p7m"\r\n\r\n'
    return head + base64.encodebytes(der).replace(b"\n", b"\r\n")


def one_line(der: bytes) -> bytes:
    return b"\xef\xbb\xbf" + base64.b64encode(der)


@pytest.mark.parametrize("wrapped", [bytes, pem, pkcs7, smime, base64.encodebytes, one_line])
def test_sealed_receipts_deliver_however_they_were_saved(
    add: Add, receipts: list[bytes], wrapped: Callable[[bytes], bytes]
) -> None:
    code, out, err = add(*map(wrapped, receipts))

    told = json.loads(out)
    assert (code, told["exit_code"], told["state"]) == (0, 0, "delivered"), err


def test_one_of_the_two_leaves_the_other_awaited_and_again_is_harmless(add: Add, receipts: list[bytes]) -> None:
    assert add(receipts[0])[0] == 80
    code, out, _ = add(receipts[0], options=())
    assert code == 80
    assert "Nothing new" in out
    code, out, _ = add(receipts[1], options=())
    assert code == 0
    assert "Nothing new" not in out


def test_what_was_added_is_no_second_receipt_when_it_comes_from_the_queue_too(
    add: Add, kommune: Municipality, bus: MemoryBus, fhi: Fhi
) -> None:
    first, second = (fhi.answer(message)[0] for message in bus.published)
    assert add(pem(first.body))[0] == 80
    bus.put(first)
    bus.put(second)
    with Client(kommune.configure(), bus=bus) as client:
        assert client.wait(timeout=0).exit_code == 0
        assert len(client.receipts()) == 2
    assert len(bus.settled) == 2


def test_g4_a_receipt_that_cannot_be_verified_is_kept_and_not_believed(
    add: Add, kommune: Municipality, bus: MemoryBus, fhi: Fhi
) -> None:
    forged = fhi.sealed(fhi.apprec(bus.published[0]), signed_by=fhi.key("kommune-signing"))
    code, out, err = add(forged)
    assert (code, json.loads(out)["state"]) == (76, "published"), err
    assert {shipment["receipt"] for shipment in json.loads(out)["shipments"]} == {None}
    with Client(kommune.configure(), bus=bus) as client:
        assert [document.sealed for document in client.receipts()] == [forged], "for the one that it names"


def test_g4_plain_xml_is_believed_only_where_the_configuration_says_so(
    add: Add, kommune: Municipality, bus: MemoryBus, fhi: Fhi
) -> None:
    plain = [fhi.apprec(message) for message in bus.published]
    assert add(*plain)[0] == 76
    kommune.configure({"receiver": {"unsealed_receipts": True}})
    assert add(*plain)[0] == 0


@pytest.mark.parametrize("log_file", ["", "kpr.log"], ids=["no file", "file"])
def test_what_loosens_security_is_on_standard_error_in_every_run(
    add: Add, kommune: Municipality, bus: MemoryBus, fhi: Fhi, log_file: str
) -> None:
    log = {"log": {"file": log_file}} if log_file else {}
    for on in (True, False):
        kommune.configure({"receiver": {"unsealed_receipts": on}, **log})
        for options in (("-q",), ("-q", "--json"), ("-v",), ()):
            err = add(fhi.apprec(bus.published[0]), options=options)[2]
            assert err.count("receiver.unsealed_receipts is on") == on, options


NO_RECEIPT_OF_OURS = {
    "empty": lambda _fhi, _bus: b"",
    "a picture": lambda _fhi, _bus: b"\xff\xd8\xff\xe0" + bytes(200),
    "text": lambda _fhi, _bus: b"Hei, her er kvitteringen.",
    "base64 of something else": lambda _fhi, _bus: base64.b64encode(b"no CMS at all"),
    "our own sealed message": lambda _fhi, bus: bus.published[0].body,
    "other XML": lambda _fhi, _bus: b"<html/>",
    "for a MsgId that is not here": lambda fhi, bus: fhi.sealed(
        fhi.apprec(bus.published[0], msg_id="11111111-2222-4333-8444-555555555555")
    ),
}


@pytest.mark.parametrize("make", NO_RECEIPT_OF_OURS.values(), ids=NO_RECEIPT_OF_OURS)
def test_a_file_that_is_no_receipt_of_ours_is_65_and_changes_nothing(
    add: Add, kommune: Municipality, bus: MemoryBus, fhi: Fhi, make: Callable[[Fhi, MemoryBus], bytes]
) -> None:
    code, out, err = add(make(fhi, bus))
    told = json.loads(out)
    assert (code, told["exit_code"], told["error"]["code"]) == (65, 65, "input-refused")
    assert "from-postmottak-0.p7m" in err
    with Client(kommune.configure(), bus=bus) as client:
        assert client.receipts() == ()


def test_a_wrong_file_among_right_ones_is_named_and_the_others_are_taken(add: Add, receipts: list[bytes]) -> None:
    code, out, err = add(receipts[0], b"<html/>", receipts[1])
    assert (code, json.loads(out)["state"]) == (0, "delivered")
    assert "from-postmottak-1.p7m" in err


def test_a_missing_file_is_66_and_the_others_are_not_taken(
    kommune: Municipality, bus: MemoryBus, receipts: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    here, missing = kommune.folder / "here.p7m", kommune.folder / "none.p7m"
    here.write_bytes(receipts[0])
    code = run(["--env", "lokal", "--config", str(kommune.config), "receipts", "add", str(here), str(missing)])
    assert code == 66
    assert "none.p7m" in capsys.readouterr().err
    with Client(kommune.configure(), bus=bus) as client:
        assert client.receipts() == ()


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN A-----" * 300_000,
        b"-----BEGIN " * 300_000,
        b"A:\n" * 300_000,
        b"A:\n" + b" x\n" * 300_000,
        b"A " * 900_000,
    ],
    ids=["PEM", "half PEM", "headers", "one folded header", "base64 of blanks"],
)
def test_a_text_that_says_over_and_over_that_it_begins_is_refused_at_once_and_takes_no_lock(
    text: bytes, add: Add, kommune: Municipality, bus: MemoryBus
) -> None:
    """0.4 MB of the first one cost 51 seconds, in which no other run could do anything."""
    with Client(kommune.configure(), bus=bus) as client:
        client.wait(timeout=0)
        start = time.process_time()
        assert add(text)[0] == 65
        assert time.process_time() - start < 2


def test_while_another_run_holds_the_journal_it_is_87(
    add: Add, kommune: Municipality, bus: MemoryBus, receipts: list[bytes]
) -> None:
    with Client(kommune.configure(), bus=bus) as client:
        client.wait(timeout=0)
        assert add(receipts[0])[0] == 87


def test_the_library_takes_a_file_while_it_waits_and_the_wait_ends(
    kommune: Municipality, bus: MemoryBus, receipts: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(kommune.configure(), bus=bus) as client:
        pending = iter(receipts)

        def look(_timeout: float, _sources: object) -> Inbound | None:
            # Between two looks at the queue another thread of the vendor's hands the files in.
            if (one := next(pending, None)) is not None:
                assert client.add_receipt(one).taken == 1
            return None

        monkeypatch.setattr(bus, "receive", look)
        assert client.wait(timeout=60).exit_code == 0


def test_the_bus_is_never_touched(kommune: Municipality, bus: MemoryBus, receipts: list[bytes]) -> None:
    bus.connect_error = bus.receive_error = BusUnreachable(Text("not to be called"))
    with Client(kommune.configure(), bus=bus) as client:
        assert [client.add_receipt(one).exit_code for one in receipts] == [80, 0]


def test_receipts_shows_as_before_with_and_without_an_id(
    add: Add, kommune: Municipality, receipts: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    submission = json.loads(add(*receipts)[1])["submission"]
    common = ["--env", "lokal", "--config", str(kommune.config), "receipts"]
    shown = []
    for arguments in ([], [submission], ["show", submission]):
        assert run([*common, *arguments]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0].count("OK (status 1)") == 2
    assert shown[0] == shown[1] == shown[2]

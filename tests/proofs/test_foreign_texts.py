"""G6: what others write reaches no screen, log, journal or error with a national id in it, however the id is written.

Ten thousand ids, each in every shape through every channel. And what is known for what it is passes all of them
unchanged: digests, serial numbers, GUIDs.
"""

from __future__ import annotations

import io
import json as plain_json
import logging
import re
import sys
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final
from xml.sax.saxutils import quoteattr

import pytest
from proton import Condition

from kpr_sender.bus.broker_errors import link_error
from kpr_sender.bus.links import LinkRefused, described
from kpr_sender.cli.main import run
from kpr_sender.cli.streams import unfailing
from kpr_sender.cms.port import SignatureRefused
from kpr_sender.errors import AccessRefused, BusUnreachable, LastError, UsageError
from kpr_sender.events import Event, EventKind
from kpr_sender.journal.connection import open_to_read
from kpr_sender.journal.export import lines
from kpr_sender.logs import log_event, logging_to
from kpr_sender.messages import apprec, error_queue
from kpr_sender.model import Environment, MessageType, ReceiptError
from kpr_sender.outbound.payload_file import PayloadFile
from kpr_sender.privacy import foreign_text, redact, redact_text, shown_text
from kpr_sender.registry.client import registered_name
from kpr_sender.render import json
from kpr_sender.render.html import escape
from kpr_sender.render.text import error_text
from kpr_sender.sandbox.apprec import build
from tests.helpers.figures import figure
from tests.helpers.municipality import municipality
from tests.helpers.nightly import scaled
from tests.helpers.planted_ids import IDS, ids
from tests.journal.builders import new_shipment, new_submission, open_journal
from tests.messages.parties import HODEMELDING

_WIDE: Final = str.maketrans("0123456789", "".join(map(chr, range(0xFF10, 0xFF1A))))
SHAPES: Final[dict[str, Callable[[str], str]]] = {
    "as it is": str,
    "dot": lambda one: f"{one[:6]}.{one[6:]}",
    "slash": lambda one: f"{one[:6]}/{one[6:]}",
    "underscore": lambda one: f"{one[:6]}_{one[6:]}",
    "comma": lambda one: f"{one[:6]},{one[6:]}",
    "soft hyphen": lambda one: f"{one[:6]}\u00ad{one[6:]}",
    "no width": lambda one: f"{one[:6]}\u200b{one[6:9]}\u2060{one[9:]}",
    "line end": lambda one: f"{one[:6]}\r\n{one[6:]}",
    "full width": lambda one: one.translate(_WIDE),
    "in pairs": lambda one: f"{one[:2]}.{one[2:4]}.{one[4:6]} - {one[6:]}",
    "escaped": lambda one: f"{one[:6]}\\xad{one[6:]}",
}
_AT_ONCE: Final = 20
_ESCAPE: Final = re.compile(r"\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4})")
_SIGN: Final = re.compile(r"[\W_]+")
_RUN: Final = re.compile(r"\d{11,}")


def _texts(numbers: list[str], shape: Callable[[str], str], at_once: int) -> Iterator[str]:
    """Yield texts of so many ids each, a word between any two."""
    for start in range(0, len(numbers), at_once):
        yield " og ".join(map(shape, numbers[start : start + at_once]))


def _found(text: str, wanted: frozenset[str]) -> set[str]:
    """Return which ids stand in a text, whatever signs are between their digits and whichever digits they are."""
    bare = _SIGN.sub("", _ESCAPE.sub("", text))
    runs = ("".join(str(unicodedata.decimal(digit)) for digit in run) for run in _RUN.findall(bare))
    return {run[at : at + 11] for run in runs for at in range(len(run) - 10)} & wanted


def _error(text: str) -> str:
    error = BusUnreachable(text)
    return f"{error!r} {json.dumps(json.envelope(error))} {error_text(error)} {LastError.of(error)}"


def _logged(text: str) -> str:
    stream = io.StringIO()
    event = Event(EventKind.WARNING, text, details={"seen": text})
    with logging_to(stream, level="debug") as logger:
        log_event(logger, event)
        logging.getLogger("some.library").warning("%s", text)
    return f"{event!r} {stream.getvalue()}"


def _screen(text: str) -> str:
    below = io.BytesIO()
    before = sys.stdout
    sys.stdout = io.TextIOWrapper(below, encoding="utf-8")
    try:
        with unfailing():
            print(text)  # noqa: T201 - what is printed is what is looked at
        sys.stdout.flush()
        return below.getvalue().decode("utf-8")
    finally:
        sys.stdout = before


def _received(text: str) -> str:
    told = ReceiptError("T01", "", "", "")
    xml = build(
        version="1.0",
        apprec_id="a",
        generated_at=datetime(2025, 1, 7, tzinfo=UTC),
        status_code="2",
        errors=(told,),
        original=HODEMELDING,
    )
    quoted = quoteattr(text)
    error = f"<Error V={quoted} S={quoted} DN={quoted} OT={quoted}"
    read = apprec.parse(re.sub(r"<Error [^>]*?(?=/?>)", lambda _: error, xml.decode()).encode())
    return f"{read!r} {[one.detail for one in read.errors]}"


def _faulted(text: str) -> str:
    named = {"errorCondition": text, "errorDescription": text, "errorConditionData": text, "originalMessageId": text}
    return repr(error_queue.parse(named, "", b"", text))


CLEANERS: Final[dict[str, Callable[[str], str]]] = {
    "a text that enters": foreign_text,
    "a text of ours": redact_text,
    "what is shown": shown_text,
}
"""The one place: the three ways in which a text is cleaned."""
CHANNELS: Final[dict[str, Callable[[str], str]]] = {
    "an error on the screen, in JSON and in the journal": _error,
    "a typed MsgId": lambda text: str(UsageError(f"{text} is not in this journal.")),
    "a refused message": lambda text: str(SignatureRefused(text)),
    "a broker's words": lambda text: str(
        link_error(LinkRefused(*described(lambda: Condition("amqp:x", text))), "bus.host")
    ),
    "a register's words": registered_name,
    "an AppRec": _received,
    "the error queue": _faulted,
    "the name of a file": lambda text: str(PayloadFile(Path(text), "", 0).source),
    "an event and the log": _logged,
    "the screen": _screen,
    "JSON": lambda text: json.dumps({"seen": [{text: text}]}),
    "the page": escape,
}


def _leaks(channels: Mapping[str, Callable[[str], str]], chosen: list[str], wanted: frozenset[str]) -> list[str]:
    """Return the channels that an id of the texts passes."""
    return [name for name, through in channels.items() if _found(" x ".join(map(through, chosen)), wanted)]


def test_none_of_ten_thousand_ids_in_any_shape_passes_any_channel() -> None:
    """Each id in every shape through the one place that cleans, and in one of them through each channel."""
    numbers = ids()
    wanted = frozenset(numbers)
    shapes = [list(_texts(numbers, written, _AT_ONCE)) for written in SHAPES.values()]
    for chosen in shapes:
        assert _found(chosen[0], wanted) == set(numbers[:_AT_ONCE])  # they are found where nobody takes them out
    by_turns = [text for at, text in enumerate(zip(*shapes, strict=True)) for text in [text[at % len(shapes)]]]

    leaks = [leak for chosen in shapes for leak in _leaks(CLEANERS, chosen, wanted)]
    leaks += _leaks(CHANNELS, by_turns, wanted)

    texts = len(CLEANERS) * sum(map(len, shapes)) + len(CHANNELS) * len(by_turns)
    figure("national ids in every shape through every channel", ids=IDS, texts=texts, leaked=len(leaks))
    assert leaks == []


@pytest.mark.nightly
@pytest.mark.parametrize("shape", SHAPES)
def test_none_of_ten_thousand_ids_in_one_shape_passes_any_channel(shape: str) -> None:
    numbers = ids(scaled(IDS))
    chosen = list(_texts(numbers, SHAPES[shape], _AT_ONCE))
    leaks = _leaks(CHANNELS, chosen, frozenset(numbers))
    figure(
        "national ids, each in every shape through every channel", texts=len(CHANNELS) * len(chosen), leaked=len(leaks)
    )
    assert leaks == []


def test_none_of_ten_thousand_ids_in_any_shape_is_stored_in_the_journal(tmp_path: Path) -> None:
    numbers = ids()
    wanted = frozenset(numbers)
    shapes = [list(_texts(numbers, written, 100)) for written in SHAPES.values()]
    by_turns = iter([text for at, each in enumerate(zip(*shapes, strict=True)) for text in [each[at % len(shapes)]]])
    new = new_submission(shipments=tuple(replace(new_shipment(kind), lopenr=next(by_turns)) for kind in MessageType))
    with open_journal(tmp_path / "j.db") as journal:
        msg_id = journal.create(new).shipments[0].msg_id
        journal.begin_publish(msg_id)
        for text in by_turns:
            journal.note_error(msg_id, LastError("internal", text))
            condition, description, data = (next(by_turns, "") for _ in range(3))
            journal.fault(msg_id, condition=condition, description=description, data=data)
        told = f"{journal.events(None)} {journal.submissions()}"
    stored = "".join(one.read_bytes().decode("utf-8", "replace") for one in tmp_path.iterdir() if one.is_file())
    store = open_to_read(tmp_path / "j.db", Environment.LOKAL)
    assert store is not None
    exported = "\n".join(json.dumps(redact(line)) for line in lines(store))
    store.close()

    leaked = [place for place, text in (("file", stored), ("told", told), ("export", exported)) if _found(text, wanted)]
    figure("national ids in every shape into the journal", ids=IDS, leaked=len(leaked))
    assert leaked == []


def _colons(hexadecimal: str) -> str:
    return bytes.fromhex(hexadecimal).hex(":").upper()


def test_digests_serial_numbers_and_guids_stay() -> None:
    random = Random(3)
    for _ in range(1000):
        sha256, sha1 = random.randbytes(32).hex(), random.randbytes(20).hex()
        serial, guid = (
            random.randbytes(random.randrange(4, 21)).hex(),
            str(uuid.UUID(bytes=random.randbytes(16), version=4)),
        )
        fields = {
            "sealed_sha256": sha256,
            "encryption_sha1": sha1,
            "signing_serial": serial,
            "msg_id": guid,
            "sealed_bytes": 20_000_000_000,
            "details": {"was_sealed_sha256": sha256, "message_id": guid},
        }
        text = (
            f"Shipment {guid}: serial number {_colons(serial)}, SHA-1 thumbprint {_colons(sha1)}. "
            f"It was serial number {serial}, SHA-1 thumbprint {sha1}, 20,000,000,000 bytes, "
            "at 2025-01-10T12:30:00.123456Z to 192.168.100.101:5671."
        )

        assert redact(fields) == fields  # the log and the export
        assert plain_json.loads(json.dumps(fields)) == fields
        assert AccessRefused(text).what == Event(EventKind.WARNING, text).text == text == shown_text(text)
        assert shown_text(f"sha256 {sha256}") == f"sha256 {sha256}"
        assert foreign_text(f"expected {sha1} in {guid}") == f"expected {sha1} in {guid}"


@pytest.mark.parametrize(
    "control", ["\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\r", "\x08", "\u202e", "\u200f", "\x00"]
)
def test_no_control_sequence_reaches_a_terminal(control: str) -> None:
    for through in CHANNELS.values():
        if through is _received:  # XML has none of them
            continue
        shown = through(f"before{control}after").replace("\n", "")
        assert shown.isprintable()


@pytest.mark.parametrize("form", [(), ("--json",), ("-v",)], ids=["screen", "json", "verbose"])
def test_what_is_typed_is_shown_without_ids_and_control_sequences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], form: tuple[str, ...]
) -> None:
    municipality(tmp_path)
    monkeypatch.chdir(tmp_path)
    (one,) = ids(1)
    for written in SHAPES.values():
        typed = f"x\x1b[31m{written(one)}"
        for command in (("status", typed), ("resolve", typed), ("check", f"{typed}.xml", typed), (f"send{typed}",)):
            assert run(["--env", "lokal", "--config", "lokal.toml", *form, *command]) != 0
    told = capfd.readouterr()

    assert not _found(f"{told.out} {told.err}", frozenset({one}))
    assert "\x1b" not in told.out + told.err


def test_no_text_is_longer_than_its_bound() -> None:
    long = "word " * 400_000
    for channel in ("an error on the screen, in JSON and in the journal", "a refused message", "a broker's words"):
        assert len(CHANNELS[channel](long)) < 100_000
    assert len(Event(EventKind.WARNING, long).text) <= 4000

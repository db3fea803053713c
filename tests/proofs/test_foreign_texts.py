"""G6: what others write reaches no screen, log, journal or error with a national id in it, however the id is written.

Ten thousand ids, each in every shape through every channel. And what is known for what it is passes all of them
unchanged: digests, serial numbers, GUIDs, moments, versions, names of files.
"""

from __future__ import annotations

import html
import io
import json as plain_json
import logging
import operator
import re
import sys
import time
import unicodedata
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain, cycle
from pathlib import Path
from random import Random
from typing import Final
from xml.sax.saxutils import quoteattr

import pytest
from proton import Condition

from kpr_sender.app import journal_storage
from kpr_sender.bus.broker_errors import link_error
from kpr_sender.bus.links import LinkRefused, described
from kpr_sender.cli.main import run
from kpr_sender.cli.streams import unfailing
from kpr_sender.cms.port import SignatureRefused
from kpr_sender.ebxml import read_mail
from kpr_sender.ebxml.answers import Correspondence, classify
from kpr_sender.errors import AccessRefused, BusUnreachable, LastError, UsageError
from kpr_sender.events import Event, EventKind
from kpr_sender.journal.connection import open_to_read
from kpr_sender.journal.export import lines
from kpr_sender.logs import log_event, logging_to
from kpr_sender.messages import apprec, error_queue
from kpr_sender.model import Environment, MessageType, ReceiptError
from kpr_sender.outbound.payload_file import PayloadFile
from kpr_sender.privacy import ID, foreign_text, redact, redact_text, shown_text
from kpr_sender.registry.client import registered_name
from kpr_sender.render import json
from kpr_sender.render.html import escape
from kpr_sender.render.text import error_text
from kpr_sender.sandbox.apprec import build
from kpr_sender.states import ReceiptStatus
from kpr_sender.texts import as_text
from tests.helpers.fhi import Fhi
from tests.helpers.figures import figure
from tests.helpers.municipality import municipality
from tests.helpers.nightly import scaled
from tests.helpers.planted_ids import IDS, ids
from tests.journal.builders import new_shipment, new_submission, open_journal
from tests.messages.parties import HODEMELDING


def _in_digits(digits: str) -> Callable[[str], str]:
    return lambda one: one.translate(str.maketrans("0123456789", digits))


def _between(signs: str) -> Callable[[str], str]:
    return lambda one: f"{one[:6]}{signs}{one[6:]}"


def _each(form: str) -> Callable[[str], str]:
    """Return a shape in which each digit is written by its code."""
    return lambda one: "".join(form.format(ord(digit)) for digit in one)


SHAPES: Final[dict[str, Callable[[str], str]]] = {
    "as it is": str,
    "dot": _between("."),
    "slash": _between("/"),
    "underscore": _between("_"),
    "comma": _between(","),
    "soft hyphen": _between("\u00ad"),
    "no width": lambda one: f"{one[:6]}\u200b{one[6:9]}\u2060{one[9:]}",
    "line end": _between("\r\n"),
    "full width": _in_digits("".join(map(chr, range(0xFF10, 0xFF1A)))),
    "in pairs": lambda one: f"{one[:2]}.{one[2:4]}.{one[4:6]} - {one[6:]}",
    "escaped": _between("\\xad"),
}
"""In which every id is cleaned at each run of the tests."""
MORE_SHAPES: Final[dict[str, Callable[[str], str]]] = {
    "entity": _between("&nbsp;"),
    "entity by number": _between("&#160;"),
    "entity in hexadecimal": _between("&#xA0;"),
    "entity escaped": _between("&amp;nbsp;"),
    "fillers": lambda one: f"{one[:2]}\u3164{one[2:4]}\u115f\u1160{one[4:6]}\uffa0\u034f\ufe0f\U000e0101{one[6:]}",
    "many signs": _between(" - - - "),
    "far apart": "     ".join,
    "thousands": lambda one: f"{int(one):,}",
    "thousands with blanks": lambda one: f"{int(one):,}".replace(",", " "),
    "thousands with dots": lambda one: f"{int(one):,}".replace(",", "."),
    "letter": _between("A"),
    "letter and signs": _between(" x "),
    "letters": lambda one: f"{one[:2]}x{one[2:4]}x{one[4:6]}x{one[6:]}",
    "raised": _in_digits("⁰¹²³⁴⁵⁶⁷⁸⁹"),
    "lowered": _in_digits("₀₁₂₃₄₅₆₇₈₉"),
    "in circles": _in_digits("⓪①②③④⑤⑥⑦⑧⑨"),
    "with dots": _in_digits("🄀⒈⒉⒊⒋⒌⒍⒎⒏⒐"),
    "Arabic": _in_digits("٠١٢٣٤٥٦٧٨٩"),
    "escapes": _each(r"\x{:02x}"),
    "escapes of four": _each(r"\u{:04x}"),
    "octal escapes": _each(r"\{:03o}"),
    "in an address": _each("%{:02X}"),
    "quoted-printable": _each("={:02X}"),
    "entities": _each("&#{};"),
    "one entity": lambda one: f"{one[:3]}&#x{ord(one[3]):x};{one[4:]}",
    "bytes of an address": _between("%C2%A0"),
    "soft line end": lambda one: f"{one[:8]}=\r\n{one[8:]}",
    "float": lambda one: f"{one[:1]}.{one[1:]}e10" if one[0] != "0" else f"{one[1]}.{one[2:]}E9",
    "dump": lambda one: one.encode().hex(" "),
    "list": lambda one: repr(list(one)),
}
"""In which every fifth is, and every one at night."""
EVERY_SHAPE: Final = SHAPES | MORE_SHAPES
_AT_ONCE: Final = 10
_ESCAPE: Final = re.compile(r"\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|0[67][0-7])|(?:[%=][0-9A-F]{2})+|=\r?\n")
_UNUSUAL: Final = re.compile(r"[^\x00-\x7f]")
_SIGN: Final = re.compile(r"[^0-9A-Za-z]+")
_LETTER: Final = re.compile(r"(?<=[0-9])[Ax](?=[0-9])")
_DUMP: Final = re.compile(r"(?:3([0-9])){11}")
_FLOAT: Final = re.compile(r"([0-9]\.[0-9]{8,11})[eE]([0-9]{1,2})")
_RUN: Final = re.compile(r"[0-9]{10,}")


def _texts(numbers: list[str], shape: Callable[[str], str], at_once: int) -> Iterator[str]:
    """Yield texts of so many ids each, a word between any two."""
    for start in range(0, len(numbers), at_once):
        yield " og ".join(map(shape, numbers[start : start + at_once]))


def _unescaped(escape: re.Match[str]) -> str:
    written = escape[0]
    if written[0] == "\\":
        return written.encode().decode("unicode_escape")
    return bytes.fromhex("".join(re.findall("[0-9A-F]{2}", written))).decode("utf-8", "replace")


def _found(text: str, wanted: frozenset[str]) -> set[str]:
    """Return which ids stand in a text, whatever signs are between their digits and whichever digits they are."""
    if sum(map(str.isnumeric, text)) < 10:
        return set()
    plain = html.unescape(html.unescape(_ESCAPE.sub(_unescaped, text)))
    plain = _UNUSUAL.sub(lambda sign: str(unicodedata.digit(sign[0], " ")), unicodedata.normalize("NFKC", plain))
    bare = {_SIGN.sub("", _ESCAPE.sub("", text)), _SIGN.sub("", plain)}
    bare |= {_LETTER.sub("", one) for one in bare}
    bare |= {" ".join("".join(dump[0][1::2]) for dump in _DUMP.finditer(one)) for one in bare}
    bare |= {" ".join(str(round(float(f"{base}e{power}"))) for base, power in _FLOAT.findall(plain))}
    runs = [run for one in bare for run in _RUN.findall(one)]
    runs += [f"0{run}" for run in runs]
    return {run[at : at + 11] for run in runs for at in range(len(run) - 10)} & wanted


def _error(text: str) -> str:
    error = BusUnreachable(as_text(text))
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
    "a typed MsgId": lambda text: str(UsageError(as_text(f"{text} is not in this journal."))),
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
    """Each id in every shape through the one place that cleans, and in one of them through each channel.

    The three ways of that place by turns: what they look for is the same.
    """
    numbers = ids()
    wanted = frozenset(numbers)
    shapes = {shape: list(_texts(numbers, written, _AT_ONCE)) for shape, written in EVERY_SHAPE.items()}
    for chosen in shapes.values():
        assert _found(chosen[0], wanted) == set(numbers[:_AT_ONCE])  # they are found where nobody takes them out
    two_each = [[" og ".join(two) for two in zip(each[::2], each[1::2], strict=True)] for each in shapes.values()]
    by_turns = [text[at % len(shapes)] for at, text in enumerate(zip(*two_each, strict=True))]

    leaks = _leaks(CHANNELS, by_turns, wanted)
    texts = len(CHANNELS) * len(by_turns)
    for at, (shape, written) in enumerate(shapes.items()):
        each = len(CLEANERS) if shape in SHAPES else 5 * len(CLEANERS)
        for turn, name in enumerate(CLEANERS):
            chosen = written[(at + turn) % each :: each]
            texts += len(chosen)
            leaks += [f"{shape}: {leak}" for leak in _leaks({name: CLEANERS[name]}, chosen, wanted)]

    figure("national ids in every shape through every channel", ids=IDS, texts=texts, leaked=len(leaks))
    assert leaks == []


@pytest.mark.nightly
@pytest.mark.parametrize("shape", EVERY_SHAPE)
def test_none_of_ten_thousand_ids_in_one_shape_passes_any_channel(shape: str) -> None:
    numbers = ids(scaled(IDS))
    chosen = list(_texts(numbers, EVERY_SHAPE[shape], _AT_ONCE))
    leaks = _leaks(CLEANERS | CHANNELS, chosen, frozenset(numbers))
    figure(
        "national ids, each in every shape through every channel",
        texts=len(CLEANERS | CHANNELS) * len(chosen),
        leaked=len(leaks),
    )
    assert leaks == []


def _mails(texts: Iterator[str]) -> Iterator[bytes]:
    """Yield the mails that a mailbox may hold, with others' words wherever one has room for them."""

    def xml(template: str) -> bytes:
        return re.sub("@+", lambda _: quoteattr(next(texts, ""))[1:-1], template).encode()

    def head(template: str) -> bytes:
        return re.sub("@+", lambda _: next(texts, "").replace("\n", "\n "), template).encode()

    envelope = (
        '<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/" xmlns:eb="http://www.oasis-open.org/'
        'committees/ebxml-msg/schema/msg-header-2_0.xsd">{}</S:Envelope>'
    )
    header = (
        '<S:Header><eb:MessageHeader><eb:From><eb:PartyId eb:type="HER">@</eb:PartyId></eb:From><eb:Service>@'
        "</eb:Service><eb:Action>@</eb:Action><eb:MessageData><eb:Timestamp>@</eb:Timestamp></eb:MessageData>"
        '</eb:MessageHeader>{}</S:Header><S:Body a="@"/>'
    )
    words = '<eb:Error eb:errorCode="@" eb:location="@"><eb:Description>@</eb:Description></eb:Error>'
    error = f"<eb:ErrorList>{words}</eb:ErrorList>"
    method = '<SignedInfo><CanonicalizationMethod Algorithm="@"/></SignedInfo>'
    signature = f'<Signature xmlns="http://www.w3.org/2000/09/xmldsig#">{method}</Signature>'
    fault = "<S:Body><S:Fault><faultcode>@</faultcode><faultstring>@</faultstring></S:Fault></S:Body>"
    mail = "Subject: @\r\nFrom: @\r\nMessage-ID: <@>\r\nIn-Reply-To: <@>\r\nContent-Type: {}\r\n\r\n"
    while (first := next(texts, "")) != "":
        texts = chain([first], texts)
        for inside in (header.format(error), header.format(error + signature), fault, "<@/>"):
            yield head(mail.format('text/xml; charset="@"')) + xml(envelope.format(inside))
        yield head(mail.format("multipart/related; boundary=b")) + head(
            "@\r\n--b\r\nContent-Type: @\r\nContent-ID: <@>\r\n"
        )
        yield head(
            mail.format("multipart/report; boundary=b") + "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        ) + head("Original-Envelope-Id: @\r\n\r\nAction: @\r\nStatus: @\r\nDiagnostic-Code: @\r\n--b--\r\n")


def _answered(whole: bytes) -> str:
    mail = read_mail.read(whole)
    if isinstance(mail, read_mail.NotEbxml):
        return repr(mail)
    return f"{mail!r} {classify(mail, Correspondence(1, 2, ()))!r}"


def test_none_of_ten_thousand_ids_in_others_mails_is_shown() -> None:
    numbers = ids()
    chunks = [numbers[at : at + 5] for at in range(0, len(numbers), 5)]
    texts = (text for chunk, written in zip(chunks, cycle(EVERY_SHAPE.values())) for text in _texts(chunk, written, 5))
    mails = list(_mails(texts))
    told = list(map(_answered, mails))

    leaked = [one for one in told if _found(one, frozenset(numbers))]
    kinds = {re.split(r"[ (]", one.rpartition(") ")[2])[0] for one in told}
    figure("national ids in others' mails", ids=IDS, mails=len(mails), leaked=len(leaked))
    assert leaked == []
    assert {"MessageError", "SoapFault", "Bounce", "NotEbxml", "Other"} <= kinds


def test_none_of_ten_thousand_ids_in_any_shape_is_stored_in_the_journal(tmp_path: Path) -> None:
    numbers = ids()
    wanted = frozenset(numbers)
    shapes = [list(_texts(numbers, written, 100)) for written in EVERY_SHAPE.values()]
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


def test_none_of_ten_thousand_ids_is_in_evidence_or_a_bundle(tmp_path: Path) -> None:
    """Wherever others' words get into the journal, its receipts and the log, in every shape by turns."""
    numbers = ids()
    wanted = frozenset(numbers)
    made = municipality(tmp_path)
    made.write({"log": {"file": "kpr.log"}}, port=1)
    settings = made.configure({"log": {"file": "kpr.log"}})
    chunks = [numbers[at : at + 50] for at in range(0, len(numbers), 50)]
    texts = [text for chunk, written in zip(chunks, cycle(EVERY_SHAPE.values())) for text in _texts(chunk, written, 50)]
    by_turns = iter(texts)
    fhi = Fhi(made.pki)
    new = new_submission(shipments=tuple(replace(new_shipment(kind), lopenr=next(by_turns)) for kind in MessageType))
    with closing(journal_storage(settings).open(who="kari")) as journal:
        msg_id = journal.create(new).shipments[0].msg_id
        journal.begin_publish(msg_id)
        for number, text in enumerate(by_turns):
            journal.note_error(msg_id, LastError("internal", text))
            condition, description, data = (next(by_turns, "") for _ in range(3))
            journal.fault(msg_id, condition=condition, description=description, data=data)
            clear = " ".join(chunks[number])
            xml = f"<AppRec>{clear}</AppRec>".encode()
            verified = number % 2 == 0
            journal.add_receipt(
                msg_id,
                status=ReceiptStatus.REJECTED,
                errors=(ReceiptError("T02", "", foreign_text(text), clear),),
                verified=verified,
                problem="" if verified else text,
                xml=xml,
                sealed=fhi.sealed(xml) if verified else xml,
                cause=None,
            )
    with logging_to(made.folder / "kpr.log", level="debug") as logger:
        for text in texts:
            log_event(logger, Event(EventKind.WARNING, text, details={"seen": text}))
    told = ["--env", "lokal", "--config", str(made.config)]
    archives = {"evidence": ["evidence", new.submission_id], "bundle": ["bundle"]}
    leaked, held = [], 0
    for name, command in archives.items():
        archive = tmp_path / f"{name}.zip"
        assert run([*told, *command, str(archive)]) == 0
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                content = opened.read(entry).decode("utf-8", "replace")
                held += content.count(ID)
                leaked += [entry.filename] if _found(content, wanted) else []
    assert held > 1000  # they were there, and their places are
    figure("national ids into evidence and a bundle", ids=IDS, leaked=len(leaked))
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
        assert AccessRefused(as_text(text)).what == Event(EventKind.WARNING, text).text == text == shown_text(text)
        assert shown_text(f"sha256 {sha256}") == f"sha256 {sha256}"
        assert foreign_text(f"expected {sha1} in {guid}") == f"expected {sha1} in {guid}"


def _has_check_digit(written: str) -> bool:
    """Tell whether the last check digit fits, wherever eleven digits begin."""
    digits = [int(digit) for digit in written if digit.isdigit()]
    weights = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
    sums = (sum(map(operator.mul, weights, digits[at:])) for at in range(len(digits) - 10))
    return any(total % 11 == 0 for total in sums)


def test_names_of_files_with_a_date_and_a_running_number_stay() -> None:
    """Where their digits have both check digits of an id, they go: one in thirty."""
    names = [
        form.format(f"{date(2024, 1, 1) + timedelta(days):%y%m%d}", f"{days * 7:05}")
        for days in range(400)
        for form in ("kpr-{}-{}.xml", "/srv/kpr/fag_{}_{}.xml", "{}-{}.xml", "KPR{}-{}", "kpr-20{}-{}.xml")
    ]
    kept = [name for name in names if not _has_check_digit(name)]
    assert len(kept) > 0.8 * len(names)
    for name in kept:
        assert foreign_text(name) == redact_text(name) == shown_text(name) == name
    assert redact_text(f"kpr-{ids(1)[0][:6]}-{ids(1)[0][6:]}.xml") == f"kpr-{ID}.xml"


@pytest.mark.parametrize(
    "text",
    [
        "it comes from another HER-id: 121262, 91234, not 171479",
        "organisation numbers 974 760 673, 310000019 and 983971636",
        "RabbitMQ 4.3.6, Windows 10.0.19045.5247, version 1.10.2024.0812, code list 2.16.578.1.12.4.1.1.8221",
        "Mon, 06 Jan 2025 09:15:00 +0100 and 2025-01-06 09:15:00,123 and kpr_20250106_091500.log and 20250106T091500Z",
        "20,000,000,000 bytes, 20 000 000 000 bytes, 1,234,567,890",
        "https://example.org/a%20b?x=30&y=1%2C5&amp;z=2 and 12 &lt; 13",
        "of 121262 bytes in 12345 lines",
        "10.1.2025 kl. 12:30 til 31.12.2025 kl. 23:59",
    ],
)
def test_what_is_no_id_stays(text: str) -> None:
    assert foreign_text(text) == redact_text(text) == shown_text(text) == text


def test_a_serial_number_of_eleven_digits_is_none() -> None:
    (one,) = ids(1)
    fields = {"signing_serial": one, "details": {"encryption_serial": f"0{one}"}, "other_serial": f"{one[:10]}ab"}
    for clean in (json.dumps(fields), json.dumps(redact(fields)), redact_text(f"serial number 0{one}.")):
        assert one not in clean
    assert redact_text(f"serial number {one}a") == f"serial number {one}a"
    assert redact({"signing_serial": f"{one}a"}) == {"signing_serial": f"{one}a"}


@pytest.mark.parametrize(
    "signs",
    ["1", "01 ", "10.1.2025 ", "01%20", "&#48;", r"\x30-", "=30", "010190a12345 ", "0a1b", "²¹ ", "1,234", "30 "],
)
def test_a_long_text_of_others_is_cleaned_in_linear_time(signs: str) -> None:
    text = signs * (50_000 // len(signs))
    start = time.process_time()
    redact_text(text)
    shown_text(text)
    assert time.process_time() - start < 1.5


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
    for at, (shape, written) in enumerate(EVERY_SHAPE.items()):
        typed = f"x\x1b[31m{written(one)}"
        commands = (("status", typed), ("resolve", typed), ("check", f"{typed}.xml", typed), (f"send{typed}",))
        for command in commands if shape in SHAPES else [commands[at % len(commands)]]:
            assert run(["--env", "lokal", "--config", "lokal.toml", *form, *command]) != 0
    told = capfd.readouterr()

    assert not _found(f"{told.out} {told.err}", frozenset({one}))
    assert "\x1b" not in told.out + told.err


def test_no_text_is_longer_than_its_bound() -> None:
    long = "word " * 400_000
    for channel in ("an error on the screen, in JSON and in the journal", "a refused message", "a broker's words"):
        assert len(CHANNELS[channel](long)) < 100_000
    assert len(Event(EventKind.WARNING, long).text) <= 4000

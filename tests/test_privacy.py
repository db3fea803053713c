"""G6: whatever reaches a log line, no national id, payload, key or password leaves with it."""

from __future__ import annotations

import base64
import itertools
import json
import random
import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.privacy import (
    BLOB,
    ID,
    KEY,
    MARKUP,
    SECRET,
    foreign_text,
    holds_national_id,
    is_running_number,
    may_hold_national_id,
    person_number,
    redact,
    redact_fields,
    redact_name,
    redact_text,
)
from tests.helpers.tenor import TENOR_ID, tenor_ids
from tools.texts.catalogues import translations, written

# Seconds of processor time: far above a busy machine's milliseconds, far below what a square of the length costs.
MANY = 3.0
_SEPARATORS = st.text(alphabet=" -\u00a0\u2013\t", max_size=2)


@st.composite
def written_ids(draw: st.DrawFn) -> tuple[str, str]:
    """A Tenor id, and the same as somebody may have written it: with spaces or dashes between any digits."""
    national_id = draw(tenor_ids())
    return national_id, "".join(digit + draw(_SEPARATORS) for digit in national_id[:-1]) + national_id[-1]


@given(written=written_ids(), before=st.text(), after=st.text())
def test_no_national_id_survives_in_any_position_of_a_text(written: tuple[str, str], before: str, after: str) -> None:
    national_id, as_written = written

    clean = redact_text(f"{before}{as_written}{after}")

    assert as_written not in clean
    assert national_id not in clean


@given(national_id=tenor_ids(), shape=st.sampled_from(["key", "value", "list", "deep", "number", "error", "tuple"]))
def test_no_national_id_survives_in_any_structure(national_id: str, shape: str) -> None:
    structures: dict[str, Any] = {
        "key": {national_id: 1},
        "value": {"a": national_id},
        "list": [[national_id], 1],
        "deep": {"a": [{"b": ({"c": f"x{national_id}"},)}]},
        "number": {"n": int(national_id)},
        "error": ValueError(f"cannot read {national_id}"),
        "tuple": (national_id.encode(), {national_id}),
    }

    clean = json.dumps(redact(structures[shape]))

    assert national_id not in clean
    assert national_id.lstrip("0") not in clean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"id {TENOR_ID[:6]} {TENOR_ID[6:]} here", f"id {ID} here"),
        (f"id {TENOR_ID}", f"id {ID}"),
        (f"{TENOR_ID[:6]}-{TENOR_ID[6:]}", ID),
        ("010190.12345, 010190/12345, 010190_12345", f"{ID}"),
        ("010190,12345 og 010190\u00ad12345 og 0101\u200b90\u200b12345", f"{ID} og {ID} og {ID}"),
        ("010190\n12345 og 010190\\xad12345 og 010190%2012345", f"{ID} og {ID} og {ID}"),
        ("".join(chr(ord(digit) + 0xFEE0) for digit in "01019012345"), ID),
        ("01 01 90 123 45 og 0.1.0.1.9.0.1.2.3.4.5", f"{ID} og {ID}"),
        ('{"type":"Buffer","data":[48,51,56,49,53,49,53,54,50,51,51]}', f'{{"type":"Buffer","data":[{ID}]}}'),
        ("a\x1b[31mb\x07c \udce6", "a [31mb c \\xe6"),
        ("a <fid>Ola</fid> b", f"a {MARKUP}"),
        ("starts <?xml version='1.0'?><a/>", f"starts {MARKUP}"),
        ("cut off <PasientIdent><fid>12", f"cut off {MARKUP}"),
        ('<Melding xmlns="http://x', MARKUP),
        ("only a tail of it</navn> x", f"only a tail of it{MARKUP}"),
        ("escaped &lt;fid&gt;Ola&lt;/fid&gt;", f"escaped {MARKUP}"),
        ("<![CDATA[Ola]]>", MARKUP),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nx", f"{KEY}\nx"),
        ("-----BEGIN PRIVATE KEY-----\nMIIcut", KEY),
        ("amqps://user:hemmelig@tb.nhn.no/", f"amqps://{SECRET}@tb.nhn.no/"),
        ("password=hemmelig x", f"password={SECRET} x"),
        ("{'passphrase': 'to ord', 'a': 1}", f"{{'passphrase': {SECRET}, 'a': 1}}"),
        ("Password: hemmelig", f"Password: {SECRET}"),
        ("MIIB8jCCAVugAwIBAgIJAKmG1Qz+8s3nMA0GCSqGSIb3DQEBCwUAMA==", BLOB),
        ("key " + "0f" * 32, f"key {BLOB}"),
    ],
)
def test_what_is_taken_out(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Message 3b1f9c2e-1111-4222-8333-123456789012 is published after 2 attempts.",
        "12345678-1234-4234-8234-123456789012",
        "submission 2024-12345678 for 2024",
        "/var/lib/kpr-sender/validering/receipts/3b1f9c2e-1111-4222-8333-123456789012-apprec-1.xml",
        "/home/pytest-of-user/pytest-12/test_a_rather_long_name_of_a_test_0/journal.db",
        "127.0.0.1:5671, 192.168.100.101:5671",
        "2025-01-06T09:15:00.123456Z",
        'File "/usr/lib/python3.11/threading.py", line 975, in <module>',
        "<kpr_sender.bus.amqp.AmqpBus object at 0x7f0000000000>",
        "20 000 000 bytes, 1,234,567,890",
        "it comes from another HER-id: 900002, 12345, not 171479",
        "code list 2.16.578.1.12.4.1.1.8221",
        "/data/fagmelding_20250106120000.xml and Fagmelding2024KommuneOslo2025.xml",
        "from 2025-01-06 09:15:00 to 2025-01-07 10:00",
        "  12,345   123,456   234,567",
        "01890123-4567-7abc-8def-012345678901",
        "serial number 00112233445566778899001122334455667788, SHA-1 thumbprint 00:11:22:33:44:55:66:77:88:99:AA",
        "certificate expired: Mend the login, certificate or key, then run the same command again.",
        "HER-ids 8140000; 8140001 and 8140000/8140001, of kommune 4601, 1103, 0301, 5001, 3201",
        "20250110_12345.xml, 3 of 2025-01-10, 1234567890 bytes",
    ],
)
def test_what_people_need_to_see_is_kept(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "written",
    [
        "03.81.1951 56233",
        "3.81.1951-56233",
        "3/81/51 - 562 33",
        "1951-81-03 56233",
        "19518103-56233",
        "03811951_56233",
        "3815156233",
        "3815156233.0",
    ],
)
def test_an_id_without_its_zero_or_with_its_century_is_taken_out_by_its_check_digits(written: str) -> None:
    assert ID in redact_text(written)
    other = written.replace("33", "34")
    assert redact_text(other) == other


@pytest.mark.parametrize("digits", ["01 ", "01.", "1 ", "8 ", "01%20", "10.1.2025 "])
def test_a_text_of_nothing_but_digits_is_cleaned_at_once(digits: str) -> None:
    text = digits * (10_000 // len(digits))
    start = time.process_time()
    redact_text(text)
    foreign_text(text, 1000)
    assert time.process_time() - start < MANY


@pytest.mark.parametrize("text", ["x" * 3000, "1 " * 1500, "x" * 2960 + "1 " * 20], ids=["words", "digits", "both"])
def test_what_stands_behind_the_part_that_is_looked_at_is_not_looked_at(text: str) -> None:
    long = text + "y" * 20_000_000
    start = time.process_time()
    assert foreign_text(long) == foreign_text(text)
    assert time.process_time() - start < MANY


def test_our_own_ids_are_always_kept() -> None:
    for _ in range(2000):
        msg_id = str(uuid.uuid4())
        assert redact_text(f"Shipment {msg_id} is published") == f"Shipment {msg_id} is published"


def test_no_line_of_base64_survives_whole() -> None:
    """Key material and sealed bytes look random, so that is what is tried; runs of one byte are neither.

    The first of them has so many slashes that it looks like a path. Of 100,000 lines one or two look more like one.
    """
    seeded = random.Random(1)
    lines = [base64.b64encode(seeded.randbytes(seeded.randint(48, 200))).decode() for _ in range(2000)]
    for line in ("GXfSdrvXHt/UAOSaBYTXCTM++fcCs/CjqE7NQ71JVVGI7m/cZSmqmXztjvXjEGSf", *lines):
        assert line not in redact_text(f"sealed {line}")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.binary(), st.lists, max_leaves=20))
def test_redaction_never_fails_and_its_result_is_plain_data(value: object) -> None:
    json.dumps(redact(value))


def test_redacting_twice_changes_nothing_more() -> None:
    once = redact_text(f"password=x {TENOR_ID} <a>b</a>")
    assert redact_text(once) == once


def test_names_of_fields_decide_where_values_cannot() -> None:
    digest = "0f" * 32

    event = redact_fields(
        {"sealed_sha256": digest, "other": digest, "password": "kort", "password_file": "/etc/p", "xml": "Ola"},
    )

    assert event == {
        "sealed_sha256": digest,
        "other": BLOB,
        "password": SECRET,
        "password_file": "/etc/p",
        "xml": BLOB,
    }


def test_a_structure_that_contains_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)

    assert "too deep" in json.dumps(redact(loop))


DATE, REST = TENOR_ID[:6], TENOR_ID[6:]
DOTTED = ".".join(TENOR_ID)


@pytest.mark.parametrize(
    ("written", "name", "holds", "may_hold"),
    [
        (TENOR_ID, SECRET, True, True),
        (f"{DATE} {REST}", SECRET, True, True),
        (f"{DATE}-{REST}", SECRET, True, True),
        (DOTTED, SECRET, True, True),
        (f"{DATE} - {REST}", SECRET, True, True),
        (f"{DATE}_{REST}", SECRET, True, True),
        (f"{DATE}abc{REST}", f"{DATE}abc{REST}", False, True),
        ("123456789", "123456789", False, True),
        ("12345678", "12345678", False, False),
        ("2025-01-06T09:15", "2025-01-06T09:15", False, True),
        ("2025-01-06", "2025-01-06", False, False),
        ("EKSEMPEL KOMMUNE 310000019", "EKSEMPEL KOMMUNE 310000019", False, True),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)
def test_each_place_takes_for_an_id_what_it_can_do_without(
    written: str, name: str, *, holds: bool, may_hold: bool
) -> None:
    assert redact_name(written) == name
    assert holds_national_id(written) is holds
    assert may_hold_national_id(written) is may_hold


@pytest.mark.parametrize(
    ("reason", "holds"),
    [
        ("FHI answered between 01.02.2025 - 03.04.2025", False),
        ("from 2025-01-10 to 2025-01-14, said twice", False),
        ("for HER-id 8140000; 8140001", False),
        ("kommune 4601, 1103, 0301", False),
        ("3. 2. 2025, by telephone 22 33 44 55", False),
        ("the one of 03.12.2010 123 45", True),
        ("born 2010-12-03 12345", True),
        (f"{DATE[:2]}.{DATE[2:4]}.{DATE[4:]}, {REST}", True),
    ],
    ids=["period", "iso", "her-ids", "kommuner", "telephone", "mistyped", "iso-and-number", "comma"],
)
def test_a_reason_may_have_days_and_lists_of_numbers_and_no_person(reason: str, *, holds: bool) -> None:
    assert holds_national_id(reason) is holds


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        (TENOR_ID, TENOR_ID),
        (f" {DATE} {REST} ", TENOR_ID),
        (DOTTED, TENOR_ID),
        (f"{DATE}-{REST}", TENOR_ID),
        (f"{TENOR_ID}0", f"{TENOR_ID}0"),
        (f"{TENOR_ID}00", None),
        (TENOR_ID[1:], None),
        (f"{DATE}/{REST}", None),
        (" - ", ""),
    ],
    ids=itertools.count(),
)
def test_a_number_is_read_as_people_write_it(written: str, digits: str | None) -> None:
    assert person_number(written) == digits


def test_a_running_number_is_shorter_than_an_id_without_its_leading_zero() -> None:
    assert is_running_number("123456789")
    assert not any(map(is_running_number, ("1234567890", "-1", "", "1a", "\u0661")))


@pytest.mark.parametrize(
    "path",
    [
        "/srv/KPR/2024/V2/Fag1/Ident.xml",
        "/srv/Data1/EPJ/KPR2024V1/Fag.xml",
        "/srv/c/Data/OlaN/KPR/V2/fag.xml",
        "/srv/kpr/Gerica/Ut/2024-01/FM",
    ],
)
def test_a_path_stays_so_that_what_to_do_with_it_can_be_done(path: str) -> None:
    assert redact_text(path) == path


def test_g6_no_text_of_the_library_is_taken_for_a_secret() -> None:
    """What the command line's help says is not cleaned."""
    lost = [
        f"{module}: {text}"
        for module in written()
        if not module.startswith(("cli/", "click"))
        for english, norwegian in translations(module).items()
        for text in (english, *norwegian)
        if redact_text(text) != text
    ]
    assert lost == []

"""A receipt whose bytes are not those that were signed is acknowledged by nobody; the whole one after it is (G4)."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kpr_sender.client import Client
from kpr_sender.events import Event
from kpr_sender.model import SubmissionState
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.settings.sample_file import MAILBOX
from tests.helpers.edi_municipality import by_mail, edi_sandbox
from tests.helpers.municipality import Municipality

_BASE64 = re.compile(rb"(?<=\r\n\r\n)(?:[A-Za-z0-9+/=]+\r\n)+")
_ENVELOPE, _PAYLOAD = 0, 1
_STORED = "*acknowledgements*"


def _changed(mail: bytes, part: int, change: Callable[[bytes], bytes]) -> bytes:
    """Return a mail with one of its parts changed before it was encoded."""
    written = _BASE64.findall(mail)[part]
    decoded = base64.b64decode(written)
    assert change(decoded) != decoded
    return mail.replace(written, base64.encodebytes(change(decoded)).replace(b"\n", b"\r\n") or b"\r\n")


def _with_part(mail: bytes, content_id: bytes, *, before: bool) -> bytes:
    """Return a mail with a part that nobody signed."""
    boundary = b"--" + re.search(rb'boundary="([^"]+)"', mail)[1]  # type: ignore[index]  # a receipt has one
    part = b"\r\nContent-Type: application/pkcs7-mime\r\nContent-ID: " + content_id + b"\r\n\r\nother\r\n"
    at = mail.index(boundary) if before else mail.rindex(boundary)
    return mail[:at] + boundary + part + mail[at:]


def _with_another_payload_before(mail: bytes) -> bytes:
    return _with_part(mail, re.findall(rb"Content-ID: (\S+)", mail)[_PAYLOAD], before=True)


_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit": lambda mail: _changed(mail, _PAYLOAD, lambda payload: payload[:-1] + bytes([payload[-1] ^ 1])),
    "its payload's end": lambda mail: _changed(mail, _PAYLOAD, lambda payload: payload[:-30]),
    "all of its payload": lambda mail: _changed(mail, _PAYLOAD, lambda _: b""),
    "something more": lambda mail: _changed(mail, _PAYLOAD, lambda payload: payload + b"\0"),
    "another payload": _with_another_payload_before,
    "its header": lambda mail: _changed(mail, _ENVELOPE, lambda soap: soap.replace(b"receiver", b"Receiver", 1)),
    "what it asks for": lambda mail: _changed(mail, _ENVELOPE, lambda soap: soap.replace(b"AckReq", b"Ackreq")),
    "its last tenth": lambda mail: mail[: len(mail) * 9 // 10],
    "a letter of base64": lambda mail: mail.replace((found := _BASE64.findall(mail)[_PAYLOAD]), b"*" + found[1:]),
}


def _replace_first(file: Path, old: bytes, new: bytes) -> None:
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new, 1))


@pytest.fixture
def receipts(kommune: Municipality) -> Callable[[EdiSandbox], list[Path]]:
    """Return the receipts in the mailbox, once both have come."""

    def found(_box: EdiSandbox) -> list[Path]:
        folder, ends = kommune.folder / MAILBOX / "new", time.monotonic() + 20
        while time.monotonic() < ends:
            mails = [one for one in folder.iterdir() if b"Subject: APPREC" in one.read_bytes()]
            if len(mails) == 2:
                return mails
            time.sleep(0.01)
        raise AssertionError

    return found


def test_what_was_damaged_on_its_way_is_not_acknowledged(
    kommune: Municipality, receipts: Callable[[EdiSandbox], list[Path]]
) -> None:
    with edi_sandbox(kommune) as box, Client(by_mail(kommune, box)) as client:
        client.submit()
        whole = []
        for path in receipts(box):
            whole.append(path.read_bytes())
            path.unlink()
            for damage in _DAMAGES.values():
                box.put(damage(whole[-1]))
        known = client.wait(timeout=0.5)
        assert (known.exit_code, known.submission.state) == (76, SubmissionState.PUBLISHED)
        assert len(box.unacknowledged()) == 2
        assert list(kommune.folder.glob(_STORED)) == []
        for mail in whole:
            box.put(mail)
        assert client.wait(timeout=20).exit_code == 0
        assert box.unacknowledged() == ()
        assert list(kommune.folder.glob(_STORED))


def test_an_acknowledgement_of_what_is_damaged_in_the_journal_waits(
    kommune: Municipality, receipts: Callable[[EdiSandbox], list[Path]]
) -> None:
    """Its digests can be compared with nothing: it is not believed, and stays in the mailbox."""
    events: list[Event] = []
    with edi_sandbox(kommune) as box:
        settings = by_mail(kommune, box)
        with Client(settings) as client:
            client.submit()
        for path in receipts(box):
            path.unlink()
        _replace_first(kommune.folder / "journal.db", b"application/pkcs7-mime", b"application/pkcs8-mime")
        with Client(settings, on_event=events.append) as client:
            found = [one.acknowledged_at is None for one in client.wait(timeout=0.5).submission.shipments]
            assert sorted(found) == [False, True]
        assert [one.text for one in events if "is damaged there" in one.text]
        _replace_first(kommune.folder / "journal.db", b"application/pkcs8-mime", b"application/pkcs7-mime")
        with Client(settings) as client:
            assert all(one.acknowledged_at for one in client.wait(timeout=0.5).submission.shipments)


def test_a_part_that_nobody_signed_and_nothing_names_changes_nothing(
    kommune: Municipality, receipts: Callable[[EdiSandbox], list[Path]]
) -> None:
    with edi_sandbox(kommune) as box, Client(by_mail(kommune, box)) as client:
        client.submit()
        for path in receipts(box):
            path.write_bytes(_with_part(path.read_bytes(), b"<disclaimer@example.org>", before=False))
        assert client.wait(timeout=20).exit_code == 0
        assert box.unacknowledged() == ()

"""``kpr-send receipts add FILE.eml``: whole mails that another message server took out of our mailbox (EDI; G4, G5)."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

from kpr_sender.cli.main import run
from kpr_sender.client import Client
from kpr_sender.settings.sample_file import MAILBOX
from tests.helpers.command import until
from tests.helpers.edi_municipality import BY_MAIL, account, edi_sandbox
from tests.helpers.municipality import Municipality


def _is_acknowledgement(mail: Path) -> bool:
    return b"multipart/related" not in mail.read_bytes()  # an envelope alone, with nothing beside it


def _changed(mail: bytes) -> bytes:
    """Return a mail of one part, in whose envelope a signed digit is another one."""
    head, _, body = mail.partition(b"\r\n\r\n")
    soap = base64.b64decode(body)
    other = re.sub(rb"(Timestamp>)[0-9]", rb"\g<1>3", soap)
    assert other != soap
    return head + b"\r\n\r\n" + base64.encodebytes(other)


def test_mails_are_evaluated_as_from_the_mailbox_in_any_order(
    kommune: Municipality, capsys: pytest.CaptureFixture[str]
) -> None:
    """A receipt delivers, an acknowledgement that comes after it is shown, a changed one is neither."""

    def add(*files: Path) -> tuple[int, str, str]:
        code = run(["--env", "lokal", "--config", str(kommune.config), "--json", "receipts", "add", *map(str, files)])
        return code, *capsys.readouterr()

    (kommune.folder / "inbox").mkdir()
    with edi_sandbox(kommune) as box:
        with Client(kommune.configure({"": BY_MAIL, "edi": account(box, mailbox="folder:inbox")})) as client:
            client.submit()
        new = kommune.folder / MAILBOX / "new"
        until(lambda: len(list(new.iterdir())) == 4)
        mails = list(new.iterdir())
        acknowledgements = [one for one in mails if _is_acknowledgement(one)]
        receipts = [one for one in mails if one not in acknowledgements]
        assert (len(receipts), len(acknowledgements)) == (2, 2)
        other = kommune.folder / "other.eml"
        other.write_bytes(b"Subject: Lunsj\r\nContent-Type: text/xml\r\n\r\n<lunsj/>\r\n")
        assert add(other)[0] == 65
        other.write_bytes(_changed(acknowledgements[0].read_bytes()))
        code, told, said = add(other)
        assert (code, [one["acknowledged_at"] for one in json.loads(told)["shipments"]]) == (80, [None, None])
        assert "This is no receipt of ours" in said, "what is changed is not believed, and the state is shown"

        code, told, _ = add(*receipts)
        found = json.loads(told)
        assert (code, found["state"]) == (0, "delivered")
        assert [one["acknowledged_at"] for one in found["shipments"]] == [None, None]
        code, told, _ = add(*acknowledgements)
        found = json.loads(told)
        assert (code, found["state"]) == (0, "delivered")
        assert None not in [one["acknowledged_at"] for one in found["shipments"]]
        assert len(box.unacknowledged()) == 2, "who reads the mailbox acknowledges"
        assert set(new.iterdir()) == set(mails)

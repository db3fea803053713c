"""What doctor finds at an EDI account, beside what a right one shows (``tests/edi/test_transport.py``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from kpr_sender.checking import run_checks
from kpr_sender.operator import edi_checks
from kpr_sender.operator.self_check import Status
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from tests.helpers.edi_municipality import by_mail, edi_sandbox
from tests.helpers.municipality import Municipality, municipality


@pytest.fixture
def kommune(tmp_path: Path) -> Municipality:
    return municipality(tmp_path)


@pytest.fixture
def box(kommune: Municipality) -> Iterator[EdiSandbox]:
    with edi_sandbox(kommune) as box:
        yield box


def _between_looks(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    monkeypatch.setattr(edi_checks, "time", SimpleNamespace(sleep=lambda _: happens()))


@pytest.mark.parametrize(
    ("taken", "said"),
    [(0, None), (1, "1 mail went between two looks"), (2, "2 mails went between two looks")],
)
def test_another_system_that_empties_the_mailbox_is_found(
    kommune: Municipality, box: EdiSandbox, monkeypatch: pytest.MonkeyPatch, taken: int, said: str | None
) -> None:
    """Receipts that it takes are acknowledged by it, and FHI does not send them again."""
    for number in range(3):
        box.put(b"From: others@example.com\r\nSubject: %d\r\n\r\nOf others.\r\n" % number)
    settings = by_mail(kommune, box)
    assert settings.edi is not None
    assert settings.edi.mailbox is not None
    assert settings.edi.mailbox.path is not None
    there = [one for part in ("new", "cur") for one in (settings.edi.mailbox.path / part).iterdir()]
    assert len(there) == 3

    def other_system() -> None:
        for mail in there[:taken]:
            mail.unlink()

    _between_looks(monkeypatch, other_system)
    (row,) = (one for one in run_checks(settings) if one.name == "mailbox")
    assert row.status is (Status.YELLOW if said else Status.GREEN)
    assert ("another system reads this mailbox, too" in row.text) is bool(said)
    assert said is None or said in row.text

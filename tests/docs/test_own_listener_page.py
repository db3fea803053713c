"""The listener of docs/own-listener.md takes a pair's receipts off a broker's queue, and leaves what is not ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest

from kpr_sender import Client, Handling, Source
from kpr_sender.bus.codec import receive_address
from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from kpr_sender.settings.values import AddressForm
from kpr_sender.testing import FakeTjenestebuss
from tests.helpers.municipality import SENDER_HER_ID, municipality
from tests.helpers.repository import ROOT

_PAGE: Final = (ROOT / "docs" / "own-listener.md").read_text("utf-8")
_LISTENER, _TEST = re.findall(r"```python\n(.*?)```", _PAGE, flags=re.DOTALL)


def _run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "own-listener.md", "exec"), names)  # noqa: S102 - it is our own page
    return names


def test_it_settles_what_is_ours_and_gives_back_what_is_not(tmp_path: Path) -> None:
    listen = _run(_LISTENER)["listen"]
    made = municipality(tmp_path)
    faults = Faults.parse(["error-queue:KPR_IDE"])
    with Sandbox(tmp_path, sender_her_id=SENDER_HER_ID, behaviour=Behaviour(tls=False), faults=faults) as sandbox:
        password = (tmp_path / "bus-password").read_text("ascii")
        url = f"amqp://kommune:{password}@127.0.0.1:{sandbox.port}"
        settings = made.configure({"bus": {"tls": False, "ca_file": None}}, port=sandbox.port)
        with Client(settings) as client:
            client.submit()
            assert list(listen(client, url, SENDER_HER_ID, Source.RECEIPTS, 0.2)) == [Handling.SETTLE]
            assert list(listen(client, url, SENDER_HER_ID, Source.ERRORS, 0.2)) == [Handling.SETTLE]
            report = client.status()
            assert report is not None
            assert [shipment.state for shipment in report.submission.shipments] == ["delivered", "faulted"]
            sandbox.faults = Faults.parse(["foreign-in-front"])
            client.resend(report.submission.shipments[1].msg_id, reason="rettet hos FHI", by="Kari")
            client.submit()
            assert list(listen(client, url, SENDER_HER_ID, Source.RECEIPTS, 0.2)) == [Handling.HOLD]
        assert sandbox.depth(sandbox.receipts_queue) == 2
        assert sandbox.depth(sandbox.error_queue) == 0


def test_its_test_passes(tjenestebuss: FakeTjenestebuss) -> None:
    _run(_TEST)["test_our_listener"](tjenestebuss)
    assert tjenestebuss.waiting() == 0


@pytest.mark.parametrize("queue", ["900002_async", "900002_error"])
def test_the_addresses_are_those_that_we_attach_to_ourselves(queue: str) -> None:
    row = next(line for line in _PAGE.splitlines() if line.startswith("|") and f"`{queue}`" in line)
    shown = re.findall(r"`([^`]+)`", row)
    assert shown[-2:] == [receive_address(queue, form) for form in (AddressForm.V1, AddressForm.V2)]

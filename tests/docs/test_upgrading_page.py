"""docs/upgrading.md: its commands, with a journal of an earlier version in which one half waits, the other is sent."""

from __future__ import annotations

import re
from typing import Final

import pytest

from kpr_sender.cli.main import run
from kpr_sender.client import Client
from kpr_sender.journal import schema
from kpr_sender.journal.queries import SqlView
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.states import ShipmentState
from tests.helpers.municipality import SENDER_HER_ID, Municipality
from tests.helpers.repository import ROOT

_PAGE: Final = (ROOT / "docs" / "upgrading.md").read_text("utf-8")
_BEFORE, _AFTER = (
    [line.partition("#")[0].split()[1:] for line in block.splitlines()]
    for block in re.findall(r"```\n(.*?)```", _PAGE, flags=re.DOTALL)
)
_EARLIER: Final = 6
"""A schema that was released, which today's code can fill."""


def test_what_waits_goes_on_with_the_same_bytes_and_ids(
    kommune: Municipality, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def commands(lines: list[list[str]]) -> list[int]:
        given = {"produksjon": "lokal", "before.db": str(kommune.folder / "before.db")}
        first = ["--config", str(kommune.config), "-q"]
        return [run([*first, *(given.get(word, word) for word in line)]) for line in lines]

    waiting = Faults.parse(["no-answer:KPR_IPL", "queue-full:KPR_IDE"])
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID, faults=waiting) as sandbox:
        settings = kommune.configure({"bus": {"reconnect_budget": "0.1s"}}, port=sandbox.port)
        with monkeypatch.context() as earlier:
            earlier.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:_EARLIER])
            earlier.setattr(schema, "VERSION", _EARLIER)
            # All that today's code reads of a later schema, but for ``journal verify``.
            earlier.setattr(SqlView, "unfinished_pruning", lambda _: None)
            with Client(settings) as client:
                before = client.submit().submission
            assert commands([line for line in _BEFORE if "verify" not in line]) == [69, 0]
        assert [one.state for one in before.shipments] == [ShipmentState.PUBLISHED, ShipmentState.SEALED]
        assert (kommune.folder / "before.db").exists()

        assert commands([["--env", "lokal", "status"]]) == [73]
        assert "earlier version" in capsys.readouterr().err
        sandbox.faults = Faults.parse(["no-answer"])
        assert commands(_AFTER) == [69, 0, 69]
        assert len(list(kommune.folder.glob(f"journal.db.before-{schema.VERSION}-*"))) == 1

        sandbox.faults = NO_FAULTS
        with Client(settings) as client:
            assert client.submit().sent == 1
            after = client.wait(timeout=120)
        taken = {line.msg_id: line.sha256 for line in sandbox.ledger.lines() if line.disposition == "accepted"}
    assert after.exit_code == 0
    known = [(one.msg_id, one.message_id, one.sealed_sha256) for one in before.shipments]
    assert [(one.msg_id, one.message_id, one.sealed_sha256) for one in after.submission.shipments] == known
    assert taken == {msg_id: sha256 for msg_id, _, sha256 in known}


def test_every_command_of_the_page_was_run() -> None:
    assert len(_BEFORE) == len(_AFTER) == 3
    assert _PAGE.count("```") == 4

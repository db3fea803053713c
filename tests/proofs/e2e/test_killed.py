"""A run that is killed while its answer hangs: in doubt, never twice, delivered when the receipt comes (G1, G2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from kpr_sender.sandbox.ledger import Ledger
from kpr_sender.sandbox.sandbox import Sandbox
from tests.helpers.command import Ran, ended, kpr_send, start, until
from tests.helpers.municipality import Municipality


def test_sigkill_while_the_disposition_is_held_back(
    kommune: Municipality, sandbox: Sandbox, faulty: Callable[..., None]
) -> None:
    def send(wait: str) -> Ran:
        return kpr_send("--env", "lokal", "--config", kommune.config, "--json", "send", "--wait", wait)

    faulty("hold-disposition", "no-answer")
    process = start("--env", "lokal", "--config", kommune.config, "send")
    until(lambda: len(Ledger.read(kommune.folder)) == 1)
    process.kill()
    ended(process)

    faulty("no-answer")
    again = send("1s")
    told = again.json()
    assert (again.code, told["exit_code"], told["state"]) == (83, 83, "in_doubt"), again.err
    assert [shipment["state"] for shipment in told["shipments"]] == ["in_doubt", "published"]
    assert [shipment["attempts"] for shipment in told["shipments"]] == [1, 1]

    faulty()
    last = send("30s")
    assert (last.code, last.json()["state"]) == (0, "delivered"), last.err
    seen = Counter(line.msg_id for line in Ledger.read(kommune.folder))
    assert sorted(seen.values()) == [1, 1], "the bus's own ledger: nothing twice, nothing missing"

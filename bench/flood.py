"""What anybody can put on our queue: 10,000 messages that claim to be FHI's and are not, of 1 kB to 8 MB, 2 GB in all.

``python -m bench.flood fill FOLDER`` makes a municipality whose pair is published and hands it the messages, as a
vendor's own listener would; ``python -m bench.flood open CONFIG`` opens that journal as a run does that decides. Each
prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.memory import Growth, peak_mb
from kpr_sender.bus.port import Inbound, Outbound
from kpr_sender.client import Client
from kpr_sender.model import Environment
from kpr_sender.settings import load
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import municipality

_MESSAGES: Final = 10_000
_SMALLEST, _LARGEST, _ALL = 1_000, 8_000_000, 2_000_000_000  # bytes


def _sizes() -> list[int]:
    """Return sizes that add up to nearly all of it, many small and few large; the largest first: the worst order."""
    low, high = 0.1, 10.0
    sizes: list[int] = []
    for _ in range(40):
        bend = (low + high) / 2
        places = (number / (_MESSAGES - 1) for number in range(_MESSAGES))
        sizes = [round(_SMALLEST * (_LARGEST / _SMALLEST) ** (place**bend)) for place in places]
        low, high = (bend, high) if sum(sizes) > _ALL else (low, bend)
    return sizes[::-1]


def _claims(fhi: Fhi, published: list[Outbound]) -> Iterator[Inbound]:
    """Yield the messages: what names our ids in each way there is, what names others' or none, forged and broken."""
    noise = os.urandom(2 * _LARGEST)
    forger = fhi.key("kommune-signing")
    msg_ids = [fhi.hodemelding(message).msg_id for message in published]
    answers = [fhi.apprec(message) for message in published]
    for number, size in enumerate(_sizes()):
        at = number * 997 % _LARGEST
        half = number // 10 % len(published)
        message, padding = published[half], noise[at : at + size].hex()[: max(size - len(answers[half]) - 7, 0)]
        padded = answers[half] + f"<!--{padding}-->".encode()
        broken = b"\x30" + noise[at : at + size - 1]
        named_nowhere = fhi.inbound(message, broken, message_id=str(uuid.UUID(int=number)), correlation_id="")
        to_another = {**named_nowhere.properties, "X-MessageInfo-OriginalMsgId": str(uuid.UUID(int=number))}
        yield (
            replace(named_nowhere, correlation_id=message.message_id),
            replace(named_nowhere, message_id=message.message_id),
            replace(named_nowhere, properties={**to_another, "X-MessageInfo-OriginalMsgId": msg_ids[half]}),
            replace(named_nowhere, properties=to_another),
            replace(named_nowhere, body=padded),
            replace(named_nowhere, body=fhi.sealed(padded, signed_by=forger) if number % 10 == 5 else b""),
            *[named_nowhere] * 4,
        )[number % 10]


def fill(folder: Path) -> None:
    """Hand them in, and print what the journal has become."""
    made = municipality(folder)
    bus = MemoryBus()
    with Client(made.configure(), bus=bus) as client:
        client.submit()
        began, growth = time.monotonic(), Growth()
        handed = 0
        for claim in _claims(Fhi(made.pki), bus.published):
            client.handle(claim)
            handed += len(claim.body)
        seconds = time.monotonic() - began
        stored = len(client.receipts())
    size = sum(part.stat().st_size for part in made.folder.glob(f"{made.journal.name}*"))
    told = {"config": str(made.config), "messages": _MESSAGES, "bytes": handed, "stored": stored}
    print(json.dumps({**told, "journal_mb": size / 1e6, "seconds": seconds, "growth_mb": growth.mb()}))


def open_again(config: Path) -> None:
    """Open it, and print what that took; then what it takes to evaluate again what is stored."""
    settings = load(config, Environment.LOKAL, environ=os.environ)
    with Client(settings, bus=MemoryBus()) as client:
        began = time.monotonic()
        client._app.session.opened()  # noqa: SLF001 - what every run begins with, and nothing else
        report = client.status()
        seconds, peak = time.monotonic() - began, peak_mb()
        began = time.monotonic()
        client.submit()
        again = time.monotonic() - began
    code = None if report is None else report.exit_code
    print(json.dumps({"open_seconds": seconds, "open_peak_mb": peak, "again_seconds": again, "exit_code": code}))


if __name__ == "__main__":
    (fill if sys.argv[1] == "fill" else open_again)(Path(sys.argv[2]))

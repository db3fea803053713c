# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes docs/events.md from the table ``EVENTS`` of ``kpr_sender/events.py``.

Run it after a change there: ``python docs/make_events.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kpr_sender.events import EVENTS

TARGET: Final = Path(__file__).resolve().parent / "events.md"
_HEAD: Final = """\
# Events

Made from `kpr_sender/events.py` by `docs/make_events.py`: edit there.

`Client(settings, on_event=observe)` calls `observe` with each `Event`, on the thread that causes it. `kpr-send`
writes each as a log line, with `event` for the kind and the details as fields. Texts and details are bounded, and
cleaned of personal data; texts are for people and may change, kinds and keys are stable: some may be added, none goes
away or changes its meaning.

An event has `kind`, `text`, `msg_id` (empty where it is about no shipment), `type` (`KPR_IPL`, `KPR_IDE` or `None`)
and `details`. What an observer raises is logged and decides nothing; only `KeyboardInterrupt` and `SystemExit` pass.
It must not call the client, and it delays the run while it works: hand on what takes time to a queue of your own.

| `EventKind` | in the log | when | details |
| --- | --- | --- | --- |
"""


def _rows() -> Iterator[str]:
    for kind, meaning in EVENTS.items():
        details = "; ".join(f"`{key}`: {what}" for key, what in meaning.details.items())
        yield f"| `{kind.name}` | `{kind.value}` | {meaning.when} | {details} |\n"


def documentation() -> str:
    """Return the text of docs/events.md."""
    return _HEAD + "".join(_rows())


if __name__ == "__main__":
    TARGET.write_text(documentation(), "utf-8")

"""The screen of ``journal prune``: what was removed, what stays and why, and where copies are left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kpr_sender.journal.values import Pruned
from kpr_sender.operator.retention import Selection
from kpr_sender.texts import Text


def pruned_screen(
    chosen: Selection, removed: Pruned | None, copies: Sequence[Path], inbox: Path | None = None
) -> Iterator[str]:
    """Yield what became of the submissions of earlier years.

    Args:
        chosen: Which are over, and which stay.
        removed: How much was removed; None where nothing was to be.
        copies: Copies of the journal that still hold it.
        inbox: The folder that receipts come from; None where they come from the bus.
    """
    if removed is None:
        yield Text("Nothing was removed. What would be:")
    elif not removed.messages and not removed.receipts:
        yield Text("Nothing is left to remove.")
    else:
        yield Text(
            "Removed: sealed messages: {messages} ({size:,} bytes); receipts' content: {receipts}.",
            messages=removed.messages,
            size=removed.sealed_bytes,
            receipts=removed.receipts,
        )
    for one in chosen.over:
        yield Text(
            "  {submission} ({year}): ids, digests, states and decisions stay",
            submission=one.submission_id,
            year=one.year,
        )
    for other in chosen.stays:
        yield other.why
    if removed is not None and copies:
        yield Text("It is still in these copies of the journal; delete them when they are not needed any more:")
        yield from (f"  {path}" for path in copies)
    if removed is not None and inbox is not None:
        yield Text("The files that receipts came in are still below {folder}: delete those, too.", folder=str(inbox))
    if removed is not None and (removed.messages or removed.receipts):
        yield Text("It is still in every backup that was made before; docs/retention.md says what to do with those.")

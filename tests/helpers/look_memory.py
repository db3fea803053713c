"""Lets time pass between two looks at a shared queue, for tests that are about something else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from kpr_sender.inbound.look_memory import LookMemory, beside


def let_the_pause_pass(journal: Path) -> None:
    """Have it that the last look at the queue was a day ago."""
    memory = LookMemory.load(beside(journal))
    for queue, looks in memory.looks.items():
        if looks.looked_at is not None:
            memory.keep(queue, replace(looks, looked_at=looks.looked_at - timedelta(days=1)))

"""Lets time pass between two looks at a shared queue, for tests that are about something else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from kpr_sender.inbound.look_memory import LookMemory, beside


def let_the_pause_pass(journal: Path) -> None:
    """Have it that the last look at the queue was a day ago."""
    memory = LookMemory.load(beside(journal))
    if memory.looks.looked_at is not None:
        memory.keep(replace(memory.looks, looked_at=memory.looks.looked_at - timedelta(days=1)))

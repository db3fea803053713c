"""``python -m tests.helpers.worker_process URL FOLDER QUEUES``: a worker that can be killed; notes each look in FOLDER.

It looks every second, takes half a second for that, and counts as silent after three.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from kpr_sender.model import Environment
from kpr_sender.tasks.port import WorkPlan
from kpr_sender.tasks.procrastinate_engine import ProcrastinateEngine
from tests.helpers.postgres import settings


def main(url: str, folder: str, *queues: str) -> None:
    notes = Path(folder) / str(os.getpid())

    def look(queue: str, _wait: str | None) -> None:
        with notes.open("a", encoding="utf-8") as file:
            file.write(f"{queue}\n")
        time.sleep(0.5)

    def ready(_end: Callable[[], None]) -> None:
        notes.touch()

    given = settings(url, Path(folder) / "journal.db", password=None)
    ProcrastinateEngine(given, Environment.LOKAL).work(WorkPlan(queues, 2, 1.0, 3.0), look, on_ready=ready)


if __name__ == "__main__":
    main(*sys.argv[1:])

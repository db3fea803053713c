"""What the system says of a process or a thread."""

from __future__ import annotations

from pathlib import Path


def state_of(folder: Path) -> str:
    """Return the state of the process or thread that a folder of /proc is of (proc(5)): T where it is stopped.

    X where it has gone.
    """
    try:
        return (folder / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
    except OSError:
        return "X"

"""Makes a change of names in a folder as durable as what is in the files."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's names, a new or renamed file's among them.

    Raises:
        OSError: The disk will not.
    """
    if os.name != "posix":
        return  # Windows has no such call; NTFS keeps a rename in its own log
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files and folders that are as they should be after a loss of power, too."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; it takes an earlier one's place at once, complete and durable.

    Raises:
        OSError: It cannot be written; the earlier one is as it was.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        write_through(draft, content)
        draft.replace(path)
    except OSError:
        with suppress(OSError):  # what went wrong first is what counts
            draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_through(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, over what it held, and wait until the disk has its content.

    Raises:
        OSError: It cannot be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


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

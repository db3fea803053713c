"""A file that a command writes where a person says: never in the place of another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kpr_sender.durable import created
from kpr_sender.errors import UsageError
from kpr_sender.texts import Text


def require_new(path: Path) -> None:
    """Refuse a path that something lies at, before much is done for it.

    Raises:
        UsageError: It does.
    """
    if os.path.lexists(path):
        raise UsageError(
            Text("The file is there already, and is not overwritten."),
            where=str(path),
            next_step=Text("Name a new file."),
        )


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file, its owner's alone; durable when the context is left, gone after any error.

    Raises:
        UsageError: It is there already, or cannot be written.
    """
    require_new(path)
    try:
        with created(path) as opened:
            yield opened
    except OSError as error:
        raise UsageError(
            Text("The file cannot be written: {reason}.", reason=error.strerror),
            where=str(path),
            next_step=Text("Name a file in a folder that this user may write in."),
        ) from error

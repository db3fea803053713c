"""What the operating system says of a file or a connection, as texts: an error's ``strerror`` is English always.

The words are those of Linux' C library for the codes that a run meets; what is not here is said as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kpr_sender.texts import Text

SYSTEM_WORDS: Final[Mapping[str, Text]] = {
    str(text): text
    for text in (
        Text("Address already in use"),
        Text("Broken pipe"),
        Text("Connection refused"),
        Text("Connection reset by peer"),
        Text("Connection timed out"),
        Text("Device or resource busy"),
        Text("Disk quota exceeded"),
        Text("File exists"),
        Text("File name too long"),
        Text("Input/output error"),
        Text("Is a directory"),
        Text("Name or service not known"),
        Text("Network is unreachable"),
        Text("No address associated with hostname"),
        Text("No route to host"),
        Text("No space left on device"),
        Text("No such file or directory"),
        Text("Not a directory"),
        Text("Operation not permitted"),
        Text("Permission denied"),
        Text("Read-only file system"),
        Text("Temporary failure in name resolution"),
        Text("Too many levels of symbolic links"),
        Text("Too many open files"),
    )
}

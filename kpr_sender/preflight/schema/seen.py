"""Which texts were there before, in 12 to 24 bytes each whatever their length."""

from __future__ import annotations

from array import array
from typing import Final

_FIRST_SIZE: Final = 1_024  # slots, a power of two


class Seen:
    """A set of texts that keeps 8-byte hashes only, in one array with open addressing.

    The hash is Python's own, keyed anew in each process: nobody can make a file whose texts meet, and among a million
    texts two different ones are taken for the same once in some ten million runs.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _FIRST_SIZE))
        self._count = 0

    def add(self, text: str) -> bool:
        """Return whether it is new, and remember it."""
        if 3 * self._count > 2 * len(self._slots):
            old, self._slots = self._slots, array("Q", bytes(16 * len(self._slots)))
            for digest in old:
                if digest:
                    self._put(digest)
        new = self._put(hash(text) & 0xFFFF_FFFF_FFFF_FFFF or 1)  # 0 is an empty slot
        self._count += new
        return new

    def _put(self, digest: int) -> bool:
        slots = self._slots
        mask = len(slots) - 1
        at = digest & mask
        while slots[at]:
            if slots[at] == digest:
                return False
            at = (at + 1) & mask
        slots[at] = digest
        return True

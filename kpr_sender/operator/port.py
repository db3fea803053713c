"""What the operator's work asks of what lies outside the journal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from kpr_sender.model import Receipt


class Copies(Protocol):
    """The receipts' copies outside the journal."""

    def remove(self, receipts: Iterable[Receipt]) -> None:
        """Remove those of some receipts; what is gone already is no error (else ``OSError``)."""

"""Copies of receipts as files, for the archive and for people. The journal has the originals."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kpr_sender.durable import write_file
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.values import ReceiptDocument
from kpr_sender.model import Receipt
from kpr_sender.texts import Text

UNVERIFIED: Final = "unverified"


def copy_path(directory: Path, receipt: Receipt) -> Path:
    """Return the path of a receipt's copy: ``<MsgId>-apprec-<number>.xml``, under ``unverified`` until it is."""
    directory = directory if receipt.verified else directory / UNVERIFIED
    return directory / f"{receipt.msg_id}-apprec-{receipt.receipt_id}.xml"


@dataclass(frozen=True, slots=True)
class ReceiptCopies:
    """Writes each receipt's XML into a folder, readable by the owner only: its OT may name a patient."""

    directory: Path
    observe: Observer

    def store(self, receipt: Receipt, xml: bytes) -> None:
        """Write one copy, in a folder of its own while it is not verified: nobody shall mix them up.

        On a full disk the copy is lost, not the receipt: the journal has it already.
        """
        path = copy_path(self.directory, receipt)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(path, xml)
        except OSError as error:
            text = Text(
                "The receipt is safe in the journal, but its copy {path} could not be written: {reason}.",
                path=path,
                reason=error.strerror,
            )
            self.observe(Event(EventKind.WARNING, text, receipt.msg_id))
        if receipt.verified:
            with suppress(OSError):
                copy_path(self.directory, replace(receipt, verified=False)).unlink(missing_ok=True)

    def catch_up(self, documents: Iterable[ReceiptDocument]) -> None:
        """Write the copies that an earlier run did not get to: it ended right after its receipt was durable."""
        for document in documents:
            if document.receipt.verified and document.xml is not None and not self._has(document.receipt):
                self.store(document.receipt, document.xml)

    def remove(self, receipts: Iterable[Receipt]) -> None:
        """Remove the copies of receipts whose content a person has had removed.

        Raises:
            OSError: One is there, and cannot be removed.
        """
        for receipt in receipts:
            for verified in (True, False):
                copy_path(self.directory, replace(receipt, verified=verified)).unlink(missing_ok=True)

    def _has(self, receipt: Receipt) -> bool:
        try:
            return copy_path(self.directory, receipt).exists()
        except OSError:
            return False

"""Copies of verified receipts as files, for the archive and for people. The journal has the originals."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.port import ReceiptDocument
from kpr_sender.model import Receipt


def copy_path(directory: Path, receipt: Receipt) -> Path:
    """Return the path of a receipt's copy: ``<MsgId>-apprec-<number>.xml``."""
    return directory / f"{receipt.msg_id}-apprec-{receipt.receipt_id}.xml"


@dataclass(frozen=True, slots=True)
class ReceiptCopies:
    """Writes each verified receipt's XML into a folder, readable by the owner only: its OT may name a patient."""

    directory: Path
    observe: Observer

    def store(self, receipt: Receipt, xml: bytes) -> None:
        """Write one copy. On a full disk the copy is lost, not the receipt: the journal has it already."""
        path = copy_path(self.directory, receipt)
        draft = path.with_suffix(".part")
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(xml)
            draft.replace(path)
        except OSError as error:
            text = f"The receipt is safe in the journal, but its copy {path} could not be written: {error.strerror}."
            self.observe(Event(EventKind.WARNING, text, receipt.msg_id))

    def catch_up(self, documents: Iterable[ReceiptDocument]) -> None:
        """Write the copies that an earlier run did not get to: it ended right after its receipt was durable."""
        for document in documents:
            if document.receipt.verified and document.xml is not None and not self._has(document.receipt):
                self.store(document.receipt, document.xml)

    def _has(self, receipt: Receipt) -> bool:
        try:
            return copy_path(self.directory, receipt).exists()
        except OSError:
            return False

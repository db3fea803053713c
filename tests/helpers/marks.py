"""What says beside and outside a journal how far it has come, as a process leaves it that is killed at one moment."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from kpr_sender.journal import marker, witness


@dataclass(frozen=True)
class Marks:
    """A journal's mark and witness, kept at one moment and put in their places again.

    Attributes:
        kept: A folder of this object's own, on the journal's file system.
    """

    journal: Path
    kept: Path

    @property
    def mark(self) -> Path:
        return marker.mark_file(self.journal)

    def keep(self) -> None:
        shutil.rmtree(self.kept, ignore_errors=True)
        self.kept.mkdir()
        if self.mark.exists():
            os.link(self.mark, self.kept / "mark")  # a crash copies nothing: it is the very file
        if (file := self._witness()) is not None and file.exists():
            shutil.copyfile(file, self.kept / "witness")

    def put_back(self) -> None:
        if (file := self._witness()) is not None:
            file.unlink(missing_ok=True)
            if (kept := self.kept / "witness").exists():
                shutil.copyfile(kept, file)
        self.mark.unlink(missing_ok=True)
        if (kept := self.kept / "mark").exists():
            kept.rename(self.mark)

    def _witness(self) -> Path | None:
        found = marker.read(self.journal)
        return None if found is None else witness.folders(self.journal)[0] / f"{found.journal_id}.json"

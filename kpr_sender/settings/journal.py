"""The configuration's table ``[journal]``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kpr_sender.settings import kinds
from kpr_sender.settings.keys import option, secret
from kpr_sender.settings.secrets import Secret

# fmt: off
# As in ``values.py``: a declaration reads as one entry.

@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """Where the journal and the copies of the receipts are."""

    path: Path = field(metadata=option(
        kinds.PATH, "The journal, an SQLite file on a local disk, in a folder that not everybody may write to. It and "
        "all beside it belong to the user who runs kpr-send.", example="/var/lib/kpr-sender/journal.db"))
    receipts_dir: Path = field(metadata=option(
        kinds.PATH, "Folder for copies of the receipts.", otherwise="a folder named receipts beside the journal",
        example="/var/lib/kpr-sender/receipts"))
    url: str | None = field(default=None, metadata=option(
        kinds.DATABASE_URL, "The PostgreSQL database that the journal is in, for several machines; without the "
        "password. Beside path then lies what belongs to this machine alone. Needs kpr-sender[postgres].",
        otherwise="the journal is the file that path names",
        example="postgresql://kpr@db.example.no/kpr?sslmode=verify-full"))
    password: Secret | None = field(default=None, metadata=secret(
        "the database user's password", otherwise=", or PGPASSWORD or pgpass, has it; needed where the server asks",
        example="journal-password"))
    allow_network: bool = field(default=False, metadata=option(
        kinds.FLAG, "Take a journal on a network file system (NFS, SMB, sshfs). Only where its locks and writes are "
        "known to hold, and no other machine uses the journal."))

    @property
    def place(self) -> str:
        """What messages call the journal: its file, or its database without user and password."""
        if self.url is None:
            return str(self.path)
        from urllib.parse import urlsplit  # noqa: PLC0415 - read only where a database is named

        parts = urlsplit(self.url)
        return f"postgresql://{parts.netloc.rpartition('@')[2] or 'localhost'}{parts.path}"

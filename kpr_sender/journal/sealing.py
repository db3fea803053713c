"""Writing the sealed bytes, in pieces, into the transaction that creates their shipment."""

from __future__ import annotations

import hashlib
import sqlite3

from kpr_sender.errors import InternalError
from kpr_sender.journal import statements
from kpr_sender.journal.port import NewShipment


def write_sealed(connection: sqlite3.Connection, new: NewShipment) -> tuple[int, str]:
    """Stream a shipment's sealed bytes into a row of their own; memory stays flat whatever their size.

    Args:
        connection: With the creating transaction open.
        new: Says how many bytes come, and writes them.

    Returns:
        The row's id, and the SHA-256 of what was written.

    Raises:
        InternalError: More or fewer bytes came than announced.
    """
    sealed_id = connection.execute(statements.ADD_SEALED, (new.sealed_bytes,)).lastrowid
    if sealed_id is None:
        raise InternalError("The journal gave the sealed bytes no row.")
    digest = hashlib.sha256()
    written = 0
    with connection.blobopen("sealed", "bytes", sealed_id) as blob:

        def write(piece: bytes | memoryview) -> None:
            nonlocal written
            written += len(piece)
            if written > new.sealed_bytes:
                raise InternalError(f"The sealed {new.type.norwegian} is more than the {new.sealed_bytes} announced.")
            digest.update(piece)
            blob.write(piece)

        new.write_sealed(write)
    if written != new.sealed_bytes:
        raise InternalError(
            f"The sealed {new.type.norwegian} is {written} bytes, not the {new.sealed_bytes} announced."
        )
    return sealed_id, digest.hexdigest()

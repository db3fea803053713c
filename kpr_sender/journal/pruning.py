"""Removing what a municipality need not store any more, by a person's decision: sealed bytes and receipts' content.

Rows, ids, digests, states and the history stay: what was sent, and what became of it, is known as before. The rules:

1. All of a shipment goes at once, its earlier versions too, in one transaction with its line in the history.
2. Nothing goes that may still be sent, or that an answer is waited for (``states``): which submissions are over, and
   were reviewed, is decided above the journal.
3. The same transaction says that the pruning is unfinished. What was removed is overwritten by it in the file, but may
   be left in the ``-wal``, and as copies beside the journal: whoever opens the journal next finishes that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from kpr_sender.errors import InternalError
from kpr_sender.journal import rows, sql
from kpr_sender.journal.database import StoredRow
from kpr_sender.journal.transaction import Transaction
from kpr_sender.journal.values import PRUNED, Pruned
from kpr_sender.lifecycle import words_of
from kpr_sender.states import UNANSWERED, HistoryLine, ShipmentState
from kpr_sender.texts import Text

_MAY_BE_SENT: Final = frozenset({ShipmentState.SEALED, ShipmentState.PUBLISHING})


def prune(transaction: Transaction, submission_ids: Sequence[str], *, why: str, who: str) -> Pruned:
    """Do as ``Journal.prune`` says.

    Args:
        transaction: An open one.
        submission_ids: Which submissions.
        why: The person's reason.
        who: The person.
    """
    connection = transaction.connection
    found: dict[int, StoredRow] = {}
    for submission_id in submission_ids:
        shipments = connection.execute(sql.SHIPMENTS_OF, {"submission_id": submission_id})
        found |= {row["shipment_id"]: row for row in shipments}
    messages = sealed_bytes = receipts = 0
    for shipment_id, row in found.items():
        life = rows.lifecycle_of(row)
        if life.state in _MAY_BE_SENT or (life.state in UNANSWERED and not life.settled):
            raise InternalError(
                Text(
                    "{row} is {state}: what may still be needed is not removed.",
                    row=row["msg_id"],
                    state=words_of(life.state),
                )
            )
        key = {"shipment_id": shipment_id}
        left = connection.execute(connection.SEALED_LEFT, key).fetchone()
        documents = connection.execute(sql.RECEIPTS_LEFT, key).fetchall()
        if not left["number"] and not documents:
            continue
        details = {"sealed_messages": left["number"], "sealed_bytes": left["bytes"], "receipts": len(documents)}
        transaction.note(row["msg_id"], HistoryLine(PRUNED, why, who, details=details))
        connection.execute(connection.PRUNE_SEALED, key)
        for document in documents:
            errors = _without_detail(document["errors"])
            values = {"receipt_id": document["receipt_id"], "errors": errors, "nothing": b""}
            connection.execute(sql.PRUNE_RECEIPT, values)
        messages += left["number"]
        sealed_bytes += left["bytes"]
        receipts += len(documents)
    if messages or receipts:
        connection.execute(sql.SET_UNFINISHED, (1,))
    return Pruned(messages, sealed_bytes, receipts)


def _without_detail(errors: str) -> str:
    """Return an AppRec's errors without their OT, which may name a patient."""
    return json.dumps([{**error, "detail": ""} for error in json.loads(errors)], ensure_ascii=False)

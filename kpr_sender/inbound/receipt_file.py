"""A receipt from a file: another consumer of our queue took the message, and a person brings it.

What a mail client, a portal or an EPJ saves as ``.p7m`` is the sealed message in one of several wrappings. They are
removed here, so that the bytes are those that were on the queue; ``ReceiptHandler`` evaluates them like any other.
A whole mail of EDI's (``.eml``) is evaluated as one from the mailbox, and acknowledged by whoever read it there.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from kpr_sender.bus.port import Inbound, Source
from kpr_sender.ebxml import read_mail
from kpr_sender.errors import InputRefused
from kpr_sender.inbound.mails import looks_like_mail
from kpr_sender.inbound.receipt import ReceiptHandler
from kpr_sender.messages.safe_xml import looks_like_xml
from kpr_sender.messages.transport import FROM_HER_ID
from kpr_sender.model import Submission
from kpr_sender.texts import Text, quoted

# None of the patterns may be tried from more than one place in a text of any length: the work is linear.
_PEM_BEGINS: Final = re.compile(rb"-----BEGIN [A-Z0-9 #]{1,64}-----")  # RFC 7468 8 and 9
_PEM_ENDS: Final = b"-----END "
_MAX_HEADERS: Final = 10_000  # bytes of a MIME entity's headers
_BLANKS: Final = b" \t\r\n\v\f"
_MIME_HEADERS: Final = re.compile(rb"\A(?:[A-Za-z-]+:[^\n]*\n(?:[ \t]+\S[^\n]*\n)*)+\r?\n")  # RFC 8551 3.2
_SEQUENCE: Final = b"\x30"
_CMS_ARC: Final = bytes.fromhex("2a864886f70d01")  # 1.2.840.113549.1: every content type of CMS begins so
_HEAD_BYTES: Final = 32  # within these a ContentInfo says its type, whatever form its lengths have


def unwrapped(data: bytes) -> bytes | None:
    """Return a sealed message or a plain XML document as it was on the queue; None where it is neither.

    Args:
        data: The file: CMS in DER or BER, the same as PEM, as an S/MIME entity or as bare base64, or XML.
    """
    if looks_like_xml(data):
        return data
    found = data if _is_cms(data) else _decoded(data)
    return found if _is_cms(found) else None


def require_message(data: bytes, *, name: str) -> bytes:
    """Return what ``unwrapped`` does, or a whole mail as it is.

    Needs nothing but the file: to be called before the journal is locked.

    Raises:
        InputRefused: It is neither a sealed message, nor XML, nor a mail that may be EDI's.
    """
    body = unwrapped(data)
    if body is None and looks_like_mail(data) and read_mail.may_be_read(data):
        return data
    if body is None:
        raise _no_receipt(Text("it is neither a sealed message (CMS), nor XML, nor a mail (EDI)"), name)
    return body


def take_message(handler: ReceiptHandler, body: bytes, *, name: str) -> tuple[Submission, bool]:
    """Take a receipt that came as a file.

    One that is sealed for us and cannot be verified is recorded for the oldest shipment that awaits a receipt: nothing
    outside the seal says which one it is about, and who brings it says that it is from the receiver.

    Args:
        handler: Evaluates and records it.
        body: What ``require_message`` returned for the file.
        name: Of the file, for the error's text.

    Returns:
        The submission it is about, and whether the journal holds something that it did not hold before.

    Raises:
        InputRefused: It is no receipt for anything in the journal; nothing was recorded.
        JournalUnwritable: It could not be made durable.
    """
    found = handler.evaluate(as_inbound(body, handler.receiver_her_id), by_hand=True)
    shipment = handler.journal.shipment(found.msg_ids[0]) if found.msg_ids else None
    submission = None if shipment is None else handler.journal.submission(shipment.submission_id)
    if submission is None:
        raise _no_receipt(found.problem, name)
    return submission, found.new


def _no_receipt(problem: str, name: str) -> InputRefused:
    text = Text("This is no receipt of ours.")
    if problem:
        text = Text("This is no receipt of ours: {problem}.", problem=quoted(problem))
    next_step = Text("Nothing was taken from it. Check that it is the right file, and --env and --journal.")
    return InputRefused(text, where=name, next_step=next_step)


def as_inbound(body: bytes, her_id: int) -> Inbound:
    """Return what the queue would have delivered, as far as a file can tell."""
    return Inbound(None, Source.RECEIPTS, "", "", "", "", {FROM_HER_ID: str(her_id)}, body)


def _is_cms(data: bytes) -> bool:
    return data.startswith(_SEQUENCE) and _CMS_ARC in data[:_HEAD_BYTES]


def _decoded(data: bytes) -> bytes:
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    begins = _PEM_BEGINS.search(text)
    ends = -1 if begins is None else text.find(_PEM_ENDS, begins.end())
    if begins is not None and ends >= 0:
        text = text[begins.end() : ends]
    elif (headers := _MIME_HEADERS.match(text[:_MAX_HEADERS])) is not None:
        text = text[headers.end() :]
    try:
        return base64.b64decode(text.translate(None, _BLANKS), validate=True)
    except binascii.Error:
        return b""

"""Mails as they come: the envelope and the parts beside it, out of whatever peers and servers write, within bounds.

Tolerant in form, since every real message breaks some rule: odd dates and ids, a missing ``type``, text before the
first boundary. What has no meaning for us is no error: ``NotEbxml`` says why. Headers are read by Python's ``email``;
bodies are cut here, since ``email`` holds a large mail several times over, line by line.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import collapse_rfc2231_value
from typing import Final

from kpr_sender.ebxml.mail import MULTIPART_RELATED, TEXT_XML
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.texts import Text

MULTIPART_REPORT: Final = "multipart/report"
HEAD_BYTES: Final = 65_536
"""Most of a mail or a part before its first empty line; also what is read of a mail embedded in a report."""
_MOST_HEADERS: Final = 1_000
_MOST_PARAMETERS: Final = 2_000  # characters of a Content-Type: to read its parameters costs the square
_LONGEST_BOUNDARY: Final = 200  # characters; RFC 2046 has 70
_EMPTY_LINE: Final = re.compile(rb"\r?\n\r?\n|\A\r?\n")
_AS_IT_IS: Final = frozenset({"", "7bit", "8bit", "binary"})
_WHITE: Final = b" \t\r\n"
_HEADERS: Final = (
    *("From", "To", "Date", "Message-ID", "In-Reply-To", "References", "MIME-Version", "SOAPAction", "Content-Type"),
)
_LONGEST_HEADER: Final = 2_000  # characters of one that is read
_PARSER: Final = BytesHeaderParser()


@dataclass(frozen=True, slots=True)
class MailBounds:
    """How much of a mail is read.

    Attributes:
        max_bytes: Largest mail, as ``edi.max_inbound`` says; an AppRec of 5 MB has 7 MB as a mail.
        parts: Most parts, on all levels together.
        depth: Most levels of multiparts.
    """

    max_bytes: int = 8_000_000
    parts: int = 30
    depth: int = 4


USUAL_BOUNDS: Final = MailBounds()


@dataclass(frozen=True, slots=True)
class MailPart:
    """A part that holds no others.

    Attributes:
        content_type: In lower case, without parameters; empty where the part does not say.
        content_id: Without angle brackets; empty for none.
        body: Decoded; empty where it could not be.
        problem: Why it could not be decoded; empty where it was.
    """

    content_type: str = field(repr=False)
    content_id: str = field(repr=False)
    body: bytes = field(repr=False)
    problem: str


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that may be ebXML, or a server's report.

    Attributes:
        headers: Those that ebXML knows, by name as here; empty where one is not there. Others' words: not shown.
        parts: In order, on all levels.
        soap: The part with the envelope; None in a report.
    """

    headers: Mapping[str, str | None] = field(repr=False)
    parts: tuple[MailPart, ...]
    soap: MailPart | None

    @property
    def attachments(self) -> Mapping[str, MailPart]:
        """The parts beside the envelope that have a Content-ID, by it; the first of two with the same."""
        return {part.content_id: part for part in reversed(self.parts) if part.content_id and part is not self.soap}


@dataclass(frozen=True, slots=True)
class NotEbxml:
    """Neither ebXML nor a report: others' mail, or none at all.

    Attributes:
        reason: Why, as a clause with *it* for the mail.
    """

    reason: str


def read(raw: bytes, bounds: MailBounds = USUAL_BOUNDS) -> Mail | NotEbxml:
    """Read a whole mail. Never raises for what is in it."""
    if len(raw) > bounds.max_bytes:
        return NotEbxml(Text("it is larger than {max_bytes} bytes", max_bytes=bounds.max_bytes))
    try:
        head, body = _split(raw)
        content_type = _content_type(head)
        if content_type not in {TEXT_XML, MULTIPART_RELATED, MULTIPART_REPORT}:
            return NotEbxml(Text("it is no ebXML message: its content is of another type"))
        parts = tuple(_parts(head, body, bounds))
        soap = None if content_type == MULTIPART_REPORT else _soap(head, parts)
    except _Beyond as error:
        return NotEbxml(error.reason)
    if content_type != MULTIPART_REPORT:
        if soap is None:
            return NotEbxml(Text("it is no ebXML message: it has no part of text/xml"))
        if soap.problem:
            return NotEbxml(soap.problem)
    return Mail({name: _header(head, name) for name in _HEADERS}, parts, soap)


def may_be_read(beginning: bytes) -> bool:
    """Tell by a mail's headers alone whether ``read`` may find something in it.

    Args:
        beginning: The mail's first bytes, with its headers.
    """
    try:
        head, _ = _split(beginning[:HEAD_BYTES], is_whole=False)
        return _content_type(head) in {TEXT_XML, MULTIPART_RELATED, MULTIPART_REPORT}
    except _Beyond:
        return False


def part_of(raw: bytes) -> bytes:
    """Return the body of a MIME part, decoded: what may be inside a sealed payload (HITS 1172, rule 264).

    Raises:
        MessageRefused: It is none, or its body cannot be decoded.
    """
    try:
        head, body = _split(raw)
        part = _part(head, body)
    except _Beyond as error:
        raise MessageRefused(error.reason) from None
    if not part.content_type:
        raise MessageRefused(Text("its content is neither XML nor a MIME part"))
    if part.problem:
        raise MessageRefused(part.problem)
    return part.body


def headers_of(block: bytes) -> Message:
    """Return a block of headers, or of fields that are written like headers; of a mail in a report its headers."""
    found = _EMPTY_LINE.search(block, 0, HEAD_BYTES)
    return _PARSER.parsebytes(block[: found.start() if found else HEAD_BYTES])


def header_text(head: Message, name: str) -> str:
    """Return a header of a block as one line; empty where it is not there."""
    return _header(head, name) or ""


class _Beyond(Exception):
    """A mail is beyond the bounds, or has no form."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


def _split(raw: bytes, *, is_whole: bool = True) -> tuple[Message, memoryview]:
    """Return the headers, and what follows the empty line after them."""
    start = raw.find(b"\n") + 1 if raw.startswith((b"From ", b">From ")) else 0  # of a mailbox file
    found = _EMPTY_LINE.search(raw, start, start + HEAD_BYTES)
    if found is None and is_whole and len(raw) - start > HEAD_BYTES:
        raise _Beyond(Text("its headers are larger than {head_bytes} bytes", head_bytes=HEAD_BYTES))
    end = found.start() if found else min(len(raw), start + HEAD_BYTES)
    if raw.count(b"\n", start, end) > _MOST_HEADERS:
        raise _Beyond(Text("it has more than {most_headers} headers", most_headers=_MOST_HEADERS))
    head = _PARSER.parsebytes(raw[start:end])
    return head, memoryview(raw)[found.end() if found else len(raw) :]


def _parts(head: Message, body: memoryview, bounds: MailBounds) -> Iterator[MailPart]:
    """Yield the parts that hold no others."""
    waiting = [(head, body, 1)]
    seen = 0
    while waiting:
        own, content, depth = waiting.pop(0)
        seen += 1
        if seen > bounds.parts:
            raise _Beyond(Text("it has more than {parts} parts", parts=bounds.parts))
        if not _content_type(own).startswith("multipart/"):
            yield _part(own, content)
            continue
        if depth > bounds.depth:
            raise _Beyond(Text("its parts are nested deeper than {depth} levels", depth=bounds.depth))
        inner = [(*_split(bytes(one)), depth + 1) for one in _cut(own, content, bounds.parts)]
        waiting = inner + waiting


def _cut(head: Message, body: memoryview, most: int) -> list[memoryview]:
    """Return what stands between the boundaries; the last part may have no end."""
    boundary = _parameters(head).get("boundary", "").rstrip()
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise _Beyond(Text("it has parts, and no boundary between them"))
    name = re.escape(boundary.encode("utf-8", "surrogateescape"))
    lines = re.compile(rb"(?:\A|\r?\n)--" + name + rb"(--)?[ \t]*(?=(\r?\n)|\Z)")
    found: list[memoryview] = []
    begin: int | None = None
    for line in lines.finditer(body):
        if begin is not None:
            found.append(body[begin : line.start()])
        if line[1] is not None:
            return found
        begin = line.end() + len(line[2] or b"")  # the line end may be the beginning of the next boundary, too
        if len(found) > most:
            raise _Beyond(Text("it has more than {parts} parts", parts=most))
    return found if begin is None else [*found, body[begin:]]


def _part(head: Message, body: memoryview) -> MailPart:
    encoding = (_header(head, "Content-Transfer-Encoding") or "").strip().lower()
    problem, decoded = "", b""
    if encoding == "base64":
        try:
            decoded = binascii.a2b_base64(bytes(body).translate(None, _WHITE), strict_mode=True)
        except binascii.Error:
            problem = Text("the base64 of one of its parts is damaged")
    elif encoding == "quoted-printable":
        decoded = binascii.a2b_qp(body)
    elif encoding in _AS_IT_IS:
        decoded = bytes(body)
    else:
        problem = Text("one of its parts is encoded in a way that is not known")
    return MailPart(
        content_type=_content_type(head),
        content_id=(_header(head, "Content-ID") or "").strip().removeprefix("<").removesuffix(">").strip(),
        body=decoded,
        problem=problem,
    )


def _soap(head: Message, parts: tuple[MailPart, ...]) -> MailPart | None:
    """Return the part that ``start`` names, else the first of text/xml."""
    start = _parameters(head).get("start", "").strip().removeprefix("<").removesuffix(">")
    xml = [part for part in parts if part.content_type == TEXT_XML]
    return next((part for part in xml if start and part.content_id == start), xml[0] if xml else None)


def _content_type(head: Message) -> str:
    written = _header(head, "Content-Type") or ""
    return written.partition(";")[0].strip().lower()


def _parameters(head: Message) -> dict[str, str]:
    if len(_header(head, "Content-Type") or "") > _MOST_PARAMETERS - 1:
        raise _Beyond(Text("its Content-Type is too long"))
    try:
        found = head.get_params([])
    except (ValueError, LookupError, UnicodeError):  # what a parameter's own charset makes of email
        return {}
    return {name.lower(): collapse_rfc2231_value(value) for name, value in found[1:]}


def _header(head: Message, name: str) -> str | None:
    value = head.get(name)
    return None if value is None else "".join(str(value).splitlines())[:_LONGEST_HEADER]

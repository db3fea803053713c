"""The payload as it goes into the Hodemelding: its own bytes, spliced in, never rebuilt.

1. The byte order mark and the XML declaration are removed: inside another document they are errors.
2. Another encoding than UTF-8 is converted to UTF-8, character by character.
3. Every other byte stays as it is: line ends, blanks, attribute order, comments and processing instructions, also
   those before or after the root element (both are allowed inside ``Content``, and a file's content is not ours to
   cut). So its canonical form (exclusive C14N) is the same before and after.

Only one chunk is in memory, whatever the size of the file.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Final

from kpr_sender.messages.refused import MessageRefused
from kpr_sender.texts import Text

_MAX_DECLARATION: Final = 1_000  # characters; a real one has about 60

# What EPJ systems write, by the names IANA gives it (compared in lower case).
_CODECS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "iso8859-1",
    "iso8859-1": "iso8859-1",
    "iso_8859-1": "iso8859-1",
    "latin1": "iso8859-1",
    "iso-8859-15": "iso8859-15",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}

# First bytes -> codec and how many of them are the mark itself; longest first (XML 1.0, appendix F).
_SIGNATURES: Final = (
    (codecs.BOM_UTF32_LE, "utf-32", 0),
    (codecs.BOM_UTF32_BE, "utf-32", 0),
    (codecs.BOM_UTF8, "utf-8", 3),
    (codecs.BOM_UTF16_LE, "utf-16-le", 2),
    (codecs.BOM_UTF16_BE, "utf-16-be", 2),
    (b"<\0?\0", "utf-16-le", 0),
    (b"\0<\0?", "utf-16-be", 0),
)
_LONGEST_SIGNATURE: Final = 4  # bytes

_DECLARATION: Final = re.compile(
    r"""<\?xml\s+version\s*=\s*(?:"(?P<v1>[^"]*)"|'(?P<v2>[^']*)')"""
    r"""(?:\s+encoding\s*=\s*(?:"(?P<e1>[^"]*)"|'(?P<e2>[^']*)'))?"""
    r"""(?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?\s*\?>"""
)


def splice(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a file's bytes, cut anywhere, as they are in the Hodemelding.

    Raises:
        MessageRefused: The encoding is not known, or the bytes are not in it. Raised while iterating.
    """
    _, payload = open_payload(chunks)
    yield from payload


def open_payload(chunks: Iterable[bytes]) -> tuple[int, Iterator[bytes]]:
    """Read up to the end of the XML declaration; return what follows it, as UTF-8.

    Returns:
        Line ends inside the declaration, so that line numbers can be those of the file, and the bytes after it.

    Raises:
        MessageRefused: As for ``splice``; for bytes after the declaration while iterating.
    """
    source = iter(chunks)
    head = _at_least(b"", _LONGEST_SIGNATURE, source)
    signature, mark = next(
        ((codec, mark) for first, codec, mark in _SIGNATURES if head.startswith(first)),
        ("", 0),
    )
    if signature == "utf-32":
        raise MessageRefused(Text("it is in UTF-32; UTF-8 is wanted"), line=1)
    wide = signature.startswith("utf-16")
    declaration, rest = _declaration(head[mark:], source, codec=signature if wide else "iso8859-1")
    codec = _agreed(declaration, signature=signature, marked=mark > 0)
    return len(re.findall("\r\n?|\n", declaration)), _converted(rest, source, codec, declaration)


def _at_least(head: bytes, length: int, source: Iterator[bytes]) -> bytes:
    while len(head) < length:
        chunk = next(source, None)
        if chunk is None:
            break
        head += chunk
    return head


def _declaration(head: bytes, source: Iterator[bytes], *, codec: str) -> tuple[str, bytes]:
    """Split off the XML declaration: its text, empty when there is none, and the bytes after it."""
    start, end = "<?xml".encode(codec), "?>".encode(codec)
    width = len(end) // 2
    head = _at_least(head, len(start) + width, source)
    if not head.startswith(start) or head[len(start) : len(start) + width].decode(codec) not in {" ", "\t", "\r", "\n"}:
        return "", head
    limit = _MAX_DECLARATION * width
    while True:
        found = head.find(end)  # half a character off in UTF-16, it ends what is no valid declaration either
        if 0 <= found <= limit:
            cut = found + len(end)
            return head[:cut].decode(codec, "replace"), head[cut:]
        longer = _at_least(head, len(head) + 1, source)
        if len(longer) == len(head) or len(head) > limit:
            raise MessageRefused(Text("its XML declaration has no end"), line=1)
        head = longer


def _agreed(declaration: str, *, signature: str, marked: bool) -> str:
    """Return the codec that first bytes and declaration agree on."""
    named = ""
    if declaration:
        match = _DECLARATION.fullmatch(declaration)
        if match is None:
            raise MessageRefused(Text("its XML declaration is not valid"), line=1)
        if (match["v1"] or match["v2"]) != "1.0":
            raise MessageRefused(Text("it is not XML 1.0"), line=1)
        named = (match["e1"] or match["e2"] or "").lower()
    if named and named not in _CODECS:
        raise MessageRefused(Text("its encoding is not one we know; UTF-8 is wanted"), line=1)
    codec = _CODECS[named] if named else signature or "utf-8"
    if codec == "utf-16" and signature.startswith("utf-16"):
        return signature
    # A UTF-16 declaration in a file saved as UTF-8, and the reverse, is what .NET's StringWriter makes by mistake.
    if (signature or codec.startswith("utf-16")) and codec != signature:
        raise MessageRefused(Text("its XML declaration names another encoding than the one its bytes are in"), line=1)
    if not named and signature.startswith("utf-16") and not marked:
        raise MessageRefused(Text("it is in UTF-16 and does not say so; UTF-8 is wanted"), line=1)
    return codec


def _converted(rest: bytes, source: Iterator[bytes], codec: str, declaration: str) -> Iterator[bytes]:
    if codec == "utf-8":
        if rest:
            yield rest
        yield from filter(None, source)
        return
    decoder = codecs.getincrementaldecoder(codec)()
    line = 1 + declaration.count("\n")
    for chunk, last in _marking_last(rest, source):
        try:
            text = decoder.decode(chunk, last)
        except UnicodeDecodeError as error:
            valid = error.object[: error.start].decode(codec, "ignore")
            raise MessageRefused(
                Text("its bytes are not in the encoding it names ({codec})", codec=codec), line=line + valid.count("\n")
            ) from None
        line += text.count("\n")
        if text:
            yield text.encode("utf-8")


def _marking_last(rest: bytes, source: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    yield rest, False
    for chunk in source:
        yield chunk, False
    yield b"", True

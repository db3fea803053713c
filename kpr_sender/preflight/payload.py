"""One pass over a file before anything is sealed: is it the file it should be, for the year it should be for?

Checked is what makes FHI discard the whole message (kravspesifikasjon IPLOS 3.7: version, kommunenummer, period) and
what would send the wrong file. The file is read once, in pieces, and never held.

An error quotes nothing from the file but root, namespace, version, period and kommunenummer, and those only where
they look like what they should be (promise G6).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kpr_sender.errors import InputRefused
from kpr_sender.messages.safe_xml import MessageRefused
from kpr_sender.messages.splice import open_payload
from kpr_sender.model import MessageType
from kpr_sender.preflight.header import Header, Refusal
from kpr_sender.preflight.reading.header_reader import HeaderReader
from kpr_sender.preflight.reading.well_formed import check_well_formed
from kpr_sender.profiles import Format, Profile


@dataclass(frozen=True, slots=True)
class Payload:
    """What is known of a file that passed.

    Attributes:
        year: The reporting year: the year of its period.
        kommunenummer: iiKomnr; None for the identmelding, which has none.
        bydel: iiBydelsnr; None for the identmelding.
        lopenr: The EPJ's running number, as it stands. Checked, never changed.
        sha256: Hex digest of the bytes as they are spliced into the Hodemelding.
        length: How many bytes that are.
    """

    type: MessageType
    format: Format
    year: int
    kommunenummer: str | None
    bydel: str | None
    lopenr: str
    sha256: str
    length: int


def inspect(chunks: Iterable[bytes], expected: MessageType, *, name: str, profile: Profile) -> Payload:
    """Check a file and describe it; memory stays flat whatever its size.

    Args:
        chunks: The file, cut anywhere.
        expected: What it is handed in as.
        name: What messages call the file.
        profile: The configured year's.

    Raises:
        InputRefused: With ``where`` naming the file, and the line where one can be named.
    """
    try:
        return _inspect(chunks, expected, profile)
    except (MessageRefused, Refusal) as error:
        refusal = error
    # Raised out here, so that it carries no parser's error, which may quote the file.
    raise refused(refusal, name=name)


def refused(error: MessageRefused | Refusal, *, name: str) -> InputRefused:
    """Return the error that says what is wrong with a file.

    Args:
        error: What was found.
        name: What messages call the file.
    """
    where = f"{name} line {error.line}" if error.line else name
    if isinstance(error, Refusal):
        return InputRefused(error.what, where=where, next_step=error.next_step)
    return InputRefused(f"{error.reason[:1].upper()}{error.reason[1:]}.", where=where)


def _inspect(chunks: Iterable[bytes], expected: MessageType, profile: Profile) -> Payload:
    prolog, spliced = open_payload(chunks)
    reader = HeaderReader(expected, profile, lines_before=prolog.lines)
    digest = hashlib.sha256()
    length = 0

    def passing() -> Iterator[bytes]:
        nonlocal length
        for piece in spliced:
            digest.update(piece)
            length += len(piece)
            reader.read(piece)
            yield piece
        if not length:
            raise Refusal("The file is empty.")
        reader.end()

    check_well_formed(passing(), lines_before=prolog.lines)
    return payload_of(reader.end(), expected, digest.hexdigest(), length)


def payload_of(header: Header, message_type: MessageType, sha256: str, length: int) -> Payload:
    """Return what is known of a file that passed.

    Args:
        header: What its header says.
        message_type: Which of the two it is.
        sha256: Hex digest of its spliced bytes.
        length: How many those are.
    """
    return Payload(
        type=message_type,
        format=header.format,
        year=header.year,
        kommunenummer=header.kommunenummer,
        bydel=header.bydel,
        lopenr=header.lopenr,
        sha256=sha256,
        length=length,
    )

"""One pass over a file before anything is sealed: is it the file it should be, for the year it should be for?

Checked is what makes FHI discard the whole message (kravspesifikasjon IPLOS 3.7: version, kommunenummer, period) and
what would send the wrong file. The file is read once, in chunks; memory stays flat.

An error quotes nothing from the file but root, namespace, version, period and kommunenummer, and those only where
they look like what they should be (promise G6).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kpr_sender.errors import InputRefused
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.splice import open_payload
from kpr_sender.model import MessageType
from kpr_sender.preflight.header import SHAPES, Header, HeaderField, Refusal, check_header, check_root, near
from kpr_sender.preflight.model import Element
from kpr_sender.preflight.reader import Event, Reader, Record, Root, Start
from kpr_sender.profiles import Format, Profile
from kpr_sender.texts import Text, paragraph

LEAST_AROUND: Final = 3_000
"""Bytes that a sealed message has at least beside its payload: Hodemelding, our certificate, both layers of CMS."""
AGREE_ON_SIZE: Final = Text("Agree on the size with FHI and NHN, then raise the limit; nothing was sent.")


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


def too_large(
    kind: MessageType, length: int, limit: int, *, around: int = LEAST_AROUND, whose: str = "limits.refuse_bytes"
) -> Text | None:
    """Return a sentence where a message would be refused for its size; None where it would not.

    Args:
        kind: Which of the two files.
        length: Of its payload, in bytes.
        limit: Of the sealed bytes.
        around: What is added to the payload. The least there can be, where keys and parties are not known: what is
            larger than the limit by less than that is found when it is sealed.
        whose: What sets the limit.
    """
    if length + around <= limit:
        return None
    size = length + around
    if around == LEAST_AROUND:
        return Text(
            "The sealed {file} would be at least {size:,} bytes; {key} is {limit:,}.",
            file=kind.norwegian,
            size=size,
            key=whose,
            limit=limit,
        )
    return Text(
        "The sealed {file} would be {size:,} bytes; {key} is {limit:,}.",
        file=kind.norwegian,
        size=size,
        key=whose,
        limit=limit,
    )


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
        file = InputFile(chunks, expected, profile)
        for _ in file.events():
            pass
        found = file.payload()
        if isinstance(found, Payload):
            return found
        refusal: MessageRefused | Refusal = found
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
    where = Text("{file} line {line}", file=name, line=error.line) if error.line else name
    if isinstance(error, Refusal):
        return InputRefused(error.what, where=where, next_step=error.next_step)
    reason = paragraph(error.reason)
    return InputRefused(Text("{reason:capital}.", reason=reason), where=where)


class InputFile:
    """A file that is read once, and what its header says.

    Args:
        chunks: The file, cut anywhere.
        expected: What it is handed in as.
        profile: The configured year's.

    Attributes:
        format: What its root element is, its version left aside.

    Raises:
        MessageRefused: Its encoding is not known.
        Refusal: It is no such file at all.
    """

    def __init__(self, chunks: Iterable[bytes], expected: MessageType, profile: Profile) -> None:
        self._expected = expected
        self._digest = hashlib.sha256()
        self._length = 0
        lines_before, spliced = open_payload(chunks)
        self._reader = Reader(self._counted(spliced), lines_before=lines_before)
        self._head = Head(expected, profile, self._reader.root())
        self.format = self._head.format

    def events(self) -> Iterator[Event]:
        """Yield what stands in it, from the root's start on.

        Raises:
            MessageRefused: Its bytes are not in the encoding it names.
            Refusal: It is not well-formed, or beyond a limit.
        """
        for event in self._reader.events(self.format.namespace, SHAPES[self._expected].containers):
            self._head.take(event)
            yield event

    def payload(self) -> Payload | Refusal:
        """Return what is known of it, or what is wrong with its header, once everything was read."""
        header = self._head.end(self._reader.last_line())
        if isinstance(header, Refusal):
            return header
        return Payload(
            type=self._expected,
            format=header.format,
            year=header.year,
            kommunenummer=header.kommunenummer,
            bydel=header.bydel,
            lopenr=header.lopenr,
            sha256=self._digest.hexdigest(),
            length=self._length,
        )

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._digest.update(chunk)
            self._length += len(chunk)
            yield chunk


class Head:
    """Evaluates a file's header while it is read. What is wrong with it is found once, and reading goes on.

    Args:
        expected: What the file is handed in as.
        profile: The configured year's.
        root: The file's root element.

    Attributes:
        format: What the root element is, its version left aside.

    Raises:
        Refusal: The root element is of no such file.
    """

    def __init__(self, expected: MessageType, profile: Profile, root: Root) -> None:
        self._expected = expected
        self._profile = profile
        self._root = root
        self._shape = SHAPES[expected]
        self._header: Header | None = None
        self._refusal: Refusal | None = None
        self._fields: dict[str, HeaderField] = {}
        try:
            self.format = check_root(
                expected,
                profile,
                namespace=root.namespace,
                root=root.name,
                version=root.attributes.get("versjon"),
                line=root.line,
            )
        except Refusal as refusal:
            found = near(expected, profile, namespace=root.namespace, root=root.name)
            if found is None:
                raise
            self.format, self._refusal = found, refusal
        if not self._shape.block:
            attributes = root.attributes
            self._fields = {
                name: HeaderField(attributes[name], root.line) for name in self._shape.fields & attributes.keys()
            }

    def take(self, event: Event) -> None:
        """Take what was read next."""
        if self._refusal is not None or (self._header is not None and not self._root.captures):
            return
        try:
            match event:
                case Record():
                    self._record(event)
                case Start():
                    self._begun(event.name, event.line)
                case _:
                    pass
        except Refusal as refusal:
            self._refusal = refusal

    def end(self, last_line: int) -> Header | Refusal:
        """Return the header, or what is wrong with it.

        Args:
            last_line: The file's.
        """
        missing = Text("There is no {element} in it: not one person is reported.", element=self._shape.person)
        return self._refusal or self._header or Refusal(missing, line=last_line)

    def _record(self, record: Record) -> None:
        if self._header is not None:  # what is left to be found is an element of no namespace
            if any("{" not in str(each.tag) for each in record.xml.iter()):
                self._element(record.element)
            return
        if record.depth == 1 and _local(record.name) == self._shape.block:
            for child, xml in zip(record.element.children, record.xml, strict=True):
                self._field(_local(child.name), (xml[-1].tail if len(xml) else xml.text) or "", child.line)
        if _local(record.name) == self._shape.person and not self._root.captures:
            self._begun(record.name, record.line)
        elif self._root.captures or self._has_person(record):
            self._element(record.element)

    def _has_person(self, record: Record) -> bool:
        return next(record.xml.iter(f"{{*}}{self._shape.person}"), None) is not None

    def _field(self, name: str, text: str, line: int) -> None:
        if name in self._shape.fields:
            if name in self._fields:
                raise Refusal(Text("{name} stands there twice.", name=name), line=line)
            self._fields[name] = HeaderField(text, line)

    def _element(self, element: Element) -> None:
        self._begun(element.name, element.line)
        for child in element.children:
            self._element(child)

    def _begun(self, name: str, line: int) -> None:
        if self._root.captures and name.startswith("{}"):
            message = Text("An element stands in no namespace, below a root whose namespace has a prefix.")
            raise Refusal(message, line=line)
        if self._header is None and _local(name) == self._shape.person:
            self._header = check_header(self._expected, self._profile, self.format, self._fields, line=line)


def _local(name: str) -> str:
    return name.rpartition("}")[2]

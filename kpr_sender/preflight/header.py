"""What a file says of itself before its first person, and whether that is what it must be.

The shape of the two headers is data (``SHAPES``); the rules are the published ones: a wrong version, kommunenummer or
period makes FHI discard the whole message (kravspesifikasjon IPLOS 3.7), the whole year comes in one submission
(FHI's letter 24/04733-1), and the running number is the EPJ's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kpr_sender.model import MessageType
from kpr_sender.preflight.lexical import ZONE, day_of
from kpr_sender.preflight.lines import WHITE
from kpr_sender.privacy import foreign_text, may_hold_national_id
from kpr_sender.profiles import Format, Profile
from kpr_sender.texts import Text
from kpr_sender.wording import any_of

_SHOWABLE: Final = re.compile(r"[A-Za-z0-9_:/.#-]{1,80}")
_MAX_INT: Final = 2_147_483_647  # xs:int, the type of iiLopenr

MSGHEAD_NAMESPACE: Final = "http://www.kith.no/xmlstds/msghead/2006-05-24"


class Refusal(Exception):
    """A file is refused; becomes ``InputRefused`` when the file's name is put to it.

    Args:
        what: One sentence, without anything personal.
        line: Line of the file, counted from 1; 0 where none can be named.
        next_step: What to do; None for the usual advice.
    """

    def __init__(self, what: Text, *, line: int = 0, next_step: Text | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.line = line
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class Shape:
    """Where a type keeps what is needed.

    Attributes:
        block: The element whose children are the fields; empty when they are the root's attributes.
        first_day: HeaderField with the period's first day.
        last_day: HeaderField with the period's last day.
        day: Pattern of a date, with the year as its first group and the day as its second.
        new_year: First day of a year, as the second group.
        year_end: Last day of a year.
        lopenr: HeaderField with the running number.
        lopenr_counts: Whether the running number is a number; text otherwise.
        kommunenummer: HeaderField, or empty.
        bydel: HeaderField, or empty.
        person: The element each person is.
        containers: The elements in which records stand one by one.
    """

    block: str
    first_day: str
    last_day: str
    day: re.Pattern[str]
    new_year: str
    year_end: str
    lopenr: str
    lopenr_counts: bool
    kommunenummer: str
    bydel: str
    person: str
    containers: frozenset[str]

    @property
    def fields(self) -> frozenset[str]:
        """Every field that is read, all of them required."""
        return frozenset(filter(None, (self.first_day, self.last_day, self.lopenr, self.kommunenummer, self.bydel)))


SHAPES: Final[Mapping[MessageType, Shape]] = {
    MessageType.KPR_IPL: Shape(
        block="INNHINFO",
        first_day="iiFraDato",
        last_day="iiTilDato",
        day=re.compile(r"([0-9]{4})([0-9]{4})"),
        new_year="0101",
        year_end="1231",
        lopenr="iiLopenr",
        lopenr_counts=True,
        kommunenummer="iiKomnr",
        bydel="iiBydelsnr",
        person="PERSON",
        containers=frozenset({"IPLOS"}),
    ),
    MessageType.KPR_IDE: Shape(
        block="",
        first_day="fraDatoPeriode",
        last_day="tilDatoPeriode",
        day=re.compile(rf"([0-9]{{4}})(-[0-9]{{2}}-[0-9]{{2}}){ZONE}"),
        new_year="-01-01",
        year_end="-12-31",
        lopenr="lopenr",
        lopenr_counts=False,
        kommunenummer="",
        bydel="",
        person="PasientIdent",
        containers=frozenset({"Melding", "Institusjon"}),
    ),
}


@dataclass(frozen=True, slots=True)
class HeaderField:
    """One field as it stands, and the line it stands at."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a header that passed says."""

    format: Format
    year: int
    kommunenummer: str | None
    bydel: str | None
    lopenr: str


def shown(value: str) -> str:
    """Return a value for an error text, or only its length where it does not look like a technical term."""
    if _SHOWABLE.fullmatch(value) and not may_hold_national_id(value):
        return f"'{value}'"
    return hidden(value) if value else Text("empty")


def hidden(value: str) -> str:
    """Return the length of a value that is not shown."""
    return Text("something of {length} characters", length=len(value))


def shown_day(value: str) -> str:
    """Return ``shown`` of a day without its zone, whose digits would look like an id's."""
    return shown(value[:10] if day_of(value) else value)


def near(expected: MessageType, profile: Profile, *, namespace: str, root: str) -> Format | None:
    """Return the format that a root element is of whatever its version; None where there is none."""
    return next((each for each in profile.formats[expected] if (each.namespace, each.root) == (namespace, root)), None)


def check_root(
    expected: MessageType, profile: Profile, *, namespace: str, root: str, version: str | None, line: int
) -> Format:
    """Return the format a root element announces.

    Args:
        expected: What the file is handed in as.
        profile: The configured year's.
        namespace: The root's namespace; may be empty.
        root: Its local name.
        version: Its ``versjon`` attribute, or None.
        line: Where it stands.

    Raises:
        Refusal: It is not one of the expected type's; says so plainly when the two files are swapped.
    """
    formats = profile.formats[expected]
    named = [each for each in formats if (each.namespace, each.root) == (namespace, root)]
    for each in named:
        if each.version == version:
            return each
    if named:
        raise Refusal(_version(version, any_of(sorted({each.version for each in named}))), line=line)
    for other, theirs in profile.formats.items():
        if other is not expected and root in {each.root for each in theirs}:
            raise Refusal(
                Text(
                    "This is the {other} ({other_type}), handed in as the {expected} ({expected_type}): "
                    "the two files are swapped.",
                    other=other.norwegian,
                    other_type=other.value,
                    expected=expected.norwegian,
                    expected_type=expected.value,
                ),
                line=line,
                next_step=Text("Hand them in the other way round: first the fagmelding, then the identmelding."),
            )
    if (namespace, root) == (MSGHEAD_NAMESPACE, "MsgHead"):
        raise Refusal(
            Text("This is a complete Hodemelding; only what goes into it is wanted."),
            line=line,
            next_step=Text(
                "Hand in the {expected} itself; kpr-sender makes the Hodemelding.", expected=expected.norwegian
            ),
        )
    wanted = any_of(named_root(each.root, each.namespace) for each in formats)
    raise Refusal(_another_root(root, namespace, expected.norwegian, wanted), line=line)


def named_root(root: str, namespace: str) -> Text:
    """Return what a root element is, in words."""
    return Text("{root} in {namespace}", root=root, namespace=namespace)


def _version(version: str | None, wanted: str) -> Text:
    if version is None:
        return Text("Its root element says no version; {wanted} is wanted.", wanted=wanted)
    return Text("Its root element says version {version}; {wanted} is wanted.", version=shown(version), wanted=wanted)


def _another_root(root: str, namespace: str, expected: str, wanted: str) -> Text:
    if not namespace:
        return Text(
            "Its root element is {root} without a namespace; the {expected} is {wanted}.",
            root=shown(root),
            expected=expected,
            wanted=wanted,
        )
    return Text(
        "Its root element is {root} in the namespace {namespace}; the {expected} is {wanted}.",
        root=shown(root),
        namespace=shown(namespace),
        expected=expected,
        wanted=wanted,
    )


def check_header(
    expected: MessageType, profile: Profile, form: Format, fields: Mapping[str, HeaderField], *, line: int
) -> Header:
    """Return what the header says.

    Args:
        expected: What the file is handed in as.
        profile: The configured year's.
        form: What ``check_root`` found.
        fields: What was found of ``SHAPES[expected].fields``.
        line: Where the header ended, for what is missing.

    Raises:
        Refusal: A field is missing or is not what it must be.
    """
    shape = SHAPES[expected]
    for missing in sorted(shape.fields - fields.keys()):
        raise Refusal(Text("{name} is missing.", name=missing), line=line)
    return Header(
        format=form,
        year=_year(shape, profile, fields),
        kommunenummer=_digits(fields, shape.kommunenummer, 4),
        bydel=_digits(fields, shape.bydel, 2),
        lopenr=_lopenr(shape, fields[shape.lopenr]),
    )


def _year(shape: Shape, profile: Profile, fields: Mapping[str, HeaderField]) -> int:
    first, last = fields[shape.first_day], fields[shape.last_day]
    begins, ends = shape.day.fullmatch(first.value), shape.day.fullmatch(last.value)
    if begins is None or ends is None:
        name, wrong = (shape.first_day, first) if begins is None else (shape.last_day, last)
        form = f"yyyy{shape.new_year}" if begins is None else f"yyyy{shape.year_end}"
        message = Text("{name} is {value}; {wanted} is wanted.", name=name, value=shown(wrong.value), wanted=form)
        raise Refusal(message, line=wrong.line)
    if (begins[2], ends[2]) != (shape.new_year, shape.year_end) or begins[1] != ends[1]:
        raise Refusal(
            Text(
                "Its period is {first} to {last}: not the whole year.",
                first=shown_day(first.value),
                last=shown_day(last.value),
            ),
            line=first.line if begins[2] != shape.new_year else last.line,
            next_step=Text(
                "Make an extract of the whole of {year}, 1 January to 31 December; nothing was sent.", year=profile.year
            ),
        )
    if int(begins[1]) != profile.year:
        raise Refusal(
            Text("The file is for {says}, but the configuration says {year}.", says=begins[1], year=profile.year),
            line=first.line,
            next_step=Text("Make an extract of {year}, or correct report.year; nothing was sent.", year=profile.year),
        )
    return profile.year


def _digits(fields: Mapping[str, HeaderField], name: str, count: int) -> str | None:
    if not name:
        return None
    field = fields[name]
    if not re.fullmatch(f"[0-9]{{{count}}}", field.value):
        message = Text(
            "{name} is {value}; {digits} digits are wanted.", name=name, value=shown(field.value), digits=count
        )
        raise Refusal(message, line=field.line)
    return field.value


def _lopenr(shape: Shape, field: HeaderField) -> str:
    value = field.value.strip(WHITE)
    if not value:
        raise Refusal(Text("{name} is empty.", name=shape.lopenr), line=field.line)
    if shape.lopenr_counts and not (re.fullmatch("[0-9]{1,10}", value) and 0 < int(value) <= _MAX_INT):
        raise Refusal(Text("{name} is not a whole number above 0.", name=shape.lopenr), line=field.line)
    return foreign_text(value)  # text of any length in an identmelding

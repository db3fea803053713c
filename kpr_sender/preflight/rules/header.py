"""Rules on what the two files say before their first person.

What a field alone breaks is its own rule, from the catalogue; here is what it means for this municipality and year.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from kpr_sender.model import Environment
from kpr_sender.preflight.catalogue import kommuner
from kpr_sender.preflight.header import shown, shown_day
from kpr_sender.preflight.lexical import day_of
from kpr_sender.preflight.lines import WHITE
from kpr_sender.preflight.model import Circumstances, Element, Violation
from kpr_sender.preflight.rules.fields import BlockRules
from kpr_sender.preflight.rules.values import OrganisationNumbers, before, is_number, not_valid
from kpr_sender.texts import Text
from kpr_sender.wording import any_of

_SANDBOX: Final = "9999"  # kpr-sender's own made-up municipality
_NO_DISTRICT: Final = "00"
_CONTACT: Final = "iiKontakt"
_CHANGES: Final = "E"  # meldingstype, kodeverk 7371; B is the whole
_NO_AGREEMENT: Final = "777777777"  # Helsedirektoratet on NPR's institusjonID
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,20}")
_CONTACT_TYPES: Final[Mapping[str, frozenset[str]]] = {
    "53.1.2": frozenset({"16"}),  # the version that knows no 17
    "53.1.3": frozenset({"16", "17"}),
}
"""Who must be named, kodeverk 8471: 16 the IPLOS contact, 17 who answers for the delivery."""


def check_innhinfo(
    root: Mapping[str, str], innhinfo: Element | None, circumstances: Circumstances, fields: Mapping[str, BlockRules]
) -> Iterator[tuple[int, Violation]]:
    """Yield what the fagmelding's header breaks, each with its line.

    Args:
        root: The root element's attributes.
        innhinfo: The header; None where there is none, which is a matter of structure.
        circumstances: The reporting year and where it would be sent.
        fields: IPLOS's, of the same circumstances.
    """
    line = innhinfo.line if innhinfo else 0
    yield from ((line, violation) for violation in fields["IPLOS"].keys(root))
    if innhinfo is None:
        return
    lines = {each.name: each.line for each in innhinfo.children}
    values = {each.name: each.text for each in innhinfo.children if not each.children}
    for violation in (*fields[innhinfo.name].values(values), *_of_innhinfo(values, circumstances)):
        yield lines.get(violation.field, line), violation
    for contact in (each for each in innhinfo.children if each.name == _CONTACT):
        at = {each.name: each.line for each in contact.children}
        for violation in fields[_CONTACT].values({each.name: each.text for each in contact.children}):
            yield at.get(violation.field, contact.line), violation


def check_melding(
    root: Mapping[str, str], contacts: Sequence[Element], circumstances: Circumstances
) -> Iterator[tuple[int, Violation]]:
    """Yield what the identmelding's header breaks, each with its line, 0 for the root element.

    Args:
        root: The root element's attributes.
        contacts: Every Kontaktperson.
        circumstances: The reporting year.
    """
    year = circumstances.year
    for name, day in (("fraDatoPeriode", f"{year}-01-01"), ("tilDatoPeriode", f"{year}-12-31")):
        if name in root and day_of(root[name].strip(WHITE)) != day.replace("-", ""):
            message = Text("{name} is {value}, not {bound}.", name=name, value=shown_day(root[name]), bound=day)
            yield 0, Violation("melding.period", name, message)
    if before(day_of(root.get("uttakDato", "").strip(WHITE)), circumstances.last_day):
        made = shown_day(root["uttakDato"])
        yield 0, Violation("header.made-early", "uttakDato", _made_early("uttakDato", made, f"{year}-12-31"))
    if root.get("meldingstype") == _CHANGES:
        yield (
            0,
            Violation("melding.change-message", "meldingstype", Text("meldingstype is {kind}, not B.", kind=_CHANGES)),
        )
    for name in ("navnEPJ", "versjonEPJ"):
        if name in root and not root[name].strip(WHITE):
            yield 0, Violation("melding.system", name, Text("{name} is empty.", name=name))
    named = {each.attributes.get("typeKontaktperson") for each in contacts}
    missing = sorted(_CONTACT_TYPES.get(root.get("versjon", ""), frozenset()) - named)
    if missing:
        line = contacts[0].line if contacts else 0
        message = Text("Nobody has typeKontaktperson {types}.", types=any_of(missing))
        yield line, Violation("melding.contacts", "typeKontaktperson", message)


def check_institusjon(keys: Mapping[str, str], circumstances: Circumstances) -> tuple[Violation, ...]:
    """Return what an Institusjon of the identmelding breaks.

    Args:
        keys: Its attributes.
        circumstances: Whether only real units are wanted, and the municipality's own number where it is known.
    """
    field = "institusjonID"
    number = keys.get(field, "").strip(WHITE)
    if number == _NO_AGREEMENT:
        return (Violation("institusjon.no-agreement", field),)
    nine_digits = len(number) == len(_NO_AGREEMENT) and number.isascii() and number.isdecimal()
    if not nine_digits:
        message = Text("{length} characters; an organisation number has nine digits.", length=len(number))
        return (Violation("orgnr.invalid", field, message),)
    violations = OrganisationNumbers(circumstances).violations(field, number)
    if circumstances.organisation_number in {"", number}:
        return violations
    return (*violations, Violation("institusjon.other", field))


def _of_innhinfo(values: Mapping[str, str], circumstances: Circumstances) -> Iterator[Violation]:
    kommune = values.get("iiKomnr", "")
    if is_number(kommune):
        yield from _municipality(kommune, circumstances)
        yield from _district(values.get("iiBydelsnr", _NO_DISTRICT), kommune)
    made = values.get("iiLagetDato", "")
    if before(made, circumstances.last_day):
        message = _made_early("iiLagetDato", shown(made), circumstances.last_day)
        yield Violation("header.made-early", "iiLagetDato", message)
    counted = values.get("iiLopenr", "").strip(WHITE)
    if _WHOLE.fullmatch(counted) and int(counted) <= 0:
        yield Violation(
            "header.running-number", "iiLopenr", Text("{name} is {value}.", name="iiLopenr", value=shown(counted))
        )


def _made_early(name: str, made: str, last_day: str) -> Text:
    return Text("{name} is {made}; the period ends {last_day}.", name=name, made=made, last_day=last_day)


def _municipality(number: str, circumstances: Circumstances) -> Iterator[Violation]:
    if number == _SANDBOX and circumstances.environment is Environment.LOKAL:
        return
    message = not_valid(number, circumstances.year)
    if message:
        certain = circumstances.year <= kommuner.LAST_KNOWN_YEAR or kommuner.successors(number)
        yield Violation("header.municipality" if certain else "header.municipality-unknown", "iiKomnr", message)


def _district(district: str, kommune: str) -> Iterator[Violation]:
    if district != _NO_DISTRICT and district not in kommuner.bydeler(kommune):
        message = Text("{district} is no district of {kommune}.", district=shown(district), kommune=kommune)
        yield Violation("header.district", "iiBydelsnr", message)

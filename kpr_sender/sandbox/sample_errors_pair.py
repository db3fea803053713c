"""One synthetic pair that breaks no rule, and how it is changed so that it breaks one.

The person has one of everything, each element on a line of its own, so that a change of one line is one error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final

from kpr_sender.sandbox.tenor import fodselsnummer, organisasjonsnummer, with_check_digits

FIRST_PID: Final = 10001
_AGE: Final = 80
_SHARED: Final = 7  # seed of what all persons share

_HEAD: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<IPLOS xmlns="http://www.npr.no/xmlstds/iplos/2019" versjon="3.7">
<INNHINFO>
<iiInnhType>P</iiInnhType>
<iiKomnr>9999</iiKomnr>
<iiBydelsnr>00</iiBydelsnr>
<iiKontakt>
<Type>1</Type>
<Navn>Prøve Eksempelsen</Navn>
<Telefon>00000001</Telefon>
<Epost>prove.eksempelsen@example.invalid</Epost>
</iiKontakt>
<iiKontakt>
<Type>2</Type>
<Navn>Ånun Oppdiktet</Navn>
<Telefon>00000002</Telefon>
<Epost>anun.oppdiktet@example.invalid</Epost>
</iiKontakt>
<iiFraDato>{year}0101</iiFraDato>
<iiTilDato>{year}1231</iiTilDato>
<iiLagetDato>{next}0106</iiLagetDato>
<iiSysID>EKSEMPEL-EPJ</iiSysID>
<iiSysVersjon>1.0</iiSysVersjon>
<iiLopenr>1</iiLopenr>
</INNHINFO>
"""
_PERSON: Final = """\
<PERSON pePeID="{pid}">
<peAlder>80</peAlder>
<peKjonn>K</peKjonn>
<peKomnr>9999</peKomnr>
<peBydelsnr>00</peBydelsnr>
<peFraDato>20150301</peFraDato>
<peEndrDato>{year}0301</peEndrDato>
<PERSONOPPL poPeID="{pid}" poPoID="1">
<poHusstand>1</poHusstand>
<poOmsorgBarn>2</poOmsorgBarn>
<poPrivHjelp>6</poPrivHjelp>
<poBoligTilr>1</poBoligTilr>
<poVurdTann>{year}03</poVurdTann>
<poVurdLege>{year}03</poVurdLege>
<poIndPlan>2</poIndPlan>
<poHarKoordinator>12</poHarKoordinator>
<poArbBistBehov>1</poArbBistBehov>
<poArbBistMottar>1</poArbBistMottar>
<poArbTranspBehov>1</poArbTranspBehov>
<poArbTranspMottar>1</poArbTranspMottar>
<poFriBistBehov>1</poFriBistBehov>
<poFriBistMottar>1</poFriBistMottar>
<poFriTranspBehov>1</poFriTranspBehov>
<poFriTranspMottar>1</poFriTranspMottar>
<poLegeMiddGj>1</poLegeMiddGj>
<poLegeMiddGjDato>{year}0301</poLegeMiddGjDato>
<poErnKartlagt>1</poErnKartlagt>
<poErnKartlagtDato>{year}0301</poErnKartlagtDato>
<poErnRisiko>1</poErnRisiko>
<poErnRisikoDato>{year}0301</poErnRisikoDato>
<poErnPlan>1</poErnPlan>
<poErnPlanDato>{year}0301</poErnPlanDato>
<poFraDato>{year}0301</poFraDato>
<poTilDato>99991231</poTilDato>
<poVenteliste>2</poVenteliste>
<poVentelisteDato>{year}0301</poVentelisteDato>
<poHeldg>1</poHeldg>
<poHab>2</poHab>
<poHabDato>{year}0301</poHabDato>
</PERSONOPPL>
<FUNKSJON fnPeID="{pid}" fnFnID="1">
<fnFunkType>1</fnFunkType>
<fnFunkVerdi>3</fnFunkVerdi>
<fnFraDato>{last}0301</fnFraDato>
<fnTilDato>99991231</fnTilDato>
</FUNKSJON>
<TJENESTE tjPeID="{pid}" tjTjID="1" tjVeID="1" tjVeNrID="1">
<tjTjenType>15</tjTjenType>
<tjSoknadDato>{last}0201</tjSoknadDato>
<tjVedtDato>{last}0215</tjVedtDato>
<tjVedtak>2</tjVedtak>
<tjTimerUke>3.50</tjTimerUke>
<tjResTimerUke>2.50</tjResTimerUke>
<tjInstOrgnr>{unit}</tjInstOrgnr>
<tjFraDato>{last}0301</tjFraDato>
<tjTilDato>99991231</tjTilDato>
</TJENESTE>
<TJENESTE tjPeID="{pid}" tjTjID="2" tjVeID="2" tjVeNrID="1">
<tjTjenType>8</tjTjenType>
<tjSoknadDato>{last}0201</tjSoknadDato>
<tjVedtDato>{last}0215</tjVedtDato>
<tjVedtak>2</tjVedtak>
<tjRullerende>1</tjRullerende>
<tjInstOrgnr>{unit}</tjInstOrgnr>
<tjFraDato>{last}0301</tjFraDato>
<tjTilDato>99991231</tjTilDato>
<tjKlageMottatt>{last}0220</tjKlageMottatt>
<tjKlageBesvart>{last}0225</tjKlageBesvart>
</TJENESTE>
<TJENESTE tjPeID="{pid}" tjTjID="3" tjVeID="3" tjVeNrID="1">
<tjTjenType>29</tjTjenType>
<tjSoknadDato>{last}0201</tjSoknadDato>
<tjVedtDato>{last}0215</tjVedtDato>
<tjVedtak>2</tjVedtak>
<tjFraDato>{last}0301</tjFraDato>
<tjTilDato>99991231</tjTilDato>
</TJENESTE>
<TJENESTE tjPeID="{pid}" tjTjID="4">
<tjTjenType>6</tjTjenType>
<tjFraDato>{last}0301</tjFraDato>
<tjTilDato>99991231</tjTilDato>
</TJENESTE>
<DIAGNOSE diPeID="{pid}" diDiID="1">
<diKodeVersjon>ICPC-2</diKodeVersjon>
<diDiagKode>K77</diDiagKode>
<diFraDato>{last}0301</diFraDato>
<diTilDato>99991231</diTilDato>
</DIAGNOSE>
<DOGNTILBUD dgPeID="{pid}" dgDgID="1">
<dgInstOrgnr>{unit}</dgInstOrgnr>
<dgFraDato>{last}0301</dgFraDato>
<dgTilDato>99991231</dgTilDato>
</DOGNTILBUD>
</PERSON>
"""
_MELDING: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<Melding xmlns="http://www.npr.no/xmlstds/53_1_3_ide" versjon="53.1.3" meldingstype="B" \
fraDatoPeriode="{year}-01-01" tilDatoPeriode="{year}-12-31" uttakDato="{next}-01-06" leverandor="Eksempel EPJ" \
navnEPJ="EKSEMPEL-EPJ" versjonEPJ="1.0" versjonUt="1.0" lopenr="1">
<Kontaktperson kontPerson="Prøve Eksempelsen" meldEpost1="prove.eksempelsen@example.invalid" typeKontaktperson="16"/>
<Kontaktperson kontPerson="Ånun Oppdiktet" meldEpost1="anun.oppdiktet@example.invalid" typeKontaktperson="17"/>
<Institusjon institusjonID="{unit}">
"""
_IDENT: Final = '<PasientIdent pid="{pid}" fid="{fid}" typeID="1"/>\n'
_TAIL: Final = "</IPLOS>\n"
_MELDING_TAIL: Final = "</Melding>\n"


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a part of the pair.

    Attributes:
        pattern: What is changed, matched as a regular expression.
        new: What comes in its place; words in braces as in the parts.
        nth: Which of those that match, from 1.
        about: The element or attribute that it is about.
    """

    pattern: str
    new: str
    nth: int = 1
    about: str = ""

    def __call__(self, text: str) -> str:
        """Return the text, changed.

        Raises:
            ValueError: There is no such place, or nothing changes: the error would not be made.
        """
        found = list(re.finditer(self.pattern, text, re.DOTALL))
        if len(found) < self.nth:
            raise ValueError(f"there is no {self.pattern}")
        at = found[self.nth - 1]
        changed = text[: at.start()] + self.new + text[at.end() :]
        if changed == text:
            raise ValueError(f"{self.pattern} stays as it is")
        return changed


def put(name: str, value: str, nth: int = 1) -> Edit:
    """Give an element, or an attribute written ``@name``, another value."""
    if name.startswith("@"):
        return Edit(rf' {name[1:]}="[^"]*"', f' {name[1:]}="{value}"', nth, name)
    return Edit(rf"<{name}>[^<]*</{name}>", f"<{name}>{value}</{name}>", nth, name)


def drop(name: str, nth: int = 1) -> Edit:
    """Leave out an element with all in it, or an attribute written ``@name``."""
    pattern = rf' {name[1:]}="[^"]*"' if name.startswith("@") else rf"<{name}[ >].*?</{name}>\n"
    return Edit(pattern, "", nth, name)


def before(name: str, text: str, nth: int = 1) -> Edit:
    """Put a line before an element."""
    return Edit(f"(?=<{name}[ >])", f"{text}\n", nth, name)


def more(name: str, attribute: str) -> Edit:
    """Give an element one more attribute."""
    return Edit(f"(?<=<{name}) ", f" {attribute} ", 1, name)


@dataclass(frozen=True, slots=True)
class PairChange:
    """What is changed of the two headers and of one person.

    Attributes:
        head: Of the fagmelding up to its first person.
        melding: Of the identmelding up to its first person.
        person: Of the PERSON.
        ident: Of its PasientIdent.
        unit: What stands in one more Institusjon of the identmelding; nothing where there is none.
    """

    head: tuple[Edit, ...] = ()
    melding: tuple[Edit, ...] = ()
    person: tuple[Edit, ...] = ()
    ident: tuple[Edit, ...] = ()
    unit: str = ""


def fid_of(pid: int, year: int, *, born: int = 0) -> str:
    """Return the person's synthetic national id, the same each time.

    Args:
        pid: The person's number.
        year: The reporting year.
        born: Year of birth; 0 is the template's age.
    """
    random = Random(f"{pid} {year}")  # noqa: S311 - repeatable, guards nothing
    # Another day for each of a pair's persons: two of them never have the same number.
    day = date(born or year - _AGE, 1, 1) + timedelta(days=pid % 365)
    return fodselsnummer(day, woman=True, random=random)


def written(
    year: int, persons: Sequence[PairChange], header: Iterable[PairChange] = (), first_pid: int = FIRST_PID
) -> tuple[str, str]:
    """Return the fagmelding and the identmelding.

    Args:
        year: The reporting year.
        persons: What is changed of each person, ``PairChange()`` for one that is valid.
        header: Whose changes of the two headers count.
        first_pid: The first person's number; the others follow.
    """
    head, melding = _HEAD, _MELDING
    for change in header:
        head, melding = _edited(head, change.head), _edited(melding, change.melding)
    parts, idents, units = [], [], []
    for number, change in enumerate(persons):
        words = _words(year, first_pid + number)
        parts.append(_edited(_PERSON, change.person).format_map(words))
        idents.append(_edited(_IDENT, change.ident).format_map(words))
        if change.unit:
            inside = change.unit.format_map(words)
            units.append(f'<Institusjon institusjonID="{words["other_unit"]}">\n{inside}\n</Institusjon>\n')
    shared = _words(year, _SHARED)
    fagmelding = "".join((head.format_map(shared), *parts, _TAIL))
    identmelding = "".join((melding.format_map(shared), *idents, "</Institusjon>\n", *units, _MELDING_TAIL))
    return fagmelding, identmelding


def _long_dead(pid: int, *, day: int = 0, month: int = 0) -> str:
    """Return a number of another series, of somebody born before 1900: nobody living has it."""
    for individual in range(500 + pid % 50, 600):
        nine = f"{1 + pid % 28 + day:02}{1 + pid % 12 + month:02}90{individual}"
        if (complete := with_check_digits(nine)) is not None:
            return complete
    raise AssertionError("some number in fifty has check digits")


def _edited(text: str, edits: Iterable[Edit]) -> str:
    for edit in edits:
        text = edit(text)
    return text


def _words(year: int, pid: int) -> dict[str, str]:
    """Return what the words in braces stand for."""
    fid = fid_of(pid, year)
    return {
        "year": str(year),
        "last": str(year - 1),
        "next": str(year + 1),
        "pid": str(pid),
        "far": str(pid + 50_000),  # nobody's
        "fid": fid,
        "wrong_fid": fid[:-1] + str((int(fid[-1]) + 1) % 10),
        "fid_before": fid_of(pid - 1, year),
        "fid_far": fid_of(pid, year, born=year - _AGE - 1),
        "fid_without_zero": next(found for day in range(31) if (found := fid_of(day, year))[0] == "0").lstrip("0"),
        "fid_unborn": fid_of(pid, year, born=year + 1),
        "fid_old": fid_of(pid, year, born=year - 117),
        "d_number": _long_dead(pid, day=40),
        "dolly": _long_dead(pid, month=40),
        "unit": organisasjonsnummer(Random(_SHARED)),  # noqa: S311 - repeatable, guards nothing
        "other_unit": organisasjonsnummer(Random(pid)),  # noqa: S311 - repeatable, guards nothing
        "month": f"{1 + pid % 6:02}",
    }

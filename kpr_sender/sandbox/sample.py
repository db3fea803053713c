"""A synthetic municipality's two files: a fagmelding (IPLOS 3.7) and its identmelding (XPR(ide) 53.1.3).

The same arguments always give the same bytes. Every national id is of the Tenor range. Both files are written in one
pass, a person at a time.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from random import Random
from typing import Final, TextIO

from kpr_sender.errors import UsageError
from kpr_sender.sandbox.sample_person import Municipality, person, person_xml
from kpr_sender.sandbox.tenor import organisasjonsnummer
from kpr_sender.texts import Text

DEFAULT_PERSONS: Final = 200
DEFAULT_KOMMUNENUMMER: Final = "9999"
_FIRST_PID: Final = 1001
_MOST_PERSONS: Final = 1_000_000
_INSTITUTIONS: Final = 6
_CONTACTS: Final = (
    ("Prøve Eksempelsen", "00000001", "prove.eksempelsen@example.invalid", "16"),
    ("Ånun Oppdiktet", "00000002", "anun.oppdiktet@example.invalid", "17"),
)
"""Name, telephone, mail and kodeverk 8471: 16 IPLOS contact, 17 responsible for the delivery."""


def write_pair(
    directory: Path,
    *,
    year: int,
    persons: int = DEFAULT_PERSONS,
    seed: int = 1,
    kommunenummer: str = DEFAULT_KOMMUNENUMMER,
    bydel: str = "00",
    lopenr: int = 1,
) -> tuple[Path, Path]:
    """Write ``fagmelding.xml`` and ``identmelding.xml``, replacing earlier ones.

    Args:
        directory: Made where missing.
        year: The reporting year.
        persons: How many, at least one.
        seed: Another seed, other persons.
        kommunenummer: Four digits.
        bydel: Two digits, ``00`` where not used.
        lopenr: The EPJ's running number for both messages.

    Returns:
        The fagmelding's and the identmelding's path.

    Raises:
        UsageError: An argument is out of range.
        OSError: The folder cannot be written.
    """
    _check(persons, year, kommunenummer, bydel)
    random = Random(f"{seed} {year} {kommunenummer} {bydel}")  # noqa: S311 - repeatable, guards nothing
    where = Municipality(kommunenummer, bydel, year, tuple(organisasjonsnummer(random) for _ in range(_INSTITUTIONS)))
    directory.mkdir(parents=True, exist_ok=True)
    fagmelding, identmelding = directory / "fagmelding.xml", directory / "identmelding.xml"
    drafts = tuple(path.with_suffix(".xml.new") for path in (fagmelding, identmelding))
    with (
        drafts[0].open("w", encoding="utf-8", newline="\n") as fag,
        drafts[1].open("w", encoding="utf-8", newline="\n") as ident,
    ):
        fag.write(_fagmelding_head(where, lopenr))
        ident.write(_identmelding_head(where, lopenr, organisasjonsnummer(random)))
        _write_persons(fag, ident, where, persons, random)
        fag.write("</IPLOS>\n")
        ident.write("</Institusjon>\n</Melding>\n")
    drafts[0].replace(fagmelding)
    drafts[1].replace(identmelding)
    return fagmelding, identmelding


def _check(persons: int, year: int, kommunenummer: str, bydel: str) -> None:
    if not 1 <= persons <= _MOST_PERSONS:
        raise UsageError(
            Text(
                "{persons} persons cannot be made up; 1 to {most_persons} can.",
                persons=persons,
                most_persons=_MOST_PERSONS,
            ),
            where="--persons",
        )
    if not 2019 <= year <= 2039:  # noqa: PLR2004 - tjenestetype 27-29 begin with 2019, Tenor ids of this form end 2039
        raise UsageError(
            Text("There is no sample for {year}.", year=year), where="--year", next_step=Text("Use 2019 to 2039.")
        )
    if not re.fullmatch(r"[0-9]{4}", kommunenummer) or not re.fullmatch(r"[0-9]{2}", bydel):
        raise UsageError(Text("A kommunenummer has four digits, a bydel two."), where="--kommunenummer")


def _write_persons(fag: TextIO, ident: TextIO, where: Municipality, persons: int, random: Random) -> None:
    taken: set[str] = set()
    for pid in range(_FIRST_PID, _FIRST_PID + persons):
        who = person(pid, where.year, random)
        while who.fid in taken:
            who = person(pid, where.year, random)
        taken.add(who.fid)
        fag.write(person_xml(who, where, random))
        ident.write(f'<PasientIdent pid="{pid}" fid="{who.fid}" typeID="1"/>\n')


def _extracted(year: int) -> date:
    """The day such an extract is made: well before the deadline of 15 January."""
    return date(year + 1, 1, 6)


def _fagmelding_head(where: Municipality, lopenr: int) -> str:
    contacts = "".join(
        f"<iiKontakt><Type>{number}</Type><Navn>{name}</Navn><Telefon>{telephone}</Telefon><Epost>{mail}</Epost>"
        "</iiKontakt>\n"
        for number, (name, telephone, mail, _) in enumerate(_CONTACTS, start=1)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<IPLOS xmlns="http://www.npr.no/xmlstds/iplos/2019" versjon="3.7">\n<INNHINFO>\n'
        f"<iiInnhType>P</iiInnhType><iiKomnr>{where.kommunenummer}</iiKomnr><iiBydelsnr>{where.bydel}</iiBydelsnr>\n"
        f"{contacts}"
        f"<iiFraDato>{where.year}0101</iiFraDato><iiTilDato>{where.year}1231</iiTilDato>"
        f"<iiLagetDato>{_extracted(where.year):%Y%m%d}</iiLagetDato>\n"
        f"<iiSysID>EKSEMPEL-EPJ</iiSysID><iiSysVersjon>1.0</iiSysVersjon><iiLopenr>{lopenr}</iiLopenr>\n"
        "</INNHINFO>\n"
    )


def _identmelding_head(where: Municipality, lopenr: int, reporting_unit: str) -> str:
    contacts = "".join(
        f'<Kontaktperson kontPerson="{name}" meldTelefon="{telephone}" meldEpost1="{mail}"'
        f' typeKontaktperson="{kind}"/>\n'
        for name, telephone, mail, kind in _CONTACTS
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Melding xmlns="http://www.npr.no/xmlstds/53_1_3_ide" versjon="53.1.3" meldingstype="B"'
        f' fraDatoPeriode="{where.year}-01-01" tilDatoPeriode="{where.year}-12-31"'
        f' uttakDato="{_extracted(where.year).isoformat()}" leverandor="Eksempel EPJ" navnEPJ="EKSEMPEL-EPJ"'
        f' versjonEPJ="1.0" versjonUt="1.0" lopenr="{lopenr}">\n'
        f'{contacts}<Institusjon institusjonID="{reporting_unit}">\n'
    )

"""One error for each rule that no single field makes."""

from __future__ import annotations

from typing import Final

from kpr_sender.model import Environment
from kpr_sender.sandbox.sample_errors_case import Case
from kpr_sender.sandbox.sample_errors_pair import Change, Edit, before, drop, more, put

_SYNTHETIC: Final = ("header.municipality", "ident.synthetic", "orgnr.synthetic")
"""What every synthetic pair of the sandbox's municipality breaks in production."""


def _person(rule: str, *edits: Edit, about: str = "", also: tuple[str, ...] = ()) -> Case:
    return Case(rule, Change(person=edits), also, about)


def _ident(rule: str, *edits: Edit, about: str = "fid", also: tuple[str, ...] = ()) -> Case:
    return Case(rule, Change(ident=edits), also, about)


def _melding(rule: str, *edits: Edit, about: str, also: tuple[str, ...] = ()) -> Case:
    return Case(rule, Change(melding=edits), also, about)


STRUCTURE: Final = (
    _person("structure.element", before("peAlder", "<peUkjent>1</peUkjent>"), about="PERSON"),
    _melding("structure.missing", drop("@meldEpost1"), about="meldEpost1"),
    _person("structure.attribute", more("PERSON", 'peUkjent="1"'), about="PERSON"),
    _ident("structure.value", more("PasientIdent", 'pasientGUID="1"'), about="pasientGUID"),
    _person("structure.text", before("peAlder", "ukjent"), about="PERSON"),
    _ident(
        "structure.unique",
        Edit("$", '<PasientIdent pid="{pid}" fid="{fid}" typeID="1"/>\n'),
        about="PasientIdent",
        also=("pair.repeated-ident",),
    ),
)

ROWS: Final = (
    _person("dato.no-such-day", put("tjFraDato", "{last}0230"), about="tjFraDato"),
    _person("dato.no-such-month", put("poVurdTann", "{year}13"), about="poVurdTann"),
    _person("poArbBistMottar.without-need", put("poArbBistBehov", "2"), about="poArbBistMottar"),
    _person("poArbTranspMottar.without-need", put("poArbTranspBehov", "2"), about="poArbTranspMottar"),
    _person("poFriBistMottar.without-need", put("poFriBistBehov", "2"), about="poFriBistMottar"),
    _person("poFriTranspMottar.without-need", put("poFriTranspBehov", "2"), about="poFriTranspMottar"),
    _person("tjeneste.ended-housing", put("tjTjenType", "12", 3), about="tjTjenType"),
    _person("tjeneste.ended-habilitation", put("tjTjenType", "16", 3), about="tjTjenType"),
    _person("tjeneste.outside-year", put("tjTilDato", "{last}1231"), about="tjTilDato"),
    _person("tjeneste.no-start", drop("tjFraDato"), about="tjFraDato"),
    _person("tjeneste.decided-before-applied", put("tjVedtDato", "{last}0131"), about="tjVedtDato"),
    _person("tjeneste.complaint-before-decision", put("tjKlageMottatt", "{last}0214"), about="tjKlageMottatt"),
    _person("tjeneste.answer-before-complaint", put("tjKlageBesvart", "{last}0219"), about="tjKlageBesvart"),
    _person("rad.end-before-start", put("fnTilDato", "{last}0228"), about="fnTilDato"),
    _person("orgnr.invalid", put("tjInstOrgnr", "123456789"), about="tjInstOrgnr"),
    _person("orgnr.missing", drop("tjInstOrgnr"), about="tjInstOrgnr"),
    _person("orgnr.not-used", before("tjFraDato", "<tjInstOrgnr>{unit}</tjInstOrgnr>", 3), about="tjInstOrgnr"),
)

PERSONS: Final = (
    _person("person.reference", put("@tjPeID", "{far}"), about="tjPeID"),
    _person("person.duplicate-key", put("@tjTjID", "1", 2), about="tjTjID"),
    _person("person.dead-before-year", before("peEndrDato", "<peDodDato>{last}1231</peDodDato>"), about="peDodDato"),
    _person(
        "person.service-after-death",
        before("peEndrDato", "<peDodDato>{year}0301</peDodDato>"),
        put("tjFraDato", "{year}0302"),
        about="tjFraDato",
    ),
    _person(
        "person.hours",
        put("tjTimerUke", "100.00"),
        before("tjRullerende", "<tjTimerUke>100.00</tjTimerUke>"),
        about="tjTimerUke",
    ),
    _person("person.no-service", *(drop("TJENESTE") for _ in range(4)), about="PERSON"),
    Case(
        "person.national-id",
        Change(
            person=(
                Edit(".*", ""),
                Edit("^", '<PERSON pePeID="{fid_without_zero}">\n<peAlder>80</peAlder>\n</PERSON>\n'),
            ),
            ident=(put("@pid", "{fid_without_zero}"),),
        ),
        also=("person.no-service",),
        about="pePeID",
    ),
    _person("person.residence", put("peKomnr", "3001"), about="peKomnr"),
    Case(
        "person.duplicate",
        Change(person=(Edit("$", '<PERSON pePeID="{pid}">\n<peAlder>80</peAlder>\n</PERSON>\n'),)),
        also=("person.no-service",),
        about="pePeID",
    ),
)

HEADERS: Final = (
    Case("header.refused", Change(melding=(put("@lopenr", " "),)), alone=True),
    Case(
        "header.made-early",
        Change(head=(put("iiLagetDato", "{year}1201"),), melding=(put("@uttakDato", "{year}-12-01"),)),
        about="iiLagetDato",
    ),
    Case(
        "header.running-number",
        Change(head=(put("iiLopenr", "0"),)),
        also=("header.refused",),
        about="iiLopenr",
        alone=True,
    ),
    _melding("melding.system", put("@navnEPJ", ""), about="navnEPJ"),
    _melding("melding.period", put("@fraDatoPeriode", "{year}-07-01"), about="fraDatoPeriode", also=("pair.period",)),
    _melding("melding.change-message", put("@meldingstype", "E"), about="meldingstype"),
    _melding("melding.contacts", put("@typeKontaktperson", "16", 2), about="typeKontaktperson"),
    _melding("institusjon.no-agreement", put("@institusjonID", "777777777"), about="institusjonID"),
    Case("institusjon.other", Change(), about="institusjonID", owned=True, alone=True),
)

IDENTS: Final = (
    _ident("ident.invalid", put("@fid", "{wrong_fid}")),
    Case("ident.kind", Change(ident=(put("@fid", "{d_number}"),)), about="typeID"),
    _ident("ident.type", put("@fid", "010144"), put("@typeID", "9"), about="typeID"),
    _ident("ident.repeated-digit", put("@fid", "111111111"), put("@typeID", "9"), also=("ident.type",)),
    _ident("ident.duf", put("@typeID", "10")),
    _ident("ident.born-after-year", put("@fid", "{fid_unborn}")),
    _ident("ident.age", put("@fid", "{fid_old}")),
)

PRODUCTION: Final = (
    # These two elsewhere as well, but there a configuration says which municipality's files are taken at all.
    Case("header.municipality", Change(head=(put("iiKomnr", "3001"),)), _SYNTHETIC, "iiKomnr", Environment.PRODUKSJON),
    Case("header.district", Change(head=(put("iiBydelsnr", "17"),)), _SYNTHETIC, "iiBydelsnr", Environment.PRODUKSJON),
    Case("ident.synthetic", Change(), _SYNTHETIC, "fid", Environment.PRODUKSJON),
    Case("orgnr.synthetic", Change(), _SYNTHETIC, "tjInstOrgnr", Environment.PRODUKSJON),
    Case(
        "ident.dolly-or-h",
        Change(ident=(put("@fid", "{dolly}"),)),
        (*_SYNTHETIC, "ident.age"),
        "fid",
        Environment.PRODUKSJON,
    ),
    Case("ident.test-person", Change(), _SYNTHETIC, "fid", Environment.PRODUKSJON, listed=True, alone=True),
)
"""What is judged by production's rules. There, a synthetic pair can be right in nothing else either."""

PAIRS: Final = (
    _ident("pair.no-ident", put("@pid", "{far}"), about="PERSON", also=("pair.no-person",)),
    Case(
        "pair.no-person",
        Change(unit='<PasientIdent pid="{far}" fid="{fid_far}" typeID="1"/>'),
        about="PasientIdent",
    ),
    Case("pair.repeated-ident", Change(unit='<PasientIdent pid="{pid}" fid="{fid}" typeID="1"/>'), about="pid"),
    Case("pair.several-ids", Change(unit='<PasientIdent pid="{pid}" fid="{fid_far}" typeID="1"/>'), about="pid"),
    _ident("pair.several-pids", put("@fid", "{fid_before}")),
    _melding("pair.period", put("@tilDatoPeriode", "{year}-06-30"), about="tilDatoPeriode", also=("melding.period",)),
    _melding("pair.system", put("@versjonEPJ", "2.0"), about="versjonEPJ"),
    _melding("pair.extracted", put("@uttakDato", "{next}-01-07"), about="uttakDato"),
)

WHOLE: Final = (
    Case("file.no-welfare-technology", Change(person=(drop("TJENESTE", 4),)), companion=False, alone=True),
    Case("file.no-housing", Change(person=(drop("TJENESTE", 3),)), companion=False, alone=True),
    Case(
        "year.type-vanished", Change(person=(put("tjTjenType", "26", 4),)), companion=False, compared=True, alone=True
    ),
    Case("year.users-changed", Change(), crowd=15, compared=True, alone=True),
    Case("year.month-without-start", Change(person=(put("tjFraDato", "{year}{month}01"),)), crowd=60, alone=True),
    Case(
        "year.without-service-rose",
        Change(person=(*(put("tjVedtak", "1", nth) for nth in (1, 2, 3)), drop("TJENESTE", 4))),
        crowd=12,
        compared=True,
        alone=True,
    ),
)

OTHER_CASES: Final = (*STRUCTURE, *ROWS, *PERSONS, *HEADERS, *IDENTS, *PRODUCTION, *PAIRS, *WHOLE)

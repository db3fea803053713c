"""Every kind of error that a check can find, one for each rule: what is changed, and what follows by necessity.

First the errors of single fields, made from the catalogue: a value of the wrong form, code or range, or none.
Then those that no single field makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kpr_sender.model import Environment
from kpr_sender.preflight.catalogue.fields import ALWAYS, DATO, Field, iplos
from kpr_sender.preflight.payload import LEAST_AROUND
from kpr_sender.preflight.rules.pair import LEAST_COMPARED
from kpr_sender.preflight.rules.table import CODE, FORMAT, MISSING, RANGE, requirements
from kpr_sender.sandbox.sample_errors_pair import Edit, PairChange, before, drop, more, put


@dataclass(frozen=True, slots=True)
class ErrorCase:
    """One kind of error.

    Attributes:
        rule: The rule that is broken.
        change: How the pair is changed for it.
        also: Rules that are broken with it by necessity.
        about: Element or attribute that the finding names last; empty where it names none.
        environment: Where it is an error.
        crowd: How many more persons are changed in the same way.
        companion: Whether a valid person stands in the pair as well.
        compared: Whether last year's file is needed to find it.
        owned: Whether the municipality's own organisation number must be known, and be another.
        refuse_bytes: What ``limits.refuse_bytes`` must be; 0 where it does not matter.
        listed: Whether the person must be on the municipality's list of test persons.
        alone: Whether it hides, or makes, what other errors are about.
    """

    rule: str
    change: PairChange
    also: tuple[str, ...] = ()
    about: str = ""
    environment: Environment = Environment.LOKAL
    crowd: int = 0
    companion: bool = True
    compared: bool = False
    owned: bool = False
    refuse_bytes: int = 0
    listed: bool = False
    alone: bool = False

    @property
    def rules(self) -> frozenset[str]:
        """All that is found."""
        return frozenset({self.rule, *self.also})


_TOO_LATE: Final = "21000101"  # the schema's dates end with 9999, the receiver's with 2099
_TOO_EARLY: Final = "20041231"
_NO_CODE: Final = "0"

_OF_FORM: Final[Mapping[str, str]] = {
    DATO: _TOO_LATE,
    r"^\d+$": "+1",
    r"^\d{1}$": "12",
    r"^\d{2}$": "ab",
    r"^\d{4}$": "abcd",
    r"^\d{1,2}$": "+1",
    r"^\d{1,10}$": "000000{pid}",
    r"^\d{9}0?$": "12345",
    r"^\d{1,3}\.\d{1,2}$": "5",
    "^.{0,1}$": "22",
    "^.{0,6}$": "1234567",
    "^.{0,10}$": "A1234567890",
    "^.{0,15}$": "EKSEMPEL-EPJ-2024",
}
"""By published pattern, a text that does not hold it, though the schema takes it where anything such exists."""

_VALUES: Final[Mapping[str, str]] = {
    "poPoID.format": "00000000001",
    "fnFnID.format": "00000000001",
    "tjTjID.format": "00000000001",
    "diDiID.format": "00000000001",
    "dgDgID.format": "00000000001",
    "tjSoknadDato.format": "18991231",  # before the decision in any case
    "tjTjenType.code": "10",  # never used
    "iiFraDato.range": "{year}0102",
    "iiTilDato.range": "{year}1230",
    "poVurdTann.range": _TOO_EARLY[:6],
    "poVurdLege.range": _TOO_EARLY[:6],
    "tjTimerUke.range": "168.01",
    "tjVedtDato.range": "{next}0101",
    "tjKlageMottatt.range": "{next}0101",
    "tjTilDato.range": "{year}0201",
}
"""Where what the aspect's own table says will not do."""

_BESIDE: Final[Mapping[str, tuple[Edit, ...]]] = {
    **{f"{name}Behov.{CODE}": (drop(f"{name}Mottar"),) for name in ("poArbBist", "poArbTransp", "poFriBist")},
    f"poFriTranspBehov.{CODE}": (drop("poFriTranspMottar"),),
    **{f"{name}Behov.{FORMAT}": (drop(f"{name}Mottar"),) for name in ("poArbBist", "poArbTransp", "poFriBist")},
    f"poFriTranspBehov.{FORMAT}": (drop("poFriTranspMottar"),),
    f"tjKlageMottatt.{FORMAT}": (drop("tjKlageBesvart"),),
    f"tjKlageMottatt.{RANGE}": (drop("tjKlageBesvart"),),
    f"tjTilDato.{RANGE}": (put("tjFraDato", "{year}0301"),),
}
"""What is changed as well, so that nothing else is broken."""

_FIRST: Final = {"peDodDato.format": before("peEndrDato", f"<peDodDato>{_TOO_LATE}</peDodDato>")}
"""Of what the valid person does not have."""

_ALSO: Final[Mapping[str, tuple[str, ...]]] = {
    "iiInnhType.format": ("structure.value",),
    "iiSysID.format": ("structure.value", "pair.system"),
    "iiSysVersjon.format": ("structure.value", "pair.system"),
    "diDiagKode.format": ("structure.value",),
    "iiBydelsnr.format": ("header.district", "header.refused"),
    "iiFraDato.format": ("pair.period",),
    "iiFraDato.range": ("pair.period",),
    "iiTilDato.format": ("pair.period",),
    "iiTilDato.range": ("pair.period",),
    "iiLagetDato.format": ("pair.extracted",),
    "iiLopenr.format": ("header.refused", "pair.running-number"),
    "poVurdTann.format": ("dato.no-such-month",),
    "poVurdLege.format": ("dato.no-such-month",),
    "pePeID.missing": ("pair.no-ident", "pair.no-person", "person.reference"),
}
"""What comes with it by necessity, beside what ``_necessarily`` says."""


def field_cases() -> Iterator[ErrorCase]:
    """Yield a case for every rule that the fagmelding's fields make."""
    for field in iplos().fields.values():
        for aspect in requirements(field):
            yield _case(field, aspect)


def _case(field: Field, aspect: str) -> ErrorCase:
    rule = f"{field.id}.{aspect}"
    name = f"@{field.name}" if field.kind == "attribute" else field.name
    edit = drop(name) if aspect == MISSING else _FIRST.get(rule) or put(name, _value(field, aspect))
    edits = (edit, *_BESIDE.get(rule, ()))
    in_head = field.parent in {"IPLOS", "INNHINFO", "iiKontakt"}
    return ErrorCase(
        rule,
        PairChange(head=edits) if in_head else PairChange(person=edits),
        also=(*_necessarily(field, aspect), *_ALSO.get(rule, ())),
        about=field.name,
    )


def _value(field: Field, aspect: str) -> str:
    return _VALUES.get(f"{field.id}.{aspect}") or {
        FORMAT: _OF_FORM.get(field.format, ""),
        CODE: _NO_CODE,
        RANGE: _TOO_EARLY,
    }.get(aspect, "")


def _necessarily(field: Field, aspect: str) -> Iterator[str]:
    if aspect == MISSING and field.required_for == ALWAYS:
        yield "structure.missing"
    if aspect == FORMAT:
        # What is too long for a code is none; what is out of all ranges of years is out of this one.
        yield from (
            f"{field.id}.{each}" for each in (CODE, RANGE) if each in requirements(field) and _breaks(field, each)
        )


def _breaks(field: Field, aspect: str) -> bool:
    return aspect == CODE or (field.format == DATO and bool(field.latest))


_SYNTHETIC: Final = ("header.municipality", "ident.synthetic", "orgnr.synthetic")
"""What every synthetic pair of the sandbox's municipality breaks in production."""


def _person(rule: str, *edits: Edit, about: str = "", also: tuple[str, ...] = ()) -> ErrorCase:
    return ErrorCase(rule, PairChange(person=edits), also, about)


def _ident(rule: str, *edits: Edit, about: str = "fid", also: tuple[str, ...] = ()) -> ErrorCase:
    return ErrorCase(rule, PairChange(ident=edits), also, about)


def _melding(rule: str, *edits: Edit, about: str, also: tuple[str, ...] = ()) -> ErrorCase:
    return ErrorCase(rule, PairChange(melding=edits), also, about)


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
    ErrorCase(
        "person.national-id",
        PairChange(
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
    ErrorCase(
        "person.duplicate",
        PairChange(person=(Edit("$", '<PERSON pePeID="{pid}">\n<peAlder>80</peAlder>\n</PERSON>\n'),)),
        also=("person.no-service",),
        about="pePeID",
    ),
)

HEADERS: Final = (
    ErrorCase("header.refused", PairChange(melding=(put("@lopenr", " "),)), alone=True),
    ErrorCase(
        "header.made-early",
        PairChange(head=(put("iiLagetDato", "{year}1201"),), melding=(put("@uttakDato", "{year}-12-01"),)),
        about="iiLagetDato",
    ),
    ErrorCase(
        "header.running-number",
        PairChange(head=(put("iiLopenr", "0"),)),
        also=("header.refused", "pair.running-number"),
        about="iiLopenr",
        alone=True,
    ),
    _melding("melding.system", put("@navnEPJ", ""), about="navnEPJ"),
    _melding("melding.period", put("@fraDatoPeriode", "{year}-07-01"), about="fraDatoPeriode", also=("pair.period",)),
    _melding("melding.change-message", put("@meldingstype", "E"), about="meldingstype"),
    _melding("melding.contacts", put("@typeKontaktperson", "16", 2), about="typeKontaktperson"),
    _melding("institusjon.no-agreement", put("@institusjonID", "777777777"), about="institusjonID"),
    ErrorCase("institusjon.other", PairChange(), about="institusjonID", owned=True, alone=True),
)

IDENTS: Final = (
    _ident("ident.invalid", put("@fid", "{wrong_fid}")),
    ErrorCase("ident.kind", PairChange(ident=(put("@fid", "{d_number}"),)), ("pair.age",), "typeID"),
    _ident("ident.type", put("@fid", "010144"), put("@typeID", "9"), about="typeID"),
    _ident("ident.repeated-digit", put("@fid", "111111111"), put("@typeID", "9"), also=("ident.type",)),
    _ident("ident.duf", put("@typeID", "10")),
    _ident("ident.born-after-year", put("@fid", "{fid_unborn}"), also=("pair.age",)),
    _ident("ident.age", put("@fid", "{fid_old}"), also=("pair.age",)),
)

PRODUCTION: Final = (
    # These two elsewhere as well, but there a configuration says which municipality's files are taken at all.
    ErrorCase(
        "header.municipality", PairChange(head=(put("iiKomnr", "3001"),)), _SYNTHETIC, "iiKomnr", Environment.PRODUKSJON
    ),
    ErrorCase(
        "header.district", PairChange(head=(put("iiBydelsnr", "17"),)), _SYNTHETIC, "iiBydelsnr", Environment.PRODUKSJON
    ),
    ErrorCase("ident.synthetic", PairChange(), _SYNTHETIC, "fid", Environment.PRODUKSJON),
    ErrorCase("orgnr.synthetic", PairChange(), _SYNTHETIC, "tjInstOrgnr", Environment.PRODUKSJON),
    ErrorCase(
        "ident.dolly-or-h",
        PairChange(ident=(put("@fid", "{dolly}"),)),
        (*_SYNTHETIC, "ident.age", "pair.age"),
        "fid",
        Environment.PRODUKSJON,
    ),
    ErrorCase("ident.test-person", PairChange(), _SYNTHETIC, "fid", Environment.PRODUKSJON, listed=True, alone=True),
)
"""What is evaluated by production's rules. By them a synthetic pair breaks others as well."""

PAIRS: Final = (
    _ident("pair.no-ident", put("@pid", "{far}"), about="PERSON", also=("pair.no-person",)),
    ErrorCase(
        "pair.no-person",
        PairChange(unit='<PasientIdent pid="{far}" fid="{fid_far}" typeID="1"/>'),
        about="PasientIdent",
    ),
    ErrorCase(
        "pair.repeated-ident", PairChange(unit='<PasientIdent pid="{pid}" fid="{fid}" typeID="1"/>'), about="pid"
    ),
    ErrorCase(
        "pair.several-ids", PairChange(unit='<PasientIdent pid="{pid}" fid="{fid_far}" typeID="1"/>'), about="pid"
    ),
    _ident("pair.several-pids", put("@fid", "{fid_before}")),
    _melding("pair.period", put("@tilDatoPeriode", "{year}-06-30"), about="tilDatoPeriode", also=("melding.period",)),
    _melding("pair.system", put("@versjonEPJ", "2.0"), about="versjonEPJ"),
    _melding("pair.extracted", put("@uttakDato", "{next}-01-07"), about="uttakDato"),
    ErrorCase("pair.running-number", PairChange(melding=(put("@lopenr", "2"),)), about="lopenr", alone=True),
    _person("pair.age", put("peAlder", "81"), about="peAlder"),
    _person("pair.sex", put("peKjonn", "M"), about="peKjonn"),
    ErrorCase(
        "pair.other-persons",
        PairChange(person=(put("peAlder", "45"),)),
        crowd=LEAST_COMPARED,
        also=("pair.age",),
        alone=True,
    ),
)

WHOLE: Final = (
    ErrorCase("file.too-large", PairChange(), refuse_bytes=LEAST_AROUND + 3_000, alone=True),
    ErrorCase("file.no-welfare-technology", PairChange(person=(drop("TJENESTE", 4),)), companion=False, alone=True),
    ErrorCase("file.no-housing", PairChange(person=(drop("TJENESTE", 3),)), companion=False, alone=True),
    ErrorCase(
        "year.type-vanished",
        PairChange(person=(put("tjTjenType", "26", 4),)),
        companion=False,
        compared=True,
        alone=True,
    ),
    ErrorCase("year.users-changed", PairChange(), crowd=15, compared=True, alone=True),
    ErrorCase(
        "year.month-without-start", PairChange(person=(put("tjFraDato", "{year}{month}01"),)), crowd=60, alone=True
    ),
    ErrorCase(
        "year.without-service-rose",
        PairChange(person=(*(put("tjVedtak", "1", nth) for nth in (1, 2, 3)), drop("TJENESTE", 4))),
        crowd=12,
        compared=True,
        alone=True,
    ),
)

OTHER_CASES: Final = (*STRUCTURE, *ROWS, *PERSONS, *HEADERS, *IDENTS, *PRODUCTION, *PAIRS, *WHOLE)

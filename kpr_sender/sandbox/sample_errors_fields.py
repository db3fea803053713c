"""One error for each rule that the catalogue's fields make: a value of the wrong form, code or range, or none.

What of this the schema refuses as well, and what follows from the change by itself, is said beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from kpr_sender.preflight.catalogue.fields import ALWAYS, DATO, Field, iplos
from kpr_sender.preflight.rules.table import CODE, FORMAT, MISSING, RANGE, demands
from kpr_sender.sandbox.sample_errors_case import Case
from kpr_sender.sandbox.sample_errors_pair import Change, Edit, before, drop, put

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
"""Of what the person that is right does not have."""

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
    "iiLopenr.format": ("header.refused",),
    "poVurdTann.format": ("dato.no-such-month",),
    "poVurdLege.format": ("dato.no-such-month",),
    "pePeID.missing": ("pair.no-ident", "pair.no-person", "person.reference"),
}
"""What comes with it by necessity, beside what ``_necessarily`` says."""


def field_cases() -> Iterator[Case]:
    """Yield a case for every rule that the fagmelding's fields make."""
    for field in iplos().fields.values():
        for aspect in demands(field):
            yield _case(field, aspect)


def _case(field: Field, aspect: str) -> Case:
    rule = f"{field.id}.{aspect}"
    name = f"@{field.name}" if field.kind == "attribute" else field.name
    edit = drop(name) if aspect == MISSING else _FIRST.get(rule) or put(name, _value(field, aspect))
    edits = (edit, *_BESIDE.get(rule, ()))
    in_head = field.parent in {"IPLOS", "INNHINFO", "iiKontakt"}
    return Case(
        rule,
        Change(head=edits) if in_head else Change(person=edits),
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
        yield from (f"{field.id}.{each}" for each in (CODE, RANGE) if each in demands(field) and _breaks(field, each))


def _breaks(field: Field, aspect: str) -> bool:
    return aspect == CODE or (field.format == DATO and bool(field.latest))

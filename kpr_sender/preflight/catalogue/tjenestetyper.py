"""Service types, code list 9151, as the yearly fagmelding uses them.

Whether a type needs an organisation number is from Helsedirektoratet's questions and answers on IPLOS, which are from
2018 at the latest and name no consequence.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kpr_sender.preflight.catalogue.kodeverk import Code, code_of
from kpr_sender.preflight.catalogue.tables import rows


class OrganisationNumber(enum.StrEnum):
    """Whether a service of a type names the unit that performs it."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NOT_USED = "not_used"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ServiceType:
    """One tjenestetype.

    Attributes:
        code: Its code, names, years and source.
        group: ``home``, ``institution``, ``housing``, ``coercion`` or ``velferdsteknologi``.
        orgnr: Whether the performing unit's organisation number belongs to it.
        replaced_by: What is to be recorded in its place, where it has ended; empty otherwise.
    """

    code: Code
    group: str
    orgnr: OrganisationNumber
    replaced_by: str


@functools.cache
def all_service_types() -> Mapping[str, ServiceType]:
    """Return every tjenestetype there has been, by code."""
    return MappingProxyType(
        {
            row["code"]: ServiceType(
                code=code_of(row),
                group=row["group"],
                orgnr=OrganisationNumber(row["orgnr"]),
                replaced_by=row["replaced_by"],
            )
            for row in rows("tjenestetyper.csv")
        }
    )


@functools.cache
def service_types(year: int) -> Mapping[str, ServiceType]:
    """Return the tjenestetyper in force in a reporting year, by code."""
    return MappingProxyType({code: each for code, each in all_service_types().items() if each.code.in_force(year)})

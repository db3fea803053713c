"""Error codes of application receipts (kodeverk 8221) and of error-queue messages, as the sandbox uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kpr_sender.messages.apprec import ERROR_OID
from kpr_sender.model import ReceiptError

E10: Final = "E10"
E21: Final = "E21"
E31: Final = "E31"
S01: Final = "S01"
S02: Final = "S02"
T01: Final = "T01"
T02: Final = "T02"
T10: Final = "T10"
X99: Final = "X99"

TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        E10: "Ugyldig meldingsidentifikator",
        E21: "Mottaker finnes ikke",
        E31: "Pasientens fødselsnummer er feil",
        S01: "Feil på signatur",
        S02: "Ugyldig sertifikat",
        T01: "Ikke XML, ikke well formed eller uleselig",
        T02: "XML validerer ikke",
        T10: "Støtter ikke meldingsformatet",
        X99: "Annen feil",
    },
)

# What the reference client puts into errorCondition.
NOT_XML: Final = "transport:not-well-formed-xml"
INVALID_FIELD: Final = "transport:invalid-field-value"
UNSUPPORTED: Final = "transport:unsupported-message"
INVALID_CERTIFICATE: Final = "transport:invalid-certificate"
INTERNAL: Final = "transport:internal-error"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong with a message that could be opened.

    Attributes:
        code: Of kodeverk 8221.
        detail: In words, without anything personal; goes into OT.
    """

    code: str
    detail: str

    def as_error(self) -> ReceiptError:
        """Return it as an Error element."""
        return ReceiptError(self.code, ERROR_OID, TEXTS[self.code], self.detail)


@dataclass(frozen=True, slots=True)
class TransportFault:
    """What is wrong with a message that cannot be answered by a receipt.

    Attributes:
        condition: One of the reference client's.
        description: In words, without anything personal.
    """

    condition: str
    description: str

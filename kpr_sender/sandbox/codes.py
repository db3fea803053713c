"""Error codes of application receipts (kodeverk 8221) and conditions of error-queue messages, as the sandbox uses them.

The conditions are those of the AMQP profile (HITS 1216 2.2.3 and 2.2.6), with its misprint, and those that NHN's .NET
client writes beside them.
"""

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
T01: Final = "T01"
T02: Final = "T02"
T10: Final = "T10"
X99: Final = "X99"

TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        E10: "Ugyldig meldingsidentifikator",
        E21: "Mottaker finnes ikke",
        E31: "Pasientens fødselsnummer er feil",
        T01: "Ikke XML, ikke well formed eller uleselig",
        T02: "XML validerer ikke",
        T10: "Støtter ikke meldingsformatet",
        X99: "Annen feil",
    },
)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message is refused by a receipt.

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
    """Why a message is refused by an error-queue message.

    Attributes:
        condition: errorCondition.
        description: In words, without anything personal.
        data: errorConditionData: thumbprints, field names, HER-ids; none where there is nothing to say.
    """

    condition: str
    description: str
    data: tuple[str, ...] = ()


INVALID_CMS: Final = "invalid-cms-pkcs"
INVALID_CERTIFICATE: Final = "invalid-certificate"
EXPIRED_CERTIFICATE: Final = "expired-certificate"
DECRYPTION_FAILED: Final = "decryption-failed"
INVALID_SIGNATURE: Final = "invalid-signature"
INVALID_FIELD: Final = "invalid-field-value"
NOT_XML: Final = "not-well-formed-xml"
UNSUPPORTED: Final = "unsupported-message"
INTERNAL: Final = "internal-error"
SPOOFING: Final = "spoofing-attack"

_EXPECTED: Final = "AB" * 20
_ACTUAL: Final = "CD" * 20
_THUMBPRINT: Final = (_ACTUAL,)

CONDITIONS: Final[Mapping[str, TransportFault]] = MappingProxyType(
    {
        fault.condition.partition(":")[2]: fault
        for fault in (
            TransportFault("transport:invalid-cms-pkcs", "The content is not valid CMS"),
            TransportFault("transport:invalid-certificate", "Sealed for another certificate", (_EXPECTED, _ACTUAL)),
            TransportFault("transport:expired-certificate", "Invalid end date", _THUMBPRINT),
            TransportFault("transport:revoked-certificate", "Certificate has been revoked", _THUMBPRINT),
            TransportFault("transport:revoked-cerificate", "Certificate has been revoked", _THUMBPRINT),
            TransportFault("transport:revoked-certificate-offline", "Unable to determine revocation status"),
            TransportFault("transport:unverified-certificate", "The certificate cannot be verified", _THUMBPRINT),
            TransportFault("transport:missing-certificate", "Certificate is missing"),
            TransportFault("transport:decryption-failed", "The content cannot be decrypted"),
            TransportFault("transport:invalid-signature", "The signature is not valid", _THUMBPRINT),
            TransportFault("transport:required-field-missing", "A required field is missing", ("replyTo",)),
            TransportFault("transport:invalid-field-value", "One or more fields are missing", ("replyTo", "toHerId")),
            TransportFault("transport:invalid-encoding", "The encoding is not supported", ("ISO-8859-1",)),
            TransportFault("transport:xml-not-interpretable", "The XML cannot be interpreted"),
            TransportFault("transport:not-well-formed-xml", "The header is not valid XML"),
            TransportFault("transport:unsupported-message", "The message type is not supported"),
            TransportFault("transport:internal-error", "The receiver failed"),
            TransportFault("abuse:spoofing-attack", "The sender differs", ("900003", "900002")),
        )
    }
)
"""What each condition looks like on demand, by its name without *transport:* and *abuse:*."""


def transport_fault(name: str, description: str = "", *data: str) -> TransportFault:
    """Return a condition with what is known of it in this case.

    Args:
        name: A key of ``CONDITIONS``.
        description: In words; the condition's own where empty.
        data: errorConditionData.
    """
    usual = CONDITIONS[name]
    return TransportFault(usual.condition, description or usual.description, data)

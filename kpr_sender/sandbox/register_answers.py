"""What the sandbox's Adresseregister writes: SOAP 1.1, element names as in CommunicationPartyService's WSDL."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from kpr_sender.registry.soap import COMMON, PARTY
from kpr_sender.sandbox.parties import Level

_SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
_REGISTERED_FOR: Final = timedelta(days=3650)
_NONE: Final = "-1"


def answer(operation: str, level: Level, *, at: datetime) -> bytes | None:
    """Return the answer to an operation about a party; None where the sandbox has no such operation.

    Args:
        operation: Its name.
        level: Whom it is about.
        at: Now; aware.
    """
    write = _OPERATIONS.get(operation)
    if write is None:
        return None
    result = write(level, at)
    return _envelope(f'<{operation}Response xmlns="{PARTY}">{result}</{operation}Response>')


def fault(code: str, text: str) -> bytes:
    """Return the register's own kind of fault.

    Args:
        code: Its ErrorCode.
        text: Its message.
    """
    return _envelope(
        f"<s:Fault><faultcode>s:Client</faultcode><faultstring>{escape(text)}</faultstring><detail>"
        f'<GenericFault xmlns="{COMMON}"><ErrorCode>{escape(code)}</ErrorCode><Message>{escape(text)}</Message>'
        "</GenericFault></detail></s:Fault>"
    )


def _details(level: Level, at: datetime) -> str:
    parent_her_id, parent_name = level.parent or (_NONE, "")
    service = level.parent is not None
    own, parents = (_NONE, level.organisation_number) if service else (level.organisation_number, _NONE)
    addresses = "".join(
        f"<c:ElectronicAddress><c:Address>{escape(address)}</c:Address><c:Inherited>false</c:Inherited>"
        f"<c:TypeCodeValue>{kind}</c:TypeCodeValue></c:ElectronicAddress>"
        for kind, address in level.addresses.items()
    )
    kind = "Service" if service else "Organization"
    return (
        f'<GetCommunicationPartyDetailsResult xmlns:i="{_INSTANCE}" xmlns:c="{COMMON}" i:type="{kind}">'
        f"<Active>true</Active><ElectronicAddresses>{addresses}</ElectronicAddresses>"
        f"<HerId>{level.her_id}</HerId><IsValidCommunicationParty>true</IsValidCommunicationParty>"
        f"<Name>{escape(level.name)}</Name>"
        f"<ParentHerId>{parent_her_id}</ParentHerId><ParentName>{escape(parent_name)}</ParentName>"
        f"<ParentOrganizationNumber>{parents}</ParentOrganizationNumber><Type>{kind}</Type>"
        f"<Valid><c:From>{_moment(at - _REGISTERED_FOR)}</c:From><c:To>{_moment(at + _REGISTERED_FOR)}</c:To></Valid>"
        + ("" if service else f"<OrganizationNumber>{own}</OrganizationNumber>")
        + "</GetCommunicationPartyDetailsResult>"
    )


def _moment(moment: datetime) -> str:
    """The register writes times without their zone."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


def _encryption(level: Level, _at: datetime) -> str:
    return _certificate("GetCertificateForEncryption", level.encryption)


def _signing(level: Level, _at: datetime) -> str:
    return _certificate("GetCertificateForValidatingSignature", level.signing)


def _certificate(operation: str, certificate: Certificate) -> str:
    text = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
    return f"<{operation}Result>{text}</{operation}Result>"


def _envelope(body: str) -> bytes:
    return f'<s:Envelope xmlns:s="{_SOAP}"><s:Body>{body}</s:Body></s:Envelope>'.encode()


_OPERATIONS: Final[Mapping[str, Callable[[Level, datetime], str]]] = MappingProxyType(
    {
        "GetCommunicationPartyDetails": _details,
        "GetCertificateForEncryption": _encryption,
        "GetCertificateForValidatingSignature": _signing,
    }
)

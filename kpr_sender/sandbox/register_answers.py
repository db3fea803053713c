"""Writes the answers of the sandbox's Adresseregister: SOAP 1.1, valid by CommunicationPartyService's WSDL.

NHN's .NET client reads elements in the order of the schema and passes over those that come too late; it finds queues
by ``ElectronicAddress/Type`` and asks for certificates by their details.
"""

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
from kpr_sender.sandbox.registered import Level
from kpr_sender.settings.sample_file import HOST

_SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
_DETAILS: Final = "http://register.nhn.no/CertificateDetails"
_NO_ADDRESSING: Final = "http://schemas.microsoft.com/ws/2005/05/addressing/none"
_ADDRESS_TYPES: Final = {  # kodeverk 9044
    "E_EDI": "EDI-adresse",
    "E_SB_ASYNC": "Asynkron AMQP kø",
    "E_SB_ERROR": "Feilmelding AMQP kø",
}
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
    detail = (
        f'<detail><GenericFault xmlns="{COMMON}"><ErrorCode>{escape(code)}</ErrorCode><Message>{escape(text)}</Message>'
        "</GenericFault></detail>"
    )
    return _envelope(
        f"<s:Fault><faultcode>s:Client</faultcode><faultstring>{escape(text)}</faultstring>{detail}</s:Fault>"
    )


def not_supported(text: str) -> bytes:
    """Return the fault of a .NET service that does not know an operation.

    Args:
        text: What it does not know.
    """
    return _envelope(
        f'<s:Fault><faultcode xmlns:a="{_NO_ADDRESSING}">a:ActionNotSupported</faultcode>'
        f"<faultstring>{escape(text)}</faultstring></s:Fault>"
    )


def _details(level: Level, at: datetime) -> str:
    parent_her_id, parent_name = level.parent or (_NONE, "")
    service = level.parent is not None
    own, parents = (_NONE, level.organisation_number) if service else (level.organisation_number, _NONE)
    addresses = "".join(
        f"<c:ElectronicAddress><c:Address>{escape(address)}</c:Address><c:Inherited>false</c:Inherited>"
        f"<c:Type><c:Active>true</c:Active><c:CodeText>{_ADDRESS_TYPES[kind]}</c:CodeText>"
        f"<c:CodeValue>{kind}</c:CodeValue><c:OID>9044</c:OID></c:Type>"
        f"<c:TypeCodeValue>{kind}</c:TypeCodeValue></c:ElectronicAddress>"
        for kind, address in level.addresses.items()
    )
    kind = "Service" if service else "Organization"
    display_name = '<DisplayName i:nil="true"/>' if service else f"<DisplayName>{escape(level.name)}</DisplayName>"
    return (
        f'<GetCommunicationPartyDetailsResult xmlns:i="{_INSTANCE}" xmlns:c="{COMMON}" i:type="{kind}">'
        f"<Active>true</Active>{display_name}<ElectronicAddresses>{addresses}</ElectronicAddresses>"
        f"<HerId>{level.her_id}</HerId><IsValidCommunicationParty>true</IsValidCommunicationParty>"
        f"<Name>{escape(level.name)}</Name>"
        f"<ParentHerId>{parent_her_id}</ParentHerId><ParentName>{escape(parent_name)}</ParentName>"
        f"<ParentOrganizationNumber>{parents}</ParentOrganizationNumber><Type>{kind}</Type>"
        f"<Valid><c:From>{_moment(at - _REGISTERED_FOR)}</c:From><c:To>{_moment(at + _REGISTERED_FOR)}</c:To></Valid>"
        + ("" if service else f"<OrganizationNumber>{own}</OrganizationNumber>")
        + "</GetCommunicationPartyDetailsResult>"
    )


def _moment(moment: datetime) -> str:
    """Return a time as the register writes it: without its zone."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


def _certificate(element: str, certificate: Certificate) -> str:
    text = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
    return f"<{element}>{text}</{element}>"


def _certificate_details(operation: str, certificate: Certificate) -> str:
    where = f"ldap://{HOST}/dc=Sandbox,dc=no?usercertificate;binary?sub?(serialNumber={certificate.serial_number})"
    return (
        f'<{operation}Result xmlns:d="{_DETAILS}">{_certificate("d:Certificate", certificate)}'
        f"<d:LdapUrl>{escape(where)}</d:LdapUrl></{operation}Result>"
    )


def _envelope(body: str) -> bytes:
    return f'<s:Envelope xmlns:s="{_SOAP}"><s:Body>{body}</s:Body></s:Envelope>'.encode()


_OPERATIONS: Final[Mapping[str, Callable[[Level, datetime], str]]] = MappingProxyType(
    {
        "GetCommunicationPartyDetails": _details,
        "GetCertificateForEncryption": lambda level, _: _certificate(
            "GetCertificateForEncryptionResult", level.encryption
        ),
        "GetCertificateForValidatingSignature": lambda level, _: _certificate(
            "GetCertificateForValidatingSignatureResult", level.signing
        ),
        "GetCertificateDetailsForEncryption": lambda level, _: _certificate_details(
            "GetCertificateDetailsForEncryption", level.encryption
        ),
        "GetCertificateDetailsForValidatingSignature": lambda level, _: _certificate_details(
            "GetCertificateDetailsForValidatingSignature", level.signing
        ),
    }
)

"""Adresseregisteret's CommunicationPartyService: SOAP 1.1 over HTTPS with basic authentication.

The envelope is written here: three operations with one number each need no SOAP framework. Names are those on the wire
(the WSDL's), not the .NET model's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from kpr_sender.deadline import Stopped, never
from kpr_sender.errors import AccessRefused, ConfigInvalid, KprError, LoginRefused
from kpr_sender.http_client import HttpAnswer
from kpr_sender.messages import safe_xml
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.registry.client import (
    MAX_BYTES,
    RegistryClient,
    UnreadableError,
    registered_address,
    registered_certificate,
    registered_moment,
    registered_name,
    registered_organisation,
    unreadable,
)
from kpr_sender.registry.port import RegisteredParty, RegisteredQueues, RegisterEntry, UnknownParty
from kpr_sender.settings.values import RegistrySettings
from kpr_sender.texts import Text, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.x509 import Certificate
    from lxml import etree

PARTY: Final = "http://register.nhn.no/CommunicationParty"
COMMON: Final = "http://register.nhn.no/Common"

_SOAP: Final = ("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope")
_NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_NO_PARENT: Final = -1
_NUMBER: Final = re.compile(r"-?[0-9]{1,10}")
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}", re.ASCII)
DETAILS: Final = "GetCommunicationPartyDetails"
ENCRYPTION: Final = "GetCertificateForEncryption"
SIGNING: Final = "GetCertificateForValidatingSignature"
UNKNOWN_HER_ID: Final = "InvalidHerIdSupplied"

_ACTION: Final = f"{PARTY}/ICommunicationPartyService"
_NO_ACCESS: Final = (401, 403)
_NO_SUCH_PLACE: Final = (404, 405, 410)

T = TypeVar("T")


class FaultError(Exception):
    """The register refuses with a reason: the ErrorCode of a GenericFault, where it looks like one."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class SoapRegister:
    """The register, asked anew at each call."""

    settings: RegistrySettings
    stopped: Stopped = never

    def fetch(self, her_id: int) -> RegisterEntry:
        """Ask who a party is, and for both its certificates.

        Raises:
            RegistryUnreachable: It does not answer, or nothing that can be read.
            ConfigInvalid: It does not know the HER-id, or its address is wrong.
            AccessRefused: It refuses our user, or its certificate is refused.
        """
        with RegistryClient(self.settings.ca_file, self.settings.timeout, self.stopped) as client:
            party, queues = self._ask(client, DETAILS, her_id, lambda found: _details(found, her_id))
            party = self._with_parents_name(client, party)
            encryption = self._ask(client, ENCRYPTION, her_id, _certificate)
            signing = self._ask(client, SIGNING, her_id, _certificate)
        return RegisterEntry(party, queues, encryption, signing)

    def _with_parents_name(self, client: RegistryClient, party: RegisteredParty) -> RegisteredParty:
        """Return the party with the visningsnavn of its organisation, which only that organisation's entry has."""
        parent = party.parent_her_id
        if parent is None:
            return party
        try:
            name = self._ask(client, DETAILS, parent, lambda found: _organisation_name(found, parent))
        except (UnknownParty, AccessRefused):  # its name is in the party's own entry
            return party
        return replace(party, parent_name=name or party.parent_name)

    def _ask(
        self, client: RegistryClient, operation: str, her_id: int, read: Callable[[etree._Element | None], T]
    ) -> T:
        settings = self.settings
        password = settings.password.reveal()
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{_ACTION}/{operation}"'}
        answer = client.ask(settings.url, question(operation, her_id), headers, login=(settings.user, password))
        _refuse(answer)
        try:
            return read(_result(answer.body, operation))
        except FaultError as fault:
            raise self._fault(operation, her_id, fault.code) from None
        except (UnreadableError, MessageRefused) as error:
            raise unreadable(answer, said(error)) from None

    def _fault(self, operation: str, her_id: int, code: str) -> KprError:
        if code == UNKNOWN_HER_ID:
            return UnknownParty.at(self.settings.url, her_id)
        return AccessRefused(
            Text(
                "Adresseregisteret refuses {operation} for HER-id {her_id} ({code}).",
                operation=operation,
                her_id=her_id,
                code=code,
            ),
            where=self.settings.url,
            next_step=Text("Ask kundesenter@nhn.no, with this code."),
        )


def _refuse(answer: HttpAnswer) -> None:
    """Refuse a status that says it all, whatever the body."""
    if answer.status in _NO_ACCESS:
        raise LoginRefused(
            Text("Adresseregisteret refuses our user (HTTP {status}).", status=answer.status),
            where=f"registry.user, {answer.url}",
            next_step=Text("Check registry.user (OrgUsr in RegisterPlattformen) and its password."),
        )
    if answer.status in _NO_SUCH_PLACE:
        raise ConfigInvalid(
            Text("No register is there (HTTP {status}).", status=answer.status), where=f"registry.url, {answer.url}"
        )


def question(operation: str, her_id: int) -> bytes:
    """Write the envelope of a question about one HER-id."""
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<{operation} xmlns="{PARTY}"><herId>{her_id:d}</herId></{operation}>'
        "</s:Body></s:Envelope>"
    ).encode("ascii")


def _result(answer: bytes, operation: str) -> etree._Element | None:
    """Return an operation's result of a complete answer, SOAP 1.1 or 1.2; None where it is nil."""
    envelope = safe_xml.parse_answer(answer, max_bytes=MAX_BYTES)
    soap = next((namespace for namespace in _SOAP if envelope.tag == f"{{{namespace}}}Envelope"), None)
    if soap is None:
        raise UnreadableError(Text("it is no SOAP envelope"))
    # SOAP 1.1 wraps it in "detail", 1.2 in "Detail".
    body = safe_xml.only(envelope.findall(f"{{{soap}}}Body"))
    if body is None:
        raise UnreadableError(Text("it is a SOAP envelope without a body"))
    fault = safe_xml.only(body.findall(f"{{{soap}}}Fault"))
    if fault is not None:
        generic = safe_xml.only(fault.findall(f".//{{{COMMON}}}GenericFault"))
        if generic is None:
            raise UnreadableError(Text("it is a SOAP fault without a reason of the register's"))
        code = _text(generic, COMMON, "ErrorCode")
        raise FaultError(code if _CODE.fullmatch(code) else Text("not named"))
    response = safe_xml.only(body.findall(f"{{{PARTY}}}{operation}Response"))
    if response is None:
        raise UnreadableError(Text("it has no {operation}Response in the register's namespace", operation=operation))
    found = safe_xml.only(response.findall(f"{{{PARTY}}}{operation}Result"))
    return None if found is None or found.get(_NIL) in ("true", "1") else found


def _details(element: etree._Element | None, her_id: int) -> tuple[RegisteredParty, RegisteredQueues]:
    """Read the details of the party that was asked for."""
    if element is None:
        raise UnreadableError(Text("it has nothing about the party"))
    found = _party(element)
    if found.her_id != her_id:
        raise UnreadableError(Text("it is about another party"))
    return found, _queues(element)


def _organisation_name(element: etree._Element | None, her_id: int) -> str:
    """Read an organisation's visningsnavn, or its name where it has none."""
    if element is None or _integer(_text(element, PARTY, "HerId")) != her_id:
        raise UnreadableError(Text("it is about another party"))
    return registered_name(_text(element, PARTY, "DisplayName") or _text(element, PARTY, "Name"))


def _party(element: etree._Element) -> RegisteredParty:
    """Read a ``CommunicationParty``."""
    parent = _integer(_text(element, PARTY, "ParentHerId") or str(_NO_PARENT))
    valid = safe_xml.only(element.findall(f"{{{PARTY}}}Valid"))
    kind = _text(element, PARTY, "Type")
    return RegisteredParty(
        her_id=_integer(_text(element, PARTY, "HerId")),
        name=registered_name(_text(element, PARTY, "Name")),
        # Organisations are registered with IsValidCommunicationParty false, in use all the same: it says something of
        # services alone.
        active=_text(element, PARTY, "Active") == "true"
        and (kind != "Service" or _text(element, PARTY, "IsValidCommunicationParty") != "false"),
        valid_from=None if valid is None else registered_moment(_text(valid, COMMON, "From")),
        valid_to=None if valid is None else registered_moment(_text(valid, COMMON, "To")),
        parent_her_id=None if parent == _NO_PARENT else parent,
        parent_name=registered_name(_text(element, PARTY, "ParentName")),
        organisation_number=registered_organisation(
            _text(element, PARTY, "OrganizationNumber"), _text(element, PARTY, "ParentOrganizationNumber")
        ),
    )


def _queues(element: etree._Element) -> RegisteredQueues:
    """Read the addresses of a ``CommunicationParty``."""
    return RegisteredQueues(*(_address(element, code) for code in ("E_SB_ASYNC", "E_SB_ERROR", "E_EDI")))


def _certificate(element: etree._Element | None) -> tuple[Certificate, ...]:
    return registered_certificate(safe_xml.value(element))


def _address(element: etree._Element, code: str) -> str:
    """Return the address of that type: the party's own before one that it inherits."""
    own: list[str] = []
    inherited: list[str] = []
    for each in element.iterfind(f"{{{PARTY}}}ElectronicAddresses/{{{COMMON}}}ElectronicAddress"):
        named = _text(each, COMMON, "TypeCodeValue") or _text(each, COMMON, f"Type/{{{COMMON}}}CodeValue")
        address = _text(each, COMMON, "Address")
        if named == code and address:
            (inherited if _text(each, COMMON, "Inherited") == "true" else own).append(address)
    return registered_address(next(iter(own + inherited), ""))


def _text(element: etree._Element, namespace: str, path: str) -> str:
    """Return a child's text without the white space that the register keeps around values; one is all there may be."""
    return safe_xml.value(safe_xml.only(element.findall(f"{{{namespace}}}{path}")))


def _integer(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise UnreadableError(Text("a HER-id in it is no number"))
    return int(text)

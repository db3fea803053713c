"""Adresseregisteret's CommunicationPartyService: SOAP 1.1 over HTTPS with basic authentication.

The envelope is written here: three operations with one number each need no SOAP framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from kpr_sender.errors import AccessRefused, ConfigInvalid, KprError
from kpr_sender.registry import soap_answer
from kpr_sender.registry.http import MAX_BYTES, HttpAnswer, Https
from kpr_sender.registry.listing import Listing, unknown_party
from kpr_sender.settings.values import RegistrySettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml import etree

DETAILS: Final = "GetCommunicationPartyDetails"
ENCRYPTION: Final = "GetCertificateForEncryption"
SIGNING: Final = "GetCertificateForValidatingSignature"
UNKNOWN_HER_ID: Final = "InvalidHerIdSupplied"

_ACTION: Final = f"{soap_answer.PARTY}/ICommunicationPartyService"
_NO_ACCESS: Final = (401, 403)
_NO_SUCH_PLACE: Final = (404, 405, 410)

T = TypeVar("T")


def question(operation: str, her_id: int) -> bytes:
    """Write the envelope of a question about one HER-id."""
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<{operation} xmlns="{soap_answer.PARTY}"><herId>{her_id:d}</herId></{operation}>'
        "</s:Body></s:Envelope>"
    ).encode("ascii")


@dataclass(frozen=True, slots=True)
class SoapRegister:
    """The register, asked anew at each call."""

    settings: RegistrySettings

    @property
    def url(self) -> str:
        """Its address."""
        return self.settings.url

    def fetch(self, her_id: int) -> Listing:
        """Ask who a party is, and for both its certificates.

        Raises:
            RegistryUnreachable: It does not answer, or nothing that can be read.
            ConfigInvalid: It does not know the HER-id, or its address is wrong.
            AccessRefused: It refuses our user, or its certificate is refused.
        """
        with Https(self.settings.ca_file, self.settings.timeout) as https:
            party, queues = self._ask(https, DETAILS, her_id, lambda found: soap_answer.details(found, her_id))
            encryption = self._ask(https, ENCRYPTION, her_id, soap_answer.certificate)
            signing = self._ask(https, SIGNING, her_id, soap_answer.certificate)
        return Listing(party, queues, encryption, signing)

    def _ask(self, https: Https, operation: str, her_id: int, read: Callable[[etree._Element | None], T]) -> T:
        settings = self.settings
        password = "" if settings.password is None else settings.password.reveal()
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{_ACTION}/{operation}"'}
        answer = https.post(self.url, question(operation, her_id), headers, login=(settings.user, password))
        _refuse(answer)
        try:
            return read(soap_answer.result(answer.body, operation, max_bytes=MAX_BYTES))
        except soap_answer.FaultError as fault:
            raise self._fault(operation, her_id, fault.code) from None
        except soap_answer.UnreadableError as error:
            raise answer.unreadable(str(error)) from None

    def _fault(self, operation: str, her_id: int, code: str) -> KprError:
        if code == UNKNOWN_HER_ID:
            return unknown_party(her_id, self.url)
        return AccessRefused(
            f"Adresseregisteret refuses {operation} for HER-id {her_id} ({code}).",
            where=self.url,
            next_step="Ask kundesenter@nhn.no, with this code.",
        )


def _refuse(answer: HttpAnswer) -> None:
    """Refuse what no body can make better."""
    if answer.status in _NO_ACCESS:
        raise AccessRefused(
            f"Adresseregisteret refuses our user (HTTP {answer.status}).",
            where=f"registry.user, {answer.url}",
            next_step="Check registry.user (OrgUsr in RegisterPlattformen) and its password.",
        )
    if answer.status in _NO_SUCH_PLACE:
        raise ConfigInvalid(f"No register is there (HTTP {answer.status}).", where=f"registry.url, {answer.url}")

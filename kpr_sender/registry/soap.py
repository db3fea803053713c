"""Adresseregisteret's CommunicationPartyService: SOAP 1.1 over HTTPS with basic authentication.

The envelope is written here: three operations with one number each need no SOAP framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kpr_sender.errors import AccessRefused, ConfigInvalid, KprError, RegistryUnreachable
from kpr_sender.registry import soap_answer
from kpr_sender.registry.http import MAX_BYTES, HttpAnswer, Https, is_failure
from kpr_sender.registry.listing import Listing
from kpr_sender.settings.values import RegistrySettings

if TYPE_CHECKING:
    from lxml import etree

DETAILS: Final = "GetCommunicationPartyDetails"
ENCRYPTION: Final = "GetCertificateForEncryption"
SIGNING: Final = "GetCertificateForValidatingSignature"
UNKNOWN_HER_ID: Final = "InvalidHerIdSupplied"

_ACTION: Final = f"{soap_answer.PARTY}/ICommunicationPartyService"


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
        with Https(self.settings) as https:
            details = self._ask(https, DETAILS, her_id)
            try:
                if details is None:
                    raise self._unreadable("it tells nothing of the party")
                party, queues = soap_answer.party(details), soap_answer.queues(details)
                if party.her_id != her_id:
                    raise self._unreadable("it is about another party")
                encryption = soap_answer.certificate(self._ask(https, ENCRYPTION, her_id))
                signing = soap_answer.certificate(self._ask(https, SIGNING, her_id))
            except soap_answer.UnreadableError as error:
                raise self._unreadable(str(error)) from None
        return Listing(party, queues, encryption, signing)

    def _ask(self, https: Https, operation: str, her_id: int) -> etree._Element | None:
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{_ACTION}/{operation}"'}
        answer = https.post(question(operation, her_id), headers)
        try:
            return soap_answer.result(answer.body, operation, max_bytes=MAX_BYTES)
        except soap_answer.FaultError as fault:
            raise self._fault(operation, her_id, fault.code) from None
        except soap_answer.UnreadableError as error:
            raise self._unreadable(str(error), answer) from None

    def _fault(self, operation: str, her_id: int, code: str) -> KprError:
        if code == UNKNOWN_HER_ID:
            return ConfigInvalid(
                f"Adresseregisteret does not know HER-id {her_id}.",
                where=self.url,
                next_step="Check that registry.url is the register of this environment, and the HER-id.",
            )
        return AccessRefused(
            f"Adresseregisteret refuses {operation} for HER-id {her_id} ({code}).",
            where=self.url,
            next_step="Ask kundesenter@nhn.no, with this code.",
        )

    def _unreadable(self, why: str, answer: HttpAnswer | None = None) -> RegistryUnreachable:
        if answer is not None and is_failure(answer):
            return RegistryUnreachable(f"The register failed (HTTP {answer.status}).", where=self.url)
        return RegistryUnreachable(f"The register's answer cannot be read: {why}.", where=self.url)

"""Adresseregisteret's CommunicationParty API ("cpapi"): JSON over HTTPS, guarded by HelseID."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.net import HttpAnswer
from kpr_sender.registry.client import RegistryClient, registered_certificate, registered_moment, unreadable
from kpr_sender.registry.helseid import HelseId
from kpr_sender.registry.port import RegisteredParty, RegisteredQueues, RegisterEntry, UnknownParty
from kpr_sender.settings.values import RegistrySettings

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SCOPE: Final = "nhn:cp-api/access-v2-dpop"
_OK, _FORBIDDEN, _NOT_FOUND = 200, 403, 404


@dataclass(frozen=True, slots=True)
class RestRegister:
    """The register, asked anew at each call."""

    settings: RegistrySettings
    now: Callable[[], datetime]

    @property
    def url(self) -> str:
        """Its address."""
        return self.settings.url

    def fetch(self, her_id: int) -> RegisterEntry:
        """Ask who a party is, and for both its certificates.

        Raises:
            RegistryUnreachable: It or HelseID does not answer, or nothing that can be read.
            ConfigInvalid: It does not know the HER-id, or its address is wrong.
            AccessRefused: HelseID refuses our client, or the register its token; or a server's certificate is refused.
        """
        helseid = self.settings.helseid
        if helseid is None:
            raise ConfigInvalid("No client in HelseID is named.", where="registry.client_id")
        base = f"{self.url.rstrip('/')}/api/v1"
        with RegistryClient(self.settings.ca_file, self.settings.timeout) as client:
            guarded = HelseId(helseid, scope=SCOPE, client=client, now=self.now)
            answer = guarded.get(f"{base}/communicationparty/{her_id:d}")
            found = _object(answer)
            if found is None:
                raise UnknownParty.at(self.url, her_id)
            if found.get("herId") != her_id:
                raise unreadable(answer, "it is about another party")
            return RegisterEntry(
                _with_parents_name(guarded, base, _party(answer, found)),
                _queues(found),
                _certificate(guarded.get(f"{base}/certificate/{her_id:d}/encryption")),
                _certificate(guarded.get(f"{base}/certificate/{her_id:d}/signing")),
            )


def _object(answer: HttpAnswer) -> dict[str, Any] | None:
    """Return the JSON object of an answer; None where it says that there is nothing."""
    if answer.status == _NOT_FOUND:
        return None
    if answer.status == _FORBIDDEN:
        raise AccessRefused("The register's interface is closed to our client (HTTP 403).", where=answer.url)
    try:
        found = json.loads(answer.body) if answer.status == _OK else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise unreadable(answer, f"it is no JSON object (HTTP {answer.status})")
    return found


def _party(answer: HttpAnswer, found: Mapping[str, Any]) -> RegisteredParty:
    parent = _mapping(_mapping(found, "serviceDetails"), "parentOrganization")
    parent_her_id = parent.get("herId")
    own = _mapping(found, "organizationDetails")
    return RegisteredParty(
        her_id=found["herId"],
        name=_text(found, "name"),
        # This interface has no flag of its own: what is not in use is not found, or its period is over.
        active=True,
        valid_from=_moment(answer, _text(found, "validFrom")),
        valid_to=_moment(answer, _text(found, "validTo")),
        parent_her_id=parent_her_id if isinstance(parent_her_id, int) else None,
        parent_name=_text(parent, "name"),
        organisation_number=_text(own, "organizationNumber") or _text(parent, "organizationNumber"),
    )


def _with_parents_name(guarded: HelseId, base: str, party: RegisteredParty) -> RegisteredParty:
    """Return the party with the visningsnavn of its organisation, which only that organisation's entry has."""
    if party.parent_her_id is None:
        return party
    found = _object(guarded.get(f"{base}/communicationparty/{party.parent_her_id:d}")) or {}
    return replace(party, parent_name=_text(found, "displayName") or _text(found, "name") or party.parent_name)


def _queues(found: Mapping[str, Any]) -> RegisteredQueues:
    if found.get("amqpTransportStatus") == "Disabled":
        return RegisteredQueues()
    addresses = _mapping(found, "amqpAddress")
    return RegisteredQueues(asynchronous=_text(addresses, "amqpAsyncQueue"), error=_text(addresses, "amqpErrorQueue"))


def _certificate(answer: HttpAnswer) -> tuple[Certificate, ...]:
    found = _object(answer)
    try:
        return registered_certificate("" if found is None else _text(found, "certificateValue"))
    except ValueError:
        raise unreadable(answer, "the certificate in it is damaged") from None


def _mapping(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""


def _moment(answer: HttpAnswer, text: str) -> datetime | None:
    try:
        return registered_moment(text)
    except ValueError:
        raise unreadable(answer, "a date in it is none") from None

"""Adresseregisteret's CommunicationParty API ("cpapi"): JSON over HTTPS, guarded by HelseID."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kpr_sender.deadline import Stopped, never
from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.registry.client import (
    RegistryClient,
    UnreadableError,
    registered_address,
    registered_certificate,
    registered_moment,
    registered_name,
    registered_organisation,
    unreadable,
)
from kpr_sender.registry.helseid import HelseId
from kpr_sender.registry.port import RegisteredParty, RegisteredQueues, RegisterEntry, UnknownParty
from kpr_sender.settings.values import RegistrySettings
from kpr_sender.texts import Text, said

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

T = TypeVar("T")
_Object = Mapping[str, Any]

SCOPE: Final = "nhn:cp-api/access-v2-dpop"
_OK, _FORBIDDEN, _NOT_FOUND = 200, 403, 404


@dataclass(frozen=True, slots=True)
class RestRegister:
    """The register, asked anew at each call."""

    settings: RegistrySettings
    now: Callable[[], datetime]
    stopped: Stopped = never

    def fetch(self, her_id: int) -> RegisterEntry:
        """Ask who a party is, and for both its certificates.

        Raises:
            RegistryUnreachable: It or HelseID does not answer, or nothing that can be read.
            ConfigInvalid: It does not know the HER-id, or its address is wrong.
            AccessRefused: HelseID refuses our client, or the register its token; or a server's certificate is refused.
        """
        settings = self.settings
        if settings.helseid is None:
            raise ConfigInvalid(Text("No client in HelseID is named."), where="registry.client_id")
        base = f"{settings.url.rstrip('/')}/api/v1"
        with RegistryClient(settings.ca_file, settings.timeout, self.stopped) as client:
            guarded = HelseId(settings.helseid, scope=SCOPE, client=client, now=self.now)
            parties = f"{base}/communicationparty"
            party, queues = _ask(guarded, f"{parties}/{her_id:d}", lambda found: _details(found, her_id))
            if party is None:
                raise UnknownParty.at(settings.url, her_id)
            if (parent := party.parent_her_id) is not None:
                name = _ask(guarded, f"{parties}/{parent:d}", _name)
                party = replace(party, parent_name=name or party.parent_name)
            certificates = f"{base}/certificate/{her_id:d}"
            return RegisterEntry(
                party,
                queues,
                _ask(guarded, f"{certificates}/encryption", _certificate),
                _ask(guarded, f"{certificates}/signing", _certificate),
            )


def _ask(guarded: HelseId, url: str, read: Callable[[_Object | None], T]) -> T:
    """Read the JSON object of an answer; None where it says that there is nothing."""
    answer = guarded.get(url)
    if answer.status == _FORBIDDEN:
        raise AccessRefused(Text("The register's interface is closed to our client (HTTP 403)."), where=answer.url)
    try:
        found = json.loads(answer.body) if answer.status == _OK else None
    except (ValueError, RecursionError):
        found = None
    if answer.status != _NOT_FOUND and not isinstance(found, dict):
        raise unreadable(answer, Text("it is no JSON object (HTTP {status})", status=answer.status))
    try:
        return read(found)
    except UnreadableError as error:
        raise unreadable(answer, said(error)) from None


def _details(found: _Object | None, her_id: int) -> tuple[RegisteredParty | None, RegisteredQueues]:
    if found is None:
        return None, RegisteredQueues()
    if found.get("herId") != her_id:
        raise UnreadableError(Text("it is about another party"))
    parent = _mapping(_mapping(found, "serviceDetails"), "parentOrganization")
    parent_her_id = parent.get("herId")
    own = _mapping(found, "organizationDetails")
    party = RegisteredParty(
        her_id=her_id,
        name=registered_name(_text(found, "name")),
        # This interface has no flag of its own: what is not in use is not found, or its period is over.
        active=True,
        valid_from=registered_moment(_text(found, "validFrom")),
        valid_to=registered_moment(_text(found, "validTo")),
        parent_her_id=parent_her_id if isinstance(parent_her_id, int) else None,
        parent_name=registered_name(_text(parent, "name")),
        organisation_number=registered_organisation(
            _text(own, "organizationNumber"), _text(parent, "organizationNumber")
        ),
    )
    edi = registered_address(_text(found, "ediAddress"))
    if found.get("amqpTransportStatus") == "Disabled":
        return party, RegisteredQueues(edi=edi)
    addresses = _mapping(found, "amqpAddress")
    receipts, errors = (registered_address(_text(addresses, name)) for name in ("amqpAsyncQueue", "amqpErrorQueue"))
    return party, RegisteredQueues(receipts, errors, edi)


def _name(found: _Object | None) -> str:
    """Read an organisation's visningsnavn, or its name where it has none."""
    return registered_name(_text(found or {}, "displayName") or _text(found or {}, "name"))


def _certificate(found: _Object | None) -> tuple[Certificate, ...]:
    return registered_certificate(_text(found or {}, "certificateValue"))


def _mapping(found: _Object, name: str) -> _Object:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _text(found: _Object, name: str) -> str:
    value = found.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""

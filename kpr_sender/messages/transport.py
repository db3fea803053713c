"""What is outside the sealed bytes on the bus: names and values of the NHN AMQP profile.

Names are the reference client's (helsenorge/Helsenorge.Messaging, ``Amqp/AmqpCore.cs``); every value is a string, as
the profile's page says.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

CONTENT_TYPE: Final = "application/pkcs7-mime; smime-type=signed-and-enveloped-data"
"""The profile's literal. The bytes are CMS SignedData inside EnvelopedData all the same."""

FROM_HER_ID: Final = "fromHerId"
TO_HER_ID: Final = "toHerId"
TIME_STAMP: Final = "applicationTimeStamp"
CPA_ID: Final = "cpaId"
SEALED_MESSAGE_ID: Final = "messageId"
"""Of a mail alone, and never sent: the eb:MessageId that is within the sealed bytes."""
ORIGINAL_MESSAGE_ID: Final = "originalMessageId"
ORIGINAL_MSG_ID: Final = "X-MessageInfo-OriginalMsgId"
"""Metadata of a receipt, outside the sealed bytes: the MsgId that it says it answers."""
RECEIVER_TIME_STAMP: Final = "receiverTimeStamp"
ERROR_CONDITION: Final = "errorCondition"
ERROR_DESCRIPTION: Final = "errorDescription"
ERROR_CONDITION_DATA: Final = "errorConditionData"

_REGISTERED_ID: Final = re.compile(r"[^/\s]+/[^/\s]+/[^/\s]+")
_SCHEME: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?//+")  # RFC 3986 3.1: amqps, amqp+ssl, amqp10
_IPV6: Final = re.compile(r"(?=.*:.*:)[0-9A-Fa-f:.]+(?:%.*)?")
_GUID: Final = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_WHITE: Final = " \t\r\n"

SUBJECT_RECEIPT: Final = "APPREC"
SUBJECT_SOAP_FAULT: Final = "AMQP_SOAP_FAULT"


def application_properties(
    *, sender_her_id: int, receiver_her_id: int, at: datetime, cpa_id: str = ""
) -> dict[str, str]:
    """Return the application properties of a message; level 2 as in the Hodemelding, or it is refused (MUG-000022).

    Raises:
        ValueError: ``at`` has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a message needs a time zone")
    properties = {
        FROM_HER_ID: str(sender_her_id),
        TO_HER_ID: str(receiver_her_id),
        TIME_STAMP: at.astimezone(UTC).strftime(_TIME),
    }
    return {**properties, CPA_ID: cpa_id} if cpa_id else properties


def made_at(properties: Mapping[str, str]) -> datetime:
    """Return when a message was made, from its own application properties.

    Raises:
        ValueError: It is not in them.
    """
    return datetime.strptime(properties.get(TIME_STAMP, ""), _TIME).replace(tzinfo=UTC)


def queue_name(address: str) -> str:
    """Return the queue of a registered address: what follows its last slash.

    Adresseregisteret holds addresses like ``tb.nhn.no/NHNPRODServiceBus/171479_async``, with stray blanks at times.
    """
    return address.strip().rpartition("/")[2].strip()


@dataclass(frozen=True, slots=True)
class RegisteredAddress:
    """A queue's address as Adresseregisteret has it, or as a configuration says it: at best ``host/exchange/queue``.

    Attributes:
        hosts: Every host that it can be read to name, as written, the likeliest first; none where it names none.
        queue: What follows the last slash.
        is_complete: Whether it is ``host/exchange/queue``, which a scheme may stand before and a port in, and can be
            read in one way only.
    """

    hosts: tuple[str, ...]
    queue: str
    is_complete: bool


def registered_address(text: str) -> RegisteredAddress:
    """Read an address; stray blanks around it are no part of it."""
    address = text.strip()
    scheme = _SCHEME.match(address)
    hosts = tuple(dict.fromkeys(_hosts(address)))
    form = _REGISTERED_ID.fullmatch(address, scheme.end() if scheme else 0)
    return RegisteredAddress(hosts, queue_name(address), form is not None and len(hosts) == 1)


def _hosts(address: str) -> Iterator[str]:
    # What looks like a slash, colon or full stop is one to whoever normalises a name before it looks it up (IDNA).
    address = address if address.isascii() else unicodedata.normalize("NFKC", address)
    scheme = _SCHEME.match(address)
    if "/" not in address or (scheme is None and address.startswith("/")):
        return
    authority = address[scheme.end() if scheme else 0 :].partition("/")[0].rpartition("@")[2].strip()
    if authority.startswith("["):
        host, _, authority = authority[1:].partition("]")
        yield host
    elif _IPV6.fullmatch(authority):
        yield authority
        authority = ""
    first, *others = authority.split(":")
    if first:
        yield first
    yield from (one for one in others if one and not one.isdecimal())  # a port by its name, or a host after a scheme
    if scheme and "." in (scheme[1] or ""):
        yield scheme[1]  # or a host with an empty port


def is_registered_id(address: str) -> bool:
    """Return whether it is a queue's whole id as Adresseregisteret has it: ``host/exchange/queue``."""
    return registered_address(address).is_complete and _REGISTERED_ID.fullmatch(address) is not None


def plain_id(text: str) -> str:
    """Return an id as we write it, whichever of the notations for GUIDs others wrote it in.

    Args:
        text: A message-id or MsgId: 32 hexadecimal digits, with or without hyphens, in braces, in capitals, as
            ``urn:uuid:``. NHN's .NET client has .NET's ``D`` and ``N``, HITS 1216 2.2.6 names none.

    Returns:
        Lower case with hyphens; what is no GUID in lower case without braces.
    """
    bare = text.strip(_WHITE).strip("{}()").lower().removeprefix("urn:uuid:").strip("{}()" + _WHITE)
    return str(uuid.UUID(bare)) if is_guid(bare) else bare


def is_guid(plain: str) -> bool:
    """Tell whether an id that ``plain_id`` returned is a GUID."""
    return _GUID.fullmatch(plain) is not None

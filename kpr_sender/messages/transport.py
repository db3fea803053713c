"""What is outside the sealed bytes on the bus: names and values of the NHN AMQP profile.

Names are the reference client's (helsenorge/Helsenorge.Messaging, ``Amqp/AmqpCore.cs``); every value is a string, as
the profile's page says.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

CONTENT_TYPE: Final = "application/pkcs7-mime; smime-type=signed-and-enveloped-data"
"""The profile's literal. The bytes are CMS SignedData inside EnvelopedData all the same."""

FROM_HER_ID: Final = "fromHerId"
TO_HER_ID: Final = "toHerId"
TIME_STAMP: Final = "applicationTimeStamp"
CPA_ID: Final = "cpaId"
ORIGINAL_MESSAGE_ID: Final = "originalMessageId"
ORIGINAL_MSG_ID: Final = "X-MessageInfo-OriginalMsgId"
"""Metadata of a receipt, outside the sealed bytes: the MsgId that it says it answers."""
RECEIVER_TIME_STAMP: Final = "receiverTimeStamp"
ERROR_CONDITION: Final = "errorCondition"
ERROR_DESCRIPTION: Final = "errorDescription"
ERROR_CONDITION_DATA: Final = "errorConditionData"

_REGISTERED_ID: Final = re.compile(r"[^/\s]+/[^/\s]+/[^/\s]+")
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


def is_registered_id(address: str) -> bool:
    """Return whether it is a queue's whole id as Adresseregisteret has it: ``host/exchange/queue``."""
    return _REGISTERED_ID.fullmatch(address) is not None


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

"""What comes back and nobody signs: SOAP Faults, and servers' reports on a mail. What counts less than any message.

Both lead back to a message of ours by the form of our Message-IDs and ENVIDs (``mail.attempt_id``).
"""

from __future__ import annotations

import enum
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from lxml import etree

from kpr_sender.ebxml.mail import message_id_of
from kpr_sender.ebxml.read_mail import HEAD_BYTES, Mail, header_text, headers_of
from kpr_sender.privacy import foreign_text
from kpr_sender.texts import Text

_MOST_CODE: Final = 120  # characters of what is shown of a code
_MOST_READ: Final = 20
_EMPTY_LINE: Final = re.compile(rb"\r?\n[ \t]*\r?\n")
_STATUS_TYPES: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
_MAIL_TYPES: Final = frozenset({"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"})


@dataclass(frozen=True, slots=True)
class SoapFault:
    """A SOAP Fault, which nobody signs.

    Attributes:
        message_ids: eb:MessageIds of ours that its In-Reply-To and References lead back to.
        code: faultcode, cleaned.
        text: faultstring, cleaned.
    """

    message_ids: tuple[str, ...]
    code: str
    text: str


class ReportedDelivery(enum.StrEnum):
    """What a server's report says (RFC 3464 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    OTHER = "other"
    """Delivered, relayed or expanded."""


_WORST_FIRST: Final = (ReportedDelivery.FAILED, ReportedDelivery.DELAYED)


@dataclass(frozen=True, slots=True)
class Bounce:
    """A server's report on a mail (DSN), which nobody signs.

    Attributes:
        message_ids: eb:MessageIds of ours that its Original-Envelope-Id and the mail in it lead back to.
        status: For example ``5.1.1``, cleaned.
        diagnostic: The server's own words, cleaned.
    """

    message_ids: tuple[str, ...]
    delivery: ReportedDelivery
    status: str
    diagnostic: str


@dataclass(frozen=True, slots=True)
class Other:
    """A mail that answers nothing: to be left where it is.

    Attributes:
        reason: Why, as a clause with *it* for the mail.
    """

    reason: str


def soap_fault(mail: Mail, fault: etree._Element) -> SoapFault:
    """Read a SOAP Fault (SOAP 1.1 4.4)."""
    written = f"{mail.headers['In-Reply-To'] or ''} {mail.headers['References'] or ''}".split()
    return SoapFault(
        _ours(written),
        foreign_text(words(fault.find("faultcode")), _MOST_CODE),
        words(fault.find("faultstring")),
    )


def server_report(mail: Mail) -> Bounce | Other:
    """Read a report of a server (RFC 3464): which mail of ours it is about, and the worst it says of it."""
    status = next((part for part in mail.parts if part.content_type in _STATUS_TYPES), None)
    if status is None or status.problem:
        return Other(Text("it is a report, and none on the delivery of a mail"))
    blocks = _EMPTY_LINE.split(status.body.strip()[:HEAD_BYTES])[: _MOST_READ + 1]
    fields = list(map(headers_of, blocks))
    recipients = fields[1:] or fields
    actions = [header_text(one, "Action").strip().lower() for one in recipients]
    worst = next((one for one in _WORST_FIRST if one in actions), ReportedDelivery.OTHER)
    at = actions.index(worst) if worst in actions else 0
    inside = [headers_of(part.body) for part in mail.parts if part.content_type in _MAIL_TYPES]
    written = [header_text(fields[0], "Original-Envelope-Id"), *(header_text(one, "Message-ID") for one in inside)]
    return Bounce(
        _ours(written),
        worst,
        foreign_text(header_text(recipients[at], "Status"), _MOST_CODE),
        foreign_text(header_text(recipients[at], "Diagnostic-Code")),
    )


def words(element: etree._Element | None) -> str:
    """Return all text of an element, cleaned; empty where there is no such element."""
    return "" if element is None else foreign_text("".join(map(str, element.itertext("*", with_tail=True))))


def _ours(written: Iterable[str]) -> tuple[str, ...]:
    """Return the eb:MessageIds that Message-IDs and ENVIDs of ours lead back to."""
    found = map(message_id_of, itertools.islice(written, _MOST_READ))
    return tuple(dict.fromkeys(filter(None, found)))

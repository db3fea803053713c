"""What time Adresseregisteret has. A clock that is wrong makes certificates and tokens look expired, or not yet valid.

Any answer will do, also one that refuses the question: HTTP servers put the time on all of them (RFC 9110 6.6.1).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from kpr_sender.registry.http import Https
from kpr_sender.settings.values import RegistrySettings


def ahead_of_us(settings: RegistrySettings, now: Callable[[], datetime]) -> timedelta | None:
    """Return how far the register's clock is ahead of ours, to about a second; None where it does not tell.

    Args:
        settings: Whom to ask; nobody is logged in for it.
        now: Our clock; aware.

    Raises:
        RegistryUnreachable: No answer.
        AccessRefused: The server's certificate is refused.
        ConfigInvalid: The address leads elsewhere, or the CA file cannot be used.
    """
    with Https(settings.ca_file, settings.timeout) as https:
        asked = now()
        answer = https.get(settings.url, {})
        answered = now()
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    # A time without a zone is GMT there, as all of HTTP's are. Whole seconds are told: the middle of one is meant.
    told = (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)) + timedelta(seconds=0.5)
    return told - (asked + (answered - asked) / 2)

"""How RabbitMQ wants its queues addressed: the v1 form of versions up to 3, the v2 form of version 4 and later.

RabbitMQ 4 still takes v1 by default, 4.3 refuses it (``amqp:invalid-field``), 3.x refuses v2 with the same condition.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from kpr_sender.settings.values import AddressForm

_FIRST_V2_MAJOR: Final = 4
WRONG_FORM: Final = "amqp:invalid-field"
"""The condition with which the broker refuses an address of the other form."""


def form_for(setting: AddressForm, broker_version: str) -> AddressForm:
    """Return the form to use: the setting's, or for ``auto`` the one that the broker's version calls for.

    Args:
        setting: ``bus.address_form``.
        broker_version: As the broker says it when the connection opens, for example ``3.10.8``; may be empty.
    """
    if setting is not AddressForm.AUTO:
        return setting
    major = broker_version.partition(".")[0]
    return AddressForm.V2 if major.isdecimal() and int(major) >= _FIRST_V2_MAJOR else AddressForm.V1


def other_form(form: AddressForm) -> AddressForm:
    """Return the form that is not this one."""
    return AddressForm.V1 if form is AddressForm.V2 else AddressForm.V2


def send_address(exchange: str, queue: str, form: AddressForm) -> str:
    """Return the target address for a queue: through the exchange, or straight to it without one."""
    if form is AddressForm.V2:
        return f"/exchanges/{_escaped(exchange)}/{_escaped(queue)}" if exchange else f"/queues/{_escaped(queue)}"
    return f"/exchange/{exchange}/{queue}" if exchange else f"/amq/queue/{queue}"


def receive_address(queue: str, form: AddressForm) -> str:
    """Return the source address of a queue."""
    return f"/queues/{_escaped(queue)}" if form is AddressForm.V2 else f"/amq/queue/{queue}"


def _escaped(name: str) -> str:
    return quote(name, safe="")

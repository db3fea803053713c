"""How RabbitMQ wants its queues addressed: the v1 form of versions up to 3, the v2 form of version 4 and later.

RabbitMQ 4 still takes v1 by default, 4.3 refuses it (``amqp:invalid-field``), 3.x refuses v2 with the same condition.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from kpr_sender.messages.transport import queue_name
from kpr_sender.settings.values import AddressForm

_FIRST_V2_MAJOR: Final = 4
_V2_QUEUE: Final = "/queues/"
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
    """Return the source address of one of our queues.

    Args:
        queue: As configured: its name, its address as registered (``host/exchange/queue``), or its address in any of
            RabbitMQ's forms (``/amq/queue/x``, ``/queue/x``, ``/queues/x``). Only the name is taken from it: ``/queue``
            would declare the queue, and the form is the broker's choice.
        form: What the broker understands.
    """
    name = unquote(queue.removeprefix(_V2_QUEUE)) if queue.startswith(_V2_QUEUE) else queue_name(queue)
    return f"{_V2_QUEUE}{_escaped(name)}" if form is AddressForm.V2 else f"/amq/queue/{name}"


def _escaped(name: str) -> str:
    return quote(name, safe="")

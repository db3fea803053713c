"""Bus settings and messages for tests: loopback, short times, a made-up municipality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kpr_sender.bus.port import Outbound
from kpr_sender.model import Envelope
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.values import AddressForm, BusSettings
from tests.helpers.rabbitmq import EXCHANGE, KOMMUNE_HER_ID, KPR_HER_ID, RabbitMq

KPR_QUEUE = f"{KPR_HER_ID}_async"
RECEIPTS = f"{KOMMUNE_HER_ID}_async"
ERRORS = f"{KOMMUNE_HER_ID}_error"
CONTENT_TYPE = "application/pkcs7-mime; smime-type=enveloped-data"
NO_QUEUES: Final[Mapping[str, Any]] = {"receipts_queue": "", "error_queue": ""}
"""For a bus that only publishes."""


def bus_settings(port: int, **changes: Any) -> BusSettings:
    """Return settings for a bus on loopback, in plain TCP unless changed."""
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "tls": False,
        "ca_file": None,
        "username": "kommune",
        "password": Secret(RabbitMq.password("kommune")),
        "exchange": EXCHANGE,
        "address_form": AddressForm.AUTO,
        "receipts_queue": RECEIPTS,
        "error_queue": ERRORS,
        "connect_timeout": 10.0,
        "reconnect_budget": 0.0,
        "publish_timeout": 10.0,
        "idle_timeout": 60.0,
        "held_cap": 100,
    }
    return BusSettings(**(values | changes))


def tls_settings(node: RabbitMq, **changes: Any) -> BusSettings:
    """Return settings for a node's TLS port."""
    values: dict[str, Any] = {"tls": True, "ca_file": node.ca_file} | changes
    return bus_settings(values.pop("port", node.tls_port), **values)


def outbound(body: bytes = b"sealed", *, queue: str = KPR_QUEUE, message_id: str = "0b6a3c1e") -> Outbound:
    """Return a message as the engine would make it."""
    properties = {"fromHerId": str(KOMMUNE_HER_ID), "toHerId": str(KPR_HER_ID)}
    return Outbound(message_id, Envelope(queue, "KPR_IPL", RECEIPTS, message_id, CONTENT_TYPE, properties), body)

"""Errors as NHN's .NET client writes them, as bytes on a bus that we read over AMQP (domain/transport.md, measured)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from kpr_sender.bus.proton_engine import Message
from kpr_sender.client import Client
from kpr_sender.messages.error_conditions import Subject
from kpr_sender.messages.transport import CONTENT_TYPE
from kpr_sender.model import Shipment
from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.sandbox import Sandbox
from tests.helpers.municipality import SENDER_HER_ID, Municipality

_YEAR_1: Final = -62135596800
_HEADER_BYTES: Final = 16
"""Of the header section that proton writes in any case; the new form has none."""


def _properties(shipment: Shipment) -> dict[str, str]:
    return {
        "fromHerId": str(shipment.receiver_her_id),
        "toHerId": str(SENDER_HER_ID),
        "originalMessageId": shipment.message_id,
        "receiverTimeStamp": "11/29/2026 20:19:03",
        "errorCondition": "transport:invalid-certificate",
        "errorDescription": "Invalid certificate..",
        "errorConditionData": "1;2;",
    }


def new_form(shipment: Shipment) -> bytes:
    """No header, a message-id of its own with 32 digits, our subject, nothing else but properties and empty Data."""
    message: Any = Message(id="0123456789abcdef" * 2, subject=shipment.type.value, body=b"", inferred=True)
    message.properties = _properties(shipment)
    encoded = bytes(message.encode())
    assert encoded.startswith(b"\x00\x53\x70")
    at = encoded.index(b"\x00\x53\x73")  # the properties section
    assert at <= _HEADER_BYTES
    return encoded[at:]


def old_form(shipment: Shipment) -> bytes:
    """A clone of what we sent: durable, the longest ttl, our ids, from and to swapped, created and ended in year 1."""
    message: Any = Message(id=shipment.message_id, subject=shipment.type.value, body=b"", inferred=True, durable=True)
    message.correlation_id, message.content_type = shipment.message_id, CONTENT_TYPE
    message.ttl = (2**32 - 1) / 1000
    message.creation_time = message.expiry_time = _YEAR_1
    message.properties = _properties(shipment)
    return bytes(message.encode())


def only_correlated(shipment: Shipment) -> bytes:
    """Nothing but the correlation-id says which message it is about."""
    message: Any = Message(id="f" * 32, subject=shipment.type.value, body=b"", inferred=True)
    message.correlation_id = shipment.message_id.upper()
    named = _properties(shipment)
    del named["originalMessageId"]
    message.properties = named
    return bytes(message.encode())


def only_correlated_clone(shipment: Shipment) -> bytes:
    message: Any = Message()
    message.decode(old_form(shipment))
    message.properties = {name: value for name, value in message.properties.items() if name != "originalMessageId"}
    return bytes(message.encode())


@pytest.mark.parametrize(
    ("first", "second"), [(new_form, old_form), (only_correlated, only_correlated_clone)], ids=["named", "correlated"]
)
def test_g2_both_forms_end_a_shipment_and_say_what_to_do(
    kommune: Municipality, first: Callable[[Shipment], bytes], second: Callable[[Shipment], bytes]
) -> None:
    faults = Faults.parse(["no-answer"])
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID, faults=faults) as sandbox:
        settings = kommune.configure(port=sandbox.port)
        with Client(settings) as client:
            published = client.submit().submission.shipments
            for shipment, form in zip(published, (first, second), strict=True):
                sandbox.put(sandbox.error_queue, form(shipment))

            report = client.wait(timeout=20)

            assert [one.state for one in report.submission.shipments] == ["faulted", "faulted"]
            assert sandbox.depth(sandbox.error_queue) == 0
    assert report.exit_code == 81
    assert report.error is not None
    assert report.error.next_step == Subject.CERTIFICATE.value
    said = report.text()
    assert said.count("transport:invalid-certificate: Invalid certificate (1, 2)") == 1
    assert not any(wrong in said for wrong in ("..", ".;", ". ;"))

from __future__ import annotations

import pytest

from kpr_sender.bus.addresses import form_for, other_form, receive_address, send_address
from kpr_sender.settings.values import AddressForm

V1, V2, AUTO = AddressForm.V1, AddressForm.V2, AddressForm.AUTO


@pytest.mark.parametrize(
    ("setting", "version", "form"),
    [
        (AUTO, "3.10.8", V1),
        (AUTO, "3.13.0", V1),
        (AUTO, "4.0.5", V2),
        (AUTO, "10.1", V2),
        (AUTO, "", V1),
        (AUTO, "unknown", V1),
        (V1, "4.0.5", V1),
        (V2, "3.10.8", V2),
    ],
)
def test_the_form_follows_the_brokers_version_unless_the_setting_says_otherwise(
    setting: AddressForm, version: str, form: AddressForm
) -> None:
    assert form_for(setting, version) is form


@pytest.mark.parametrize(
    ("exchange", "queue", "form", "send", "receive"),
    [
        ("NHNTESTServiceBus", "1_async", V1, "/exchange/NHNTESTServiceBus/1_async", "/amq/queue/1_async"),
        ("NHNTESTServiceBus", "1_async", V2, "/exchanges/NHNTESTServiceBus/1_async", "/queues/1_async"),
        ("", "1_async", V1, "/amq/queue/1_async", "/amq/queue/1_async"),
        ("", "1_async", V2, "/queues/1_async", "/queues/1_async"),
        ("a/b c", "kø%1", V2, "/exchanges/a%2Fb%20c/k%C3%B8%251", "/queues/k%C3%B8%251"),
    ],
)
def test_addresses(exchange: str, queue: str, form: AddressForm, send: str, receive: str) -> None:
    assert send_address(exchange, queue, form) == send
    assert receive_address(queue, form) == receive


def test_there_are_two_forms() -> None:
    assert (other_form(V1), other_form(V2)) == (V2, V1)

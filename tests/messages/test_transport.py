from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from kpr_sender.messages.transport import (
    CONTENT_TYPE,
    application_properties,
    is_registered_id,
    queue_name,
    registered_address,
)

OSLO = timezone(timedelta(hours=1))


def test_content_type_is_the_profile_s_literal() -> None:
    assert CONTENT_TYPE == "application/pkcs7-mime; smime-type=signed-and-enveloped-data"


@pytest.mark.parametrize(
    "at", [datetime(2025, 1, 6, 9, 15, 0, 5, tzinfo=UTC), datetime(2025, 1, 6, 10, 15, tzinfo=OSLO)]
)
def test_properties_are_strings_under_the_reference_client_s_names(at: datetime) -> None:
    assert application_properties(sender_her_id=900002, receiver_her_id=171479, at=at, cpa_id="") == {
        "fromHerId": "900002",
        "toHerId": "171479",
        "applicationTimeStamp": "2025-01-06T09:15:00Z",
    }


def test_a_cpa_is_named_only_where_there_is_one() -> None:
    at = datetime(2025, 1, 6, tzinfo=UTC)
    assert application_properties(sender_her_id=1, receiver_her_id=2, at=at, cpa_id="c")["cpaId"] == "c"


def test_a_time_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        application_properties(sender_her_id=1, receiver_her_id=2, at=datetime(2025, 1, 6))  # noqa: DTZ001 - the case


@pytest.mark.parametrize(
    "address",
    ["171479_async", " 171479_async\n", "tb.nhn.no/NHNPRODServiceBus/171479_async", " tb.nhn.no/X/ 171479_async "],
)
def test_the_queue_is_what_follows_the_last_slash(address: str) -> None:
    assert queue_name(address) == "171479_async"


@pytest.mark.parametrize(
    ("written", "hosts", "is_complete"),
    [
        ("tb.nhn.no/NHNPRODServiceBus/171479_async", ("tb.nhn.no",), True),
        ("  TB.nhn.no.:5671/NHNPRODServiceBus/171479_async ", ("TB.nhn.no.",), True),
        ("amqp+ssl://u:p@tb.nhn.no:5671/x/171479_async", ("tb.nhn.no",), True),
        ("[::1]:5672/x/171479_async", ("::1",), True),
        ("fe80::1%eth0/x/171479_async", ("fe80::1%eth0",), True),
        ("tb.nhn.no:amqps/x/171479_async", ("tb.nhn.no", "amqps"), False),
        ("amqps:tb.nhn.no/x/171479_async", ("amqps", "tb.nhn.no"), False),
        ("tb.nhn.no://x/y/171479_async", ("x", "tb.nhn.no"), False),
        ("tb.nhn.no/171479_async", ("tb.nhn.no",), False),
        ("tb.nhn.no/x/y/171479_async", ("tb.nhn.no",), False),
        ("/exchange/NHNPRODServiceBus/171479_async", (), False),
        (":5671/x/171479_async", (), False),
        ("171479_async", (), False),
    ],
)
def test_a_registered_address_is_read_in_one_way_or_named_with_each_host_it_may_mean(
    written: str, hosts: tuple[str, ...], *, is_complete: bool
) -> None:
    address = registered_address(written)
    assert (address.hosts, address.queue, address.is_complete) == (hosts, "171479_async", is_complete)
    assert is_registered_id(written) == (is_complete and "//" not in written and written == written.strip())

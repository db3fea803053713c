"""The error queue: read whatever can be read, never raise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.messages.error_queue import BusFault, parse
from kpr_sender.privacy import MAX_FOREIGN, foreign_text

MESSAGE_ID = "5f0c2f9e-6a1b-4f2e-9d7a-0a4b1c2d3e4f"
NOTATIONS = [
    MESSAGE_ID.upper(),
    f"{{{MESSAGE_ID}}}",
    f" {MESSAGE_ID}\n",
    MESSAGE_ID.replace("-", ""),
    MESSAGE_ID.replace("-", "").upper(),
    f"urn:uuid:{MESSAGE_ID}",
    f"{{URN:UUID:{MESSAGE_ID.upper()}}}",
]
THUMBPRINT = "0d2c1f9e8b7a6d5c4b3a29180716253443526170"


def test_as_the_reference_client_writes_it() -> None:
    properties = {
        "fromHerId": "171479",
        "toHerId": "900002",
        "applicationTimeStamp": "2025-01-07T08:00:01Z",
        "originalMessageId": MESSAGE_ID,
        "receiverTimeStamp": "01/07/2025 08:00:00",
        "errorCondition": "transport:expired-certificate",
        "errorDescription": "Certificate expired",
        "errorConditionData": "a;b;",
    }
    assert parse(properties, "KPR_IPL", b"") == BusFault(
        original_message_id=MESSAGE_ID,
        condition="transport:expired-certificate",
        description="Certificate expired",
        data="a, b",
    )


@pytest.mark.parametrize("given_id", NOTATIONS)
@pytest.mark.parametrize("name", ["originalMessageId", "OriginalMessageId", "ORIGINALMESSAGEID"])
def test_the_message_it_names_is_found(given_id: str, name: str) -> None:
    assert parse({name: given_id}, "", b"").original_message_id == MESSAGE_ID


def test_the_correlation_id_says_what_it_is_about_where_nothing_else_does() -> None:
    assert parse({}, "", b"", f"urn:uuid:{MESSAGE_ID.upper()}").original_message_id == MESSAGE_ID
    assert parse({"originalMessageId": MESSAGE_ID}, "", b"", "f" * 32).original_message_id == MESSAGE_ID


def test_nothing_at_all_is_empty() -> None:
    assert parse({}, "", b"") == BusFault("", "", "", "")


SOAP = f"""<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing">
<s:Header><a:RelatesTo>urn:uuid:{MESSAGE_ID}</a:RelatesTo></s:Header><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value>
</s:Code><s:Reason><s:Text xml:lang="en">Invalid   signature</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>"""


def test_a_soap_fault_is_read() -> None:
    assert parse({}, "AMQP_SOAP_FAULT", SOAP.encode()) == BusFault(MESSAGE_ID, "s:Sender", "Invalid signature", "")


def test_properties_win_over_the_fault() -> None:
    fault = parse({"errorCondition": "transport:internal-error"}, "AMQP_SOAP_FAULT", SOAP.encode())
    assert fault.condition == "transport:internal-error"


@pytest.mark.parametrize("body", [b"sealed, not for us", b"<!DOCTYPE a><a/>", b"<a/>", b""])
def test_another_body_is_not_looked_at(body: bytes) -> None:
    assert parse({}, "AMQP_SOAP_FAULT", body) == BusFault("", "", "", "")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            f'{{ "thumbprint" : {{ "expected": "{THUMBPRINT}", "actual": "{THUMBPRINT.upper()}" }} }}',
            f"thumbprint expected {THUMBPRINT}, thumbprint actual {THUMBPRINT.upper()}",
        ),
        (THUMBPRINT, THUMBPRINT),
        ('["replyTo","subject"]', "replyTo, subject"),
        ("toHerId;fromHerId;", "toHerId, fromHerId"),
        ('{ "amqp":"900002","application":"900003" }', "amqp 900002, application 900003"),
        ("[" * 5000, "[" * MAX_FOREIGN),
        ("01810112345", "[id removed]"),
        ("1" * 40, "[data removed]"),
        ("a1810112345" + "1" * 29, "[data removed]"),
    ],
)
def test_the_data_is_a_list_in_words_with_thumbprints_and_without_ids(data: str, words: str) -> None:
    assert parse({"errorCondition Data": data}, "", b"").data == words


def test_no_national_id_gets_through() -> None:
    """Promise G6."""
    born_in_month_81 = "01810112345"
    fault = parse({"errorDescription": f"person {born_in_month_81}, 018101 12345 unknown"}, "", b"")
    assert fault.description == "person [id removed], [id removed] unknown"


def test_a_uuid_of_digits_is_no_national_id() -> None:
    digits = "00000000-0000-4000-8000-000000000001"
    assert parse({"originalMessageId": digits}, "", b"").original_message_id == digits


@given(
    st.dictionaries(st.sampled_from(["errorCondition", "errorDescription", "originalMessageId", "x"]), st.text()),
    st.text(),
    st.binary(),
)
def test_whatever_comes_it_is_read(properties: dict[str, str], subject: str, body: bytes) -> None:
    fault = parse(properties, subject, body)
    for text in (fault.condition, fault.description, fault.original_message_id):
        assert len(text) <= MAX_FOREIGN
        assert text.isprintable()


@pytest.mark.parametrize(
    "spoilt",
    [
        SOAP.replace(MESSAGE_ID, f"{MESSAGE_ID}<!--x-->"),
        SOAP.replace(MESSAGE_ID, f"{MESSAGE_ID}<?x?>0"),
        SOAP.replace("</s:Header>", "<a:RelatesTo>urn:uuid:x</a:RelatesTo></s:Header>"),
        SOAP.replace(MESSAGE_ID, f"{MESSAGE_ID}\u00a0"),
    ],
)
def test_a_fault_that_can_be_read_in_two_ways_names_no_message(spoilt: str) -> None:
    assert parse({}, "AMQP_SOAP_FAULT", spoilt.encode()).original_message_id != MESSAGE_ID


def test_a_property_that_stands_there_twice_says_nothing() -> None:
    twice = {
        "originalMessageId": MESSAGE_ID,
        "OriginalMessageId": "f" * 32,
        "errorCondition": "a",
        "errorcondition": "a",
    }
    assert parse(twice, "", b"") == BusFault("", "a", "", "")


def test_data_that_can_be_read_and_not_be_gone_through_is_text() -> None:
    """How deep JSON may be nested for the reader is not how deep a function may call itself."""
    for depth in range(600, 1_000, 10):
        data = "[" * depth + "1" + "]" * depth
        assert len(parse({"errorConditionData": data}, "", b"").data) <= MAX_FOREIGN


def test_foreign_text_becomes_one_line() -> None:
    assert foreign_text("a\r\n\x1b[31mb\u2028c") == "a [31mb c"

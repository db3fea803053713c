"""What a mail is and how far it is verified: real messages of peers, our own, reports, and what nobody may believe."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from cryptography import x509
from lxml import etree

from kpr_sender.ebxml.answers import (
    Acknowledgment,
    Answer,
    Assurance,
    Correspondence,
    Digests,
    MessageError,
    PayloadMessage,
    classify,
    compare,
)
from kpr_sender.ebxml.envelope import EbxmlError, ErrorCode, MessageIds, Severity, message_error
from kpr_sender.ebxml.mail import EbxmlMail, signal_mail
from kpr_sender.ebxml.read_mail import Mail, NotEbxml, read
from kpr_sender.ebxml.reports import Bounce, Other, ReportedDelivery, SoapFault
from kpr_sender.ebxml.signature import SignaturePolicy
from tests.ebxml.samples import (
    ACK_ID,
    AT,
    ATTEMPT,
    CONVERSATION,
    KPR,
    MESSAGE_ID,
    SENT,
    THEIRS,
    US,
    acknowledged,
    raw,
    report,
    shipment,
)
from tests.helpers import pki
from tests.helpers.pki import Kind
from tests.helpers.shared import SHARED

SAMPLES: Final = SHARED / "samples" / "edi"
SHA1: Final = SignaturePolicy(accept_sha1=True)


def answer_of(whole: bytes, correspondence: Correspondence | None = None) -> Answer:
    """Classify a mail: as one from KPR to us, where nothing else is said."""
    mail = read(whole)
    assert isinstance(mail, Mail), mail
    return classify(mail, correspondence or from_kpr())


def from_kpr(*signers: Kind, ours: int = US, theirs: int = KPR) -> Correspondence:
    return Correspondence(ours, theirs, [pki.certificate(one) for one in signers or (Kind.RECEIVER_SIGNER,)])


def embedded(whole: bytes) -> x509.Certificate:
    """Return the certificate that a sample itself says it is signed with: nobody registered it for us."""
    mail = read(whole)
    assert isinstance(mail, Mail)
    assert mail.soap is not None
    found = etree.fromstring(mail.soap.body).findtext(".//{*}X509Certificate")
    assert found is not None
    return x509.load_der_x509_certificate(base64.b64decode(found))


def test_the_acknowledgment_of_a_peer_is_verified() -> None:
    whole = (SAMPLES / "acknowledgment.eml").read_bytes()

    answer = answer_of(whole, Correspondence(79_768, 92_239, [embedded(whole)]))

    assert isinstance(answer, Acknowledgment)
    assert answer.assurance == Assurance(embedded(whole))
    assert answer.acknowledged == "20231121-154526-99398@qa.ebxml.nav.no"
    assert [reference.uri for reference in answer.references] == [""]


def test_the_request_of_a_peer_is_verified_with_its_payload() -> None:
    whole = (SAMPLES / "egenandelforesporsel.eml").read_bytes()

    answer = answer_of(whole, Correspondence(111_949, 43, [embedded(whole)]))

    assert isinstance(answer, PayloadMessage)
    assert answer.assurance == Assurance(embedded(whole))
    assert [reference.uri for reference in answer.references] == ["", "cid:EgenandelForesporsel_1.xml"]
    assert answer.payload.startswith(b"0")
    assert answer.ack_requested


@pytest.mark.parametrize("policy", [SignaturePolicy(), SHA1])
def test_a_message_signed_with_sha1_is_verified_only_where_a_policy_says_so(policy: SignaturePolicy) -> None:
    whole = (SAMPLES / "riktigsignature.mime.txt").read_bytes()

    answer = answer_of(whole, Correspondence(79_768, 91_637, [embedded(whole)], policy))

    assert isinstance(answer, PayloadMessage)
    assert answer.assurance.is_verified is policy.accept_sha1
    assert ("rsa-sha1, which is refused" in answer.assurance.problem) is not policy.accept_sha1


def as_mail(xml: bytes) -> bytes:
    return b'SOAPAction: "ebXML"\nContent-Type: text/xml; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n' + xml


def test_an_error_that_nobody_signed_is_read_and_not_verified() -> None:
    answer = answer_of(as_mail((SAMPLES / "messageerror.xml").read_bytes()))

    assert isinstance(answer, MessageError)
    assert answer.assurance == Assurance(problem="it is not signed")
    assert (answer.refused, answer.severity) == ("autotest_tc_2_2_15", Severity.ERROR)
    assert [(one.code, one.severity) for one in answer.errors] == [("ValueNotRecognized", Severity.ERROR)]


def test_an_acknowledgment_with_placeholders_is_read_and_not_verified() -> None:
    answer = answer_of(as_mail((SAMPLES / "acknowledgment.xml").read_bytes()))

    assert isinstance(answer, Acknowledgment)
    assert not answer.assurance.is_verified
    assert answer.acknowledged == "20250124-114229-35564@qa.ebxml.nav.no"
    assert compare(shipment().references, answer.references) is Digests.DIFFERENT


def test_a_mail_whose_envelope_is_a_stub_is_refused_with_the_reason() -> None:
    answer = answer_of((SAMPLES / "content_description.eml").read_bytes())

    assert isinstance(answer, Other)
    assert answer.reason == "it is not well-formed XML"


def test_an_acknowledgment_of_ours_is_verified_and_repeats_what_we_sent() -> None:
    sent = shipment()

    answer = answer_of(raw(acknowledged(sent.references)))

    assert isinstance(answer, Acknowledgment)
    assert answer.assurance == Assurance(pki.certificate(Kind.RECEIVER_SIGNER))
    assert (answer.acknowledged, answer.header.ref_to) == (MESSAGE_ID, "")
    assert compare(sent.references, answer.references) is Digests.ALL


@pytest.mark.parametrize(
    ("repeated", "verdict"),
    [
        (lambda ours: ours, Digests.ALL),
        (lambda ours: ours[:1], Digests.SOME),
        (lambda _: (), Digests.NONE),
        (lambda ours: (ours[0], replace(ours[1], digest=ours[0].digest)), Digests.DIFFERENT),
        (lambda ours: (replace(ours[0], digest_method="sha1"),), Digests.DIFFERENT),
        (lambda ours: (*ours, replace(ours[1], uri="cid:another")), Digests.DIFFERENT),
        (lambda ours: (replace(ours[1], digest=ours[0].digest), *ours), Digests.DIFFERENT),
    ],
)
def test_a_digest_that_is_repeated_must_be_ours(
    repeated: Callable[[tuple[object, ...]], tuple[object, ...]], verdict: Digests
) -> None:
    ours = shipment().references
    assert compare(ours, repeated(ours)) is verdict  # type: ignore[arg-type] # the references again, some of them


def test_an_answer_of_somebody_else_is_read_and_not_verified() -> None:
    not_theirs = "it is signed with another certificate than those we hold for its sender"
    for correspondence, problem in (
        (from_kpr(Kind.SIGNER), not_theirs),
        (replace(from_kpr(), certificates=()), not_theirs),
        (from_kpr(theirs=KPR + 1), "it is not from the receiver that we send to"),
        (from_kpr(ours=US + 1), "it is for another HER-id than ours"),
    ):
        answer = answer_of(raw(acknowledged(())), correspondence)

        assert isinstance(answer, Acknowledgment)
        assert answer.assurance.problem == problem
        assert answer.acknowledged == MESSAGE_ID


def test_a_warning_is_one_only_where_all_of_it_is() -> None:
    for severities, worst in (
        (["Warning"], Severity.WARNING),
        (["Warning", "Error"], Severity.ERROR),
        (["Error"], Severity.ERROR),
    ):
        answer = answer_of(raw(refused_with(*map(Severity, severities))))

        assert isinstance(answer, MessageError)
        assert answer.assurance.is_verified
        assert (answer.refused, answer.severity) == (MESSAGE_ID, worst)
        assert answer.errors[0].code == "SecurityFailure"


def refused_with(*severities: Severity) -> EbxmlMail:
    errors = [
        EbxmlError(ErrorCode.SECURITY_FAILURE, one, "Signaturen er ikke gyldig")
        for one in severities or [Severity.ERROR]
    ]
    ids = MessageIds(ACK_ID, CONVERSATION, AT, ref_to=MESSAGE_ID)
    unsigned = message_error(SENT.parties.for_answer, ids, cpa=SENT.names.cpa_id, errors=errors)
    signer = pki.key_pair(Kind.RECEIVER_SIGNER)
    return signal_mail(unsigned, message_id=ACK_ID, action="MessageError", addresses=THEIRS, signer=signer)


_FAULT: Final = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode>'
    b"<faultstring>Unknown party</faultstring></s:Fault></s:Body></s:Envelope>"
)


def test_a_soap_fault_leads_back_by_the_mail_it_answers() -> None:
    headers = f"In-Reply-To: <{ATTEMPT}@edi.nhn.no>\r\nReferences: <1152> <{ATTEMPT}@edi.nhn.no>\r\n".encode()

    assert answer_of(headers + as_mail(_FAULT)) == SoapFault((MESSAGE_ID,), "s:Client", "Unknown party")
    assert answer_of(as_mail(_FAULT)) == SoapFault((), "s:Client", "Unknown party")


@pytest.mark.parametrize(
    ("action", "delivery"),
    [
        ("failed", ReportedDelivery.FAILED),
        ("Delayed", ReportedDelivery.DELAYED),
        ("relayed", ReportedDelivery.OTHER),
        ("", ReportedDelivery.OTHER),
    ],
)
def test_a_report_leads_back_by_its_envid_or_by_the_mail_in_it(action: str, delivery: ReportedDelivery) -> None:
    said = "smtp; 550 5.1.1 User unknown in virtual mailbox table"
    for envid, inside in ((ATTEMPT, "<1152>"), ("", f"<{ATTEMPT}@edi.nhn.no>"), (ATTEMPT, f"<{ATTEMPT}@x>")):
        for line_end in (b"\n", b"\r\n"):
            whole = report(action, envid=envid, embedded=inside).replace(b"\n", line_end)
            assert answer_of(whole) == Bounce((MESSAGE_ID,), delivery, "5.1.1", said)
    assert answer_of(report(action, envid="x", embedded="<1152>")) == Bounce((), delivery, "5.1.1", said)


def test_a_report_on_something_else_answers_nothing() -> None:
    read_receipt = report("failed").replace(b"message/delivery-status", b"message/disposition-notification")
    assert answer_of(read_receipt) == Other("it is a report, and none on the delivery of a mail")


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        (as_mail(b"<a/>"), "it is no ebXML message: its root is not SOAP:Envelope"),
        (as_mail(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), "it has a document type declaration"),
        (as_mail(_FAULT.replace(b"s:Fault", b"s:Other")), "it is no ebXML message: it has no MessageHeader"),
        (
            as_mail(_FAULT.replace(b"<s:Body>", b"<s:Body/><s:Body>")),
            "it has more than one Body where one is all that may be",
        ),
    ],
)
def test_what_is_no_message_answers_nothing(whole: bytes, reason: str) -> None:
    answer = answer_of(whole)
    assert isinstance(answer, Other)
    assert answer.reason == reason


def test_what_is_no_mail_of_ebxml_is_said_to_be_none() -> None:
    assert read(b"Content-Type: text/plain\n\nHei") == NotEbxml(
        "it is no ebXML message: its content is of another type"
    )
    assert isinstance(read(b""), NotEbxml)

"""What reads foreign bytes, each with samples to spoil, and the errors that it documents for what it cannot read."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, pkcs12

from kpr_sender.bus.amqp import AmqpBus
from kpr_sender.bus.codec import Decoded, Undecodable, encode_head
from kpr_sender.bus.proton_engine import Message
from kpr_sender.cms import certificates
from kpr_sender.cms.port import ProtectionRefused
from kpr_sender.cms.read import Policy, open_sealed
from kpr_sender.cms.read_signed import verify
from kpr_sender.ebxml import read_mail
from kpr_sender.ebxml.answers import Correspondence, PayloadMessage, classify
from kpr_sender.ebxml.content import open_payload
from kpr_sender.errors import AccessRefused, KprError
from kpr_sender.inbound import folder
from kpr_sender.inbound.receipt_file import unwrapped
from kpr_sender.keys.files import load_pem, load_pkcs12
from kpr_sender.messages import apprec, error_queue, safe_xml
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.messages.transport import SUBJECT_SOAP_FAULT
from kpr_sender.messages.xml_signature import verify_enveloped
from kpr_sender.model import ReceiptError
from kpr_sender.sandbox.apprec import build
from kpr_sender.trust import policy, revocation
from kpr_sender.trust.revocation import evaluate_crl, evaluate_ocsp
from tests.ebxml import samples as ebxml
from tests.helpers import cms, pki
from tests.helpers.bus_settings import RECEIPTS, bus_settings, outbound
from tests.helpers.loopback import serving
from tests.helpers.scripted_bus import Script, ScriptedBus
from tests.helpers.seid_pki import SeidPki
from tests.helpers.xml_signatures import sign_enveloped
from tests.messages.parties import HODEMELDING
from tests.proofs import fuzz_large, fuzz_registers
from tests.proofs.fuzz_parser import Target

_FAULT: Final = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing">'
    b"<s:Header><a:RelatesTo>urn:uuid:0b6a3c1e-0000-4000-8000-000000000000</a:RelatesTo></s:Header><s:Body><s:Fault>"
    b'<s:Code><s:Value>s:Sender</s:Value></s:Code><s:Reason><s:Text xml:lang="en">Invalid signature</s:Text>'
    b"</s:Reason></s:Fault></s:Body></s:Envelope>"
)


def _cms(*, large: bool = False) -> Target:
    us, fhi = pki.key_pair(pki.Kind.ENCRYPTION), pki.key_pair(pki.Kind.RECEIVER_SIGNER)
    signed = cms.signed(fuzz_large.apprec() if large else _apprec_samples()[0], fhi)

    def read(data: bytes) -> None:
        """As it came, and as what is inside an envelope: hardly anything that is spoilt outside can be opened."""
        with contextlib.suppress(ProtectionRefused, AccessRefused):
            open_sealed(data, decrypters=[us], signers=[fhi.certificate], policy=Policy())
        verify(data, signers=[fhi.certificate], policy=Policy())

    sealed = fuzz_large.sealed(signed, us.certificate) if large else cms.sealed(signed, us.certificate)
    return Target([sealed, signed], read, (ProtectionRefused, AccessRefused))


def _apprec_samples() -> Sequence[bytes]:
    error = ReceiptError("T02", "2.16.578.1.12.4.1.1.8221", "XML validerer ikke", "PERSON rad 17")
    return [
        build(
            version=version,
            apprec_id="a1",
            generated_at=datetime(2025, 1, 7, 8, tzinfo=UTC),
            status_code=status,
            errors=errors,
            original=HODEMELDING,
        )
        for version, status, errors in (("1.0", "1", ()), ("1.1", "2", (error, error)))
    ]


def _apprec(*, large: bool = False) -> Target:
    def read(data: bytes) -> None:
        apprec.parse(data, most_errors=None if large else apprec.MOST_ERRORS)

    return Target([fuzz_large.apprec()] if large else _apprec_samples(), read, (MessageRefused,))


def _error_queue() -> Target:
    def read(data: bytes) -> None:
        text = data.decode("latin-1")
        error_queue.parse({}, SUBJECT_SOAP_FAULT, data)
        error_queue.parse(
            {"errorCondition": text, "originalMessageId": text, "errorConditionData": text}, text, data, text
        )

    return Target([_FAULT, b'{"expected": "AB12", "actual": ["CD34", {"field": "x"}]}'], read)


def _revocation(
    patch: pytest.MonkeyPatch,
    evaluate: Callable[..., object],
    make: Callable[[SeidPki, x509.Certificate], Sequence[bytes]],
) -> Target:
    """Whatever the signature is over: an issuer may write what it likes, and no spoilt sample gets past its own."""
    for signed in ("_is_signed_by", "_signed_by"):
        patch.setattr(revocation, signed, lambda *_: True)
    authorities = SeidPki("http://127.0.0.1/root.crl")
    issuing = authorities.issuing
    certificate = issuing.issue(pki.certificate(pki.Kind.SIGNER).subject)
    return Target(
        make(authorities, certificate), lambda data: evaluate(data, certificate, issuing.certificate, at=pki.NOW)
    )


def _crl(patch: pytest.MonkeyPatch, *, large: bool = False) -> Target:
    def make(authorities: SeidPki, certificate: x509.Certificate) -> Sequence[bytes]:
        if large:
            return [fuzz_large.crl(authorities.issuing)]
        lists = [authorities.issuing.crl(), authorities.issuing.crl(certificate, reason=x509.ReasonFlags.superseded)]
        return [each.public_bytes(encoding) for each in lists for encoding in (Encoding.DER, Encoding.PEM)]

    return _revocation(patch, evaluate_crl, make)


def _ocsp(patch: pytest.MonkeyPatch) -> Target:
    def make(authorities: SeidPki, certificate: x509.Certificate) -> Sequence[bytes]:
        issuing = authorities.issuing
        return [issuing.answer(certificate), issuing.answer(certificate, responder=issuing.responder(), by_key=True)]

    return _revocation(patch, evaluate_ocsp, make)


def _certificate() -> Target:
    """Everything that is asked of one: whoever registered it chose what is in it."""
    own = SeidPki("http://127.0.0.1/root.crl").issuing.issue(crl="http://127.0.0.1/a.crl", ocsp_at="http://127.0.0.1/")
    authorities = policy.Authorities((pki.issuing_ca(),))

    def read(data: bytes) -> None:
        for found in certificates.load_certificates(data, "receiver.pem"):
            for use in certificates.CertificateUse:
                with contextlib.suppress(AccessRefused):
                    certificates.check(found, use, at=pki.NOW, name="receiver.pem")
            certificates.organisation_number(found)
            certificates.describe(found)
            policy.certificate_policies(found)
            revocation.sources(found)
            revocation.ocsp_request(found, pki.issuing_ca())
            policy.trusted_path(found, authorities, at=pki.NOW, name="receiver.pem")

    return Target([own.public_bytes(each) for each in (Encoding.DER, Encoding.PEM)], read, (AccessRefused,))


def _xml_signature() -> Target:
    fhi = pki.key_pair(pki.Kind.RECEIVER_SIGNER)

    def read(data: bytes) -> None:
        """As a receipt goes: its bounds first, then its signature, then what that is over."""
        safe_xml.parse_answer(data, max_bytes=apprec.MAX_BYTES)
        apprec.parse(verify_enveloped(data, fhi.certificate))

    return Target([sign_enveloped(each, fhi) for each in _apprec_samples()], read, (MessageRefused, ProtectionRefused))


def _receipt_file() -> Target:
    """In whatever a mail client, a portal or an EPJ saved it; and what a message server lays into a folder."""
    sealed = cms.sealed(b"x", pki.certificate(pki.Kind.ENCRYPTION))
    lines = base64.encodebytes(sealed)
    smime = b"MIME-Version: 1.0\nContent-Type: application/pkcs7-mime;\n smime-type=x\n\n" + lines
    pem = b"-----BEGIN CMS-----\n" + lines + b"-----END CMS-----\n"
    reported = b'{"errorCondition": "x", "originalMessageId": "1", "errorConditionData": ["a", {"b": 1}]}'

    def read(data: bytes) -> None:
        unwrapped(data)
        if (found := folder._error_message(data)) is not None:
            error_queue.parse(found.properties, found.subject, found.body, found.correlation_id)

    return Target([sealed, pem, smime, lines, reported], read)


def _ebxml_mails() -> Target:
    """All that can come to a mailbox: whatever it is, it is read and classified, and its payload opened."""
    keys, signers = [pki.key_pair(pki.Kind.RECEIVER_ENCRYPTION)], [pki.certificate(pki.Kind.SIGNER)]
    from_us = Correspondence(ebxml.KPR, ebxml.US, signers)
    sent = ebxml.shipment()
    signal = ebxml.raw(ebxml.acknowledged(sent.references, signer=pki.Kind.SIGNER))
    plain = signal.replace(b"base64", b"8bit")[: -sum(map(len, ebxml.acknowledged(sent.references).chunks()))]
    soap = ebxml.soap(sent)

    def read(data: bytes) -> None:
        read_mail.may_be_read(data)
        mail = read_mail.read(data)
        if isinstance(mail, read_mail.NotEbxml):
            return
        found = classify(mail, from_us)
        assert found is not None
        if isinstance(found, PayloadMessage):
            open_payload(found.payload, decrypters=keys, signers=signers, policy=Policy())

    return Target(
        [ebxml.raw(sent), signal, plain + soap, ebxml.report("failed")], read, (MessageRefused, ProtectionRefused)
    )


def _pkcs12() -> Target:
    """With one round of key derivation: the files are a vendor's, the time goes into reading them."""
    own = pki.key_pair(pki.Kind.SIGNER)
    one_round = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(1)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .build(b"x")
    )
    file = pkcs12.serialize_key_and_certificates(
        b"test", own.private_key, own.certificate, [pki.issuing_ca()], one_round
    )

    def read(data: bytes) -> None:
        with contextlib.suppress(AccessRefused):
            load_pkcs12(data, "x", name="key.p12")
        load_pem(data, data, None, name="key.pem")

    return Target([file, pki.certificate_pem(pki.Kind.SIGNER) + pki.key_pem(pki.Kind.SIGNER)], read, (AccessRefused,))


def _amqp_message() -> Target:
    whole = Message(durable=True, id="1", correlation_id="2", body=b"sealed", inferred=True, properties={"a": "b"})
    return Target([encode_head(outbound()) + b"\x00\x53\x75\xa0\x06sealed", whole.encode()], _decode, (Undecodable,))


def _decode(data: bytes) -> None:
    decoded = Decoded(data)
    for name in ("message_id", "to", "subject", "reply_to", "correlation_id", "content_type"):
        decoded.field(name)
    assert isinstance(decoded.body, bytes)


def _amqp_frames(stack: contextlib.ExitStack) -> Target:
    """What a broker answers is spoilt; each example connects and looks for receipts once."""
    answers: list[bytes] = []

    def behave(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(answers[0])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    port = stack.enter_context(serving(behave))
    quick: dict[str, Any] = {"connect_timeout": 1.0, "reconnect_budget": 0.0, "publish_timeout": 1.0}

    def read(data: bytes) -> None:
        answers[:] = [data]
        with AmqpBus(bus_settings(port, **quick)) as bus:
            if (inbound := bus.receive(0.0)) is not None:
                bus.settle(inbound)

    return Target([_conversation()], read, (KprError,))


def _conversation() -> bytes:
    """Record what a server says to somebody who connects and takes one message."""
    heard = bytearray()
    message = Message(id="1", body=b"sealed", inferred=True).encode()
    with ScriptedBus(Script(deliver={RECEIPTS: [message], f"/amq/queue/{RECEIPTS}": [message]})) as server:

        def relay(client: socket.socket, _: threading.Event) -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as connected:
                threading.Thread(target=_copy, args=(client, connected, bytearray()), daemon=True).start()
                _copy(connected, client, heard)

        with serving(relay) as port, AmqpBus(bus_settings(port)) as bus:
            assert bus.receive(5.0) is not None
    return bytes(heard)


def _copy(source: socket.socket, target: socket.socket, heard: bytearray) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            heard += chunk
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def target(name: str) -> Iterator[Target]:
    """Set a parser up."""
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        makers: dict[str, Callable[[], Target]] = {
            "cms": _cms,
            "apprec": _apprec,
            "error queue": _error_queue,
            "soap": lambda: fuzz_registers.soap_answers(patch),
            "rest": lambda: fuzz_registers.rest_answers(patch),
            "helseid": lambda: fuzz_registers.helseid_answers(patch),
            "http answers": lambda: fuzz_registers.http_answers(stack, patch),
            "ocsp": lambda: _ocsp(patch),
            "crl": lambda: _crl(patch),
            "certificates": _certificate,
            "xml signatures": _xml_signature,
            "receipt files": _receipt_file,
            "ebxml mails": _ebxml_mails,
            "pkcs12 and pem": _pkcs12,
            "amqp messages": _amqp_message,
            "amqp frames": lambda: _amqp_frames(stack),
            "large cms": lambda: _cms(large=True),
            "large apprec": lambda: _apprec(large=True),
            "large soap": lambda: fuzz_registers.soap_answers(patch, large=True),
            "large crl": lambda: _crl(patch, large=True),
        }
        yield makers[name]()


NAMES: Final = (
    *("cms", "apprec", "xml signatures", "receipt files", "error queue", "soap", "rest", "helseid", "http answers"),
    *("ebxml mails", "ocsp", "crl", "certificates", "pkcs12 and pem", "amqp messages", "amqp frames"),
    *("large cms", "large apprec", "large soap", "large crl"),
)
SLOWER: Final = dict.fromkeys(("amqp frames", "http answers"), 10) | {name: 20 for name in NAMES if "large" in name}
"""How many times fewer in the suite: a connection each, or a megabyte each."""

"""Opening: who may have sealed and signed, with what, in which form; and the one text for all that keys decide."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509 import Certificate

from kpr_sender.cms import asn1
from kpr_sender.cms.certificates import CertificateIdentity
from kpr_sender.cms.port import (
    AlgorithmRefused,
    CannotOpen,
    KeyTransport,
    Malformed,
    NotForUs,
    ProtectionRefused,
    SignatureRefused,
)
from kpr_sender.cms.read import OpenedMessage, Policy, open_sealed
from kpr_sender.cms.read_signed import verify
from tests.helpers import cms, pki
from tests.helpers.pki import Kind

XML = b"<MsgHead>\xc3\xa6</MsgHead>"
SIGNER = pki.key_pair(Kind.SIGNER)
STRANGER = pki.key_pair(Kind.STRANGER)
RECIPIENT = pki.certificate(Kind.ENCRYPTION)
DECRYPTER = pki.key_pair(Kind.ENCRYPTION)


def opened(sealed: bytes, policy: Policy | None = None) -> OpenedMessage:
    return open_sealed(sealed, decrypters=[DECRYPTER], signers=[SIGNER.certificate], policy=policy or Policy())


def right() -> bytes:
    return cms.signed(XML, SIGNER)


# Who signed


def test_g4_the_signer_is_the_certificate_that_we_hold() -> None:
    assert opened(cms.sealed(right(), RECIPIENT)).signer == SIGNER.certificate


def test_g4_the_embedded_certificate_is_no_trust_even_with_the_expected_one_beside_it() -> None:
    signed = cms.signed_data(XML, [cms.signer_info(XML, STRANGER)], [STRANGER.certificate, SIGNER.certificate])
    with pytest.raises(SignatureRefused, match="a certificate that we do not hold for its sender"):
        opened(cms.sealed(signed, RECIPIENT))


def test_g4_another_key_under_the_expected_issuer_and_serial_number_does_not_hold() -> None:
    impostor = pki.impostor(Kind.SIGNER)
    signed = cms.signed_data(XML, [cms.signer_info(XML, impostor)], [impostor.certificate])
    with pytest.raises(CannotOpen):
        opened(cms.sealed(signed, RECIPIENT))


def test_g4_a_stranger_who_names_the_expected_certificate_does_not_hold() -> None:
    sid = CertificateIdentity.of(SIGNER.certificate).issuer_and_serial
    signed = cms.signed_data(XML, [cms.signer_info(XML, STRANGER, sid=sid)], [SIGNER.certificate])
    with pytest.raises(CannotOpen):
        opened(cms.sealed(signed, RECIPIENT))


def test_a_signer_we_do_not_hold_is_told_only_when_his_own_signature_holds() -> None:
    signed = cms.signed_data(XML + b"\n", [cms.signer_info(XML, STRANGER)], [STRANGER.certificate])
    with pytest.raises(CannotOpen):
        opened(cms.sealed(signed, RECIPIENT))


def test_an_earlier_certificate_of_the_sender_is_believed_at_a_roll_over() -> None:
    signers = [pki.certificate(Kind.NEXT_SIGNER), SIGNER.certificate]
    result = open_sealed(cms.sealed(right(), RECIPIENT), decrypters=[DECRYPTER], signers=signers, policy=Policy())
    assert result.signer == SIGNER.certificate


@pytest.mark.parametrize("count", [0, 2])
def test_exactly_one_signer(count: int) -> None:
    signed = cms.signed_data(XML, [cms.signer_info(XML, SIGNER)] * count, [SIGNER.certificate])
    with pytest.raises(SignatureRefused, match=f"{count} signers; exactly one"):
        opened(cms.sealed(signed, RECIPIENT))


def test_dates_are_not_this_part_s_matter() -> None:
    expired = pki.key_pair(Kind.EXPIRED_SIGNER)
    signed = cms.signed(XML, expired)
    assert verify(signed, signers=[expired.certificate], policy=Policy()).signer == expired.certificate


@pytest.mark.parametrize(("kind", "text"), [(Kind.RSA_1024, "1024 bits"), (Kind.EC, "only RSA")])
def test_an_expected_certificate_that_is_too_weak_or_no_rsa_is_refused_with_the_reason(kind: Kind, text: str) -> None:
    weak = pki.certificate(kind)
    sid = CertificateIdentity.of(weak).issuer_and_serial
    signed = cms.signed_data(XML, [cms.signer_info(XML, SIGNER, sid=sid)])
    with pytest.raises(SignatureRefused, match=text):
        verify(signed, signers=[weak], policy=Policy())


# What was signed


def test_signed_attributes_hold() -> None:
    info = cms.signer_info(XML, SIGNER, attributes=cms.usual_attributes(XML))
    assert opened(cms.sealed(cms.signed_data(XML, [info]), RECIPIENT)).content == XML


CONTENT_TYPE, MESSAGE_DIGEST = cms.usual_attributes(XML)


@pytest.mark.parametrize(
    ("attributes", "refused"),
    [
        pytest.param([CONTENT_TYPE], CannotOpen, id="no messageDigest"),
        pytest.param([CONTENT_TYPE, *cms.usual_attributes(b"<other/>")[1:]], CannotOpen, id="another messageDigest"),
        pytest.param(
            [CONTENT_TYPE, cms.attribute(cms.MESSAGE_DIGEST, *[asn1.wrap(4, bytes(32))] * 2)],
            CannotOpen,
            id="two values of messageDigest",
        ),
        pytest.param([MESSAGE_DIGEST], SignatureRefused, id="no contentType"),
        pytest.param(
            [cms.attribute(cms.CONTENT_TYPE, asn1.oid(cms.ID_SIGNED_DATA)), MESSAGE_DIGEST],
            SignatureRefused,
            id="another contentType",
        ),
        pytest.param([CONTENT_TYPE, CONTENT_TYPE, MESSAGE_DIGEST], SignatureRefused, id="contentType twice"),
        pytest.param([CONTENT_TYPE, MESSAGE_DIGEST, MESSAGE_DIGEST], SignatureRefused, id="messageDigest twice"),
    ],
)
def test_signed_attributes_must_be_what_they_must_be(attributes: list[bytes], refused: type[ProtectionRefused]) -> None:
    info = cms.signer_info(XML, SIGNER, attributes=attributes)
    with pytest.raises(ProtectionRefused) as refusal:
        opened(cms.sealed(cms.signed_data(XML, [info]), RECIPIENT))
    assert type(refusal.value) is refused


def test_another_message_s_signed_attributes_are_not_taken_for_content() -> None:
    attributes = cms.usual_attributes(XML)
    genuine = cms.signer_info(XML, SIGNER, attributes=attributes)
    assert verify(cms.signed_data(XML, [genuine]), signers=[SIGNER.certificate], policy=Policy()).content == XML
    as_content = asn1.wrap(asn1.SET, *attributes)
    forged = cms.signed_data(as_content, [cms.signer_info(as_content, SIGNER)])
    with pytest.raises(SignatureRefused, match="looks like such"):
        opened(cms.sealed(forged, RECIPIENT))


@pytest.mark.parametrize(
    ("oid", "name"),
    [
        ("1.3.14.3.2.26", "SHA-1"),
        ("1.2.840.113549.2.5", "MD5"),
        ("1.2.840.113549.2.2", "MD2"),
        ("2.16.840.1.101.3.4.2.4", "SHA-224"),
    ],
)
def test_weak_digests_are_refused_by_name(oid: str, name: str) -> None:
    signed = cms.signed_data(XML, [cms.signer_info(XML, SIGNER, digest_oid=oid)])
    with pytest.raises(AlgorithmRefused, match=name):
        opened(cms.sealed(signed, RECIPIENT))


@pytest.mark.parametrize(
    ("oid", "refused", "text"),
    [
        ("1.2.840.113549.1.1.5", AlgorithmRefused, "SHA-1 with RSA"),
        ("1.2.840.113549.1.1.4", AlgorithmRefused, "MD5 with RSA"),
        ("1.2.840.10045.4.3.2", AlgorithmRefused, "SHA-256 with ECDSA"),
        ("1.2.840.113549.1.1.13", CannotOpen, "cannot be opened"),
        ("1.2.3.4", CannotOpen, "cannot be opened"),
    ],
)
def test_signature_algorithms_that_do_not_fit_are_refused(oid: str, refused: type[Exception], text: str) -> None:
    signed = cms.signed_data(XML, [cms.signer_info(XML, SIGNER, signature_algorithm=cms.algorithm(oid))])
    with pytest.raises(refused, match=text):
        opened(cms.sealed(signed, RECIPIENT))


# Who it is for, and how it is sealed


def test_earlier_decryption_certificates_still_open_at_a_roll_over() -> None:
    ours = [pki.key_pair(kind) for kind in (Kind.NEXT_ENCRYPTION, Kind.ENCRYPTION)]
    sealed = cms.sealed(right(), RECIPIENT)
    assert open_sealed(sealed, decrypters=ours, signers=[SIGNER.certificate], policy=Policy()).content == XML
    with pytest.raises(NotForUs):
        open_sealed(sealed, decrypters=ours[:1], signers=[SIGNER.certificate], policy=Policy())
    with pytest.raises(NotForUs):
        open_sealed(sealed, decrypters=[], signers=[SIGNER.certificate], policy=Policy())


def test_recipients_of_kinds_that_we_do_not_know_are_passed_over() -> None:
    key_agreement = asn1.wrap(0xA1, asn1.wrap(asn1.INTEGER, b"\x03"))
    infos = [key_agreement, cms.recipient_info(RECIPIENT)]
    assert opened(cms.enveloped_data(infos, cms.enciphered(cms.padded(right())))).content == XML


def test_the_octet_string_that_old_net_puts_round_the_content_is_taken_off() -> None:
    assert opened(cms.sealed(asn1.wrap(asn1.OCTET_STRING, right()), RECIPIENT)).content == XML


@pytest.mark.parametrize(
    ("oid", "name"),
    [
        ("1.3.14.3.2.7", "DES"),
        ("1.2.840.113549.3.7", "3DES"),
        ("1.2.840.113549.3.2", "RC2"),
        ("1.2.840.113549.3.4", "RC4"),
        ("2.16.840.1.101.3.4.1.46", "AES-256-GCM"),
        ("2.16.840.1.101.3.4.1.6", "AES-128-GCM"),
        ("1.2.3.4.5", "1.2.3.4.5"),
    ],
)
def test_ciphers_that_are_refused_are_refused_by_name(oid: str, name: str) -> None:
    cipher = cms.algorithm(oid, asn1.wrap(asn1.OCTET_STRING, bytes(8)))
    sealed = cms.enveloped_data([cms.recipient_info(RECIPIENT)], bytes(16), cipher=cipher)
    with pytest.raises(AlgorithmRefused, match=rf"\b{name}\b"):
        opened(sealed)


def test_what_is_sealed_for_others_is_theirs_whatever_it_is_sealed_with() -> None:
    rc2 = cms.algorithm("1.2.840.113549.3.2", asn1.wrap(asn1.OCTET_STRING, bytes(8)))
    others = cms.recipient_info(pki.certificate(Kind.NEXT_ENCRYPTION))
    with pytest.raises(NotForUs):
        opened(cms.enveloped_data([others], bytes(16), cipher=rc2))


def oaep(tag: int, oid: str) -> bytes:
    return cms.algorithm("1.2.840.113549.1.1.7", asn1.wrap(asn1.SEQUENCE, asn1.wrap(tag, cms.algorithm(oid))))


@pytest.mark.parametrize(
    ("transport", "text"),
    [
        pytest.param(cms.algorithm("1.2.840.113549.1.1.5"), "SHA-1 with RSA", id="a signature algorithm"),
        pytest.param(cms.algorithm("1.2.3.4"), r"1\.2\.3\.4", id="unknown"),
        pytest.param(oaep(0xA0, "1.2.840.113549.2.5"), "OAEP with MD5", id="OAEP with MD5"),
        pytest.param(oaep(0xA1, "1.2.3"), "mask generation", id="OAEP with another mask generation"),
    ],
)
def test_key_transports_that_are_refused_are_refused_by_name(transport: bytes, text: str) -> None:
    info = cms.recipient_info(RECIPIENT, transport=transport)
    with pytest.raises(AlgorithmRefused, match=text):
        opened(cms.enveloped_data([info], bytes(16)))


# One text for all that keys decide


def outcome_of(sealed: bytes) -> tuple[type[ProtectionRefused], str] | bytes:
    try:
        return opened(sealed).content
    except ProtectionRefused as refused:
        return type(refused), str(refused)


def test_altered_ciphertexts_and_keys_cannot_be_told_apart() -> None:
    """The last block in all values (padding), every block, the encrypted key and its length, garbage inside."""
    chance = random.Random(1)
    signed = right()
    ciphertext = cms.enciphered(cms.padded(signed))
    key = cms.recipient_info(RECIPIENT)
    altered = [
        cms.enveloped_data([key], ciphertext[:-17] + bytes((value,)) + ciphertext[-16:])
        for value in range(256)
        if value != ciphertext[-17]
    ]
    for position in range(0, len(ciphertext), 5):
        changed = bytearray(ciphertext)
        changed[position] ^= chance.randrange(1, 256)
        altered.append(cms.enveloped_data([key], bytes(changed)))
    encrypted = key[-256:]
    altered += [
        cms.enveloped_data([cms.recipient_info(RECIPIENT, each)], ciphertext)
        for each in (
            *(chance.randbytes(256) for _ in range(20)),
            b"",
            encrypted[:-1],
            encrypted + b"\0",
            bytes(256),
            b"\xff" * 256,
            RECIPIENT.public_key().encrypt(bytes(16), PKCS1v15()),  # type: ignore[union-attr]
            RECIPIENT.public_key().encrypt(bytes(32), PKCS1v15()),  # type: ignore[union-attr]
        )
    ]
    altered += [
        cms.enveloped_data([key], each)
        for each in (b"", ciphertext[:-1], ciphertext[:-16], ciphertext[16:], ciphertext + bytes(16), bytes(16))
    ]
    garbage = (b"", b"\x04", b"\x04\x05\x01", b"\x30\x80", b"<xml/>", signed[:-1], signed + b"\0", chance.randbytes(99))
    altered += [cms.sealed(each, RECIPIENT) for each in garbage]
    outcomes = {outcome_of(each) for each in altered}
    # The content itself: where the altered block is inside the embedded certificate, which is never read.
    assert outcomes - {XML} == {(CannotOpen, str(CannotOpen()))}


class Hsm:
    """A decrypter that answers as an HSM does: an error on bad padding, where software goes on with garbage."""

    def __init__(self, answer: Callable[[], bytes]) -> None:
        self.certificate: Certificate = RECIPIENT
        self._answer = answer

    def decrypt_key(self, encrypted_key: bytes, padding: KeyTransport) -> bytes:
        return self._answer()


def test_every_byte_of_the_padding_counts() -> None:
    signer = SIGNER
    by_length = (cms.signed(XML + b" " * spaces, signer) for spaces in range(16))
    for signed in by_length:
        padding = cms.padded(signed)[len(signed) :]
        for position in range(len(padding)):
            altered = bytearray(padding)
            altered[position] ^= 0x20
            sealed = cms.enveloped_data([cms.recipient_info(RECIPIENT)], cms.enciphered(signed + bytes(altered)))
            assert outcome_of(sealed) == (CannotOpen, str(CannotOpen()))


def test_a_key_that_an_hsm_refuses_is_no_other_error_than_a_wrong_key() -> None:
    def refuse() -> bytes:
        raise ValueError("CKR_ENCRYPTED_DATA_INVALID")

    for answer in (refuse, lambda: bytes(32), lambda: b"short"):
        with pytest.raises(CannotOpen) as refused:
            open_sealed(
                cms.sealed(right(), RECIPIENT), decrypters=[Hsm(answer)], signers=[SIGNER.certificate], policy=Policy()
            )
        assert str(refused.value) == str(CannotOpen())
        assert refused.value.__cause__ is None


def test_an_hsm_that_does_not_answer_is_no_bad_message() -> None:
    def outage() -> bytes:
        raise ConnectionError("token removed")

    with pytest.raises(ConnectionError):
        open_sealed(
            cms.sealed(right(), RECIPIENT), decrypters=[Hsm(outage)], signers=[SIGNER.certificate], policy=Policy()
        )


# What it must look like from outside


SEALED = cms.sealed(right(), RECIPIENT)
NO_IV = cms.algorithm(cms.AES_256_CBC)
SHORT_IV = cms.algorithm(cms.AES_256_CBC, asn1.wrap(asn1.OCTET_STRING, bytes(15)))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"0", id="one byte"),
        pytest.param(b"\x30\x80", id="a beginning"),
        pytest.param(b"<xml/>", id="XML"),
        pytest.param(bytes(1000), id="zeros"),
        pytest.param(right(), id="signed only"),
        pytest.param(SEALED + b"\0", id="more after the end"),
        pytest.param(SEALED[:-1], id="cut off"),
        pytest.param(cms.content_info(cms.ID_DATA, asn1.wrap(4, b"x")), id="data"),
        pytest.param(
            cms.enveloped_data([cms.recipient_info(RECIPIENT)], bytes(16), cipher=NO_IV),
            id="no initialisation vector",
        ),
        pytest.param(
            cms.enveloped_data([cms.recipient_info(RECIPIENT)], bytes(16), cipher=SHORT_IV),
            id="a short initialisation vector",
        ),
    ],
)
def test_what_is_no_sealed_message_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        opened(data)


def test_a_message_above_the_size_is_not_looked_at() -> None:
    sealed = cms.sealed(right(), RECIPIENT)
    assert opened(sealed, Policy(max_bytes=len(sealed))).content == XML
    with pytest.raises(Malformed, match=f"at most {len(sealed) - 1:,}"):
        opened(sealed, Policy(max_bytes=len(sealed) - 1))


def test_a_memoryview_opens_too() -> None:
    sealed = memoryview(b"..." + cms.sealed(right(), RECIPIENT) + b"...")[3:-3]
    assert open_sealed(sealed, decrypters=[DECRYPTER], signers=[SIGNER.certificate], policy=Policy()).content == XML


def test_content_does_not_print() -> None:
    assert "MsgHead" not in repr(opened(cms.sealed(right(), RECIPIENT)))


SOMEBODY = asn1.wrap(asn1.SEQUENCE, asn1.wrap(asn1.INTEGER, b"\0"), asn1.wrap(0x80, b"somebody"))
NOBODY = asn1.wrap(asn1.SEQUENCE, asn1.wrap(asn1.INTEGER, b"\0"), asn1.wrap(asn1.SEQUENCE))


def test_who_it_is_for_is_found_out_at_once_however_many_are_named() -> None:
    """65,000 cost 3.4 seconds, since each was compared with each of our certificates, read anew each time."""
    start = time.process_time()
    with pytest.raises(Malformed, match="too many recipients"):
        opened(cms.enveloped_data([SOMEBODY] * 65_000, bytes(16)))
    with pytest.raises(NotForUs) as found:
        opened(cms.enveloped_data([SOMEBODY] * 500, bytes(16)))
    assert not any(found.value.is_for(RECIPIENT) for _ in range(50))
    assert time.process_time() - start < 1.5, "seconds"
    with pytest.raises(Malformed, match="nobody"):
        opened(cms.enveloped_data([NOBODY], bytes(16)))


def test_signers_and_attributes_without_end_are_refused_at_once() -> None:
    info, many = cms.signer_info(XML, SIGNER), [cms.attribute(f"1.2.{arc}", asn1.NULL) for arc in range(30_000)]
    attributed = cms.signer_info(XML, SIGNER, attributes=[*cms.usual_attributes(XML), *many])
    for infos in ([info] * 10_000, [attributed]):
        signed = cms.signed_data(XML, infos, [SIGNER.certificate])
        start = time.process_time()
        with pytest.raises(CannotOpen):
            opened(cms.sealed(signed, RECIPIENT))
        assert time.process_time() - start < 1, "seconds"


DEEP = b"\x30\x80" * 10_000_000
SEGMENTS = b"\x24\x80" + b"\x04\x01a" * 2_000_000 + b"\0\0"


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(DEEP, id="nested ten million deep"),
        pytest.param(SEGMENTS, id="two million segments"),
        pytest.param(b"\x30\x84\x7f\xff\xff\xff" + bytes(1000), id="two gigabytes long, it says"),
        pytest.param(b"\x30\x88" + b"\xff" * 1000, id="longer than any machine"),
        pytest.param(
            asn1.wrap(0x30, b"\x06\x84\x01\x00\x00\x00" + b"\x81" * 0x1000000), id="an endless object identifier"
        ),
    ],
)
def test_bombs_are_refused_fast(bomb: bytes) -> None:
    for data, refused in ((bomb, Malformed), (cms.sealed(bomb, RECIPIENT), CannotOpen)):
        start = time.process_time()  # what it costs us, however busy the machine is
        with pytest.raises(refused):
            opened(data)
        assert time.process_time() - start < 3, "seconds"

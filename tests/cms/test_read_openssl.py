"""openssl opens what we seal, and we open what openssl seals."""

from __future__ import annotations

import random

import pytest

from kpr_sender.cms.port import AlgorithmRefused, SignatureRefused
from kpr_sender.cms.read import Policy, open_sealed
from kpr_sender.cms.read_signed import verify
from kpr_sender.cms.write import seal
from kpr_sender.keys.files import KeyPair
from tests.cms.conftest import OpenSsl
from tests.helpers import pki
from tests.helpers.pki import Kind

SIGN = ("-sign", "-binary", "-nodetach", "-outform", "DER", "-certfile", "ca.pem")
ENCRYPT = ("-encrypt", "-binary", "-outform", "DER")
NO_ATTRIBUTES = ("-signer", "signer.pem", "-inkey", "signer.key", "-noattr")
XML = b"<MsgHead>\xc3\xa6\xc3\xb8\xc3\xa5\n</MsgHead>"


def xml(length: int) -> bytes:
    return (b"<" + random.Random(length).randbytes(length))[:length]


@pytest.mark.parametrize("length", [1, 15, 16, 17, 65_535, 65_536, 65_537, 3_000_001])
def test_openssl_opens_and_verifies_what_we_seal(
    length: int, signer: KeyPair, decrypter: KeyPair, openssl: OpenSsl
) -> None:
    content = xml(length)
    sealed = b"".join(map(bytes, seal([content], length, signer=signer, recipient=decrypter.certificate)))
    signed = openssl(
        "-decrypt",
        "-inform",
        "DER",
        "-binary",
        "-recip",
        "encryption.pem",
        "-inkey",
        "encryption.key",
        stdin=sealed,
    )
    # -purpose any: a signing certificate with nonRepudiation alone is not openssl's idea of an S/MIME signer.
    opened = openssl("-verify", "-inform", "DER", "-binary", "-purpose", "any", "-CAfile", "root.pem", stdin=signed)
    assert opened == content


@pytest.mark.parametrize("length", [1, 15, 16, 17, 65_535, 65_536, 65_537, 3_000_001])
@pytest.mark.parametrize("stream", [(), ("-stream",)], ids=["der", "ber"])
def test_we_open_what_openssl_seals(
    length: int, stream: tuple[str, ...], signer: KeyPair, decrypter: KeyPair, openssl: OpenSsl
) -> None:
    content = xml(length)
    signed = openssl(*SIGN, *NO_ATTRIBUTES, *stream, stdin=content)
    sealed = openssl(*ENCRYPT, "-aes256", *stream, "encryption.pem", stdin=signed)
    opened = open_sealed(sealed, decrypters=[decrypter], signers=[signer.certificate], policy=Policy())
    assert opened.content == content
    assert opened.signer == signer.certificate


@pytest.mark.parametrize(
    "signing",
    [
        pytest.param(("-signer", "signer.pem", "-inkey", "signer.key"), id="with signed attributes"),
        pytest.param((*NO_ATTRIBUTES, "-md", "sha384"), id="SHA-384"),
        pytest.param((*NO_ATTRIBUTES, "-md", "sha512"), id="SHA-512"),
        pytest.param((*NO_ATTRIBUTES, "-keyid"), id="signer by key identifier"),
        pytest.param((*NO_ATTRIBUTES, "-nocerts"), id="no certificate embedded"),
    ],
)
@pytest.mark.parametrize("stream", [(), ("-stream",)], ids=["der", "ber"])
def test_every_acceptable_way_of_signing_verifies(
    signing: tuple[str, ...], stream: tuple[str, ...], signer: KeyPair, openssl: OpenSsl
) -> None:
    signed = openssl(*SIGN, *signing, *stream, stdin=XML)
    assert verify(signed, signers=[signer.certificate], policy=Policy()).content == XML


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_pss_verifies_with_a_salt_as_long_as_the_digest(digest: str, signer: KeyPair, openssl: OpenSsl) -> None:
    pss = ("-md", digest, "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest")
    signed = openssl(*SIGN, *NO_ATTRIBUTES, *pss, stdin=XML)
    assert verify(signed, signers=[signer.certificate], policy=Policy()).content == XML


@pytest.mark.parametrize(
    ("signing", "name"),
    [
        (("-md", "sha1"), "SHA-1"),
        (("-md", "md5"), "MD5"),
        (("-md", "sha224"), "SHA-224"),
        (("-md", "sha1", "-keyopt", "rsa_padding_mode:pss"), "SHA-1"),
        (("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:max"), "RSASSA-PSS with a salt of 222"),
    ],
)
def test_a_weak_digest_is_refused_by_name(
    signing: tuple[str, ...], name: str, signer: KeyPair, openssl: OpenSsl
) -> None:
    signed = openssl(*SIGN, *NO_ATTRIBUTES, *signing, stdin=XML)
    with pytest.raises(AlgorithmRefused, match=name):
        verify(signed, signers=[signer.certificate], policy=Policy())


@pytest.mark.parametrize(
    "sealing",
    [
        pytest.param(("-aes128",), id="AES-128"),
        pytest.param(("-aes192",), id="AES-192"),
        pytest.param(("-aes256", "-keyid"), id="recipient by key identifier"),
    ],
)
@pytest.mark.parametrize("stream", [(), ("-stream",)], ids=["der", "ber"])
def test_every_acceptable_way_of_sealing_opens(
    sealing: tuple[str, ...],
    stream: tuple[str, ...],
    signer: KeyPair,
    decrypter: KeyPair,
    openssl: OpenSsl,
) -> None:
    sealed = openssl(*ENCRYPT, *sealing, *stream, "encryption.pem", stdin=openssl(*SIGN, *NO_ATTRIBUTES, stdin=XML))
    opened = open_sealed(sealed, decrypters=[decrypter], signers=[signer.certificate], policy=Policy())
    assert opened.content == XML


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="SHA-1, the default"),
        pytest.param(("-keyopt", "rsa_oaep_md:sha256"), id="SHA-256"),
        pytest.param(("-keyopt", "rsa_oaep_md:sha256", "-keyopt", "rsa_mgf1_md:sha1"), id="SHA-256 with MGF1 SHA-1"),
    ],
)
def test_oaep_opens(options: tuple[str, ...], signer: KeyPair, decrypter: KeyPair, openssl: OpenSsl) -> None:
    signed = openssl(*SIGN, *NO_ATTRIBUTES, stdin=XML)
    oaep = ("-recip", "encryption.pem", "-keyopt", "rsa_padding_mode:oaep", *options)
    sealed = openssl(*ENCRYPT, "-aes256", *oaep, stdin=signed)
    opened = open_sealed(sealed, decrypters=[decrypter], signers=[signer.certificate], policy=Policy())
    assert opened.content == XML


def test_oaep_with_a_label_is_refused_by_name(signer: KeyPair, decrypter: KeyPair, openssl: OpenSsl) -> None:
    oaep = ("-recip", "encryption.pem", "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_label:6b7072")
    sealed = openssl(*ENCRYPT, "-aes256", *oaep, stdin=openssl(*SIGN, *NO_ATTRIBUTES, stdin=XML))
    with pytest.raises(AlgorithmRefused, match="label"):
        open_sealed(sealed, decrypters=[decrypter], signers=[signer.certificate], policy=Policy())


def test_3des_opens_only_where_the_policy_lets_it(signer: KeyPair, decrypter: KeyPair, openssl: OpenSsl) -> None:
    sealed = openssl(*ENCRYPT, "-des3", "encryption.pem", stdin=openssl(*SIGN, *NO_ATTRIBUTES, stdin=XML))
    with pytest.raises(AlgorithmRefused, match=r"3DES.*protection\.accept_3des"):
        open_sealed(sealed, decrypters=[decrypter], signers=[signer.certificate], policy=Policy())
    policy = Policy(accept_3des=True)
    assert open_sealed(sealed, decrypters=[decrypter], signers=[signer.certificate], policy=policy).content == XML


def test_authenticated_encryption_is_refused_by_name(signer: KeyPair, decrypter: KeyPair, openssl: OpenSsl) -> None:
    sealed = openssl(*ENCRYPT, "-aes-256-gcm", "encryption.pem", stdin=XML)
    with pytest.raises(AlgorithmRefused, match="AES-GCM"):
        open_sealed(sealed, decrypters=[decrypter], signers=[signer.certificate], policy=Policy())


@pytest.mark.parametrize("ours", [Kind.ENCRYPTION, Kind.NEXT_ENCRYPTION])
def test_any_of_several_recipients_opens(ours: Kind, signer: KeyPair, openssl: OpenSsl) -> None:
    signed = openssl(*SIGN, *NO_ATTRIBUTES, stdin=XML)
    sealed = openssl(*ENCRYPT, "-aes256", "encryption.pem", "next-encryption.pem", stdin=signed)
    decrypter = pki.key_pair(ours)
    assert open_sealed(sealed, decrypters=[decrypter], signers=[signer.certificate], policy=Policy()).content == XML


def test_two_signers_are_refused_even_when_both_are_expected(openssl: OpenSsl) -> None:
    both = ("-signer", "signer.pem", "-inkey", "signer.key", "-signer", "next-signer.pem", "-inkey", "next-signer.key")
    signed = openssl(*SIGN, *both, stdin=XML)
    expected = [pki.certificate(Kind.SIGNER), pki.certificate(Kind.NEXT_SIGNER)]
    with pytest.raises(SignatureRefused, match="2 signers"):
        verify(signed, signers=expected, policy=Policy())


def test_g4_a_stranger_who_bundles_the_right_certificate_is_refused(signer: KeyPair, openssl: OpenSsl) -> None:
    evil = ("-signer", "stranger.pem", "-inkey", "stranger.key", "-certfile", "signer.pem")
    signed = openssl(*SIGN[:-2], *evil, stdin=XML)
    serial = f"{pki.certificate(Kind.STRANGER).serial_number:x}"
    with pytest.raises(SignatureRefused, match=rf"do not hold for its sender.*{serial}"):
        verify(signed, signers=[signer.certificate], policy=Policy())


def test_a_detached_signature_is_refused(signer: KeyPair, openssl: OpenSsl) -> None:
    signed = openssl("-sign", "-binary", "-outform", "DER", *NO_ATTRIBUTES, stdin=XML)
    with pytest.raises(SignatureRefused, match="detached"):
        verify(signed, signers=[signer.certificate], policy=Policy())

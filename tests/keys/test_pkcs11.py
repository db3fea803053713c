"""A key in a token signs and decrypts as one in a file does, and its outages are never taken for bad messages."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, Hash
from cryptography.x509 import Certificate

from kpr_sender.cms.port import AlgorithmRefused, CannotOpen, Oaep, Pkcs1v15
from kpr_sender.cms.read import Policy, open_sealed
from kpr_sender.cms.write import seal
from kpr_sender.errors import AccessRefused, ConfigInvalid, KeyUnavailable, LoginRefused
from kpr_sender.keys import pkcs11 as product
from kpr_sender.keys.pkcs11 import Address, HardwareKey
from kpr_sender.logins import RefusedLogins
from tests.helpers import pki
from tests.helpers.pki import Kind
from tests.helpers.softhsm import LABEL, PIN, SoftHsm, refresh

KEY = "a1"
WRONG_PIN = "0000"


def private(kind: Kind) -> RSAPrivateKey:
    return pki.key_pair(kind).private_key


def public(kind: Kind) -> RSAPublicKey:
    return private(kind).public_key()


def address(token: SoftHsm, *, key_label: str = "key", key_id: str = "", token_label: str = LABEL) -> Address:
    return Address(token.module, token_label, None, key_label, bytes.fromhex(key_id))


def opened(
    token: SoftHsm, certificate: Certificate, *chain: Certificate, pin: str = PIN, at: Address | None = None
) -> HardwareKey:
    return HardwareKey.open(at or address(token), pin=lambda: pin, certificates=(certificate, *chain), name="keys")


@pytest.fixture
def signer(softhsm: SoftHsm) -> HardwareKey:
    softhsm.put(private(Kind.SIGNER), label="key", key_id=KEY)
    return opened(softhsm, pki.certificate(Kind.SIGNER), pki.issuing_ca(), pki.root())


@pytest.fixture
def decrypter(softhsm: SoftHsm) -> HardwareKey:
    softhsm.put(private(Kind.ENCRYPTION), label="key", key_id=KEY)
    return opened(softhsm, pki.certificate(Kind.ENCRYPTION))


def sha256(data: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(data)
    return digest.finalize()


def sealed_by(signer: HardwareKey, content: bytes) -> bytes:
    recipient = pki.certificate(Kind.ENCRYPTION)
    return b"".join(map(bytes, seal([content], len(content), signer=signer, recipient=recipient)))


def test_a_token_s_signature_is_that_of_the_same_key_in_a_file(signer: HardwareKey) -> None:
    public(Kind.SIGNER).verify(signer.sign_digest(sha256(b"text")), b"text", PKCS1v15(), SHA256())
    assert signer.chain == (pki.issuing_ca(),)


def test_a_message_is_sealed_and_opened_by_keys_of_one_token(softhsm: SoftHsm) -> None:
    softhsm.put(private(Kind.SIGNER), label="signing", key_id=KEY)
    softhsm.put(private(Kind.ENCRYPTION), label="encryption", key_id="b2")
    signer = opened(softhsm, pki.certificate(Kind.SIGNER), at=address(softhsm, key_label="signing"))
    decrypter = opened(softhsm, pki.certificate(Kind.ENCRYPTION), at=address(softhsm, key_label="", key_id="b2"))

    sealed = sealed_by(signer, b"<MsgHead/>")

    assert (
        open_sealed(
            sealed, decrypters=[decrypter], signers=[pki.certificate(Kind.SIGNER)], policy=Policy()
        ).content
        == b"<MsgHead/>"
    )  # fmt: skip


def test_certificate_and_chain_come_from_the_token_where_no_file_is_named(softhsm: SoftHsm) -> None:
    softhsm.put(private(Kind.SIGNER), label="key", key_id=KEY)
    softhsm.put_certificate(pki.certificate(Kind.SIGNER), key_id=KEY)
    softhsm.put_certificate(pki.issuing_ca(), key_id="c0")
    softhsm.put_certificate(pki.root(), key_id="c1")

    key = HardwareKey.open(address(softhsm), pin=lambda: PIN, certificates=(), name="keys")

    assert (key.certificate, key.chain) == (pki.certificate(Kind.SIGNER), (pki.issuing_ca(),))


def test_oaep_is_undone_where_the_token_can(decrypter: HardwareKey) -> None:
    encrypted = public(Kind.ENCRYPTION).encrypt(b"k" * 32, OAEP(MGF1(SHA1()), SHA1(), None))  # noqa: S303 - SoftHSM's
    assert decrypter.decrypt_key(encrypted, Oaep(SHA1(), SHA1())) == b"k" * 32  # noqa: S303 - the same


def test_oaep_that_the_token_cannot_undo_is_refused_by_name(decrypter: HardwareKey) -> None:
    encrypted = public(Kind.ENCRYPTION).encrypt(b"k" * 32, OAEP(MGF1(SHA256()), SHA256(), None))
    with pytest.raises(AlgorithmRefused, match="OAEP"):
        decrypter.decrypt_key(encrypted, Oaep(SHA256(), SHA256()))


def test_g4_fifty_random_ciphertexts_and_some_of_the_wrong_length_are_bad_ciphertexts(decrypter: HardwareKey) -> None:
    random = [b"\0" + os.urandom(255) for _ in range(50)]
    if ssl.OPENSSL_VERSION_INFO >= (
        3,
        2,
    ):  # makes a key up, as for a key in a file: what is sealed with it does not open
        for ciphertext in random:
            with suppress(ValueError):
                assert decrypter.decrypt_key(ciphertext, Pkcs1v15()) != b"key"
        random.clear()
    for ciphertext in (*random, b"", b"short", b"\xff" * 256, bytes(300)):
        with pytest.raises(ValueError, match="encrypted key"):
            decrypter.decrypt_key(ciphertext, Pkcs1v15())
    assert decrypter.decrypt_key(public(Kind.ENCRYPTION).encrypt(b"key", PKCS1v15()), Pkcs1v15()) == b"key"


def test_a_damaged_message_cannot_be_opened_and_says_what_a_file_s_key_says(softhsm: SoftHsm) -> None:
    softhsm.put(private(Kind.SIGNER), label="signing", key_id=KEY)
    softhsm.put(private(Kind.ENCRYPTION), label="key", key_id="b2")
    decrypter = opened(softhsm, pki.certificate(Kind.ENCRYPTION))
    signer = opened(softhsm, pki.certificate(Kind.SIGNER), at=address(softhsm, key_label="signing"))
    sealed = bytearray(sealed_by(signer, b"<MsgHead/>"))
    sealed[sealed.index(b"\x04\x82\x01\x00") + 100] ^= 1
    with pytest.raises(CannotOpen):
        open_sealed(bytes(sealed), decrypters=[decrypter], signers=[signer.certificate], policy=Policy())


def close_session(token: SoftHsm) -> None:
    for session in product._sessions.values():
        session.close()


def log_out(token: SoftHsm) -> None:
    """Another part of the process ends its session, and with it everybody's login."""
    with pkcs11.lib(token.module).get_token(token_label=LABEL).open():
        close_session(token)


def start_library_anew(token: SoftHsm) -> None:
    refresh(token.module, forget=False)


@pytest.mark.parametrize("lose", [close_session, log_out, start_library_anew])
def test_a_lost_session_is_opened_anew(softhsm: SoftHsm, signer: HardwareKey, lose: Callable[[SoftHsm], None]) -> None:
    assert signer.sign_digest(sha256(b"1"))
    lose(softhsm)
    public(Kind.SIGNER).verify(signer.sign_digest(sha256(b"2")), b"2", PKCS1v15(), SHA256())


def test_a_token_that_is_gone_is_an_outage_and_back_again_when_it_is(softhsm: SoftHsm, decrypter: HardwareKey) -> None:
    ciphertext = public(Kind.ENCRYPTION).encrypt(b"key", PKCS1v15())
    softhsm.unplug()
    with pytest.raises(KeyUnavailable, match="There is no token labelled"):
        decrypter.decrypt_key(ciphertext, Pkcs1v15())
    softhsm.plug_in()
    assert decrypter.decrypt_key(ciphertext, Pkcs1v15()) == b"key"


def test_a_key_that_has_vanished_is_an_outage(softhsm: SoftHsm, signer: HardwareKey) -> None:
    softhsm.unplug()
    softhsm.make_other_token()
    with pytest.raises(KeyUnavailable, match="no private key"):
        signer.sign_digest(sha256(b""))


def test_a_pin_that_is_refused_when_reopening_is_tried_once_only(softhsm: SoftHsm, signer: HardwareKey) -> None:
    tried: list[str] = []

    def pin() -> str:
        tried.append(WRONG_PIN)
        return WRONG_PIN

    signer.pin = pin
    start_library_anew(softhsm)
    with pytest.raises(KeyUnavailable, match="refuses the PIN"):
        signer.sign_digest(sha256(b""))
    assert tried == [WRONG_PIN]


@pytest.mark.parametrize("error", [pkcs11.DeviceError, pkcs11.DeviceRemoved, pkcs11.GeneralError, pkcs11.HostMemory])
def test_an_answer_that_stays_an_error_is_an_outage(
    decrypter: HardwareKey, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    class Broken:
        def decrypt(self, *_arguments: object, **_keywords: object) -> bytes:
            raise error

    monkeypatch.setattr(HardwareKey, "_look_for_key", lambda *_: Broken())
    refresh(decrypter.address.module)
    with pytest.raises(KeyUnavailable, match=error.__name__):
        decrypter.decrypt_key(public(Kind.ENCRYPTION).encrypt(b"key", PKCS1v15()), Pkcs1v15())


def test_a_wrong_pin_is_refused_and_tried_once_only(softhsm: SoftHsm) -> None:
    softhsm.put(private(Kind.SIGNER), label="key", key_id=KEY)
    tried: list[str] = []

    def pin() -> str:
        tried.append(WRONG_PIN)
        return WRONG_PIN

    with pytest.raises(AccessRefused, match="refuses the PIN") as refused:
        HardwareKey.open(address(softhsm), pin=pin, certificates=[pki.certificate(Kind.SIGNER)], name="keys")
    assert not isinstance(refused.value, KeyUnavailable)
    assert WRONG_PIN not in str(refused.value)
    assert tried == [WRONG_PIN]


def test_a_wrong_pin_is_not_tried_again_by_the_next_run_or_another_key(softhsm: SoftHsm, tmp_path: Path) -> None:
    """A token locks itself after a few wrong ones, and doctor alone looks for three keys on it."""
    softhsm.put(private(Kind.SIGNER), label="key", key_id=KEY)
    certificates, now = [pki.certificate(Kind.SIGNER)], datetime.now(UTC)
    for refusal, anyway in ((LoginRefused, False), (AccessRefused, False), (LoginRefused, True)):
        attempt = RefusedLogins(tmp_path / "logins.json", lambda: now, anyway=anyway).attempt
        for number, expected in enumerate((refusal, AccessRefused)):
            with pytest.raises(
                expected, match="refuses the PIN" if expected is LoginRefused else "not repeated before"
            ):
                HardwareKey.open(
                    address(softhsm),
                    pin=lambda: WRONG_PIN,
                    certificates=certificates,
                    name=f"keys {number}",
                    attempt=attempt,
                )
    attempt = RefusedLogins(tmp_path / "logins.json", lambda: now).attempt
    HardwareKey.open(address(softhsm), pin=lambda: PIN, certificates=certificates, name="keys", attempt=attempt)
    assert not (tmp_path / "logins.json").exists()


def test_what_is_not_there_is_said(softhsm: SoftHsm) -> None:
    certificate = pki.certificate(Kind.SIGNER)
    softhsm.put(private(Kind.SIGNER), label="key", key_id=KEY)
    with pytest.raises(AccessRefused, match='no private key labelled "other"'):
        opened(softhsm, certificate, at=address(softhsm, key_label="other"))
    with pytest.raises(AccessRefused, match="no private key with id b2"):
        opened(softhsm, certificate, at=address(softhsm, key_label="", key_id="b2"))
    with pytest.raises(KeyUnavailable, match='no token labelled "other"'):
        opened(softhsm, certificate, at=address(softhsm, token_label="other"))
    with pytest.raises(AccessRefused, match="no certificate for the key"):
        HardwareKey.open(address(softhsm), pin=lambda: PIN, certificates=(), name="keys")
    with pytest.raises(ConfigInvalid, match="cannot be loaded"):
        opened(softhsm, certificate, at=Address("/nowhere/module.so", LABEL, None, "key", b""))


def test_several_keys_of_one_label_are_told_apart_by_their_id(softhsm: SoftHsm) -> None:
    softhsm.put(private(Kind.STRANGER), label="key", key_id=KEY)
    softhsm.put(private(Kind.SIGNER), label="key", key_id="b2")
    with pytest.raises(AccessRefused, match="2 private keys"):
        opened(softhsm, pki.certificate(Kind.SIGNER))
    assert opened(softhsm, pki.certificate(Kind.SIGNER), at=address(softhsm, key_id="b2")).sign_digest(bytes(32))


def test_a_key_that_is_not_the_certificate_s_is_refused(softhsm: SoftHsm) -> None:
    softhsm.put(private(Kind.STRANGER), label="key", key_id=KEY)
    with pytest.raises(AccessRefused, match="does not belong"):
        opened(softhsm, pki.certificate(Kind.SIGNER))


def test_g6_a_key_does_not_print_its_pin(signer: HardwareKey) -> None:
    assert PIN not in repr(signer)

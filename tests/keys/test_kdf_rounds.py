"""A key file may not keep a run for hours: what it asks for is read before anything is hashed."""

from __future__ import annotations

import base64
from typing import Final

import pytest

from kpr_sender.cms import asn1
from kpr_sender.errors import AccessRefused
from kpr_sender.keys.files import load_pem, load_pkcs12
from kpr_sender.keys.kdf_rounds import MOST_ROUNDS, require_few_rounds
from tests.helpers import pki
from tests.helpers.pki import PASSPHRASE, Kind

_SALT: Final = asn1.wrap(asn1.OCTET_STRING, bytes(8))
_DATA: Final = asn1.oid("1.2.840.113549.1.7.1")
_ALGORITHMS: Final = {
    "PBKDF2": "1.2.840.113549.1.5.12",
    "PBES1": "1.2.840.113549.1.5.10",
    "PKCS#12": "1.2.840.113549.1.12.1.3",
    "scrypt": "1.3.6.1.4.1.11591.4.11",
}


def _number(value: int) -> bytes:
    return asn1.wrap(asn1.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _derivation(oid: str, rounds: int) -> bytes:
    return asn1.wrap(asn1.SEQUENCE, asn1.oid(oid), asn1.wrap(asn1.SEQUENCE, _SALT, _number(rounds)))


def _pfx(*, mac_rounds: int | None = None, inside: bytes = b"") -> bytes:
    """Return what a PKCS#12 file consists of, as far as it says how it is to be opened."""
    safe = asn1.wrap(asn1.SEQUENCE, _DATA, asn1.wrap(0xA0, asn1.wrap(asn1.OCTET_STRING, inside)))
    digest = asn1.wrap(asn1.SEQUENCE, asn1.wrap(asn1.SEQUENCE, asn1.oid("1.3.14.3.2.26")), _SALT)
    mac = [] if mac_rounds is None else [asn1.wrap(asn1.SEQUENCE, digest, _SALT, _number(mac_rounds))]
    return asn1.wrap(asn1.SEQUENCE, _number(3), safe, *mac)


@pytest.mark.parametrize(
    "data",
    [
        _pfx(mac_rounds=2**31),
        _pfx(mac_rounds=2**31) + b"\n",
        _pfx(mac_rounds=2**2000),
        b"\x30\x80" + _pfx(mac_rounds=2**31)[2:] + b"\0\0",
        *(_pfx(inside=_derivation(oid, 2**31)) for oid in _ALGORITHMS.values()),
        _pfx(inside=_derivation(_ALGORITHMS["PBKDF2"], MOST_ROUNDS // 40) * 50),
    ],
    ids=["MAC", "bytes after it", "large", "indefinite", *_ALGORITHMS, "fifty keys"],
)
def test_a_key_file_that_would_take_hours_is_refused_before_it_is_opened(data: bytes) -> None:
    with pytest.raises(AccessRefused, match="would take hours") as refused:
        load_pkcs12(data, "secret", name="keys.signing")
    assert refused.value.where == "keys.signing"


@pytest.mark.parametrize("oid", _ALGORITHMS.values(), ids=_ALGORITHMS)
def test_an_encrypted_pem_key_is_read_likewise(oid: str) -> None:
    key = base64.encodebytes(asn1.wrap(asn1.SEQUENCE, _derivation(oid, 2**31), _SALT))
    pem = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + key + b"-----END ENCRYPTED PRIVATE KEY-----\n"
    with pytest.raises(AccessRefused, match="would take hours"):
        load_pem(pki.certificate_pem(Kind.SIGNER), pem, "secret", name="keys.signing")


def test_what_others_make_and_what_is_none_is_left_to_the_library() -> None:
    made = (pki.p12(Kind.SIGNER, PASSPHRASE), pki.key_pem(Kind.SIGNER, PASSPHRASE), _pfx(mac_rounds=1_000_000))
    for data in (*made, b"", b"\x30", b"\x30\x84", _pfx(), _derivation(_ALGORITHMS["scrypt"], 1)[:-3]):
        require_few_rounds(data, name="keys.signing")

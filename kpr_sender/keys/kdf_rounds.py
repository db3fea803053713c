"""How often a key file wants a passphrase hashed before it can be opened, read without hashing anything."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from kpr_sender.cms import asn1
from kpr_sender.cms.asn1 import BerError
from kpr_sender.errors import AccessRefused
from kpr_sender.texts import Text

MOST_ROUNDS: Final = 10_000_000
"""Of all that a file asks for, together: some seconds. OpenSSL writes 2,048, Java 10,000, others up to a million."""

_BEFORE_ROUNDS: Final = re.compile(
    b"|".join(
        re.escape(bytes.fromhex(oid))
        for oid in (
            "06092a864886f70d01050c",  # PBKDF2, for PBES2 and PBMAC1 (RFC 8018)
            *(f"06092a864886f70d0105{last:02x}" for last in (1, 3, 4, 6, 10, 11)),  # PBES1
            *(f"060a2a864886f70d010c01{last:02x}" for last in range(1, 7)),  # PKCS#12's own (RFC 7292, appendix C)
            "06092b06010401da47040b",  # scrypt (RFC 7914): its N stands where the others have their rounds
        )
    )
)
"""Followed in each by a salt and the number, in a SEQUENCE."""
_PEM_KEY: Final = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----([A-Za-z0-9+/=\s]*)")
_LONG_FORM: Final = 0x80
_MAX_ELEMENTS: Final = 10_000
_MAX_DEPTH: Final = 20
_MAC_PARTS: Final = 3
"""What a PFX has, and its MacData, where the rounds of a MAC are said (RFC 7292 4)."""


def require_few_rounds(data: bytes, *, name: str) -> None:
    """Refuse a key file that nobody could open in a reasonable time: the library that opens it knows no bound.

    Args:
        data: PKCS#12, or a private key in PEM.
        name: The file or configuration key, for messages.

    Raises:
        AccessRefused: It asks for too many rounds.
    """
    for key in _PEM_KEY.findall(data):
        with suppress(ValueError):
            data += base64.b64decode(key)
    rounds = sum(_derived(data)) + _of_mac(data)
    if rounds > MOST_ROUNDS:
        raise AccessRefused(
            Text(
                "The file wants its passphrase hashed more than {most_rounds:,} times, which would take hours.",
                most_rounds=MOST_ROUNDS,
            ),
            where=name,
            next_step=Text("Export the key anew; kpr-sender takes what openssl pkcs12 -export or pkcs8 -topk8 makes."),
        )


def _derived(data: bytes) -> Iterator[int]:
    """Yield what each algorithm that derives a key from the passphrase is told."""
    for match in _BEFORE_ROUNDS.finditer(data):
        with suppress(IndexError):  # it ends before
            parameters, _ = _header(data, match.end())
            salt, length = _header(data, parameters)
            number, length = _header(data, salt + length)
            yield int.from_bytes(data[number : number + length], "big")


def _header(data: bytes, at: int) -> tuple[int, int]:
    """Return where an element's content begins, and its length."""
    first = data[at + 1]
    octets = first & ~_LONG_FORM if first & _LONG_FORM else 0
    length = int.from_bytes(data[at + 2 : at + 2 + octets], "big") if octets else first & ~_LONG_FORM
    return at + 2 + octets, length


def _of_mac(data: bytes) -> int:
    """Return what the MAC of a PKCS#12 file is told; 0 where there is none."""
    with suppress(BerError, IndexError):
        content, length = _header(data, 0)
        whole = memoryview(data)[: content + length] if length else memoryview(data)  # 0 where it is indefinite
        parts = asn1.read(whole, max_elements=_MAX_ELEMENTS, max_depth=_MAX_DEPTH).children()
        mac = parts[2].children() if len(parts) == _MAC_PARTS else []
        return int.from_bytes(mac[2].content, "big") if len(mac) == _MAC_PARTS else 0
    return 0

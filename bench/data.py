"""``python -m bench.data``: the keys and files that sealing and opening are measured with, in .cache/bench."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.measure import DATA
from kpr_sender.cms.write import seal, sealed_length
from kpr_sender.keys.files import load_pkcs12
from kpr_sender.sandbox.pki import Pki, ensure_pki

_SIZES: Final = {"tiny": 1_000, "20mb": 20_000_000, "50mb": 50_000_000, "200mb": 200_000_000}  # bytes
_TO_OPEN: Final = ("tiny", "50mb")
_CHUNK: Final = 1 << 18
_OWNERS: Final = ("kommune-signing", "fhi-encryption")


def _content(length: int) -> Iterator[bytes]:
    """Yield XML of exactly ``length`` bytes: small elements, as a fagmelding has."""
    head, tail = b"<fagmelding>", b"</fagmelding>"
    element = b'<tjeneste kode="15" start="2024-01-01" slutt="2024-12-31"/>\n'
    left = length - len(head) - len(tail)
    block = element * (_CHUNK // len(element))
    yield head
    while left >= len(block):
        yield block
        left -= len(block)
    yield element * (left // len(element)) + b" " * (left % len(element))
    yield tail


def main() -> None:
    """Make what is not there yet."""
    pki = ensure_pki(DATA, now=datetime.now(UTC))
    for owner in _OWNERS:
        # openssl takes the same key as an open PEM file.
        key = load_pkcs12(pki.pkcs12(owner), pki.passphrase(), name=owner).private_key
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = DATA / f"{owner}.key.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem)
    for name, length in _SIZES.items():
        plain = DATA / f"{name}.xml"
        if not plain.exists() or plain.stat().st_size != length:
            with plain.open("wb") as file:
                file.writelines(_content(length))
        if name in _TO_OPEN:
            _seal(plain, DATA / f"{name}.p7m", pki)


def _seal(plain: Path, sealed: Path, pki: Pki) -> None:
    """Always anew: the keys may be new."""
    signer = load_pkcs12(pki.pkcs12("kommune-signing"), pki.passphrase(), name="signing")
    recipient = pki.certificate("fhi-encryption")
    length = plain.stat().st_size
    with plain.open("rb") as file, sealed.open("wb") as target:
        target.writelines(seal(iter(lambda: file.read(_CHUNK), b""), length, signer=signer, recipient=recipient))
    if sealed.stat().st_size != sealed_length(length, signer, recipient):
        message = f"{sealed} has not the length that was foretold"
        raise ValueError(message)


if __name__ == "__main__":
    main()

"""``python -m bench.protect seal|open``: our side, from standard input to standard output, as openssl's works."""

from __future__ import annotations

import sys
from typing import Final

from bench.measure import DATA
from kpr_sender.cms.certificates import load_certificate
from kpr_sender.cms.read import Policy, open_sealed
from kpr_sender.cms.write import seal
from kpr_sender.keys.files import load_pem

_CHUNK: Final = 1 << 18
_LARGEST: Final = 1 << 30


def _seal() -> None:
    signing = DATA / "pki" / "kommune-signing.pem"
    key = DATA / "kommune-signing.key.pem"
    signer = load_pem(signing.read_bytes(), key.read_bytes(), None, name=signing.name)
    recipient = load_certificate((DATA / "pki" / "fhi-encryption.pem").read_bytes(), "recipient")
    source = sys.stdin.buffer
    length = source.seek(0, 2)
    source.seek(0)
    chunks = iter(lambda: source.read(_CHUNK), b"")
    sys.stdout.buffer.writelines(seal(chunks, length, signer=signer, recipient=recipient))


def _open() -> None:
    encryption = DATA / "pki" / "fhi-encryption.pem"
    key = DATA / "fhi-encryption.key.pem"
    decrypter = load_pem(encryption.read_bytes(), key.read_bytes(), None, name=encryption.name)
    sender = load_certificate((DATA / "pki" / "kommune-signing.pem").read_bytes(), "sender")
    sealed = sys.stdin.buffer.read()
    opened = open_sealed(sealed, decrypters=[decrypter], signers=[sender], policy=Policy(max_bytes=_LARGEST))
    sys.stdout.buffer.write(opened.content)


if __name__ == "__main__":
    {"seal": _seal, "open": _open}[sys.argv[1]]()

"""What is inside a sealed payload, whichever form its sender gave it: bare XML, a MIME part, gzip, SignedData.

HITS 1172 5.15.1 has a MIME part; real messages have the XML itself, NAV's some gzip. The envelope's signature is over
the sealed bytes, so that nothing here needs another one; where there is SignedData inside, it must hold as well.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from cryptography.x509 import Certificate

from kpr_sender.cms.algorithms import Policy
from kpr_sender.cms.port import Decrypter, Malformed
from kpr_sender.cms.read import decrypt
from kpr_sender.cms.read_signed import verify
from kpr_sender.ebxml.read_mail import part_of
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.texts import Text

_SEQUENCE: Final = b"\x30"
_GZIP: Final = b"\x1f\x8b"
_XML: Final = (b"<", b"\xef\xbb\xbf<", b"\xff\xfe", b"\xfe\xff")
_WITH_HEADER: Final = 31  # zlib's window bits for gzip
_MOST_LAYERS: Final = 4


def open_payload(
    sealed: bytes, *, decrypters: Sequence[Decrypter], signers: Sequence[Certificate], policy: Policy
) -> bytes:
    """Decrypt a payload and return the document in it. The envelope must have been verified before.

    Args:
        sealed: ``PayloadMessage.payload``.
        decrypters: Our keys.
        signers: What the sender may sign with, where there is SignedData inside.
        policy: Bounds, on what is unpacked as on what is sealed.

    Raises:
        ProtectionRefused: It cannot be opened, or the SignedData inside does not hold; ``Malformed`` where what is
            inside has no form that is known, or is beyond the bounds.
    """
    content = bytes(decrypt(sealed, decrypters=decrypters, policy=policy))
    try:
        return _document(content, signers, policy)
    except MessageRefused as error:
        raise Malformed(error.reason) from None


def _document(content: bytes, signers: Sequence[Certificate], policy: Policy) -> bytes:
    for _ in range(_MOST_LAYERS):
        if content.lstrip(b" \t\r\n").startswith(_XML):
            return content
        if content.startswith(_SEQUENCE):
            content = verify(content, signers=signers, policy=policy).content
        elif content.startswith(_GZIP):
            content = _unpacked(content, policy.max_bytes)
        else:
            content = part_of(content)
    raise MessageRefused(Text("its content is packed in too many layers"))


def _unpacked(content: bytes, max_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(_WITH_HEADER)
    try:
        unpacked = unpacker.decompress(content, max_bytes)
    except zlib.error:
        raise MessageRefused(Text("its content is damaged: it cannot be unpacked")) from None
    if not unpacker.eof:
        raise MessageRefused(Text("its content is damaged, or larger than {max_bytes} bytes", max_bytes=max_bytes))
    return unpacked

"""What is inside a sealed payload is found in every form that is known, and nothing is unpacked without bounds."""

from __future__ import annotations

import base64
import gzip
from typing import Final

import pytest

from kpr_sender.cms.algorithms import Policy
from kpr_sender.cms.port import CannotOpen, Malformed, NotForUs, SignatureRefused
from kpr_sender.cms.write import encrypt, signed_data
from kpr_sender.ebxml.content import open_payload
from tests.ebxml.samples import CONTENT
from tests.helpers import pki
from tests.helpers.pki import Kind

_MIME: Final = b"Content-Type: application/xml\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(
    CONTENT
)


def _gzipped(content: bytes) -> bytes:
    """The same bytes whenever it is: they stand in the names of the tests, which all workers must find alike."""
    return gzip.compress(content, mtime=0)


def sealed(content: bytes) -> bytes:
    return b"".join(map(bytes, encrypt([content], len(content), recipient=pki.certificate(Kind.ENCRYPTION))))


def signed(content: bytes) -> bytes:
    return b"".join(signed_data([content], len(content), pki.key_pair(Kind.RECEIVER_SIGNER)))


def opened(content: bytes, *, by: Kind = Kind.ENCRYPTION, signer: Kind = Kind.RECEIVER_SIGNER) -> bytes:
    return open_payload(
        sealed(content),
        decrypters=[pki.key_pair(by)],
        signers=[pki.certificate(signer)],
        policy=Policy(max_bytes=1_000_000),
    )


def test_every_form_that_is_known_is_opened() -> None:
    for content in (
        CONTENT,
        _MIME,
        _gzipped(CONTENT),
        signed(CONTENT),
        signed(_MIME),
        b"Content-Type: application/xml\nContent-Transfer-Encoding: binary\n\n" + _gzipped(CONTENT),
    ):
        assert opened(content) == CONTENT


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"Hei", "neither XML nor a MIME part"),
        (b"", "neither XML nor a MIME part"),
        (b"Content-Type: a/b\nContent-Transfer-Encoding: base64\n\n****", "base64 of one of its parts is damaged"),
        (_gzipped(b"<" * 2_000_000), "larger than 1000000 bytes"),
        (_gzipped(CONTENT)[:-9], "is damaged"),
        (b"\x1f\x8b" + bytes(20), "cannot be unpacked"),
        (_gzipped(_gzipped(_gzipped(_gzipped(CONTENT)))), "too many layers"),
    ],
)
def test_what_has_no_form_or_no_bounds_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        opened(content)


def test_a_signature_inside_must_hold_and_only_our_key_opens() -> None:
    with pytest.raises(CannotOpen):
        opened(signed(CONTENT)[:-9] + bytes(9))
    with pytest.raises(SignatureRefused):
        opened(signed(CONTENT), signer=Kind.STRANGER)
    with pytest.raises(NotForUs):
        opened(CONTENT, by=Kind.NEXT_ENCRYPTION)

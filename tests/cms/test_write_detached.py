"""A signature beside what it is over: openssl verifies it, and so does our own reader, which says who signed."""

from __future__ import annotations

import dataclasses
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.cms.algorithms import Policy
from kpr_sender.cms.port import CannotOpen, ProtectionRefused
from kpr_sender.cms.read_signed import verify_detached
from kpr_sender.cms.write import detached_signature, signed_data
from kpr_sender.errors import AccessRefused
from tests.helpers import pki
from tests.helpers.pki import Kind

_AT = datetime(2025, 1, 10, 12, 30, 15, tzinfo=UTC)
_CONTENT = b"1a  index.html\n"  # begins like a SET, as a digest may
_POLICY = Policy()


@pytest.fixture(scope="module")
def signature() -> bytes:
    return detached_signature(_CONTENT, pki.key_pair(Kind.SIGNER), at=_AT)


def test_openssl_verifies_it_up_to_the_root(tmp_path: Path, signature: bytes) -> None:
    (tmp_path / "content").write_bytes(_CONTENT)
    (tmp_path / "signature").write_bytes(signature)
    (tmp_path / "roots.pem").write_bytes(
        b"".join(one.public_bytes(Encoding.PEM) for one in (pki.root(), pki.issuing_ca()))
    )
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "signature", "-content", "content"]
    sound = subprocess.run(
        [*command, "-CAfile", "roots.pem", "-purpose", "any", "-out", "out"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert sound.returncode == 0, sound.stderr
    assert (tmp_path / "out").read_bytes() == _CONTENT
    (tmp_path / "content").write_bytes(_CONTENT + b"\n")
    assert (
        subprocess.run(
            [*command, "-noverify", "-out", "out"], cwd=tmp_path, capture_output=True, check=False
        ).returncode
        != 0
    )


def test_our_reader_says_who_signed_and_when(signature: bytes) -> None:
    found = verify_detached(signature, _CONTENT, policy=_POLICY)
    assert (found.signer, found.signed_at) == (pki.key_pair(Kind.SIGNER).certificate, _AT)
    with pytest.raises(CannotOpen):
        verify_detached(signature, _CONTENT[:-1], policy=_POLICY)


def test_an_altered_signature_is_refused_or_says_the_same(signature: bytes) -> None:
    """What is left to alter is what no signature here is over: who issued the certificate is for its path to prove."""
    ours = pki.key_pair(Kind.SIGNER).certificate.public_key()
    refused = 0
    for at in range(0, len(signature), 7):
        altered = bytearray(signature)
        altered[at] ^= 0x41
        try:
            found = verify_detached(bytes(altered), _CONTENT, policy=_POLICY)
        except ProtectionRefused:
            refused += 1
        else:
            assert (found.signer.public_key(), found.signed_at) == (ours, _AT)
    assert refused > len(signature) // 7 // 2


def test_content_inside_is_no_signature_beside_it() -> None:
    inside = b"".join(signed_data([_CONTENT], len(_CONTENT), pki.key_pair(Kind.SIGNER)))
    with pytest.raises(ProtectionRefused):
        verify_detached(inside, _CONTENT, policy=_POLICY)
    for data in (b"", b"\x30\x00", b"no signature", inside[:100]):
        with pytest.raises(ProtectionRefused):
            verify_detached(data, _CONTENT, policy=_POLICY)


def test_a_key_that_is_not_its_certificates_signs_nothing() -> None:
    other = dataclasses.replace(pki.key_pair(Kind.SIGNER), private_key=pki.key_pair(Kind.STRANGER).private_key)
    with pytest.raises(AccessRefused, match="does not belong"):
        detached_signature(_CONTENT, other, at=_AT)

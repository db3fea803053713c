"""Sealing: what comes out opens to what went in, is as long as was said, and costs little."""

from __future__ import annotations

import hashlib
import io
import itertools
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates
from cryptography.x509 import Certificate
from hypothesis import given, settings
from hypothesis import strategies as st

from kpr_sender.cms.port import NotForUs, Signer
from kpr_sender.cms.read import Policy, open_sealed
from kpr_sender.cms.write import seal, sealed_length
from kpr_sender.errors import AccessRefused
from kpr_sender.keys.files import KeyPair
from tests.helpers import cms, pki
from tests.helpers.pki import Kind

SIGNER = Kind.SIGNER
RECIPIENT = Kind.ENCRYPTION


def sealed_of(chunks: list[bytes], signer: Signer, recipient: Certificate) -> bytes:
    return b"".join(map(bytes, seal(chunks, sum(map(len, chunks)), signer=signer, recipient=recipient)))


def cut(content: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(content), *(each % (len(content) + 1) for each in cuts)})
    return [content[start:end] for start, end in itertools.pairwise(edges)]


@settings(deadline=None)
@given(content=st.binary(max_size=5000).map(lambda tail: b"<" + tail), cuts=st.lists(st.integers(0, 5000), max_size=12))
def test_whatever_the_content_and_its_chunks_it_opens_to_the_same(content: bytes, cuts: list[int]) -> None:
    signer, recipient = pki.key_pair(SIGNER), pki.key_pair(RECIPIENT)
    sealed = sealed_of(cut(content, cuts), signer, recipient.certificate)
    assert len(sealed) == sealed_length(len(content), signer, recipient.certificate)
    opened = open_sealed(sealed, decrypters=[recipient], signers=[signer.certificate], policy=Policy())
    assert opened.content == content


@pytest.mark.parametrize("chunk_bytes", [1000, 65_536, 524_287, 524_288, 524_289, 3_000_000])
def test_large_content_opens_to_the_same_however_it_is_chunked(
    chunk_bytes: int, signer: KeyPair, decrypter: KeyPair
) -> None:
    content = (b"<a>0123456789</a>\n" * 200_000)[:3_000_000]
    chunks = [content[start : start + chunk_bytes] for start in range(0, len(content), chunk_bytes)]
    sealed = sealed_of(chunks, signer, decrypter.certificate)
    assert len(sealed) == sealed_length(len(content), signer, decrypter.certificate)
    opened = open_sealed(sealed, decrypters=[decrypter], signers=[signer.certificate], policy=Policy())
    assert opened.content == content


@pytest.mark.parametrize("length", [1, 15, 16, 100, 127, 128, 255, 256, 65_535, 65_536, 16_777_215, 200_000_000, 2**32])
def test_the_length_is_known_before_anything_is_written(length: int, signer: KeyPair, decrypter: KeyPair) -> None:
    overhead = sealed_length(length, signer, decrypter.certificate) - length
    assert 1500 < overhead < 3500


def test_two_sealings_of_the_same_content_have_no_key_in_common(signer: KeyPair, decrypter: KeyPair) -> None:
    first, second = (sealed_of([b"<a/>"], signer, decrypter.certificate) for _ in range(2))
    assert first[-1000:] != second[-1000:]


def test_key_and_initialisation_vector_are_what_the_caller_s_randomness_gives(
    signer: KeyPair, decrypter: KeyPair
) -> None:
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return bytes(count)

    sealed = b"".join(map(bytes, seal([b"<a/>"], 4, signer=signer, recipient=decrypter.certificate, random=random)))
    assert asked == [32, 16]
    opened = open_sealed(sealed, decrypters=[decrypter], signers=[signer.certificate], policy=Policy())
    assert opened.content == b"<a/>"


def test_signer_and_intermediates_are_embedded_in_der_order_and_the_root_is_not(signer: KeyPair) -> None:
    encoded = [each.public_bytes(Encoding.DER) for each in load_der_pkcs7_certificates(cms.signed(b"<a/>", signer))]
    expected = [signer.certificate, pki.issuing_ca()]
    assert encoded == sorted(each.public_bytes(Encoding.DER) for each in expected)


@pytest.mark.parametrize(
    ("chunks", "said", "text"),
    [
        ([b"<a/>"], 5, "1 bytes shorter"),
        ([b"<a/>"], 3, "longer than the 3"),
        ([b"<", b"a/>" * 400_000], 1_000_000, "longer than the 1000000"),
        ([], 4, "4 bytes shorter"),
        ([], 0, "empty"),
        ([b"<a/>"], -4, "empty"),
    ],
)
def test_chunks_that_do_not_add_up_are_refused(
    chunks: list[bytes], said: int, text: str, signer: KeyPair, decrypter: KeyPair
) -> None:
    out = io.BytesIO()
    with pytest.raises(ValueError, match=text):
        out.writelines(seal(chunks, said, signer=signer, recipient=decrypter.certificate))
    assert out.tell() < 2_000_000


class Broken(Exception):
    """Raised by the tests' own chunks and readers."""


def test_hashing_that_is_slower_than_ciphering_holds_the_chunks_back(
    signer: KeyPair, decrypter: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor without SHA instructions must not make the memory grow with the file."""
    far_ahead = threading.Event()
    ran_ahead: list[bool] = []

    class SlowHash:
        def __init__(self) -> None:
            self._digest = hashlib.sha256()

        def update(self, piece: memoryview) -> None:
            if not ran_ahead:
                ran_ahead.append(far_ahead.wait(0.3))
            self._digest.update(piece)

        def digest(self) -> bytes:
            return self._digest.digest()

    def chunks() -> Iterator[bytes]:
        for number in range(10):
            if number == 8:
                far_ahead.set()
            yield b"<" * 524_288

    monkeypatch.setattr("kpr_sender.cms.write.hashlib", types.SimpleNamespace(sha256=SlowHash))
    for _ in seal(chunks(), 5_242_880, signer=signer, recipient=decrypter.certificate):
        pass
    assert ran_ahead == [False]


def test_chunks_that_break_leave_no_thread_behind(signer: KeyPair, decrypter: KeyPair) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"<" * 1_000_000
        raise Broken

    with pytest.raises(Broken):
        sum(map(len, seal(chunks(), 2_000_000, signer=signer, recipient=decrypter.certificate)))
    assert not sealing_threads()


def test_a_reader_that_breaks_leaves_no_thread_behind(signer: KeyPair, decrypter: KeyPair) -> None:
    read = 0

    def take(chunk: bytes | memoryview) -> None:
        nonlocal read
        read += len(chunk)
        if read > 1_000_000:
            assert sealing_threads()
            raise Broken

    chunks = (b"<" * 500_000 for _ in range(10))
    with pytest.raises(Broken):
        list(map(take, seal(chunks, 5_000_000, signer=signer, recipient=decrypter.certificate)))
    assert not sealing_threads()


def test_a_chunk_that_is_used_after_the_next_was_asked_for_is_an_error_not_other_bytes(
    signer: KeyPair, decrypter: KeyPair
) -> None:
    with pytest.raises(TypeError):
        b"".join(seal([b"<a/>"], 4, signer=signer, recipient=decrypter.certificate))
    _, early, *_ = seal([b"<a/>"], 4, signer=signer, recipient=decrypter.certificate)
    with pytest.raises(ValueError, match="released"):
        bytes(early)


@pytest.mark.parametrize("chunks_read", range(7))
def test_sealing_that_is_abandoned_anywhere_leaves_no_thread_behind(
    chunks_read: int, signer: KeyPair, decrypter: KeyPair
) -> None:
    chunks = iter([b"<" * 500_000] * 3)
    sealed = seal(chunks, 1_500_000, signer=signer, recipient=decrypter.certificate)
    for _ in range(chunks_read):
        next(sealed)
    assert bool(sealing_threads()) == (3 <= chunks_read <= 5)
    del sealed
    assert not sealing_threads()


def sealing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("kpr-seal")]


@pytest.mark.parametrize(
    ("kind", "text"),
    [(Kind.RSA_1024, "1024 bits; at least 2048"), (Kind.EC, "only RSA")],
)
def test_a_recipient_that_is_too_weak_or_no_rsa_is_refused_before_anything_is_written(
    kind: Kind, text: str, signer: KeyPair
) -> None:
    with pytest.raises(AccessRefused, match=text) as refused:
        next(seal([b"<a/>"], 4, signer=signer, recipient=pki.certificate(kind)))
    assert refused.value.where == "the receiver's encryption certificate"
    with pytest.raises(AccessRefused, match=text):
        sealed_length(4, signer, pki.certificate(kind))


class Hsm:
    """A signer whose key lies elsewhere; it may hold another key than its certificate says."""

    def __init__(self, certificate: Certificate, key: KeyPair) -> None:
        self.certificate = certificate
        self.chain: tuple[Certificate, ...] = ()
        self._software = key

    def sign_digest(self, digest: bytes) -> bytes:
        return self._software.sign_digest(digest)


@pytest.mark.parametrize(
    ("kind", "text"),
    [(Kind.RSA_1024, "1024 bits; at least 2048"), (Kind.EC, "only RSA")],
)
def test_a_signer_that_is_too_weak_or_no_rsa_is_refused(kind: Kind, text: str, decrypter: KeyPair) -> None:
    weak = Hsm(pki.certificate(kind), pki.key_pair(SIGNER))
    with pytest.raises(AccessRefused, match=text):
        next(seal([b"<a/>"], 4, signer=weak, recipient=decrypter.certificate))


def test_any_signer_that_keeps_the_protocol_will_do(decrypter: KeyPair) -> None:
    signer = Hsm(pki.certificate(Kind.RSA_3072), pki.key_pair(Kind.RSA_3072))
    sealed = sealed_of([b"<a/>"], signer, decrypter.certificate)
    assert len(sealed) == sealed_length(4, signer, decrypter.certificate)
    opened = open_sealed(sealed, decrypters=[decrypter], signers=[signer.certificate], policy=Policy())
    assert opened.signer == signer.certificate


def test_a_signer_that_holds_another_key_than_its_certificate_s_is_found_out(decrypter: KeyPair) -> None:
    mixed_up = Hsm(pki.certificate(SIGNER), pki.key_pair(Kind.STRANGER))
    with pytest.raises(AccessRefused, match="does not belong to its certificate"):
        sealed_of([b"<a/>"], mixed_up, decrypter.certificate)


def test_nobody_else_can_open_it(signer: KeyPair, decrypter: KeyPair) -> None:
    sealed = sealed_of([b"<a/>"], signer, decrypter.certificate)
    other = pki.key_pair(Kind.NEXT_ENCRYPTION)
    with pytest.raises(NotForUs):
        open_sealed(sealed, decrypters=[other], signers=[signer.certificate], policy=Policy())


MEMORY = """
import resource, sys
from kpr_sender.keys.files import KeyPair, load_pem
from kpr_sender.cms.certificates import load_certificate
from kpr_sender.cms.write import seal
from pathlib import Path

folder = Path(sys.argv[1])
pair = load_pem((folder / "signer.pem").read_bytes(), (folder / "signer.key").read_bytes(), None, name="signer")
recipient = load_certificate((folder / "recipient.pem").read_bytes(), "recipient")
chunk = b"<a>0123456789</a>" * 4000

def chunks(length):
    while length:
        part = chunk[:length]
        length -= len(part)
        yield part

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def run(length):
    sum(map(len, seal(chunks(length), length, signer=pair, recipient=recipient)))

run(1000)
before = peak()
run(200_000_000)
print((peak() - before) / 1024)
"""


def test_200_megabytes_are_sealed_in_a_few_megabytes_of_memory(tmp_path: Path) -> None:

    (tmp_path / "signer.pem").write_bytes(pki.certificate_pem(SIGNER))
    (tmp_path / "signer.key").write_bytes(pki.key_pem(SIGNER))
    (tmp_path / "recipient.pem").write_bytes(pki.certificate_pem(RECIPIENT))
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert float(done.stdout) < 30, "MB of growth; 60 is the promise"

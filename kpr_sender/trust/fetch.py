"""The issuers of certificates: asked whether one is revoked, by OCSP and CRL. What they answer is kept while it counts.

The rules:

1. What somebody has laid into the folder for CRLs comes first: there nothing is fetched.
2. Then OCSP, which is small, then the CRL. The first answer that counts decides; one that does not is no answer.
3. An answer is kept in a folder until its nextUpdate, and judged again each time it is used: the folder needs no trust.
4. Only addresses in a certificate whose path holds are asked; the caller sees to that.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from kpr_sender.trust import ocsp
from kpr_sender.trust.revocation import Standing, Verdict, judge_crl, no_answer, sources

# One question over plain HTTP, within a size and a time. For what is signed itself: CRLs and OCSP answers.
#
# No redirect is followed, no proxy is taken from the environment, no connection is kept.

_PORT: Final = 80
_PIECE: Final = 1 << 16
_MOST_HEAD: Final = 1 << 16


class Unreachable(Exception):
    """No answer that can be used; the text says why."""


def fetch(address: str, *, most: int, seconds: float, question: bytes | None = None, content_type: str = "") -> bytes:
    """Return what lies at an address.

    Args:
        address: ``http://host[:port]/path``.
        most: The most bytes that are taken.
        seconds: The longest time for all of it, but for the name's look-up.
        question: What to POST; a GET without it.
        content_type: The question's.

    Raises:
        Unreachable: No connection, no answer in time, too large, cut off, or another status than 200.
    """
    split = _split(address)
    try:
        answer = _exchange(split, _request(split, question, content_type), most + _MOST_HEAD, seconds)
    except TimeoutError:
        raise Unreachable(f"no answer in {seconds:g} seconds") from None
    except OSError as error:
        raise Unreachable(f"no connection: {error.strerror or 'the host is not known'}") from None
    response = http.client.HTTPResponse(_Received(answer))  # type: ignore[arg-type]  # makefile is all it asks for
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ValueError):
        raise Unreachable("the answer is cut off or no HTTP") from None
    if response.status != http.client.OK:
        raise Unreachable(f"the server says {response.status}")
    if len(body) > most:
        raise Unreachable(f"the answer is larger than {most:,} bytes")
    return body


class _Received:
    """An answer that is here already, for the standard library's reader."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _split(address: str) -> SplitResult:
    try:
        split = urlsplit(address)
        port = split.port
    except ValueError:
        raise Unreachable("the address cannot be read") from None
    if split.scheme != "http" or not split.hostname or split.username is not None or port == 0:
        raise Unreachable("the address is not plain http")
    if not all("!" <= letter <= "~" for letter in address):
        raise Unreachable("the address cannot be read")
    return split


def _request(split: SplitResult, question: bytes | None, content_type: str) -> bytes:
    target = (split.path or "/") + (f"?{split.query}" if split.query else "")
    lines = [f"{'GET' if question is None else 'POST'} {target} HTTP/1.1", f"Host: {split.netloc}", "Connection: close"]
    if question is not None:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(question)}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (question or b"")


def _exchange(split: SplitResult, request: bytes, most: int, seconds: float) -> bytes:
    """Send and read to the end. The time is for all of it: a server that drips gets no more."""
    ends = time.monotonic() + seconds

    def left() -> float:
        remaining = ends - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining

    pieces: list[bytes] = []
    with socket.create_connection((split.hostname, split.port or _PORT), timeout=left()) as connection:
        connection.settimeout(left())
        connection.sendall(request)
        size = 0
        while size <= most:
            connection.settimeout(left())
            piece = connection.recv(_PIECE)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
    raise Unreachable("the answer is too large")


SECONDS: Final = 10.0
"""The longest time for one answer."""
MOST_CRL_BYTES: Final = 20_000_000
MOST_OCSP_BYTES: Final = 100_000
ASK_AGAIN: Final = timedelta(minutes=5)
"""How long it is remembered that nobody answered, so that each receipt does not wait anew."""

_OCSP_TYPE: Final = "application/ocsp-request"

_Judge = Callable[[bytes], Verdict]


@dataclass(frozen=True, slots=True)
class Issuers:
    """Asks issuers; one for the life of a client.

    Attributes:
        kept: Folder that answers are kept in; made where missing.
        laid_in: Folder with CRLs that somebody else fetches; None where there is none.
        seconds: The longest time for one answer.
    """

    kept: Path
    laid_in: Path | None = None
    seconds: float = SECONDS
    _known: dict[bytes, tuple[datetime, Verdict]] = field(default_factory=dict, repr=False)

    def standing(self, certificate: x509.Certificate, issuer: x509.Certificate, *, at: datetime) -> Verdict:
        """Return what the issuer says of a certificate; *unknown* with the reasons where no answer counts.

        Args:
            certificate: Which one is asked about.
            issuer: The certificate of who issued it; its path has been checked.
            at: When, with time zone.
        """
        key = certificate.fingerprint(SHA256())
        until, verdict = self._known.get(key, (at, no_answer("")))
        if at < until:
            return verdict
        verdict = self._asked(certificate, issuer, at)
        self._known[key] = (verdict.until or at + ASK_AGAIN, verdict)
        return verdict

    def _asked(self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> Verdict:
        reasons = []
        for where, verdict in self._answers(certificate, issuer, at):
            if verdict.standing is not Standing.UNKNOWN:
                return verdict
            reasons.append(f"{where}: {verdict.why}")
        return no_answer("; ".join(reasons) or "it names no http address for CRL or OCSP, and no CRL is laid in")

    def _answers(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> Iterator[tuple[str, Verdict]]:
        def by_crl(data: bytes) -> Verdict:
            return judge_crl(data, certificate, issuer, at=at)

        def by_ocsp(data: bytes) -> Verdict:
            return ocsp.judge(data, certificate, issuer, at=at)

        yield from self._laid_in(by_crl)
        named = sources(certificate)
        for address in named.ocsp:
            question = ocsp.request(certificate, issuer)
            yield f"OCSP {address}", self._kept_or_fetched(address, by_ocsp, MOST_OCSP_BYTES, question)
        for address in named.crls:
            yield f"CRL {address}", self._kept_or_fetched(address, by_crl, MOST_CRL_BYTES)

    def _laid_in(self, judge: _Judge) -> Iterator[tuple[str, Verdict]]:
        if self.laid_in is None:
            return
        try:
            files = sorted(path for path in self.laid_in.iterdir() if path.is_file())
        except OSError as error:
            yield str(self.laid_in), no_answer(f"cannot be read ({error.strerror})")
            return
        for path in files:
            data = _read(path)
            yield path.name, no_answer("cannot be read") if data is None else judge(data)

    def _kept_or_fetched(self, address: str, judge: _Judge, most: int, question: bytes | None = None) -> Verdict:
        path = self.kept / hashlib.sha256(address.encode() + b"\0" + (question or b"")).hexdigest()
        data = _read(path)
        if data is not None and (verdict := judge(data)).standing is not Standing.UNKNOWN:
            return verdict
        try:
            data = fetch(address, most=most, seconds=self.seconds, question=question, content_type=_OCSP_TYPE)
        except Unreachable as error:
            return no_answer(str(error))
        verdict = judge(data)
        if verdict.standing is not Standing.UNKNOWN and verdict.until is not None:
            self._keep(path, data)
        return verdict

    def _keep(self, path: Path, data: bytes) -> None:
        """Write whole or not at all. Where it cannot be kept it is fetched again, which is no reason to stop."""
        with contextlib.suppress(OSError):
            self.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self.kept)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                Path(name).replace(path)
            except OSError:
                Path(name).unlink(missing_ok=True)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None

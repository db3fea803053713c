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
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from kpr_sender.protection import ocsp
from kpr_sender.protection.revocation import Standing, Verdict, judge_crl, no_answer, sources
from kpr_sender.registry.plain_http import Unreachable, fetch

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

"""Asks the issuers of certificates whether one is revoked, by OCSP and CRL, and stores their answers while they count.

The rules:

1. CRLs in the folder that somebody else fills come first: where one counts, nothing is fetched.
2. Then OCSP, which is small, then the CRL. The first answer that counts decides; one that does not is no answer.
3. An answer is stored until its nextUpdate, and evaluated again each time it is used: the folder needs no trust.
4. Only addresses in a certificate whose path is valid are asked; the caller sees to that.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from kpr_sender.deadline import Stopped, never
from kpr_sender.durable import write_file
from kpr_sender.errors import RegistryUnreachable
from kpr_sender.http_client import BrokenOff, HttpClient, NoAnswer
from kpr_sender.texts import Text, quoted, said
from kpr_sender.trust.revocation import (
    RevocationAnswer,
    RevocationStatus,
    evaluate_crl,
    evaluate_ocsp,
    no_answer,
    ocsp_request,
    sources,
)

SECONDS: Final = 10.0
"""The longest time for one answer."""
MOST_CRL_BYTES: Final = 20_000_000
MOST_OCSP_BYTES: Final = 100_000
ASK_AGAIN: Final = timedelta(minutes=5)
"""How long no issuer is asked again after none answered, so that each receipt does not wait anew."""

_OCSP_HEADERS: Final = {"Content-Type": "application/ocsp-request"}

_Evaluate = Callable[[bytes], RevocationAnswer]


def fetch(address: str, *, most: int, seconds: float, question: bytes | None = None, stopped: Stopped = never) -> bytes:
    """Return the CRL, or the answer to an OCSP question, at an address. Plain HTTP does: both are signed.

    Raises:
        NoAnswer: It is not there, or cannot be had within the bounds; ``BrokenOff`` where the run was stopped.
    """
    _check_address(address)
    with HttpClient(seconds=seconds, max_bytes=most, stopped=stopped) as client:
        answer = client.ask(address, question, None if question is None else _OCSP_HEADERS)
    if answer.status != HTTPStatus.OK:
        raise NoAnswer(Text("the server says {status}", status=answer.status))
    return answer.body


def _check_address(address: str) -> None:
    try:
        split = urlsplit(address)
        port = split.port
    except ValueError:
        raise NoAnswer(Text("the address cannot be read")) from None
    if split.scheme != "http" or not split.hostname or split.username is not None or port == 0:
        raise NoAnswer(Text("the address is not plain http"))
    if not all("!" <= letter <= "~" for letter in address):
        raise NoAnswer(Text("the address cannot be read"))


@dataclass(frozen=True, slots=True)
class Issuers:
    """Asks issuers; one for the life of a client.

    Attributes:
        stored: Folder for their answers; made where missing.
        crl_dir: Folder with CRLs that somebody else fetches; None where there is none.
        seconds: The longest time for one answer.
        stopped: Breaks the asking off within a second.
    """

    stored: Path
    crl_dir: Path | None = None
    seconds: float = SECONDS
    stopped: Stopped = never
    _known: dict[bytes, tuple[datetime, RevocationAnswer]] = field(default_factory=dict, repr=False)

    def revocation(self, certificate: x509.Certificate, issuer: x509.Certificate, *, at: datetime) -> RevocationAnswer:
        """Return what the issuer says of a certificate; *unknown* with the reasons where no answer counts.

        Raises:
            RegistryUnreachable: The run was stopped meanwhile: that says nothing about the certificate.
        """
        key = certificate.fingerprint(SHA256())
        until, answer = self._known.get(key, (at, no_answer("")))
        if at < until:
            return answer
        answer = self._ask(certificate, issuer, at)
        self._known[key] = (answer.until or at + ASK_AGAIN, answer)
        return answer

    def _ask(self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> RevocationAnswer:
        reasons = []
        for where, answer in self._answers(certificate, issuer, at):
            if answer.status is not RevocationStatus.UNKNOWN:
                return answer
            reasons.append(Text("{where}: {why}", where=where, why=answer.why))
        return no_answer(quoted(*reasons) or Text("it names no http address for CRL or OCSP, and no CRL is laid in"))

    def _answers(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> Iterator[tuple[str, RevocationAnswer]]:
        def by_crl(data: bytes) -> RevocationAnswer:
            return evaluate_crl(data, certificate, issuer, at=at)

        def by_ocsp(data: bytes) -> RevocationAnswer:
            return evaluate_ocsp(data, certificate, issuer, at=at)

        yield from self._from_crl_dir(by_crl)
        named = sources(certificate)
        for address in named.ocsp:
            try:
                question = ocsp_request(certificate, issuer)
            except ValueError:
                yield (
                    Text("OCSP {address}", address=address),
                    no_answer(Text("no question can be made about the certificate")),
                )
                continue
            yield (
                Text("OCSP {address}", address=address),
                self._stored_or_fetched(address, by_ocsp, MOST_OCSP_BYTES, question),
            )
        for address in named.crls:
            yield Text("CRL {address}", address=address), self._stored_or_fetched(address, by_crl, MOST_CRL_BYTES)

    def _from_crl_dir(self, evaluate: _Evaluate) -> Iterator[tuple[str, RevocationAnswer]]:
        if self.crl_dir is None:
            return
        try:
            files = sorted(path for path in self.crl_dir.iterdir() if path.is_file())
        except OSError as error:
            yield str(self.crl_dir), no_answer(Text("cannot be read ({reason})", reason=error.strerror))
            return
        for path in files:
            data = _read(path, MOST_CRL_BYTES)
            yield path.name, no_answer(Text("cannot be read, or is too large")) if data is None else evaluate(data)

    def _stored_or_fetched(
        self, address: str, evaluate: _Evaluate, most: int, question: bytes | None = None
    ) -> RevocationAnswer:
        path = self.stored / hashlib.sha256(address.encode() + b"\0" + (question or b"")).hexdigest()
        data = _read(path, most)
        if data is not None and (answer := evaluate(data)).status is not RevocationStatus.UNKNOWN:
            return answer
        try:
            data = fetch(address, most=most, seconds=self.seconds, question=question, stopped=self.stopped)
        except BrokenOff as error:
            raise RegistryUnreachable(
                Text("Whether a certificate is revoked is not known: {error}.", error=error), where=address
            ) from None
        except NoAnswer as error:
            return no_answer(said(error))
        answer = evaluate(data)
        if answer.status is not RevocationStatus.UNKNOWN and answer.until is not None:
            self._store(path, data)
        return answer

    def _store(self, path: Path, data: bytes) -> None:
        """Write completely or not at all. Where that fails it is fetched again, which is no reason to stop."""
        with contextlib.suppress(OSError):
            self.stored.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(path, data)


def _read(path: Path, most: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError:
        return None
    return data if len(data) <= most else None

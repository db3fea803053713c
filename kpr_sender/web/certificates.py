"""How long a municipality's certificates last, as far as that is known without asking anybody and without a key.

Runs look at all of them once a day and leave it in the metrics file; our own and FHI's are read where they are files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509

from kpr_sender.errors import KprError
from kpr_sender.model import Environment
from kpr_sender.notify.metrics_file import PrometheusFile
from kpr_sender.operator.metrics import certificate_ends
from kpr_sender.regular_file import read_regular
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text
from kpr_sender.web.port import CertificateLife

_MOST_BYTES: Final = 262_144
_PEM: Final = b"-----BEGIN CERTIFICATE-----"

_OURS_SIGNING: Final = Text("ours for signing")
_OURS_DECRYPTION: Final = Text("ours for decryption")
_THEIRS_ENCRYPTION: Final = Text("FHI's for encryption")
_THEIRS_SIGNING: Final = Text("FHI's for signing")
_ROLES: Final = {
    str(one): one
    for one in (_OURS_SIGNING, _OURS_DECRYPTION, _THEIRS_ENCRYPTION, _THEIRS_SIGNING, Text("the bus's TLS"))
}
"""As ``certs`` calls those that count."""

T = TypeVar("T")
_Stamp = tuple[int, int]
_Found = tuple[CertificateLife, ...]


class CertificateLives:
    """Remembers what was read of a file, until the file is another. May be used on any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._read: dict[tuple[Path, object], tuple[_Stamp, _Found]] = {}

    def of(self, settings: Settings) -> Sequence[CertificateLife]:
        """Return the certificates of one configuration: as the last run found them, else what is in files."""
        measured = settings.monitor.metrics_file
        if measured is not None and (found := self._of_file(measured, _measured, settings.environment)):
            return found
        return tuple(life for role, path in _files(settings) for life in self._of_file(path, _end_of, role))

    def _of_file(self, path: Path, read: Callable[[Path, T], _Found], about: T) -> _Found:
        try:
            status = path.stat()
        except (OSError, ValueError):
            return ()
        stamp = (status.st_mtime_ns, status.st_size)
        with self._guard:
            before = self._read.get((path, about))
        if before is not None and before[0] == stamp:
            return before[1]
        found = read(path, about)
        with self._guard:
            self._read[path, about] = (stamp, found)
        return found


def _measured(path: Path, environment: Environment) -> _Found:
    try:
        before = PrometheusFile(path).read()
    except KprError:  # what reads it is not installed
        return ()
    found = certificate_ends(before, environment)
    return tuple(CertificateLife(_ROLES[role], ends, refused) for role, ends, refused in found if role in _ROLES)


def _files(settings: Settings) -> Iterator[tuple[Text, Path]]:
    """Yield the files that hold the certificates that count: earlier ones only read what is old."""
    receiver, decryption = settings.receiver, settings.keys.decryption
    places = (
        (_OURS_SIGNING, settings.keys.signing.certificate_pem),
        (_OURS_DECRYPTION, decryption[0].certificate_pem if decryption else None),
        (_THEIRS_ENCRYPTION, receiver.encryption_certificate),
        (_THEIRS_SIGNING, next(iter(receiver.signing_certificates), None)),
    )
    yield from ((role, path) for role, path in places if path is not None)


def _end_of(path: Path, role: Text) -> _Found:
    try:
        content = read_regular(path, most=_MOST_BYTES)
        load = x509.load_pem_x509_certificate if _PEM in content else x509.load_der_x509_certificate
        return (CertificateLife(role, load(content).not_valid_after_utc),)
    except (OSError, ValueError):  # doctor says it
        return ()

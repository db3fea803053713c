"""HTTPS to a register: the certificate checked, no redirect followed, no proxy taken from the environment, bounded.

The only module that knows httpx. What comes back is a status and bytes; what they mean is the caller's matter.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx

from kpr_sender.errors import AccessRefused, ConfigInvalid, KprError, RegistryUnreachable
from kpr_sender.settings.values import RegistrySettings

MAX_BYTES: Final = 2_000_000
"""Largest answer that is read. Adresseregisteret's are some ten kilobytes."""

_REDIRECTS: Final = range(300, 400)
_FAILURES: Final = range(500, 600)
_NO_ACCESS: Final = (401, 403)
_NO_SUCH_PLACE: Final = (404, 405, 410)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer as it came."""

    status: int
    body: bytes


class Https:
    """A connection to one address with one user; a context manager.

    Args:
        settings: Address, user and bounds.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        password = settings.password
        self._client = httpx.Client(
            auth=(settings.user, "" if password is None else password.reveal()),
            verify=_context(settings),
            trust_env=False,
            follow_redirects=False,
            timeout=settings.timeout,
        )

    def post(self, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Ask one question.

        Raises:
            RegistryUnreachable: No connection, no answer in time, or a larger one than anybody reads.
            AccessRefused: The register's certificate, or our user, is refused.
            ConfigInvalid: There is no such address, or it leads elsewhere.
        """
        url, until = self._settings.url, time.monotonic() + self._settings.timeout
        # Unpacked answers could grow beyond any bound: none is asked for, and none is unpacked.
        plain = {**headers, "Accept-Encoding": "identity"}
        try:
            with self._client.stream("POST", url, content=body, headers=plain) as response:
                self._refuse(response.status_code)
                return HttpAnswer(response.status_code, self._read(response, until))
        except httpx.TimeoutException:
            raise self._late() from None
        except httpx.HTTPError as error:
            raise self._failed(error) from None

    def _read(self, response: httpx.Response, until: float) -> bytes:
        read = bytearray()
        for piece in response.iter_raw():
            read += piece
            if len(read) > MAX_BYTES:
                raise self._unreachable(f"Its answer is larger than {MAX_BYTES:,} bytes.")
            if time.monotonic() > until:
                raise self._late()
        return bytes(read)

    def _refuse(self, status: int) -> None:
        """Refuse what no body can make better."""
        if status in _NO_ACCESS:
            raise AccessRefused(
                f"Adresseregisteret refuses our user (HTTP {status}).",
                where=f"registry.user, {self._settings.url}",
                next_step="Check registry.user (OrgUsr in RegisterPlattformen) and its password.",
            )
        if status in _REDIRECTS:
            raise self._wrong_address(f"It leads elsewhere (HTTP {status}), and the password goes nowhere else.")
        if status in _NO_SUCH_PLACE:
            raise self._wrong_address(f"No register is there (HTTP {status}).")

    def _failed(self, error: httpx.HTTPError) -> KprError:
        cause = _tls_error(error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return AccessRefused(
                f"The register's certificate cannot be verified ({cause.verify_message}).",
                where=self._settings.url,
                next_step="Check registry.url, registry.ca_file and this machine's clock; do not switch the check off.",
            )
        what = f"TLS failed ({cause.reason or type(cause).__name__})" if cause else f"{type(error).__name__}"
        return self._unreachable(f"No answer came: {what}.")

    def _late(self) -> RegistryUnreachable:
        return self._unreachable(f"No whole answer came within {self._settings.timeout:g} seconds.")

    def _unreachable(self, what: str) -> RegistryUnreachable:
        return RegistryUnreachable(what, where=self._settings.url)

    def _wrong_address(self, what: str) -> ConfigInvalid:
        return ConfigInvalid(what, where=f"registry.url, {self._settings.url}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()


def is_failure(answer: HttpAnswer) -> bool:
    """Whether the server says that it failed; a SOAP fault says so, too."""
    return answer.status in _FAILURES


def _context(settings: RegistrySettings) -> ssl.SSLContext:
    ca_file = settings.ca_file
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigInvalid(
            f"The CA file cannot be used: {getattr(error, 'strerror', None) or 'it holds no PEM certificate'}.",
            where=f"registry.ca_file: {ca_file}",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Return the TLS error that lies behind another one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None

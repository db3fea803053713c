"""Which hosts are this machine; and HTTPS to a register: certificate checked, no redirect, no proxy, bounded.

The only module that knows httpx. What comes back is a status, headers and bytes; what they mean is the caller's matter.
"""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from kpr_sender.errors import AccessRefused, ConfigInvalid, KprError, RegistryUnreachable

if TYPE_CHECKING:
    import httpx  # loaded when a connection is made: it takes as long as all of ours together

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine and cannot be another one: 127.0.0.0/8, ::1 and ``localhost``.

    Not ``*.localhost``, which a name server may answer for; not an address that only some systems take for this
    machine (0.0.0.0, ``::``, IPv4 written as IPv6).
    """
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback and getattr(address, "ipv4_mapped", None) is None


def may_be_this_machine(host: str) -> bool:
    """Tell whether a connection to a host could end on this machine: what ``is_loopback`` says, and all its doubts."""
    if is_loopback(host) or host.lower().endswith(".localhost"):  # RFC 6761 6.3
        return True
    address = _address(host)
    address = getattr(address, "ipv4_mapped", None) or address
    return address is not None and (address.is_loopback or address.is_unspecified)


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


# The TLS that every connection of ours is made with: verified, 1.2 or newer.


def verifying(ca_file: Path | None, *, key: str) -> ssl.SSLContext:
    """Return a context that verifies the other side.

    Args:
        ca_file: PEM bundle of the authorities to trust instead of the machine's; None for the machine's.
        key: The configuration's key for it, for the error.

    Raises:
        ConfigInvalid: The file cannot be read or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigInvalid(
            f"The CA file cannot be used: {getattr(error, 'strerror', None) or 'it holds no PEM certificate'}.",
            where=f"{key}: {ca_file}",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


MAX_BYTES: Final = 2_000_000
"""Largest answer that is read. Adresseregisteret's are some ten kilobytes."""

_REDIRECTS: Final = range(300, 400)
_FAILURES: Final = range(500, 600)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer as it came.

    Attributes:
        url: Who was asked.
        headers: By name in lower case.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def failed(self) -> bool:
        """Whether the server says that it failed; a SOAP fault says so, too."""
        return self.status in _FAILURES

    def unreadable(self, why: str) -> RegistryUnreachable:
        """Say that it is not what was asked for."""
        if self.failed:
            return RegistryUnreachable(f"The register failed (HTTP {self.status}).", where=self.url)
        return RegistryUnreachable(f"The register's answer cannot be read: {why}.", where=self.url)


class Https:
    """Asks; a context manager.

    Args:
        ca_file: PEM bundle of the authorities to trust instead of the machine's; None for the machine's.
        timeout: Bound on one question and its answer, in seconds.

    Raises:
        ConfigInvalid: The file cannot be read or holds no certificate.
    """

    def __init__(self, ca_file: Path | None, timeout: float) -> None:
        import httpx  # noqa: PLC0415 - loaded for whoever asks a register only

        self._timeout = timeout
        self._client = httpx.Client(
            verify=verifying(ca_file, key="registry.ca_file"),
            trust_env=False,
            follow_redirects=False,
            timeout=timeout,
            http2=False,
        )

    def get(self, url: str, headers: Mapping[str, str]) -> HttpAnswer:
        """Ask for what is at an address. Raises as ``post`` does."""
        return self._ask("GET", url, None, headers, None)

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, login: tuple[str, str] | None = None
    ) -> HttpAnswer:
        """Ask one question.

        Args:
            url: Whom; HTTPS.
            body: The question.
            headers: What goes with it.
            login: User and password, for basic authentication.

        Raises:
            RegistryUnreachable: No connection, no answer in time, or a larger one than anybody reads.
            AccessRefused: The server's certificate is refused.
            ConfigInvalid: The address leads elsewhere.
        """
        return self._ask("POST", url, body, headers, login)

    def _ask(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], login: tuple[str, str] | None
    ) -> HttpAnswer:
        import httpx  # noqa: PLC0415 - loaded already

        until = time.monotonic() + self._timeout
        # Unpacked answers could grow beyond any bound: none is asked for, and none is unpacked.
        plain = {**headers, "Accept-Encoding": "identity"}
        try:
            with self._client.stream(method, url, content=body, headers=plain, auth=login) as response:
                if response.status_code in _REDIRECTS:
                    raise ConfigInvalid(
                        f"It leads elsewhere (HTTP {response.status_code}), and what opens it is told to nobody else.",
                        where=url,
                        next_step="Check registry.url.",
                    )
                found = {name.lower(): value for name, value in response.headers.items()}
                return HttpAnswer(url, response.status_code, found, self._read(response, url, until))
        except httpx.TimeoutException:
            raise self._late(url) from None
        except httpx.HTTPError as error:
            raise _failed(error, url) from None

    def _read(self, response: httpx.Response, url: str, until: float) -> bytes:
        read = bytearray()
        for piece in response.iter_raw():
            read += piece
            if len(read) > MAX_BYTES:
                raise RegistryUnreachable(f"Its answer is larger than {MAX_BYTES:,} bytes.", where=url)
            if time.monotonic() > until:
                raise self._late(url)
        return bytes(read)

    def _late(self, url: str) -> RegistryUnreachable:
        return RegistryUnreachable(f"No whole answer came within {self._timeout:g} seconds.", where=url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()


def _failed(error: httpx.HTTPError, url: str) -> KprError:
    cause = _tls_error(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return AccessRefused(
            f"The register's certificate cannot be verified ({cause.verify_message}).",
            where=url,
            next_step="Check registry.url, registry.ca_file and this machine's clock; do not switch the check off.",
        )
    what = f"TLS failed ({cause.reason or type(cause).__name__})" if cause else type(error).__name__
    return RegistryUnreachable(f"No answer came: {what}.", where=url)


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Return the TLS error that lies behind another one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None

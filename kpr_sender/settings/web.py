"""The page of all municipalities: where it listens, and who may read it. Declared as in ``values``."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment
from kpr_sender.settings import kinds
from kpr_sender.settings.file_access import exposed, require_trusted
from kpr_sender.settings.keys import Section, option, secret, with_keys
from kpr_sender.settings.kinds import Unfit, ValueKind
from kpr_sender.settings.secrets import Secret
from kpr_sender.texts import Text, as_text

_MOST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An address of this machine and a port of it; 0 for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """Who may read: whoever has one of these values in this claim of the identity provider's."""

    claim: str
    values: tuple[str, ...]


def parse_endpoint(written: str) -> ListenAddress:
    """Return an address and a port as people write them: ``127.0.0.1:8080``, ``[::1]:8080``.

    Raises:
        Unfit: It is none.
    """
    host, colon, port = written.strip().rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) <= _MOST_PORT):
        raise Unfit
    if host == "localhost":
        return ListenAddress("127.0.0.1", int(port))
    bare = host.removeprefix("[").removesuffix("]")
    if (address := _address(bare)).version != (6 if host.startswith("[") else 4):
        raise Unfit
    return ListenAddress(str(address), int(port))


def _address(written: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(written)
    except ValueError:
        raise Unfit from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Unfit
    return value


def _allowed(value: object, _base: Path) -> Allowed:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise Unfit
    ((claim, values),) = value.items()
    if not isinstance(values, list) or not values or not all(isinstance(one, str) and one.strip() for one in values):
        raise Unfit
    return Allowed(str(claim), tuple(values))


ENDPOINT: Final = ValueKind(
    Text('an address of this machine and a port, such as "127.0.0.1:8080" or "[::1]:8080"'),
    lambda value, _base: parse_endpoint(_text(value)),
    write=str,
)
ADDRESS: Final = ValueKind(
    Text("an address such as 192.0.2.10"), lambda value, _base: str(_address(_text(value).strip()))
)
ORIGIN: Final = kinds.pattern(
    r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?",
    Text("an address that begins with https://, in small letters, without path, user, query or fragment"),
)
HEADER: Final = kinds.pattern(r"[A-Za-z][A-Za-z0-9-]{0,63}", Text("the name of a header: letters, digits and hyphens"))
ALLOWED: Final = ValueKind(Text("one claim and the list of its values, in braces"), _allowed, evident=False)

# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Where the page listens, under which address people open it, and who may read it."""

    listen: ListenAddress = field(default=ListenAddress("127.0.0.1", 8080), metadata=option(
        ENDPOINT, "Where the page listens. Off loopback only with TLS (certificate and key) or behind a proxy that "
        "logs people in (proxy_header)."))
    address: str = field(default="", metadata=option(
        ORIGIN, "The address that people open. Requests for another host are refused. Must be given where the page is "
        "not on loopback alone; http:// only there.", otherwise="http:// and the loopback address listened on",
        example="https://kpr.example.no"))
    certificate: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PEM file with the page's own certificate first and its intermediates after it.",
        otherwise="no TLS", example="/etc/kpr-sender/web.pem"))
    key: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PEM file with the private key that goes with it, without passphrase.", otherwise="no TLS",
        example="/etc/kpr-sender/web.key"))
    issuer: str = field(default="", metadata=option(
        kinds.HTTPS_URL, "Login by OpenID Connect: the identity provider's issuer, as it names itself. Register the "
        "page there, with ADDRESS/login/back to come back to.", otherwise="no login by OpenID Connect",
        example="https://login.example.no/realms/kommune"))
    client_id: str = field(default="", metadata=option(
        kinds.NAME, "What the identity provider calls the page.", otherwise="issuer must not be given",
        example="kpr-sender"))
    client_secret: Secret | None = field(default=None, metadata=secret(
        "the secret that the identity provider knows the page by", otherwise=", or it knows none (a public client)",
        example="web-client-secret"))
    scope: str = field(default="openid", metadata=option(
        kinds.NAME, "What is asked of the identity provider, so that its ID token has the claim that allow names; "
        "openid is in it."))
    allow: Allowed | None = field(default=None, metadata=option(
        ALLOWED, "Who may read: the claim of the ID token, and the values that let a person in. Required with issuer.",
        otherwise="issuer must not be given", example={"groups": ("kpr-drift",)}))
    session_secret: Secret | None = field(default=None, metadata=secret(
        "what the sessions of 8 hours are signed with (at least 32 characters at random; another ends them all)",
        otherwise=", or issuer must not be given", example="web-session"))
    ca_file: Path | None = field(default=None, metadata=option(
        kinds.PATH, "PEM file with the authorities to trust for the identity provider's certificate.",
        otherwise="the machine's own", example="certs/login-ca.pem"))
    proxy_header: str = field(default="", metadata=option(
        HEADER, "Login by a reverse proxy: the header that it puts the logged-in person's name into. It must remove "
        "what browsers send under this name. Whoever has it may read; who that is the proxy decides.",
        otherwise="no login by a proxy", example="X-Remote-User"))
    proxy_address: str = field(default="", metadata=option(
        ADDRESS, "The address that the proxy connects from; nobody else gets anything. Every program of a machine has "
        "its loopback address: name that only where nobody else is on it.", otherwise="proxy_header must not be given",
        example="192.0.2.10"))
    metrics_listen: ListenAddress = field(default=ListenAddress("127.0.0.1", 8081), metadata=option(
        ENDPOINT, "Where /metrics and /health are, for programs, without login; off loopback only with TLS."))
    runs_within: float = field(default=3_600.0, metadata=option(
        kinds.seconds(60, 7 * 86_400), "A municipality that is not delivered and had no run for this long makes "
        "/health say so. Longer than the time between two runs."))

# fmt: on

SECTION: Final = with_keys(
    Section(WebSettings, "Only in a fleet file (docs/fleet.md): the page of all municipalities, and who may read it."),
    "web",
)


def require_sound(web: WebSettings, *, where: str) -> None:
    """Refuse what would let somebody read who must not, or nobody at all.

    Args:
        web: What is configured.
        where: The file, for messages.

    Raises:
        ConfigInvalid: Names the key.
    """
    for key, wrong, what in _rules(web):
        if wrong:
            raise ConfigInvalid(what, where=f"{where}: {SECTION.name}.{key}")


def require_unexposed(web: WebSettings, environment: Environment, *, where: str) -> None:
    """Refuse secrets that others may read, and files that others may write; not in lokal.

    Args:
        web: What is configured.
        environment: Whose page it is.
        where: The file, for messages.

    Raises:
        ConfigInvalid: Names the key.
    """
    if environment is Environment.LOKAL:
        return
    for key in ("certificate", "key", "ca_file"):
        if (path := getattr(web, key)) is not None:
            require_trusted(path, where=f"{where}: {SECTION.name}.{key}")
    open_ones = {
        "key": "" if web.key is None else exposed(web.key),
        "client_secret": "" if web.client_secret is None else web.client_secret.exposed,
        "session_secret": "" if web.session_secret is None else web.session_secret.exposed,
    }
    for key, text in open_ones.items():
        if text:
            raise ConfigInvalid(as_text(text), where=f"{where}: {SECTION.name}.{key}", next_step=_CHANGE_IT)


_CHANGE_IT: Final = Text("Whoever read it has it: close it, and have secret or key changed where others had access.")


def _rules(web: WebSettings) -> Iterator[tuple[str, object, Text]]:
    """Yield each rule: the key it is about, whether it is broken, and how."""
    from kpr_sender.net import is_loopback  # noqa: PLC0415 - with it come ssl and sockets

    tls, login, proxy = web.certificate is not None, bool(web.issuer), bool(web.proxy_header)
    local, outside = is_loopback(web.listen.host), not is_loopback(web.listen.host)
    yield "key", tls != (web.key is not None), Text("certificate and key go together.")
    yield "proxy_address", proxy != bool(web.proxy_address), Text("proxy_header and proxy_address go together.")
    yield "issuer", login and proxy, Text("Expected either this or proxy_header, not both.")
    for key in ("client_id", "allow", "session_secret"):
        yield key, login and not getattr(web, key), Text("This is missing; issuer needs it.")
    for key in ("client_id", "client_secret", "allow", "session_secret", "ca_file"):
        yield key, getattr(web, key) and not login, Text("This needs issuer beside it.")
    yield "scope", "openid" not in web.scope.split(), Text("Expected openid in it.")
    yield (
        "listen",
        outside and not (login or proxy),
        Text("Off loopback somebody must log people in: name issuer, or proxy_header and proxy_address."),
    )
    yield (
        "listen",
        outside and not (tls or proxy),
        Text("Off loopback the page needs TLS: name certificate and key. Only behind a proxy it needs none."),
    )
    yield "address", outside and not web.address, Text("This is missing: the page is not on loopback alone.")
    scheme, host = parts_of(web.address)
    yield "address", scheme == "http" and (tls or not is_loopback(host)), Text("Expected https://.")
    yield (
        "address",
        scheme == "https" and local and not (tls or proxy or login),
        Text("This needs a login (issuer, or proxy_header): others would read the page under it."),
    )
    yield (
        "metrics_listen",
        not is_loopback(web.metrics_listen.host) and not tls,
        Text("Off loopback this needs TLS: name certificate and key."),
    )
    yield (
        "metrics_listen",
        web.metrics_listen == web.listen and web.listen.port,
        Text("Expected another port than that of listen."),
    )


def parts_of(address: str) -> tuple[str, str]:
    """Return the scheme and the host of an address."""
    scheme, _, rest = address.partition("://")
    host = rest[1:].partition("]")[0] if rest.startswith("[") else rest.partition(":")[0]
    return scheme, host

"""What [web] may say, each key and all of them together."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.settings.keys import toml_value
from kpr_sender.settings.kinds import Unfit
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.web import (
    ALLOWED,
    ENDPOINT,
    ORIGIN,
    SECTION,
    Allowed,
    ListenAddress,
    WebSettings,
    parse_endpoint,
    require_sound,
)

PUBLIC = ListenAddress("192.0.2.1", 443)
TLS = {"certificate": Path("web.pem"), "key": Path("web.key")}
LOGIN = {
    "issuer": "https://login.example.no",
    "client_id": "kpr",
    "allow": Allowed("groups", ("drift",)),
    "session_secret": Secret("secret"),
}
PROXY = {"proxy_header": "X-Remote-User", "proxy_address": "192.0.2.10"}
NAME = {"address": "https://kpr.example.no"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"listen": ListenAddress("::1", 0)},
        {**TLS},
        {**LOGIN},
        {**LOGIN, **NAME},
        {"listen": PUBLIC, **TLS, **LOGIN, **NAME},
        {"listen": PUBLIC, **PROXY, **NAME},
        {"listen": PUBLIC, **TLS, **PROXY, **NAME},
        {"address": "http://localhost:8080"},
        {"metrics_listen": ListenAddress("192.0.2.1", 9000), **TLS},
    ],
)
def test_what_is_sound(changes: dict[str, object]) -> None:
    require_sound(replace(WebSettings(), **changes), where="fleet.toml")  # type: ignore[arg-type]  # rows of a table


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("listen", {"listen": PUBLIC, **NAME}),
        ("listen", {"listen": PUBLIC, **TLS, **NAME}),
        ("listen", {"listen": PUBLIC, **LOGIN, **NAME}),
        ("listen", {"listen": ListenAddress("0.0.0.0", 80), **LOGIN, **NAME}),  # noqa: S104 - that is refused
        ("address", {"listen": PUBLIC, **TLS, **LOGIN}),
        ("address", {"listen": PUBLIC, **TLS, **LOGIN, "address": "http://kpr.example.no"}),
        ("address", {**TLS, "address": "http://localhost:8080"}),
        ("address", {**NAME}),
        ("key", {"certificate": Path("web.pem")}),
        ("key", {"key": Path("web.key")}),
        ("proxy_address", {"proxy_header": "X-Remote-User"}),
        ("proxy_address", {"proxy_address": "192.0.2.10"}),
        ("issuer", {**LOGIN, **PROXY}),
        ("allow", {**LOGIN, "allow": None}),
        ("client_id", {**LOGIN, "client_id": ""}),
        ("session_secret", {**LOGIN, "session_secret": None}),
        ("allow", {"allow": Allowed("groups", ("drift",))}),
        ("scope", {**LOGIN, "scope": "profile"}),
        ("metrics_listen", {"metrics_listen": ListenAddress("192.0.2.1", 9000)}),
        ("metrics_listen", {"metrics_listen": WebSettings().listen}),
    ],
)
def test_what_would_let_somebody_read_who_must_not_is_refused_by_its_key(key: str, changes: dict[str, object]) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        require_sound(replace(WebSettings(), **changes), where="fleet.toml")  # type: ignore[arg-type]  # the same

    assert refused.value.where == f"fleet.toml: web.{key}"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("127.0.0.1:8080", ListenAddress("127.0.0.1", 8080)),
        ("localhost:80", ListenAddress("127.0.0.1", 80)),
        ("[::1]:0", ListenAddress("::1", 0)),
        ("0.0.0.0:65535", ListenAddress("0.0.0.0", 65_535)),  # noqa: S104 - read, not listened on
    ],
)
def test_an_address_to_listen_on(written: str, expected: ListenAddress) -> None:
    assert parse_endpoint(written) == expected
    assert parse_endpoint(str(expected)) == expected


@pytest.mark.parametrize(
    "written",
    [
        "",
        "8080",
        ":8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "::1:80",
        "[127.0.0.1]:80",
        "a.no:80",
        "1.2.3.4:-1",
        "1.2.3.4:٣",
    ],
)
def test_what_is_no_address_to_listen_on(written: str) -> None:
    with pytest.raises(Unfit):
        ENDPOINT.parse(written, Path())


@pytest.mark.parametrize(
    "value", [{}, {"groups": []}, {"groups": "x"}, {"groups": [" "]}, {"a": ["x"], "b": ["x"]}, "groups", [1]]
)
def test_what_says_nobody_or_everybody_is_no_allow(value: object) -> None:
    with pytest.raises(Unfit):
        ALLOWED.parse(value, Path())


def test_origins_have_no_path_and_no_capital_letters() -> None:
    assert ORIGIN.parse("https://kpr.example.no:8443", Path()) == "https://kpr.example.no:8443"
    for wrong in ("https://kpr.example.no/", "https://KPR.example.no", "kpr.example.no", "ftp://x", "https://u@x"):
        with pytest.raises(Unfit):
            ORIGIN.parse(wrong, Path())


def test_every_key_is_documented_with_an_example_that_it_takes() -> None:
    for key in SECTION.keys:
        assert key.help.endswith("."), key.name
        assert not key.required
        example = key.example
        if isinstance(example, dict):
            assert key.kind.parse({name: list(values) for name, values in example.items()}, Path())
            assert re.fullmatch(r"\{ \w+ = \[.*\] \}", toml_value(example))
        elif example is not None:
            key.kind.parse(example, Path())
        else:
            key.kind.parse(key.kind.write(key.default), Path())

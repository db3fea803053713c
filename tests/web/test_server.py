"""What the server itself believes, shows and logs: real requests over loopback."""

from __future__ import annotations

import asyncio
import errno
import http.client
import logging
import socket
import ssl
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn

from kpr_sender.errors import ConfigInvalid, InternalError
from kpr_sender.settings.web import ListenAddress
from kpr_sender.web.server import Listening, Serving, bind
from tests.helpers.tenor import TENOR_ID
from tests.helpers.tls_certificates import make_authority
from tests.helpers.web_page import LOOPBACK, application, served


def ask(address: str, path: str = "/", **headers: str) -> tuple[int, http.client.HTTPMessage, str]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def test_no_header_says_who_asks_and_nothing_of_a_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    proxied = replace(LOOPBACK, proxy_header="X-Remote-User", proxy_address="192.0.2.10")
    with served(proxied) as addresses:
        forged = {"X_Remote_User": "ola", "X_Forwarded_For": "192.0.2.10", "Forwarded": "for=192.0.2.10"}
        status, headers, page = ask(addresses.page, f"/?q={TENOR_ID}", **forged)
        assert (status, "Stavanger" in page, headers["server"]) == (403, False, None)
        assert ask(addresses.page, Host="evil.example")[0] == 421
    with served(replace(proxied, proxy_address="127.0.0.1")) as addresses:
        assert ask(addresses.page, X_Remote_User="ola")[0] == 200
        assert ask(addresses.figures, "/health")[0] == 200, "programs need no login, on their own address"
        assert ask(addresses.page, "/metrics", X_Remote_User="ola")[0] == 404

    assert [one for one in caplog.records if one.name.partition(".")[0] in {"uvicorn", "httpx2", "authlib"}] == []


def test_on_this_machine_it_answers_to_the_names_of_loopback_alone() -> None:
    with served() as addresses:
        port = urlsplit(addresses.page).port
        for host, status in ((f"localhost:{port}", 200), (f"[::1]:{port}", 200), ("localhost", 421), ("x.local", 421)):
            assert ask(addresses.page, Host=host)[0] == status, host


def test_under_an_address_of_the_sixth_version_programs_reach_the_figures_too() -> None:
    web = replace(LOOPBACK, address="https://[2001:db8::1]", proxy_header="X-Remote-User", proxy_address="127.0.0.1")
    with served(web) as addresses:
        port = urlsplit(addresses.figures).port
        assert ask(addresses.figures, "/health", Host=f"[2001:db8::1]:{port}")[0] == 200
        assert ask(addresses.figures, "/health", Host="[2001:db8::1]")[0] == 421


def test_tls_is_1_2_or_newer_and_its_certificate_must_be_one(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    certificate, key = authority.issue(tmp_path, "127.0.0.1")
    web = replace(LOOPBACK, certificate=certificate, key=key)
    with served(web) as addresses:
        assert addresses.page.startswith("https://127.0.0.1:")
        assert addresses.figures.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(authority.ca_file))
        connection = http.client.HTTPSConnection(urlsplit(addresses.page).netloc, context=context, timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        assert connection.sock.version() in {"TLSv1.2", "TLSv1.3"}
        connection.close()
        old = ssl.create_default_context(cafile=str(authority.ca_file))
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with (
            socket.create_connection(("127.0.0.1", urlsplit(addresses.page).port or 0)) as plain,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            old.wrap_socket(plain, server_hostname="127.0.0.1")

    (tmp_path / "no.pem").write_text("no")
    for wrong in (replace(web, certificate=tmp_path / "no.pem"), replace(web, key=tmp_path / "none.key")):
        with pytest.raises(ConfigInvalid, match="certificate cannot be used"), served(wrong):
            pass


def test_what_keeps_it_from_beginning_is_raised_where_it_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(work: Coroutine[object, object, None]) -> None:
        work.close()
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio, "run", full)
    with pytest.raises(OSError, match="Too many open files"), Serving(tuple, None):
        pass


def test_a_server_that_ends_by_itself_is_an_error_and_no_good_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: uvicorn.Server, **__: object) -> None:
        raise RuntimeError(TENOR_ID)

    monkeypatch.setattr(uvicorn.Server, "serve", broken)
    listening = bind(ListenAddress("127.0.0.1", 0), key="x")
    serving = Serving(lambda: (Listening(application(), listening),), None)
    with listening, serving, pytest.raises(InternalError, match="An unexpected RuntimeError") as ended:
        serving.wait()

    assert TENOR_ID not in str(ended.value)


def test_a_port_that_is_taken_is_said_and_the_other_is_given_back() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        web = replace(LOOPBACK, metrics_listen=ListenAddress("127.0.0.1", port))
        with pytest.raises(ConfigInvalid, match=f"127.0.0.1:{port}") as refused, served(web):
            pass
    assert refused.value.where == "web.metrics_listen"

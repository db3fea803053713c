"""Whom a proxy has logged in, and that its header from anywhere else is worth nothing."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from kpr_sender.web.login import BehindProxy
from tests.helpers.web_page import application

OURS, PROXY = "https://kpr.example.no", "192.0.2.10"
NAMED = [("x-remote-user", "ola")]
ACCESS = BehindProxy("X-Remote-User", PROXY)


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        (PROXY, NAMED, 200),
        (f"::ffff:{PROXY}", NAMED, 200),
        (PROXY, [], 403),
        (PROXY, [("x-remote-user", " ")], 403),
        (PROXY, [*NAMED, *NAMED], 403),
        (PROXY, [("x-remote-users", "ola")], 403),
        ("192.0.2.11", NAMED, 403),
        ("127.0.0.1", [*NAMED, ("x-forwarded-for", PROXY), ("x-real-ip", PROXY)], 403),
        ("testclient", NAMED, 403),
    ],
)
def test_the_header_counts_from_the_proxy_alone(peer: str, headers: list[tuple[str, str]], status: int) -> None:
    with TestClient(application(access=ACCESS), base_url=OURS, client=(peer, 1)) as client:
        for path in ("/", "/m/1103", "/login", "/login/back", "/logout", "/none"):
            answer = client.get(path, headers=headers)
            expected = status if status == 403 or not path.startswith(("/log", "/none")) else 404
            assert answer.status_code == expected, path
            assert ("Stavanger" in answer.text) == (answer.status_code == 200)


def test_there_is_nothing_to_log_in_or_out_of() -> None:
    with TestClient(application(access=ACCESS), base_url=OURS, client=(PROXY, 1)) as client:
        assert "/logout" not in client.get("/", headers=NAMED).text

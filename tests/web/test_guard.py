"""What every answer has, what is asked of another host, and what goes wrong in the program."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from kpr_sender.model import Environment
from tests.helpers.web_page import Known, application

OURS = "https://kpr.example.no"


def test_no_answer_may_be_stored_framed_or_run_a_script() -> None:
    with TestClient(application(), base_url=OURS) as client:
        answers = [client.get("/"), client.get("/m/1103"), client.get("/none"), client.post("/")]

        assert [one.status_code for one in answers] == [200, 200, 404, 405]
        for answer in answers:
            assert answer.headers["cache-control"] == "no-store"
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'sha256-")
            assert policy.endswith("; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            assert "<script" not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "kpr.example.no.evil.example",
        "kpr.example.no:8443",
        "",
        "127.0.0.1",
        "kpr.example.no, evil.example",
    ],
)
def test_another_host_gets_nothing_whatever_else_it_says(host: str) -> None:
    with TestClient(application(), base_url=OURS) as client:
        forwarded = {"x-forwarded-host": "kpr.example.no", "forwarded": "host=kpr.example.no"}
        for path in ("/", "/m/1103"):
            answer = client.get(path, headers={"host": host, **forwarded})
            assert answer.status_code == 421
            assert "Stavanger" not in answer.text
        assert client.get("/", headers={"host": "KPR.example.no:443"}).status_code == 200


def test_two_hosts_are_none() -> None:
    with TestClient(application(), base_url=OURS) as client:
        twice = [("host", "kpr.example.no"), ("host", "kpr.example.no")]
        assert client.get("/", headers=twice).status_code == 421


def test_what_goes_wrong_in_the_program_is_told_where_it_was_started_and_not_to_the_browser() -> None:
    class Broken(Known):
        def details(self, key: str) -> None:
            raise RuntimeError("KARI NORDMANN")

    failures: list[Exception] = []
    with TestClient(application(Broken(), failures=failures), base_url=OURS, raise_server_exceptions=False) as client:
        answer = client.get("/m/1103")

    assert answer.status_code == 500
    assert "NORDMANN" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert [str(one) for one in failures] == ["KARI NORDMANN"]


def test_it_says_test_outside_production_and_nowhere_else() -> None:
    for environment in Environment:
        with TestClient(application(Known(environment=environment)), base_url=OURS) as client:
            for path in ("/", "/m/1103", "/none"):
                page = client.get(path).text
                test = environment is not Environment.PRODUKSJON
                assert (f"<title>TEST {environment.value}: " in page, 'class="test"' in page) == (test, test)

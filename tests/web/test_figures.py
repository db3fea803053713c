"""What Prometheus and a health check get, and what they do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from kpr_sender.errors import JournalUnwritable
from kpr_sender.model import Environment
from kpr_sender.texts import Text
from kpr_sender.web.figures import Figures
from kpr_sender.web.snapshot import Snapshots
from tests.helpers.submissions import AT
from tests.helpers.web_page import Clock, Known, failing, line, some

OURS = "http://127.0.0.1:8081"


def figures(known: Known) -> ASGIApp:
    failures: list[Exception] = []
    snapshots = Snapshots(known, now=Clock(), unexpected=failures.append)
    made = Figures(Environment.VALIDERING, snapshots, now=Clock(), runs_within=timedelta(hours=1))
    return made.application(hosts={"127.0.0.1:8081"}, scheme="http", unexpected=failures.append)


def test_metrics_have_each_municipality_by_its_number_and_no_name() -> None:
    with TestClient(figures(Known()), base_url=OURS) as client:
        answer = client.get("/metrics")
    found = {
        (sample.name, sample.labels.get("municipality", "")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.labels["environment"] == "validering"
    }

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert found["kpr_fleet_read", ""] == 1
    assert found["kpr_fleet_read_timestamp_seconds", ""] == AT.timestamp()
    assert {name.removeprefix("kpr_fleet_"): value for (name, key), value in found.items() if key == "1103"} == {
        "exit_code": 83,
        "delivered": 0,
        "needs_person": 1,
        "days_to_deadline": 30,
        "since_timestamp_seconds": AT.timestamp(),
        "last_run_timestamp_seconds": (AT - timedelta(minutes=5)).timestamp(),
        "certificate_not_after_timestamp_seconds": (AT + timedelta(days=200)).timestamp(),
    }
    assert ("kpr_fleet_since_timestamp_seconds", "3907") not in found
    assert "Stavanger" not in answer.text


def test_it_is_healthy_while_journals_are_read_and_runs_are_recent() -> None:
    with TestClient(figures(Known()), base_url=OURS) as client:
        answer = client.get("/health")

    assert (answer.status_code, answer.json()) == (
        200,
        {
            "healthy": True,
            "environment": "validering",
            "at": "2025-01-10T12:00:00Z",
            "journals": {"reachable": True, "not_reachable": []},
            "runs": {"recent": True, "not_recent": [], "within_seconds": 3600},
        },
    )


def test_a_journal_that_cannot_be_read_and_runs_that_do_not_come_are_not_healthy() -> None:
    oslo, *others = some()
    late = AT - timedelta(hours=2)
    known = Known([replace(oslo, last_run=late), *(replace(one, last_run=late) for one in others[:1])])
    with TestClient(figures(known), base_url=OURS) as client:
        answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["runs"]["not_recent"] == ["0301-03"], "nobody runs for what is delivered"

    broken = Known([line("0301", "Oslo", error=JournalUnwritable(Text("Damaged.")))])
    with TestClient(figures(broken), base_url=OURS) as client:
        answer = client.get("/health")
    assert (answer.status_code, answer.json()["journals"]["not_reachable"]) == (503, ["0301"])

    with TestClient(figures(failing(JournalUnwritable(Text("Away.")))), base_url=OURS) as client:
        answer = client.get("/health")
        assert (answer.status_code, answer.json()["journals"]["reachable"]) == (503, False)
        assert 'kpr_fleet_read{environment="validering"} 0.0' in client.get("/metrics").text


def test_they_are_where_the_page_is_not_and_for_their_own_host() -> None:
    with TestClient(figures(Known()), base_url=OURS) as client:
        assert client.get("/").status_code == 404
        assert client.get("/m/1103").status_code == 404
        for path in ("/metrics", "/health"):
            assert client.get(path, headers={"host": "evil.example"}).status_code == 421
            assert client.post(path).status_code == 405

"""Durations and addresses of databases as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpr_sender.errors import ConfigInvalid
from kpr_sender.privacy import redact_text
from kpr_sender.settings import kinds
from kpr_sender.settings.fleet import FLEET
from kpr_sender.settings.values import SECTIONS, TOP
from kpr_sender.settings.web import SECTION as WEB
from kpr_sender.texts import Text
from tests.helpers.configuration import VALID, load_text


@pytest.mark.parametrize(
    ("written", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1.5h", 5400), (" 5 m ", 300), ("0", 0)]
)
def test_what_is_understood(written: str, seconds: float) -> None:
    assert kinds.parse_duration(written) == seconds


@pytest.mark.parametrize("written", ["", "m", "-1s", "10 minutes", "1h30m", "inf", "nan", "1e9s"])
def test_what_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="10m"):
        kinds.parse_duration(written)


@given(st.integers(0, 10**6))
def test_what_is_spoken_is_understood(seconds: int) -> None:
    assert kinds.parse_duration(kinds.write_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("postgresql://kpr@127.0.0.1:5433/kpr", ""),
        ("postgresql:///kpr?host=/run/postgresql", ""),
        ("postgresql://%2Frun%2Fpostgresql/kpr", ""),
        ("postgresql://kpr@[::1]:5432,localhost:5433/kpr", ""),
        ("postgresql://kpr@127.0.0.1:5432,db.example.no:5432/kpr", "?sslmode=verify-full"),
        ("postgresql://kpr@[::1],db.example.no/kpr", "?sslmode=verify-full"),
        ("postgresql:///kpr?host=/run,db.example.no", "&sslmode=verify-full"),
        ("postgresql:///kpr?service=kpr", "&sslmode=verify-full"),
        ("postgresql://kpr@db.example.no/kpr", "?sslmode=verify-full"),
        ("postgresql://kpr@db.example.no/kpr?sslrootcert=/a.pem", "&sslmode=verify-full"),
        ("postgresql://kpr@db.example.no/kpr?sslmode=verify-full&sslcert=/a.pem&sslkey=/a.key", ""),
        ("postgresql://kpr@127.0.0.1,db.example.no/kpr", "?sslmode=verify-full"),
        ("postgresql://kpr@127.0.0.1/kpr?hostaddr=192.0.2.7", "&sslmode=verify-full"),
    ],
)
def test_a_database_on_another_machine_is_reached_with_verified_tls_alone(written: str, becomes: str) -> None:
    assert kinds.DATABASE_URL.parse(written, Path()) == written + becomes


@pytest.mark.parametrize(
    "written",
    [
        "mysql://kpr@127.0.0.1/kpr",
        "postgresql://kpr@127.0.0.1",
        "postgresql://[::1/kpr",
        "postgresql://kpr:geheim@127.0.0.1/kpr",
        "postgresql://kpr@127.0.0.1/kpr?password=geheim",
        "postgresql://kpr@127.0.0.1/kpr?sslkey=/a.key&sslpassword=geheim",
        "postgresql://kpr@db.example.no/kpr?sslmode=require",
        "host=127.0.0.1 dbname=kpr",
        "",
    ],
)
def test_what_is_no_address_of_a_database_or_holds_a_secret_is_refused(written: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - what makes the caller say what is expected
        kinds.DATABASE_URL.parse(written, Path())
    assert "geheim" not in str(raised.value)


def test_what_is_expected_is_read_as_it_was_written() -> None:
    sections = (TOP, FLEET, WEB, *SECTIONS.values())
    keys = [key for section in sections for key in section.keys]
    assert kinds.DATABASE_URL in {key.kind for key in keys}
    for key in keys:
        error = ConfigInvalid(Text("Expected {expected}.", expected=key.kind.expected), where=key.path)
        assert error.what == f"Expected {key.kind.expected}."


def test_a_databases_address_shows_nothing_of_who_logs_in(tmp_path: Path) -> None:
    written = 'url = "postgresql://kari:geheim@db.example.no"'  # no database, and a password
    with pytest.raises(ConfigInvalid) as caught:
        load_text(tmp_path, VALID.replace("[journal]", f"[journal]\n{written}"))

    assert "Expected an address: postgresql:// and then user@host/database, without" in caught.value.what
    assert "kari" not in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert redact_text(written) == 'url = "postgresql://***@db.example.no"'

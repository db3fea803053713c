"""Which hosts are this machine: one rule for TLS, configuration and environments."""

from __future__ import annotations

import pytest

from kpr_sender.net import is_loopback, may_be_this_machine

LOOPBACK = ["127.0.0.1", "127.9.9.9", "127.255.255.255", "::1", "0:0:0:0:0:0:0:1", "localhost", "LOCALHOST"]
DOUBTFUL = ["kpr.localhost", "0.0.0.0", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"]  # noqa: S104 - not bound
ELSEWHERE = [
    "10.0.0.1",
    "128.0.0.1",
    "126.255.255.255",
    "::2",
    "fe80::1",
    "lo",
    "",
    "localhost.example.no",
    "127.0.0.1.no",
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_this_machine_and_no_other(host: str) -> None:
    assert is_loopback(host)
    assert may_be_this_machine(host)


@pytest.mark.parametrize("host", DOUBTFUL)
def test_what_only_some_systems_take_for_this_machine_is_no_loopback(host: str) -> None:
    assert not is_loopback(host)
    assert may_be_this_machine(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_any_other_host_is_another_machine(host: str) -> None:
    assert not is_loopback(host)
    assert not may_be_this_machine(host)

"""Which hosts are this machine: one rule for TLS, configuration and environments."""

from __future__ import annotations

import socket

import pytest

from kpr_sender.net import is_loopback, may_be_this_machine, same_host


def wide(ascii_text: str) -> str:
    """Write it in full-width characters, of which IDNA makes the plain ones again."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in ascii_text)


LOOPBACK = ["127.0.0.1", "127.9.9.9", "127.255.255.255", "::1", "0:0:0:0:0:0:0:1", "localhost", "LOCALHOST"]
DOUBTFUL = [
    *("kpr.localhost", "localhost.", "localhost.localdomain", "ip6-loopback", "LOCALHOST4", wide("localhost")),
    *("0.0.0.0", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),  # noqa: S104 - not bound
    *("::ffff:0:7f00:1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1", "64:ff9b:1:ab:0:cd:127.0.0.1"),
    *("64:ff9b:1:7f00:0:100::", "64:ff9b:1:7f:0:1::", "64:ff9b:1:0:7f:0:100::"),
    *("127.1", "127.0.1", "0x7f.1", "0x7F000001", "2130706433", "0177.0.0.1", "017700000001", "0", "0x0", "127.1."),
    *(wide("127") + ".0.0.1", "127。0。0。1", "127.0.0.1.", "[127.1]", " 127.0.0.1 ", "127.0.0.1%lo"),
]
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
    "127",
    "0x0a.1",
    "2130706432000",
    "127.0.0.1 tb.nhn.no",
    "127.0.0.1\0",
    "64:ff9b::a00:1",
    "::ffff:10.0.0.1",
    "::ffff:0:a00:1",
    "64:ff9b:1::a00:1",
    "64:ff9b:1:a00:0:100::",
    "64:ff9b:2::7f00:1",
    "tb。nhn。no",
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


def test_the_machines_own_name_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "KPR-7.Kommune.example.")
    for host in ("kpr-7.kommune.example", "KPR-7.KOMMUNE.EXAMPLE.", wide("kpr-7") + ".kommune.example"):
        assert may_be_this_machine(host)
        assert not is_loopback(host)
    assert not may_be_this_machine("kpr-7.kommune.example.no")
    monkeypatch.setattr(socket, "gethostname", lambda: "")
    assert not may_be_this_machine("")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tb.nhn.no", "TB.NHN.NO."),
        ("tb.nhn.no", wide("tb") + "。nhn.no"),
        ("10.1.2.3", "0x0a.1.2.3"),
        ("10.1.2.3", "::ffff:10.1.2.3"),
        ("::1", "[0:0:0:0:0:0:0:1]"),
    ],
)
def test_two_spellings_are_one_host(one: str, other: str) -> None:
    assert same_host(one, other)
    assert not same_host(one, "sb.nhn.no")
    assert not same_host("10.1.2.4", other)

"""``kpr-send notify --test``: whether notices arrive."""

from __future__ import annotations

from tests.helpers.desk import Desk
from tests.helpers.watcher import SECRET, Watcher


def test_a_test_notice_goes_to_every_address_and_says_so(desk: Desk, watcher: Watcher) -> None:
    desk.kommune.write(watcher.write(desk.kommune.folder, "a", "b"), port=1)
    ran = desk.command("notify", "--test")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == ["TEST lokal: Address 1: sent", "Address 2: sent"]
    assert {(name, title) for name, title, _ in watcher.notices} == {
        (name, "TEST lokal: kpr-send: test notice") for name in "ab"
    }
    as_json = desk.command("--json", "notify", "--test").json()
    assert (as_json["exit_code"], as_json["error"]) == (0, None)
    assert as_json["addresses"] == [{"address": 1, "outcome": "sent"}, {"address": 2, "outcome": "sent"}]
    assert not desk.kommune.journal.exists()
    assert watcher.pings == []


def test_it_ends_with_69_where_an_address_does_not_take_it(desk: Desk, watcher: Watcher) -> None:
    desk.kommune.write(watcher.write(desk.kommune.folder, "a", "b"), port=1)
    watcher.answers["/notice/b"] = 500
    ran, as_json = desk.command("notify", "--test"), desk.command("--json", "notify", "--test").json()
    assert ran.code == as_json["exit_code"] == 69
    assert ran.out.splitlines()[:2] == ["TEST lokal: Address 1: sent", "Address 2: not sent"]
    assert f"kpr-send {desk.prefix} notify --test" in ran.out
    assert as_json["error"]["code"] == "notice-not-sent"
    assert as_json["addresses"] == [{"address": 1, "outcome": "sent"}, {"address": 2, "outcome": "not sent"}]
    assert SECRET not in ran.out + ran.err + str(as_json)


def test_it_ends_with_78_where_nothing_is_configured_or_an_address_is_none(desk: Desk, watcher: Watcher) -> None:
    assert desk.command("notify", "--test").code == 78
    desk.kommune.write(watcher.write(desk.kommune.folder), port=1)
    (desk.kommune.folder / "notify-urls").write_text(f"json://127.0.0.1/\nnonsense://{SECRET}\n")
    ran = desk.command("notify", "--test")
    assert ran.code == 78
    assert "Line 2 is no address" in ran.err
    assert SECRET not in ran.out + ran.err
    assert desk.command("notify").code == 64

"""Two municipalities never share what would let one have the other's: refused, unless they are bydeler of one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.settings.values import Settings
from tests.fleet.test_file import BERGEN, COMMON, OSLO, read, refused

TRONDHEIM = """
[[municipality]]
name = "TRONDHEIM KOMMUNE"
kommunenummer = "5001"
her_id = 900103
service_her_id = 900203
"""
BYDEL = OSLO.replace('"03"', '"04"').replace("900101", "900104")
SHARED = {
    "bus.receipts_queue": '[municipality.bus]\nreceipts_queue = "tb.example.no/exchange/900201_async"',
    "keys": '[municipality.keys.signing]\npkcs12 = "0301-03/../0301-03/signing.p12"',
    "journal.path": '[municipality.journal]\npath = "state/0301-03/journal.db"',
}


@pytest.mark.parametrize("key", SHARED)
def test_what_each_must_have_for_itself_is_not_shared(tmp_path: Path, key: str) -> None:
    error = refused(tmp_path, f"{COMMON}{OSLO}{BERGEN}{TRONDHEIM}{SHARED[key]}\n")

    assert error.where == f"{tmp_path}/fleet.toml: {key}"
    assert f"0301-03 and 5001 have the same {key}." in error.what


def test_two_drop_folders_are_two_also_for_bydeler(tmp_path: Path) -> None:
    drop = '\n[municipality.files]\ndrop = "in"\n'
    journal = '[municipality.journal]\npath = "state/oslo.db"\n'
    error = refused(tmp_path, f"{COMMON}{OSLO}{drop}{journal}{BYDEL}{drop}{journal}")

    assert "0301-03 and 0301-04 have the same files.drop" in error.what


def test_bydeler_may_share_their_queue_and_then_they_share_the_journal(tmp_path: Path) -> None:
    error = refused(tmp_path, f"{COMMON}{OSLO}{BYDEL}")
    assert "0301-03 and 0301-04 share bus.receipts_queue, and have two journals" in error.what
    assert "same journal.path" in error.next_step

    journal = '\n[municipality.journal]\npath = "state/oslo.db"\n'
    file = read(tmp_path, f"{COMMON}{OSLO}{journal}{BYDEL}{journal}")
    found = [one.known for one in file.municipalities]
    assert len({one.group for one in file.municipalities}) == 1, "one after another"
    assert {one.journal.path for one in found if isinstance(one, Settings)} == {tmp_path / "state/oslo.db"}


def test_one_queue_of_two_buses_is_two(tmp_path: Path) -> None:
    two = f'{COMMON}{OSLO}{TRONDHEIM}{SHARED["bus.receipts_queue"]}\nhost = "other.example.no"\n'
    read(tmp_path, two)

    database = two.replace("[journal]", '[journal]\nurl = "postgresql://kpr@127.0.0.1/kpr"')
    assert "0301-03 and 5001 have the same bus.receipts_queue." in refused(tmp_path, database).what  # names the journal


def test_a_bus_is_the_same_in_capital_letters(tmp_path: Path) -> None:
    loud = f'{SHARED["bus.receipts_queue"]}\nhost = "TB.Example.NO"\n'
    assert "bus.receipts_queue" in refused(tmp_path, f"{COMMON}{OSLO}{TRONDHEIM}{loud}").where


def test_keys_of_a_token_are_told_apart_by_their_names(tmp_path: Path) -> None:
    token = BERGEN[BERGEN.index("[municipality.keys.signing]") :]
    read(tmp_path, f"{COMMON}{BERGEN}{TRONDHEIM}{token.replace('bergen', 'trondheim')}")
    with pytest.raises(ConfigInvalid, match="4601 and 5001 have the same keys"):
        read(tmp_path, f"{COMMON}{BERGEN}{TRONDHEIM}{token}")


def test_a_database_is_all_municipalities_and_bydeler_that_share_a_queue_are_in_the_same(tmp_path: Path) -> None:
    url = 'url = "postgresql://kpr@db.example.no/{}"\n'
    journal = 'path = "state/{municipality}/journal.db"\n'
    common = COMMON.replace(journal, journal + url.format("kpr"))
    file = read(tmp_path, f"{common}{OSLO}{BYDEL}{BERGEN}")
    assert [one.group for one in file.municipalities] == ["900201_async", "900201_async", "900202_async"]

    complete = '\n[municipality.bus]\nreceipts_queue = "tb.example.no/exchange/900201_async"\n'
    spelt = read(tmp_path, f"{common}{OSLO}{BYDEL}{complete}")
    assert len({one.group for one in spelt.municipalities}) == 1, "one queue, named in two ways"

    other = f"\n[municipality.journal]\n{url.format('other')}"
    assert "two journals" in refused(tmp_path, f"{common}{OSLO}{BYDEL}{other}").what


def test_a_copy_of_a_key_is_the_same_key(tmp_path: Path) -> None:
    for name, content in (("0301-03", b"key 1"), ("5001", b"key 2"), ("0301-04", b"key 1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "signing.p12").write_bytes(content)
    read(tmp_path, f"{COMMON}{OSLO}{TRONDHEIM}")

    (tmp_path / "5001/encryption.key").write_bytes(b"key 1")
    error = refused(tmp_path, f"{COMMON}{OSLO}{TRONDHEIM}")
    assert error.where == f"{tmp_path}/fleet.toml: keys"
    copy, original = tmp_path / "5001/encryption.key", tmp_path / "0301-03/signing.p12"
    assert error.what == f"0301-03 and 5001 have the same keys ({copy} is a copy of {original})."

    named = '[[municipality.keys.decryption]]\npkcs12 = "5001/encryption.key"\nkey_label = "5001"\n'
    read(tmp_path, f"{COMMON}{OSLO}{TRONDHEIM}{named}")  # a file with several keys

    journal = '\n[municipality.journal]\npath = "state/oslo.db"\n'
    read(tmp_path, f"{COMMON}{OSLO}{journal}{BYDEL}{journal}")
    queue = '\n[municipality.bus]\nreceipts_queue = "tb.example.no/exchange/900299_async"\n'
    assert "two journals" in refused(tmp_path, f"{COMMON}{OSLO}{BYDEL}{queue}").what


def test_key_files_that_cannot_be_compared_are_told_apart_by_their_places(tmp_path: Path) -> None:
    for name in ("0301-03", "5001"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "signing.p12").touch()
        os.mkfifo(tmp_path / name / "encryption.key")  # reading it would wait for ever
    read(tmp_path, f"{COMMON}{OSLO}{TRONDHEIM}")

    for name in ("0301-03", "5001"):
        (tmp_path / name / "signing.p12").write_bytes(b"no key is as large" * 5_000)
    read(tmp_path, f"{COMMON}{OSLO}{TRONDHEIM}")

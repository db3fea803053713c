"""A bundle for support: what it holds, and that nothing leaves the machine in it that must not (G6)."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from kpr_sender.errors import InternalError
from kpr_sender.operator import bundle
from tests.helpers.desk import Desk
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import municipality

_PASSWORD = "hemmelig-i-test"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A pair that FHI rejected with an OT, and whose person settled it."""
    kommune = municipality(tmp_path)
    fhi = Fhi(kommune.pki)
    made = Desk(kommune, MemoryBus(lambda message: fhi.answer(message, status="2")), [])
    with made.client("Kari Nordmann") as client:
        client.submit()
        report = client.wait(timeout=5)
        client.settle(report.submission.shipments[0].msg_id, reason="Avtalt med Ola på telefon")
    kommune.write({"log": {"file": "kpr.log"}}, port=1)
    (kommune.folder / "kpr.log").write_text(
        '{"event": "published", "text": "It is rejected: T02 XML validerer ikke."}\nstarted\n'
    )
    return made


def _bundle(desk: Desk) -> Path:
    return desk.kommune.folder / "bundle.zip"


def _contents(archive: Path) -> dict[str, str]:
    with zipfile.ZipFile(archive) as opened:
        assert {one.date_time for one in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        return {one.filename: opened.read(one).decode() for one in opened.infolist()}


def test_it_holds_what_support_asks_for_and_no_secret_person_or_words(desk: Desk) -> None:
    ran = desk.command("--json", "bundle", str(_bundle(desk)))
    assert ran.code == 0, ran.err
    assert stat.S_IMODE(_bundle(desk).stat().st_mode) == 0o600
    contents = _contents(_bundle(desk))
    assert list(contents) == ran.json()["files"]
    configuration = json.loads(contents["configuration.json"])
    assert configuration["sender"]["service_her_id"] == 900002
    assert configuration["bus"]["password"] == "***"
    assert json.loads(contents["versions.json"])["cryptography"]
    assert json.loads(contents["status.json"])["state"]
    assert "red" in {json.loads(line)["light"] for line in contents["doctor.jsonl"].splitlines()}
    assert {json.loads(line)["kind"] for line in contents["journal.jsonl"].splitlines()} >= {"shipment", "receipt"}
    assert json.loads(contents["journal-verify.json"])["findings"] == []
    assert contents["log.jsonl"].splitlines()[-1] == "started"
    everything = "".join(contents.values())
    for secret in (_PASSWORD, desk.kommune.pki.passphrase(), "Kari Nordmann", "Ola", "linje 7", "PRIVATE KEY"):
        assert secret not in everything
    assert "XML validerer ikke" not in everything, "FHI's words may name a person"
    assert '"code": "T02"' in contents["journal.jsonl"]


def test_it_is_not_overwritten(desk: Desk) -> None:
    _bundle(desk).write_bytes(b"important")
    ran = desk.command("bundle", str(_bundle(desk)))
    assert (ran.code, _bundle(desk).read_bytes()) == (64, b"important")


def test_where_anything_is_found_it_is_not_written(desk: Desk) -> None:
    """The log is others' to write to as well; what the line says is not repeated."""
    log, settings = desk.kommune.folder / "kpr.log", desk.kommune.configure({"log": {"file": "kpr.log"}})
    for line, what in (
        ("user 158520 12345 was there", "a national id"),
        ('{"event": "x", "seen": "15852012345"}', "a national id"),
        (json.dumps({"event": "x", "password_was": _PASSWORD}), ""),
        ("-----BEGIN PRIVATE KEY----- MIIEvQ", "key material"),
        ("<IPLOS><PERSON pePeID='1'/></IPLOS>", "payload"),
        (f"login with {_PASSWORD} refused", ".password, and was not written"),
    ):
        log.write_text(f"started\n{line}\n", "utf-8")
        with pytest.raises(InternalError, match=r"log\.jsonl line 2") as raised:
            bundle.require_nothing_found([bundle.BundledFile(bundle.LOG, bundle.last_lines(log))], settings)
        assert what in raised.value.what
        assert _PASSWORD not in str(raised.value)
    ran = desk.command("bundle", str(_bundle(desk)), "--max-wait", "1s")
    assert (ran.code, _PASSWORD in ran.err, _bundle(desk).exists()) == (70, False, False)


def test_every_line_of_a_secret_is_looked_for_and_what_is_secret_in_an_address_by_itself(desk: Desk) -> None:
    folder = desk.kommune.folder
    (folder / "urls").write_text(
        "mailto://kpr:hemmelig%2Fnok@smtp2.kommune.example?to=it@kommune.example\njson://a.example/x\n"
    )
    (folder / "ping").write_text("https://hc.example/0b3a6f7e-6d5c-4a3b-9a21-aaaabbbbcccc\n")
    settings = desk.kommune.configure({"notify": {"urls_file": "urls"}, "monitor": {"ping_url_file": "ping"}})

    def refused(line: str) -> str:
        try:
            bundle.require_nothing_found([bundle.BundledFile(bundle.LOG, [line])], settings)
        except InternalError as error:
            return str(error.what)
        return ""

    for secret in ("hemmelig/nok", "hemmelig%2Fnok", "mailto://kpr:hemmelig%2Fnok@smtp2.kommune.example"):
        assert refused(f"login with {secret} refused")
    assert "monitor.ping_url" in refused("asked 0b3a6f7e-6d5c-4a3b-9a21-aaaabbbbcccc")
    assert refused("connected to smtp2.kommune.example and hc.example as kpr") == ""


def test_what_is_broken_is_told_and_not_in_the_way(desk: Desk) -> None:
    desk.kommune.journal.write_bytes(b"no journal at all")
    (desk.kommune.folder / "kpr.log").unlink()
    assert desk.command("bundle", str(_bundle(desk))).code == 0
    contents = _contents(_bundle(desk))
    assert json.loads(contents["journal.jsonl"])["error"]["code"] == "journal-unwritable"
    assert "No such file" in contents["log.jsonl"]
    assert json.loads(contents["configuration.json"])["sender"]["service_her_id"] == 900002


def test_of_a_long_log_the_last_lines_are_taken_in_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(50_000)))
    assert bundle.last_lines(log)[0] == "line 48000"
    monkeypatch.setattr(bundle, "_LAST_BYTES", 25)
    assert bundle.last_lines(log) == ["line 49998", "line 49999"]

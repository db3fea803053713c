"""Evidence for the archive: anybody verifies it with openssl and sha256sum, and what is not genuine is said so (76)."""

from __future__ import annotations

import hashlib
import html
import io
import json
import re
import shutil
import stat
import struct
import subprocess
import warnings
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.cms.write import detached_signature
from kpr_sender.journal.values import CREATED, DECISIONS
from kpr_sender.model import MessageType
from kpr_sender.operator.evidence_archive import FACTS, LIST, SIGNATURE
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.render.evidence import _WORDS_OF_DECISIONS
from tests.helpers import pki
from tests.helpers.command import Ran
from tests.helpers.desk import Desk
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality
from tests.outbound.test_submit_findings import drop_two


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Municipality:
    """A municipality whose pair is delivered and reviewed, with its evidence beside it."""
    kommune = municipality(tmp_path_factory.mktemp("evidence"))
    desk = Desk(kommune, MemoryBus(Fhi(kommune.pki).answer), [])
    with desk.client("Kari") as client:
        client.submit()
        assert client.wait(timeout=5).exit_code == 0
        client.reviewed(by="Inga", note="Tallene stemmer")
    ran = _evidence(kommune, "evidence.zip")
    assert ran.code == 0, ran
    return kommune


def _desk(kommune: Municipality) -> Desk:
    return Desk(kommune, MemoryBus(), [])


def _evidence(kommune: Municipality, name: str, *more: str) -> Ran:
    submission = _desk(kommune).command("--json", "status").json()["submission"]
    return _desk(kommune).command("evidence", submission, str(kommune.folder / name), *more)


def _unpacked(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    return folder


def _commands(folder: Path) -> list[str]:
    """The commands as the page has them."""
    page = (folder / "index.html").read_text("utf-8")
    return [html.unescape(found) for found in re.findall(r"<pre><code>(.*?)</code></pre>", page)]


def _run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)


def test_the_commands_of_the_page_verify_it_and_find_what_was_changed(made: Municipality, tmp_path: Path) -> None:
    folder = _unpacked(made.folder / "evidence.zip", tmp_path / "unpacked")
    signature, certificate, issuer, digests, count = _commands(folder)
    roots = made.pki.ca.read_bytes() + (made.pki.folder / "issuing.pem").read_bytes()
    (tmp_path / "roots.pem").write_bytes(roots)

    for command in (signature, issuer):
        told = _run(command, folder)
        assert (told.returncode, "CMS Verification successful" in told.stderr) == (0, True), told
    told = _run(certificate, folder)
    assert "EKSEMPEL KOMMUNE" in told.stdout
    assert (_run(digests, folder).returncode, _run(digests, folder).stdout) == (0, "")
    step = re.search(r"It must say: (\d+)", (folder / "index.html").read_text("utf-8"))
    assert step is not None
    assert _run(count, folder).stdout.strip() == step[1] == str(sum(one.is_file() for one in folder.rglob("*")))

    facts = folder / "evidence.json"
    facts.write_bytes(facts.read_bytes() + b"\n")
    assert _run(digests, folder).returncode != 0
    listed = folder / LIST
    listed.write_bytes(listed.read_bytes().replace(b"a", b"b", 1))
    assert _run(signature, folder).returncode != 0


def test_it_holds_what_was_sent_answered_and_decided(made: Municipality, tmp_path: Path) -> None:
    folder = _unpacked(made.folder / "evidence.zip", tmp_path)
    facts = json.loads((folder / "evidence.json").read_text("utf-8"))
    status = _desk(made).command("--json", "status").json()

    assert facts["submission"]["state"] == "delivered"
    for mine, known in zip(facts["shipments"], status["shipments"], strict=True):
        assert {name: mine[name] for name in known} == known
        assert mine["envelope"]["properties"]["fromHerId"] == "900002"
    assert facts["review"]["by"] == "Inga"
    assert facts["review"]["note"] == "Tallene stemmer"
    assert [one["by"] for one in facts["decisions"]] == ["Inga"]
    assert facts["versions"]["kpr-sender"]
    assert {"accepted", "receipt-ok"} <= {one["what"] for one in facts["history"]}
    for receipt in facts["receipts"]:
        original = (folder / receipt["original"]).read_bytes()
        assert hashlib.sha256(original).hexdigest() == receipt["sha256"]
        assert (receipt["verified"], receipt["xml"]) == (True, None)
    page = (folder / "index.html").read_text("utf-8")
    for shown in (
        *(one["msg_id"] for one in facts["shipments"]),
        *(one["sealed_sha256"] for one in facts["shipments"]),
        *("Inga", "Tallene stemmer", "EKSEMPEL KOMMUNE", facts["submission"]["submission_id"]),
    ):
        assert shown in page
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<img|<link|src=|https?://", page)
    assert not [one for one in folder.rglob("*") if one.suffix == ".xml"]


def test_the_page_is_in_the_language_that_is_spoken(made: Municipality, tmp_path: Path) -> None:
    submission = _desk(made).command("--json", "status").json()["submission"]
    archive = made.folder / "norsk.zip"
    assert _desk(made).command("--lang", "nb", "evidence", submission, str(archive)).code == 0
    norwegian = _unpacked(archive, tmp_path / "nb")
    page = (norwegian / "index.html").read_text("utf-8")
    assert '<html lang="nb">' in page
    assert "Slik kontrolleres dette" in page
    assert _commands(norwegian) == _commands(_unpacked(made.folder / "evidence.zip", tmp_path / "en"))
    assert json.loads((norwegian / "evidence.json").read_text("utf-8"))["submission"]["state"] == "delivered"


def test_receipts_in_clear_text_are_enclosed_only_when_asked_for(made: Municipality, tmp_path: Path) -> None:
    ran = _evidence(made, "with.zip", "--with-receipts")
    assert "which may name a patient" in ran.out
    folder = _unpacked(made.folder / "with.zip", tmp_path)
    assert [one.read_bytes()[:5] for one in sorted(folder.rglob("*.xml"))] == [b"<AppR"] * 2
    assert _desk(made).command("evidence", "verify", str(made.folder / "with.zip")).code == 0


def test_it_is_its_owners_alone_and_nothing_is_overwritten(made: Municipality) -> None:
    archive = made.folder / "evidence.zip"
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    before = archive.read_bytes()
    ran = _evidence(made, "evidence.zip")
    assert (ran.code, "not overwritten" in ran.err, archive.read_bytes() == before) == (64, True, True)
    assert _evidence(made, "no/such/folder.zip").code == 64
    with zipfile.ZipFile(archive) as opened:
        assert {one.date_time for one in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_ours_is_genuine(made: Municipality) -> None:
    told = _desk(made).command("--json", "evidence", "verify", str(made.folder / "evidence.zip"))
    assert (told.code, told.json()["sender"], told.json()["files"]) == (0, "EKSEMPEL KOMMUNE", 6)
    assert "is genuine" in _desk(made).command("evidence", "verify", str(made.folder / "evidence.zip")).out


def _contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {one.filename: opened.read(one) for one in opened.infolist()}


def _packed(path: Path, contents: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in contents.items():
            opened.writestr(name, content)
    return path


def _listed(contents: Mapping[str, bytes]) -> bytes:
    names = sorted(contents.keys() - {LIST, SIGNATURE})
    return "".join(f"{hashlib.sha256(contents[name]).hexdigest()}  {name}\n" for name in names).encode()


def _signed_by_other(contents: dict[str, bytes], made: Municipality) -> dict[str, bytes]:
    """The same, signed anew with a key of FHI's."""
    fresh = contents | {LIST: _listed(contents)}
    at = datetime.now(UTC)
    return fresh | {SIGNATURE: detached_signature(fresh[LIST], Fhi(made.pki).key("fhi-signing"), at=at)}


def _named_anew(her_id: str, contents: dict[str, bytes], made: Municipality) -> dict[str, bytes]:
    facts = contents[FACTS].replace(b'"service_her_id": 900002', f'"service_her_id": {her_id}'.encode())
    return _signed_by_other(contents | {FACTS: facts}, made)


_ALTERED: dict[str, tuple[Callable[[dict[str, bytes], Municipality], dict[str, bytes]], str]] = {
    "altered": (
        lambda it, _: it | {"index.html": it["index.html"].replace(b"Inga", b"Olga")},
        "index.html was altered",
    ),
    "altered with its digest": (
        lambda it, _: (fresh := it | {"index.html": b"x"}) | {LIST: _listed(fresh)},
        "signature is not valid",
    ),
    "added": (lambda it, _: it | {"receipts/99.p7m": b"x"}, "receipts/99.p7m was added"),
    "removed": (lambda it, _: {name: it[name] for name in it if name != "index.html"}, "index.html was removed"),
    "without signature": (
        lambda it, _: {name: it[name] for name in it if name != SIGNATURE},
        "SHA256SUMS.p7s is missing",
    ),
    "signed by somebody else": (_signed_by_other, "vouches"),
    **{
        f"signed by somebody else, {number[:9]} as HER-id": (partial(_named_anew, number), "says of itself")
        for number in ("Infinity", "NaN", "1e999", "9" * 5_000)
    },
    "a path that leads out": (lambda it, _: it | {"../../etc/passwd": b"x"}, "no part of evidence"),
    "an absolute path": (lambda it, _: it | {"/etc/passwd": b"x"}, "no part of evidence"),
    "a folder": (lambda it, _: it | {"receipts/": b""}, "no part of evidence"),
}


@pytest.mark.parametrize("name", _ALTERED)
def test_what_was_changed_is_not_genuine(made: Municipality, tmp_path: Path, name: str) -> None:
    change, said = _ALTERED[name]
    archive = _packed(tmp_path / "other.zip", change(_contents(made.folder / "evidence.zip"), made))
    ran = _desk(made).command("evidence", "verify", str(archive))
    assert (ran.code, said in ran.err) == (76, True), ran.err


def test_packed_again_it_is_as_genuine(made: Municipality, tmp_path: Path) -> None:
    archive = _packed(tmp_path / "again.zip", _contents(made.folder / "evidence.zip"))
    assert _desk(made).command("evidence", "verify", str(archive)).code == 0


def _twice(path: Path, contents: dict[str, bytes]) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as opened:
        warnings.simplefilter("ignore")
        for name, content in [*contents.items(), ("index.html", b"another")]:
            opened.writestr(name, content)


def _with_link(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16 if name == "index.html" else 0
            opened.writestr(entry, content)


def _bomb(path: Path, contents: dict[str, bytes]) -> None:
    """A megabyte that says to become two gigabytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in contents.items():
            opened.writestr(name, content)
        opened.writestr("receipts/7.p7m", bytes(1_000_000))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"receipts/7.p7m") - 46
    data[at + 24 : at + 28] = struct.pack("<I", 2_000_000_000)
    path.write_bytes(data)


def _liar(path: Path, contents: dict[str, bytes]) -> None:
    """An entry that unpacks to more than it says."""
    _bomb(path, contents)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"receipts/7.p7m") - 46
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    path.write_bytes(data)


def _crowded(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as opened:
        for number in range(6_000):
            opened.writestr(f"receipts/{number}.p7m", b"")


def _large_directory(path: Path, contents: dict[str, bytes]) -> None:
    path.write_bytes(b"PK\5\6" + bytes(8) + struct.pack("<II", 900_000_000, 0) + bytes(2))


def _lzma(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as opened:
        for name, content in contents.items():
            opened.writestr(name, content)


def _cut(path: Path, contents: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in contents.items():
            opened.writestr(name, content)
    path.write_bytes(buffer.getvalue()[:-100])


def _words(path: Path, contents: dict[str, bytes]) -> None:
    path.write_bytes(b"This is no archive.")


@pytest.mark.parametrize(
    "hostile",
    [_twice, _with_link, _bomb, _liar, _crowded, _large_directory, _lzma, _cut, _words],
    ids=lambda one: one.__name__,
)
def test_a_hostile_archive_is_refused_within_bounds(
    made: Municipality, tmp_path: Path, hostile: Callable[[Path, dict[str, bytes]], None]
) -> None:
    archive = tmp_path / "hostile.zip"
    hostile(archive, _contents(made.folder / "evidence.zip"))
    ran = _desk(made).command("evidence", "verify", str(archive))
    assert (ran.code, str(archive) in ran.err) == (76, True), ran.err


def test_another_municipalitys_needs_an_authority_and_its_organisation_number(
    made: Municipality, tmp_path: Path
) -> None:
    """Here another HER-id is configured, so that nothing of it is ours."""
    other = municipality(tmp_path)
    archive, roots = str(made.folder / "evidence.zip"), str(other.folder / "roots.pem")
    Path(roots).write_bytes(made.pki.ca.read_bytes() + (made.pki.folder / "issuing.pem").read_bytes())
    shutil.copy(archive, other.folder / "theirs.zip")
    own = {"service_her_id": 900099}
    other.write({"sender": own}, port=1)
    refused = _desk(other).command("evidence", "verify", archive)
    assert (refused.code, "Nobody here vouches" in refused.err) == (76, True)
    other.write({"sender": own, "protection": {"roots": [roots]}}, port=1)
    assert _desk(other).command("evidence", "verify", archive).code == 76  # it names no organisation number

    for number, code in (("310000019", 0), ("310000027", 76)):
        made.write({"sender": {"organisation_number": number}}, port=1)
        name = f"named-{number}.zip"
        assert _evidence(made, name).code == 0
        ran = _desk(other).command("evidence", "verify", str(made.folder / name))
        assert ran.code == code, ran.err
    made.write({}, port=1)


def test_where_authorities_are_configured_ours_must_lead_to_one_too(made: Municipality, tmp_path: Path) -> None:
    archive, roots = str(made.folder / "evidence.zip"), tmp_path / "roots.pem"
    try:
        roots.write_bytes(pki.root().public_bytes(Encoding.PEM))
        made.write({"protection": {"roots": [str(roots)]}}, port=1)
        refused = _desk(made).command("evidence", "verify", archive)
        assert (refused.code, "is not trusted" in refused.err) == (76, True), refused.err

        roots.write_bytes(made.pki.ca.read_bytes() + (made.pki.folder / "issuing.pem").read_bytes())
        made.write({"protection": {"roots": [str(roots)], "revocation": "require"}}, port=1)
        warned = _desk(made).command("evidence", "verify", archive)
        assert (warned.code, "No issuer says whether the certificate is revoked" in warned.out) == (0, True), warned
    finally:
        made.write({}, port=1)


def test_what_came_in_clear_text_stays_out_and_its_digest_is_there(tmp_path: Path) -> None:
    kommune = municipality(tmp_path)
    fhi = Fhi(kommune.pki)
    bus = MemoryBus(lambda message: [fhi.inbound(message, fhi.apprec(message, status="2"))])
    desk = Desk(kommune, bus, [])
    with desk.client() as client:
        client.submit()
        client.wait(timeout=0)
    assert _evidence(kommune, "evidence.zip").code == 0
    contents = _contents(kommune.folder / "evidence.zip")
    receipts = json.loads(contents["evidence.json"])["receipts"]
    assert [one["original"] for one in receipts] == [None, None]
    assert all(one["sha256"] and one["not_enclosed"] for one in receipts)
    assert not any(b"linje 7" in content for content in contents.values())
    assert {MessageType.KPR_IPL.value.encode() in contents["index.html"]} == {True}


def test_accepted_findings_are_in_it_with_what_they_are(tmp_path: Path) -> None:
    kommune = municipality(tmp_path)
    drop_two(kommune)
    desk = Desk(kommune, MemoryBus(Fhi(kommune.pki).answer), [])
    with desk.client("Kari Vakt") as client:
        client.submit(accept_findings=2)
    assert _evidence(kommune, "evidence.zip").code == 0
    contents = _contents(kommune.folder / "evidence.zip")
    facts = json.loads(contents["evidence.json"])
    (rule, number), *others = facts["accepted_findings"].items()
    assert (number, others) == (2, [])
    assert next(one["by"] for one in facts["decisions"] if one["what"] == "findings-accepted") == "Kari Vakt"
    page = contents["index.html"].decode("utf-8")
    assert rule in page
    assert html.escape(str(RULES[rule].title)) in page


def test_every_decision_has_its_words() -> None:
    assert {*DECISIONS, CREATED, "journal-accepted", "released"} == set(_WORDS_OF_DECISIONS)


def test_after_pruning_it_says_that_the_originals_are_gone(tmp_path: Path) -> None:
    kommune = municipality(tmp_path)
    desk = Desk(kommune, MemoryBus(Fhi(kommune.pki).answer), [])
    with desk.client() as client:
        client.submit()
        client.wait(timeout=5)
        client.reviewed(by="Inga")
    assert desk.command("journal", "prune", "--before", "2025", "--reason", "ute", "--by", "Kari", "--yes").code == 0
    assert "it was removed from the journal" in _evidence(kommune, "evidence.zip").out
    assert desk.command("evidence", "verify", str(kommune.folder / "evidence.zip")).code == 0


def test_a_submission_that_is_not_there_and_a_file_that_is_not_there(made: Municipality) -> None:
    assert _desk(made).command("evidence", "2024-00000000", str(made.folder / "no.zip")).code == 64
    assert not (made.folder / "no.zip").exists()
    assert _desk(made).command("evidence", "verify", str(made.folder / "no.zip")).code == 66

"""Bad input of every kind, by the real command: a clear sentence, its exit code, nothing sent, nothing lost."""

from __future__ import annotations

import codecs
import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kpr_sender.errors import KprError
from kpr_sender.journal.sqlite import SqliteJournal
from kpr_sender.model import Environment
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.ledger import Ledger
from kpr_sender.sandbox.sandbox import Behaviour, Sandbox
from tests.helpers import pki
from tests.helpers.command import Ran, ended, kpr_send, start_anew
from tests.helpers.municipality import SENDER_HER_ID, Changes, Municipality
from tests.helpers.pki import Kind
from tests.helpers.tls_certificates import make_authority

Prepare = Callable[[Municipality], object]


@dataclass(frozen=True)
class Case:
    """One way to get it wrong.

    Attributes:
        code: The exit code it must have.
        says: Words the text must hold.
        prepare: Spoils something before the run.
        changes: Changes to the configuration.
        faults: What the bus does wrong.
    """

    code: int
    says: tuple[str, ...]
    prepare: Prepare = lambda _kommune: None
    changes: Changes = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def edit(name: str, old: str, new: str) -> Prepare:
    """Replace text in one of the two files."""

    def prepare(kommune: Municipality) -> None:
        path = kommune.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return prepare


def write(name: str, data: bytes) -> Prepare:
    return lambda kommune: (kommune.folder / name).write_bytes(data)


def signing_key(kind: Kind) -> Prepare:
    """Put another signing key in the place of the municipality's."""

    def prepare(kommune: Municipality) -> None:
        kommune.pki.folder.joinpath("kommune-signing.p12").write_bytes(pki.p12(kind, kommune.pki.passphrase()))

    return prepare


def mismatched_pem(kommune: Municipality) -> None:
    (kommune.folder / "signing.pem").write_bytes(pki.certificate_pem(Kind.SIGNER))
    (kommune.folder / "signing.key").write_bytes(pki.key_pem(Kind.STRANGER))


def a_folder_instead(kommune: Municipality) -> None:
    kommune.fagmelding.unlink()
    kommune.fagmelding.mkdir()


def another_authority(kommune: Municipality) -> None:
    kommune.pki.ca.write_bytes(make_authority(kommune.folder / "other-ca").ca_file.read_bytes())


def newer_journal(kommune: Municipality) -> None:
    SqliteJournal.open(kommune.journal, Environment.LOKAL, now=lambda: pki.NOW, who="test").close()
    with closing(sqlite3.connect(kommune.journal)) as connection:
        connection.execute("PRAGMA user_version = 9999")


FAG, IDENT = "fagmelding.xml", "identmelding.xml"
IPLOS_NS = "http://www.npr.no/xmlstds/iplos/2019"

CASES = {
    "file missing": Case(66, (FAG,), lambda k: k.fagmelding.unlink()),
    "file is a folder": Case(66, (FAG,), a_folder_instead),
    "file empty": Case(65, (FAG,), write(FAG, b"")),
    "not XML": Case(65, (FAG, "line 1"), write(FAG, b"pePeID;peKjonn\n1;K\n")),
    "broken XML": Case(65, (FAG, "line"), edit(FAG, "</IPLOS>", "")),
    "DTD": Case(65, (FAG, "line 2"), edit(FAG, "<IPLOS", "<!DOCTYPE IPLOS>\n<IPLOS")),
    "entity": Case(65, (IDENT,), edit(IDENT, "<Melding", '<!DOCTYPE Melding [<!ENTITY a "b">]>\n<Melding')),
    "wrong root": Case(
        65, (FAG, "IPLOS"), lambda k: (edit(FAG, "<IPLOS", "<IPLAS")(k), edit(FAG, "</IPLOS", "</IPLAS")(k))
    ),
    "wrong namespace": Case(65, (FAG, "iplos/2019"), edit(FAG, IPLOS_NS, "http://www.npr.no/xmlstds/iplos/2018")),
    "wrong version": Case(65, (FAG, "3.7"), edit(FAG, 'versjon="3.7"', 'versjon="3.5"')),
    "swapped": Case(
        65,
        (FAG, "identmelding"),
        lambda k: (
            k.fagmelding.rename(k.folder / "x"),
            k.identmelding.rename(k.fagmelding),
            (k.folder / "x").rename(k.identmelding),
        ),
    ),
    "not the whole year": Case(65, (FAG, "20240630"), edit(FAG, "<iiTilDato>20241231", "<iiTilDato>20240630")),
    "another year than the configuration's": Case(65, (FAG, "2024", "2025"), changes={"report": {"year": 2025}}),
    "kommunenummer of three digits": Case(65, (FAG, "iiKomnr", "4 digits"), edit(FAG, "<iiKomnr>9999", "<iiKomnr>999")),
    "another municipality": Case(65, ("9999", "0301"), changes={"sender": {"kommunenummer": "0301"}}),
    "too large": Case(65, ("refuse_bytes",), changes={"limits": {"warn_bytes": 500, "refuse_bytes": 1000}}),
    "wrong passphrase": Case(77, ("keys.signing",), lambda k: (k.pki.folder / "passphrase").write_text("wrong")),
    "key file missing": Case(78, ("keys.signing",), lambda k: (k.pki.folder / "kommune-signing.p12").unlink()),
    "certificate expired": Case(77, ("keys.signing", "expired"), signing_key(Kind.EXPIRED_SIGNER)),
    "certificate not yet valid": Case(77, ("keys.signing", "not"), signing_key(Kind.NOT_YET_VALID_SIGNER)),
    "wrong key usage": Case(77, ("keys.signing", "nonRepudiation"), signing_key(Kind.ENCRYPTION)),
    "no key usage": Case(77, ("keys.signing",), signing_key(Kind.NO_USAGE)),
    "weak key": Case(77, ("keys.signing", "2048"), signing_key(Kind.RSA_1024)),
    "key does not match": Case(
        77,
        ("keys.signing",),
        mismatched_pem,
        {"keys.signing": {"pkcs12": None, "passphrase_file": None, "certificate": "signing.pem", "key": "signing.key"}},
    ),
    "receiver's certificate expired": Case(
        77,
        ("encryption_certificate",),
        lambda k: (k.pki.folder / "fhi-encryption.pem").write_bytes(pki.certificate_pem(Kind.EXPIRED_ENCRYPTION)),
    ),
    "receiver's certificate missing": Case(
        78, ("encryption_certificate",), lambda k: (k.pki.folder / "fhi-encryption.pem").unlink()
    ),
    "receiver's certificate is EC": Case(
        77,
        ("encryption_certificate",),
        lambda k: (k.pki.folder / "fhi-encryption.pem").write_bytes(pki.certificate_pem(Kind.EC)),
    ),
    "unknown CA": Case(77, ("certificate",), another_authority),
    "wrong password": Case(77, ("password",), lambda k: (k.folder / "bus-password").write_text("not-it")),
    "no password": Case(78, ("bus.password_file",), lambda k: (k.folder / "bus-password").unlink()),
    "unknown exchange": Case(78, ("exchange",), changes={"bus": {"exchange": "NHNtestServiceBus"}}),
    "unknown queue of ours": Case(78, ("900003_async",), changes={"bus": {"receipts_queue": "900003_async"}}),
    "queue full": Case(69, (), faults=("queue-full",)),
    "newer journal": Case(73, ("journal.db", "newer"), newer_journal),
    "not a journal": Case(73, ("journal.db",), write("journal.db", b"not a database, but long enough to look at" * 99)),
    "production's receiver": Case(78, ("122612",), changes={"receiver": {"her_id": 122612}}),
    "production's queue": Case(78, ("122612",), changes={"receiver": {"queue": "122612_async"}}),
    "old level 1 as receiver": Case(78, ("2397",), changes={"receiver": {"her_id": 2397}}),
    "old level 2 as receiver": Case(78, ("134197",), changes={"receiver": {"queue": "134197_async"}}),
    "lokal to the real bus": Case(78, ("bus.host",), changes={"bus": {"host": "tb.nhn.no"}}),
    "plain text to another machine": Case(78, ("bus.",), changes={"bus": {"host": "192.0.2.1", "tls": False}}),
    "a year without profile": Case(78, ("2031",), changes={"report": {"year": 2031}}),
}


def send(kommune: Municipality, *arguments: str) -> Ran:
    arguments = arguments or ("--wait", "1s")
    return kpr_send("--env", "lokal", "--config", kommune.config, "send", *arguments, cwd=kommune.folder)


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_told_and_nothing_is_sent(kommune: Municipality, sandbox: Sandbox, name: str) -> None:
    case = CASES[name]
    case.prepare(kommune)
    sandbox.faults = Faults.parse(case.faults)
    with suppress(KprError):  # the command must say it itself
        kommune.configure(case.changes, port=sandbox.port)
    ran = send(kommune)
    assert ran.code == case.code, ran.err
    assert not [word for word in case.says if word not in ran.err], ran.err
    assert "Traceback" not in ran.err
    accepted = [line for line in Ledger.read(kommune.folder) if line.disposition == "accepted"]
    assert not accepted


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_other_encodings_are_converted_not_refused(kommune: Municipality, sandbox: Sandbox, encoding: str) -> None:
    for path in (kommune.fagmelding, kommune.identmelding):
        text = path.read_text(encoding="utf-8")
        declared = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "iso-8859-1": "ISO-8859-1"}[encoding]
        path.write_bytes(codecs.encode(text.replace('encoding="UTF-8"', f'encoding="{declared}"'), encoding))
    ran = send(kommune, "--wait", "30s")
    assert ran.code == 0, ran.err


def test_a_wrong_host_name_is_refused(kommune: Municipality) -> None:
    """The bus shows a certificate by an authority we trust, made for another host."""
    authority = make_authority(kommune.folder / "other-ca")
    certificate, key = authority.issue(kommune.folder / "other-ca", "another.example")
    kommune.pki.ca.write_bytes(authority.ca_file.read_bytes())
    kommune.pki.tls_certificate.write_bytes(certificate.read_bytes())
    kommune.pki.tls_key.write_bytes(key.read_bytes())
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        kommune.configure(port=sandbox.port)
        ran = send(kommune)
    assert ran.code == 77, ran.err
    assert "127.0.0.1" in ran.err
    assert not Ledger.read(kommune.folder)


def test_an_unroutable_queue_is_told_where_the_broker_tells_it(kommune: Municipality) -> None:
    """RabbitMQ 4 releases what it cannot route; version 3 loses it, and only the missing receipt shows it."""
    faults, behaviour = Faults.parse(["unroutable"]), Behaviour(version="4.0.5")
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID, faults=faults, behaviour=behaviour) as sandbox:
        kommune.configure(port=sandbox.port)
        ran = send(kommune)
        assert ran.code == 78, ran.err
        assert "171479_async" in ran.err
        sandbox.faults = NO_FAULTS
        assert send(kommune, "--wait", "30s").code == 0


def test_disk_full_while_the_journal_is_written(kommune: Municipality, sandbox: Sandbox) -> None:
    """No file may grow beyond 20 kB: the journal's write fails half-way, before anything is sent."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        process = start_anew("--env", "lokal", "--config", kommune.config, "send", PYTHONDONTWRITEBYTECODE="1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    ran = ended(process)
    assert ran.code == 73, ran.err
    assert not Ledger.read(kommune.folder)
    # With room again the same command goes on.
    assert send(kommune, "--wait", "30s").code == 0


def test_an_unreadable_file_is_named(kommune: Municipality) -> None:
    """Root reads every file, so what cannot be read by anybody stands in: a folder, and a file with a loop of links."""
    kommune.fagmelding.unlink()
    kommune.fagmelding.symlink_to(kommune.fagmelding)
    ran = send(kommune)
    assert ran.code == 66, ran.err
    assert FAG in ran.err


def test_a_path_that_is_no_folder(kommune: Municipality, sandbox: Sandbox, tmp_path: Path) -> None:
    ran = send(kommune, str(tmp_path / "no" / "such.xml"), IDENT)
    assert ran.code == 66, ran.err

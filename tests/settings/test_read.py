"""A configuration that is right becomes typed values; one that is wrong says where and what is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment, Party
from kpr_sender.settings import load
from kpr_sender.settings.values import AddressForm, KeyUse, RegistryKind
from tests.helpers.configuration import LOKAL, VALID, changed, load_text


def test_everything_that_is_written_arrives(tmp_path: Path) -> None:
    settings = load_text(tmp_path, VALID)

    assert settings.environment is Environment.VALIDERING
    assert settings.sender.party == Party("EKSEMPEL KOMMUNE", 900001, "Saksbehandling", 900002)
    assert settings.receiver.queue == "tb.nhn.no/NHNPRODServiceBus/171479_async"
    assert settings.keys.decryption[0].certificate_pem == tmp_path / "encryption.pem"
    assert settings.bus.exchange == "NHNPRODServiceBus"


def test_relative_paths_start_in_the_files_folder_and_absolute_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    (folder / "kpr.toml").write_text(changed("path =", 'path = "../data/journal.db"'))

    settings = load(Path("config/kpr.toml"), Environment.VALIDERING, environ={})

    assert settings.files.fagmelding == folder / "fagmelding.xml"
    assert settings.files.identmelding == Path("/extract/identmelding.xml")
    assert settings.journal.path == tmp_path / "data" / "journal.db"
    assert settings.journal.receipts_dir == tmp_path / "data" / "receipts"


def test_what_is_not_written_has_its_default(tmp_path: Path) -> None:
    settings = load_text(tmp_path, VALID)
    bus = settings.bus

    assert (bus.port, bus.tls, bus.ca_file, bus.address_form) == (5671, True, None, AddressForm.AUTO)
    assert (bus.receipts_queue, bus.error_queue) == ("900002_async", "900002_error")
    assert (bus.connect_timeout, bus.reconnect_budget, bus.publish_timeout, bus.idle_timeout) == (10, 60, 60, 60)
    assert (bus.hold_time, bus.held_cap) == (None, 500)
    assert (settings.limits.warn_bytes, settings.limits.refuse_bytes) == (1_000_000, 20_000_000)
    assert settings.protection.signing_key_usage is KeyUse.NON_REPUDIATION
    assert settings.protection.accept_3des is False
    assert settings.hodemelding.ack is True
    assert settings.receiver.unsealed_receipts is False
    assert settings.sender.bydel == "00"
    assert settings.sandbox is None
    assert settings.log.level == "info"


@pytest.mark.parametrize(
    ("line", "replacement", "key", "expected"),
    [
        ("year", 'year = "2024"', "report.year", "a whole number from 2024"),
        ("year", "year = true", "report.year", "a whole number from 2024"),
        ("year", "", "report.year", "missing"),
        ("name", 'name = ""', "sender.name", "not empty"),
        ("her_id", "her_id = 0", "sender.her_id", "a whole number from 1"),
        ("service_her_id", 'service_her_id = "900002"', "sender.service_her_id", "a whole number"),
        ("kommunenummer", "kommunenummer = 301", "sender.kommunenummer", "four digits in quotation marks"),
        ("kommunenummer", 'kommunenummer = "03011"', "sender.kommunenummer", "four digits"),
        ("kommunenummer", 'kommunenummer = "۱۲۳۴"', "sender.kommunenummer", "four digits"),
        ("kommunenummer", 'kommunenummer = "9999"\nbydel = "1"', "sender.bydel", "two digits"),
        ("name", 'name = "X"\norganisation_number = "310000001"', "sender.organisation_number", "check digit"),
        ("signing_certificates", "signing_certificates = []", "receiver.signing_certificates", "a list of paths"),
        ("signing_certificates", 'signing_certificates = "a.pem"', "receiver.signing_certificates", "a list of paths"),
        ("queue", 'queue = "two words"', "receiver.queue", "a queue's name"),
        ("queue", 'queue = "x"\nher_id = 122612', "receiver.her_id", "it belongs to produksjon"),
        ("host", 'host = "amqps://tb.nhn.no"', "bus.host", "without scheme"),
        ("host", 'host = "tb.nhn.no"\nport = 70000', "bus.port", "from 1 to 65535"),
        ("host", 'host = "tb.nhn.no"\nconnect_timeout = "10 minutes"', "bus.connect_timeout", '"10m"'),
        ("host", 'host = "tb.nhn.no"\nhold_time = -1', "bus.hold_time", "from 1s"),
        ("host", 'host = "tb.nhn.no"\naddress_form = "v3"', "bus.address_form", '"auto", "v1", "v2"'),
        ("host", 'host = "tb.nhn.no"\nreceipts_from = "folder"', "bus.receipts_inbox", 'receipts_from = "folder"'),
        ("host", 'host = "tb.nhn.no"\nreceipts_inbox = "inbox"', "bus.receipts_inbox", "only then"),
        ("host", 'host = "tb.nhn.no"\nids = "registered"', "bus.receipts_queue", "host/exchange/queue"),
        ("[journal]", '[hodemelding]\nprocessing_status = "X"\n[journal]', "hodemelding.processing_status", '"D"'),
        ("host", 'host = "tb.nhn.no"\ntls = false', "bus.tls", "loopback"),
        ("host", 'host = "127.0.0.1.example.org"\ntls = false', "bus.tls", "loopback"),
        ("password_env", 'password_env = "my password"', "bus.password_env", "name of an environment variable"),
        ("password_env", "", "bus.password_env", "expected password_env or password_file"),
        ("password_env", 'password_env = "A"\npassword_file = "b"', "bus.password_env", "not both"),
        ("pkcs12", "", "keys.signing", "expected pkcs12, certificate and key, or pkcs11_module"),
        ("pkcs12", 'pkcs12 = "a"\nkey = "b"', "keys.signing.pkcs12", "not both"),
        ("key =", "", "keys.decryption.key", "go together"),
        ("year", 'year = 2024\nextended_to = "2025-01-31"', "report.extension_letter", "go together"),
        ("year", 'year = 2024\nextension_letter = "24/1"', "report.extended_to", "go together"),
        ("year", 'year = 2024\ndeadline = "15.1.2025"', "report.deadline", "a day such as"),
        ("[journal]", "[limits]\nwarn_bytes = 2\nrefuse_bytes = 1\n[journal]", "limits.warn_bytes", "no more than"),
        ("[journal]", "[limits]\nwarn_bytes = 1.5\n[journal]", "limits.warn_bytes", "a whole number of bytes"),
        ("path", 'path = ""', "journal.path", "a path"),
        ("path", "path = 5", "journal.path", "a path"),
        ("path", 'path = "~finnesikke/journal.db"', "journal.path", "nobody knows the home folder"),
        ("path", 'path = "a\\u0000b"', "journal.path", "without NUL"),
        ("username", 'usrname = "kommune"', "bus.usrname", "perhaps username is meant"),
        ("[journal]", "[journl]", "journl", "no such key"),
        ("[journal]", '[sandbox]\ndir = "x"\n[journal]', "sandbox.dir", "no such key"),
        ("[journal]", "[fleet]\njobs = 2\n[journal]", "fleet", "of a fleet file name one with --municipality"),
        ("[journal]", "[[municipality]]\n[journal]", "municipality", "with --municipality"),
        ("[journal]", "[bus.tls]\nx = 1\n[journal]", "bus.tls", "true or false"),
        ("[journal]", "[keys]\nx = 1\n[journal]", "keys.x", "only sections"),
        ("environment", 'environment = "validering"\nlog = 5', "log", "Expected a section"),
        ("environment", 'environment = "validering"\nhost = "x"', "host", "no such key"),
    ],
)
def test_what_is_wrong_is_told_with_file_key_and_what_is_expected(
    tmp_path: Path, line: str, replacement: str, key: str, expected: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load_text(tmp_path, changed(line, replacement))

    assert caught.value.where == f"{tmp_path / 'kpr.toml'}: {key}"
    assert expected in caught.value.what


@pytest.mark.parametrize(
    ("line", "replacement"),
    [
        ("password_env", 'password = "hemmelig-ord"'),
        ("passphrase_env", 'passphrase = "hemmelig-ord"'),
        ("password_env", 'password_env = "hemmelig-ord"'),
        ("username", "username = 5 # hemmelig-ord"),
        ("kommunenummer", 'kommunenummer = "hemmelig-ord"'),
    ],
)
def test_g6_no_value_is_repeated_in_a_message(tmp_path: Path, line: str, replacement: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load_text(tmp_path, changed(line, replacement))

    assert "hemmelig-ord" not in str(caught.value)


def test_a_secret_in_the_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"bus\.password_env or bus\.password_file") as caught:
        load_text(tmp_path, changed("password_env", 'password = "x"'))

    assert caught.value.where.endswith("bus.password")


@pytest.mark.parametrize("written", ['environment = "produksjon"', "environment = 1", ""])
def test_g7_the_file_must_be_for_the_environment_that_was_asked_for(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigInvalid, match='expected environment = "validering"'):
        load_text(tmp_path, changed("environment", written))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_tls_may_be_off_to_a_loopback_address(tmp_path: Path, host: str) -> None:
    assert load_text(tmp_path, changed("host", f'host = "{host}"\ntls = false')).bus.tls is False


def test_a_byte_order_mark_is_no_part_of_the_configuration(tmp_path: Path) -> None:
    assert load_text(tmp_path, f"\ufeff{VALID}").bus == load_text(tmp_path, VALID).bus


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no such configuration file") as caught:
        load(tmp_path / "none.toml", Environment.LOKAL, environ={})

    assert caught.value.where == str(tmp_path / "none.toml")


@pytest.mark.parametrize(("content", "text"), [(b"a = \n", "line 1"), (b'a = "\xe5"', "UTF-8")])
def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "kpr.toml").write_bytes(content)

    with pytest.raises(ConfigInvalid, match=text):
        load(tmp_path / "kpr.toml", Environment.LOKAL, environ={})


def test_several_keys_for_opening_keep_their_order(tmp_path: Path) -> None:
    more = VALID.replace("[bus]", '[[keys.decryption]]\npkcs12 = "old.p12"\n\n[bus]')

    assert [source.pkcs12 for source in load_text(tmp_path, more).keys.decryption] == [None, tmp_path / "old.p12"]


def test_the_embedded_sandbox_brings_register_keys_and_bus(tmp_path: Path) -> None:
    settings = load_text(tmp_path, LOKAL, Environment.LOKAL)
    pki = tmp_path / "pki"

    assert settings.sandbox is not None
    assert (settings.registry.kind, settings.registry.ca_file) == (RegistryKind.SOAP, pki / "ca.pem")
    assert settings.registry.password is settings.bus.password
    receiver = settings.receiver
    assert (receiver.encryption_certificate, receiver.signing_certificates, receiver.queue) == (None, (), "")
    assert settings.keys.signing.pkcs12 == pki / "kommune-signing.p12"
    assert settings.keys.decryption[0].pkcs12 == pki / "kommune-encryption.p12"
    assert (settings.bus.host, settings.bus.tls, settings.bus.ca_file) == ("127.0.0.1", True, pki / "ca.pem")
    assert settings.bus.port == 0
    (tmp_path / "bus-password").write_text("made up\n")
    assert settings.bus.password.reveal() == "made up"


@pytest.mark.parametrize(
    "added",
    ['[bus]\nhost = "127.0.0.1"', "[bus]\nport = 5671", '[registry]\nkind = "files"', '[keys.signing]\npkcs12 = "x"'],
)
def test_what_the_embedded_sandbox_decides_cannot_be_said_twice(tmp_path: Path, added: str) -> None:
    with pytest.raises(ConfigInvalid, match="embedded sandbox decides"):
        load_text(tmp_path, f"{LOKAL}{added}\n", Environment.LOKAL)


def test_what_the_embedded_sandbox_leaves_open_may_be_said(tmp_path: Path) -> None:
    settings = load_text(tmp_path, f'{LOKAL}[bus]\npublish_timeout = "5s"\n', Environment.LOKAL)

    assert settings.bus.publish_timeout == 5


def test_the_embedded_sandbox_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="needs a folder"):
        load_text(tmp_path, LOKAL.replace('dir = "."\n', ""), Environment.LOKAL)


def test_g4_produksjon_takes_no_clear_text_for_a_receipt_and_says_the_way_on(tmp_path: Path) -> None:
    """No other environment delivers anything, so that a mistake there costs nothing."""
    wrong = changed("queue", 'queue = "x"\nunsealed_receipts = true')
    assert load_text(tmp_path, wrong).receiver.concern
    path = tmp_path / "produksjon.toml"
    path.write_text(wrong.replace('environment = "validering"', 'environment = "produksjon"'))
    with pytest.raises(ConfigInvalid, match="no clear text") as refused:
        load(path, Environment.PRODUKSJON, environ={})
    assert refused.value.where == f"{path}: receiver.unsealed_receipts"
    assert "resolve MSGID --settled" in refused.value.next_step
    path.write_text(path.read_text().replace("unsealed_receipts = true", "unsealed_receipts = false"))
    assert load(path, Environment.PRODUKSJON, environ={}).receiver.concern == ""

"""``kpr-send init``: what it asks, what it looks up, what it writes and where."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import stat
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kpr_sender import checking
from kpr_sender.errors import RegistryUnreachable
from kpr_sender.operator.look_up import LookedUp
from kpr_sender.registry.port import UnknownParty
from kpr_sender.sandbox.registered import EKSEMPEL
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.settings import locations
from kpr_sender.settings.sample_file import register_url
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text
from tests.helpers.command import start, until
from tests.helpers.municipality import SENDER_HER_ID, municipality

Command = Callable[..., tuple[int, str, str]]
NUMBER = "938644500"
ALL = (
    *("--service-her-id", "900002", "--user", "kommune", "--her-id", "900001", "--name", "EKSEMPEL KOMMUNE"),
    *("--organisation-number", NUMBER, "--kommunenummer", "3101", "--year", "2025"),
)


def _unreachable(_settings: Settings, _ours: int, _theirs: int) -> LookedUp:
    raise RegistryUnreachable(Text("No usable answer."), where="https://ws.nhn.no")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new user's folders; nobody answers as Adresseregisteret."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(checking, "look_up", _unreachable)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return tmp_path


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Settings, int, int], LookedUp]]:
    """The sandbox's register in the place of Adresseregisteret, which lokal alone may ask."""
    made = municipality(tmp_path_factory.mktemp("kommune"))
    party = dataclasses.replace(EKSEMPEL, name="HALDEN KOMMUNE", service_name="IPLOS", organisation_number=NUMBER)
    real = checking.look_up
    with Sandbox(made.folder, sender_her_id=SENDER_HER_ID, municipality=party) as sandbox:
        registry = {"kind": "soap", "url": register_url(sandbox.register_port), "ca_file": str(made.pki.ca)}
        settings = made.configure({"registry": registry}, port=sandbox.port)
        yield lambda _settings, ours, theirs: real(settings, ours, theirs)


def read(path: Path) -> dict[str, Any]:
    text = path.read_text("utf-8")
    assert all("  # " in line for line in text.splitlines() if line[0] not in "#[")
    return tomllib.loads(text)


def test_keys_in_a_token_or_without_a_passphrase_have_their_flags(command: Command, home: Path) -> None:
    path = home / "one.toml"
    init = ("init", "--env", "validering", "--secrets", str(home), *ALL)
    token = ("--token", "/usr/lib/token.so", "--token-label", "kommune", "--signing-key", "sign")
    assert command(*init, "--config", str(path), *token)[0] == 0
    key = {"pkcs11_module": "/usr/lib/token.so", "token_label": "kommune", "pin_file": str(home / "token-pin")}
    keys = read(path)["keys"]
    assert keys == {"signing": {**key, "key_label": "sign"}, "decryption": [{**key, "key_label": "encryption"}]}
    path.unlink()
    pem = ("--signing-key", "/a.pem", "--signing-certificate", "/b.pem")
    assert command(*init, "--config", str(path), "--no-passphrase", *pem)[0] == 0
    keys = read(path)["keys"]
    assert keys["signing"] == {"key": "/a.pem", "certificate": "/b.pem"}
    assert list(keys["decryption"][0]) == ["pkcs12"]
    for wrong in (token[:2], token[2:], (*token, "--no-passphrase")):
        assert command(*init, "--config", str(home / "two.toml"), *wrong)[0] == 64
    assert command("init", "--env", "lokal", "--no-passphrase")[0] == 64


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize("root", [True, False])
def test_it_writes_a_short_file_where_every_command_finds_it(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch, *, root: bool
) -> None:
    if root:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(locations, "MACHINE", home / "etc")
    folder = home / "etc" if root else home / "config" / "kpr-sender"
    path, journal = folder / "validering.toml", home / "journals" / "j.db"
    before = os.umask(0o077)
    try:
        code, out, _ = command("init", "--env", "validering", "--journal", journal, *ALL)
    finally:
        os.umask(before)

    assert code == 0
    assert stat.S_IMODE(path.stat().st_mode) == (0o644 if root else 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == (0o755 if root else 0o700)
    assert f"{path} " in out
    assert f"{folder}/validering/signing.p12" in out  # it is not there yet
    assert "No usable answer" in out
    assert len(path.read_text("utf-8").splitlines()) <= 36
    written = read(path)
    assert (written["language"], written["environment"]) == ("nb", "validering")
    assert written["sender"] == {
        "name": "EKSEMPEL KOMMUNE", "her_id": 900001, "organisation_number": NUMBER, "service_her_id": 900002,
        "kommunenummer": "3101",
    }  # fmt: skip
    assert written["registry"] == {"kind": "soap", "url": "https://ws.nhn.no/v1/AR/Basic"}
    assert written["bus"]["password_file"] == f"{folder}/validering/bus-password"

    code, out, err = command("--lang", "en", "--env", "validering", "status")
    assert code == 89
    assert str(journal) in out + err

    content = path.read_bytes()
    code, _, err = command("--lang", "en", "init", "--env", "validering", *ALL, "--name", "ANNEN KOMMUNE")
    assert code == 78
    assert f"{path}: There is a configuration already" in err
    assert path.read_bytes() == content


def test_without_a_terminal_it_asks_nothing_and_names_every_option_that_is_missing(
    command: Command, home: Path
) -> None:
    code, _, err = command("--lang", "en", "init", "--env", "produksjon", "--user", "kommune")
    assert code == 64
    assert "Missing: --service-her-id, --her-id, --name, --organisation-number, --kommunenummer." in err
    assert not (home / "config").exists()

    code, _, err = command("--lang", "en", "init", *ALL)
    assert code == 64
    assert "--env is missing" in err


@pytest.mark.parametrize(
    ("flag", "written", "why"),
    [
        ("--organisation-number", "938644501", "valid check digit"),
        ("--organisation-number", "93864450", "nine digits"),
        ("--her-id", "9000x1", "a whole number"),
        ("--service-her-id", "0", "a whole number"),
        ("--kommunenummer", "301", "four digits"),
        ("--kommunenummer", "3001", "since 2024 it is 3101 Halden"),
        ("--kommunenummer", "0199", "no municipality had this number in 2025"),
        ("--year", "1999", "a whole number from 2024"),
        ("--registry", "ldap", "one of"),
        ("--registry-url", "ws.nhn.no", "https://"),
        ("--secrets", "vault", "expected credentials, environment, or a folder"),
        ("--bydel", "1", "two digits"),
        ("--name", " ", "a text that is not empty"),
    ],
)
def test_a_wrong_answer_is_refused_by_its_option_and_not_repeated(
    command: Command, home: Path, flag: str, written: str, why: str
) -> None:
    code, _, err = command("--lang", "en", "init", "--env", "validering", *ALL, flag, written)
    assert code == 64
    assert f"{flag}: " in err
    assert why in err
    assert not written.strip() or f"'{written}'" not in err
    assert not (home / "config").exists()


def test_other_places_of_secrets_keys_and_register_are_written_as_asked(command: Command, home: Path) -> None:
    pem = ("--signing-key", "keys/sign.key", "--signing-certificate", "keys/sign.pem")
    code, out, _ = command("--json", "init", "--env", "produksjon", *ALL, *pem, "--secrets", "credentials",
                           "--registry", "files", "--service-name", "IPLOS", "--config", "p.toml")  # fmt: skip
    told = json.loads(out)
    assert (code, told["exit_code"], told["config"]) == (0, 0, str(home / "p.toml"))
    written = read(home / "p.toml")
    assert "registry" not in written
    assert written["receiver"]["queue"] == "122612_async"
    assert written["sender"]["service_name"] == "IPLOS"
    assert written["keys"]["signing"] == {
        "certificate": f"{home}/keys/sign.pem", "key": f"{home}/keys/sign.key",
        "passphrase_credential": "signing-passphrase",
    }  # fmt: skip
    assert written["bus"]["password_credential"] == "bus-password"

    code, _, err = command("--lang", "en", "init", "--env", "ar-test", *ALL, *pem[:2], "--config", "q.toml")
    assert code == 64
    assert "--signing-certificate" in err

    rest = ("--registry", "rest", "--helseid-client", "a-client", "--secrets", "environment")
    assert command("init", "--env", "ar-test", *ALL, *rest, "--config", "q.toml")[0] == 0
    written = read(home / "q.toml")
    assert written["registry"]["client_key_env"] == "KPR_HELSEID_KEY"
    assert written["registry"]["url"] == "https://cpapi.test.grunndata.nhn.no"
    assert written["bus"]["password_env"] == "KPR_BUS_PASSWORD"


def test_what_adresseregisteret_knows_need_not_be_said_and_is_compared(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch,
    registered: Callable[[Settings, int, int], LookedUp],
) -> None:  # fmt: skip
    monkeypatch.setattr(checking, "look_up", registered)
    least = ("--service-her-id", "900002", "--user", "kommune", "--kommunenummer", "3101")

    code, out, _ = command("--lang", "en", "init", "--env", "validering", *least)
    assert code == 0
    assert "HALDEN KOMMUNE, IPLOS (HER-id 900002), queue 900002_async, 2 certificates." in out
    assert "(HER-id 171479)" in out
    written = read(home / "config" / "kpr-sender" / "validering.toml")
    assert written["sender"] == {
        "name": "HALDEN KOMMUNE", "her_id": 900001, "organisation_number": NUMBER, "service_name": "IPLOS",
        "service_her_id": 900002, "kommunenummer": "3101",
    }  # fmt: skip
    assert written["bus"]["exchange"] == "NHNTESTServiceBus"

    code, _, err = command("--lang", "en", "init", "--env", "produksjon", *least, "--her-id", "900003")
    assert code == 64
    assert "--her-id: Adresseregisteret has 900001 for HER-id 900002." in err

    code, out, _ = command("--lang", "en", "init", "--env", "produksjon", *least)
    assert code == 0
    assert "Adresseregisteret does not know FHI's HER-id 122612" in out

    def unknown(_settings: Settings, ours: int, _theirs: int) -> LookedUp:
        raise UnknownParty.at("https://ws.nhn.no", ours)

    monkeypatch.setattr(checking, "look_up", unknown)
    code, _, err = command("--lang", "en", "init", "--env", "ar-test", *ALL)
    assert code == 64
    assert "--service-her-id: Adresseregisteret does not know HER-id 900002." in err


class Terminal(io.StringIO):
    """A person who types."""

    def isatty(self) -> bool:
        return True


def test_at_a_terminal_each_question_has_a_proposal_or_example_and_is_asked_again(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ["validering", "900002", "kommune", "", "", "", "x", "900001", "EKSEMPEL KOMMUNE", "1", NUMBER, "2025"]
    typed += ["3001", "3101", "sign.p12", "", "", "", ""]
    monkeypatch.setattr(sys, "stdin", Terminal("\n".join(typed) + "\n"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    code, out, err = command("--lang", "en", "init")

    assert code == 0
    assert "--service-her-id, for example 900002" in err
    assert f"[{home}/config/kpr-sender/validering]" in err
    assert err.count("(--her-id") == err.count("(--kommunenummer") == err.count("(--organisation-number") == 2
    assert "3101 Halden" in err
    assert err.index("No usable answer") < err.index("(--her-id")
    assert "(--" not in out
    written = read(home / "config" / "kpr-sender" / "validering.toml")
    assert written["keys"]["signing"]["pkcs12"] == f"{home}/sign.p12"
    assert written["sender"]["kommunenummer"] == "3101"
    assert written["language"] == "en"


def test_at_a_terminal_what_adresseregisteret_knows_is_proposed_and_another_answer_is_asked_again(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch,
    registered: Callable[[Settings, int, int], LookedUp],
) -> None:  # fmt: skip
    monkeypatch.setattr(checking, "look_up", registered)
    typed = ["900002", "kommune", "", "", "", "900003", *[""] * 3, "2025", "3101", *[""] * 5]
    monkeypatch.setattr(sys, "stdin", Terminal("\n".join(typed) + "\n"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    code, _, err = command("--lang", "en", "init", "--env", "validering")

    assert code == 0
    assert "Adresseregisteret has 900001 for HER-id 900002" in err
    assert "[HALDEN KOMMUNE]" in err
    assert read(home / "config" / "kpr-sender" / "validering.toml")["sender"]["organisation_number"] == NUMBER


def test_lokal_needs_no_answer_and_takes_none_that_the_sandbox_decides(command: Command, home: Path) -> None:
    assert command("init", "--env", "lokal", "--year", "2025")[0] == 0
    written = read(home / "config" / "kpr-sender" / "lokal.toml")
    assert written["sandbox"] == {"embedded": True, "dir": f"{home}/state/kpr-sender/lokal/sandbox"}
    assert written["report"] == {"year": 2025}
    assert command("--env", "lokal", "status")[0] == 89

    for arguments, why in (
        (("--user", "kommune"), "In lokal the sandbox decides what --user says."),
        (("--sandbox", home / "none"), f"{home}/none: No sandbox has served in this folder."),
    ):
        code, _, err = command("--lang", "en", "init", "--env", "lokal", "--config", home / "x.toml", *arguments)
        assert code in (64, 78)
        assert why in err
    assert command("init", "--env", "validering", "--sandbox", home, *ALL)[0] == 64


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_every_folder_that_it_makes_is_as_closed_whatever_the_umask(command: Command, home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert command("init", "--env", "lokal", "--config", home / "new" / "below" / "x.toml")[0] == 0
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (home / "new", home / "new" / "below")}
    assert modes == {0o755 if os.geteuid() == 0 else 0o700}


def test_bytes_that_are_no_utf8_are_said_and_nothing_is_written(command: Command, home: Path) -> None:
    path = home / "x.toml"
    for options in (("--name", "\udcffKommune"), ("--journal", home / "\udcff" / "journal.db")):
        code, _, err = command("init", "--env", "lokal", "--config", path, *options)
        assert (code, path.exists()) == (78, False)
        assert "no UTF-8" in err


@pytest.mark.parametrize(
    "content", ['environment = "lokal"', 'environment = "lokal"\n[keys]\n[files]', "keys = 1", "\0"]
)
def test_a_file_that_no_sandbox_wrote_is_said(command: Command, home: Path, content: str) -> None:
    (home / "lokal.toml").write_text(content)
    code, _, err = command("init", "--env", "lokal", "--sandbox", home)
    assert code == 78
    assert "No sandbox has served in this folder." in err


def test_a_new_user_comes_to_a_green_doctor_and_two_receipts_by_a_sandbox_that_serves(
    command: Command, home: Path
) -> None:
    stage = home / "sandbox"
    serving = start("sandbox", "serve", "--dir", stage)
    try:
        until((stage / "lokal.toml").exists)
        assert command("sample", stage, "--persons", "5")[0] == 0
        code, out, _ = command("--json", "init", "--env", "lokal", "--sandbox", stage, "--doctor")
        told = json.loads(out)
        assert (code, told["exit_code"], told["absent"]) == (0, 0, [])
        assert {check["light"] for check in told["checks"]} == {"green"}

        code, out, _ = command("--env", "lokal", "--json", "send")
        assert (code, json.loads(out)["state"]) == (0, "delivered")
        assert len(list((stage / "receipts").iterdir())) >= 2
    finally:
        serving.terminate()
        serving.communicate(timeout=20)

"""What a program says in place of a file is checked as a file is."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import pytest

from kpr_sender import Client, Fleet, Settings
from kpr_sender.errors import ConfigInvalid, UsageError
from kpr_sender.model import Environment
from tests.helpers.configuration import VALID, load_text


def test_a_dictionary_says_what_a_file_with_the_same_says(tmp_path: Path) -> None:
    secrets = {"BUS": "hemmelig", "SIGNING": "frase"}
    from_file = load_text(tmp_path, VALID, environ=secrets)
    document = tomllib.loads(VALID)
    document["journal"] = MappingProxyType({"path": PurePosixPath("journal.db")})
    document["keys"]["decryption"] = tuple(document["keys"]["decryption"])

    settings = Settings.from_dict(document, "validering", folder=tmp_path, secrets=secrets, name="kpr.toml")

    assert settings == from_file
    assert settings.journal.path == tmp_path / "journal.db"
    assert settings.bus.password is not None
    assert settings.bus.password.reveal() == "hemmelig"
    assert "hemmelig" not in repr(settings)
    assert document["journal"]["path"] == PurePosixPath("journal.db"), "the caller's own is left as it was"


def test_secrets_come_from_the_environment_where_none_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUS", "fra-miljø")

    settings = Settings.from_dict(tomllib.loads(VALID), Environment.VALIDERING, folder=tmp_path)

    assert settings.bus.password is not None
    assert settings.bus.password.reveal() == "fra-miljø"


def test_what_is_wrong_is_refused_with_the_key_that_says_it(tmp_path: Path) -> None:
    def refusal(folder: Path = tmp_path, **changes: object) -> str:
        with pytest.raises(ConfigInvalid) as refused:
            Settings.from_dict({**tomllib.loads(VALID), **changes}, "validering", folder=folder, name="kommune-9999")
        return refused.value.text

    assert f"{tmp_path}/kommune-9999: environment" in refusal(environment="produksjon")
    assert f"{tmp_path}/kommune-9999: sendr: There is no such key" in refusal(sendr={})
    assert "Expected an absolute folder" in refusal(Path("config"))


def test_a_file_that_another_user_may_write_is_not_relied_on(tmp_path: Path) -> None:
    (tmp_path / "fhi-encryption.pem").touch()
    (tmp_path / "fhi-encryption.pem").chmod(0o666)

    with pytest.raises(ConfigInvalid) as refused:
        Settings.from_dict(tomllib.loads(VALID), "validering", folder=tmp_path, secrets={})

    assert refused.value.where.endswith("configuration: receiver.encryption_certificate")


def test_an_environment_that_there_is_none_of_is_the_callers_mistake(tmp_path: Path) -> None:
    makers: tuple[Callable[[str], object], ...] = (
        lambda name: Settings.from_dict(tomllib.loads(VALID), name, folder=tmp_path),
        lambda name: Client.from_config(tmp_path / "kpr.toml", name),
        lambda name: Fleet(tmp_path / "fleet.toml", name),
    )
    for make in makers:
        with pytest.raises(UsageError) as caught:
            make("prod-uksjon")
        assert str(caught.value) == (
            "environment: There is no such environment. Name one of lokal, validering, produksjon, ar-test."
        )

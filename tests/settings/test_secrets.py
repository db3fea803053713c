"""Secrets are read where they are used, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.settings.secrets import Secret
from tests.helpers.configuration import VALID, changed, load_text


def test_a_secret_is_read_when_it_is_needed_not_before(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    password = load_text(tmp_path, VALID, environ=environ).bus.password

    with pytest.raises(ConfigInvalid, match="BUS is not set") as caught:
        password.reveal()
    assert caught.value.where == f"{tmp_path / 'kpr.toml'}: bus.password_env"


def test_a_secret_from_the_environment(tmp_path: Path) -> None:
    assert load_text(tmp_path, VALID, environ={"BUS": "hemmelig"}).bus.password.reveal() == "hemmelig"


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"hemmelig\n", "hemmelig"),
        (b"hemmelig\r\n", "hemmelig"),
        (b" to ord", " to ord"),
        (b"\xef\xbb\xbfhemmelig\r\n", "hemmelig"),
        ("påskeøl \N{SNOWMAN}".encode(), "påskeøl \N{SNOWMAN}"),
    ],
)
def test_a_secret_from_a_file_loses_nothing_but_its_line_end_and_byte_order_mark(
    tmp_path: Path, content: bytes, secret: str
) -> None:
    (tmp_path / "password").write_bytes(content)
    text = changed("password_env", 'password_file = "password"')

    assert load_text(tmp_path, text).bus.password.reveal() == secret


@pytest.mark.parametrize(("content", "why"), [(None, "cannot be read"), (b"\n", "is empty"), (b"\xe5", "UTF-8")])
def test_a_file_that_gives_no_secret_is_told(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "password").write_bytes(content)

    with pytest.raises(ConfigInvalid, match=why) as caught:
        load_text(tmp_path, changed("password_env", 'password_file = "password"')).bus.password.reveal()
    assert caught.value.where.endswith("bus.password_file")


NO_SECRETS = [
    pytest.param("hemmelig-x\n", "second line", id="a second line end"),
    pytest.param("hemmelig-x\r\n", "second line", id="a second line end of Windows"),
    pytest.param("hemmelig-x\nannen", "second line", id="two lines"),
    pytest.param("hemmelig-x ", "ends with a blank", id="a blank"),
    pytest.param("hemmelig-x\N{NO-BREAK SPACE}", "ends with a blank", id="a no-break space"),
    pytest.param("hemm\0elig-x", "NUL", id="NUL"),
    pytest.param("hemmelig-x\0", "NUL", id="NUL at the end"),
    pytest.param("hemmelig-x".encode("utf-16-le").decode(), "NUL", id="UTF-16 without its mark"),
    pytest.param("hemm\x07elig-x", "control character", id="BEL"),
    pytest.param("hemm\x1b[Aelig-x", "control character", id="ESC"),
    pytest.param("hemm\telig-x", "control character", id="tab"),
    pytest.param("\ufeff\ufeffhemmelig-x", "control character", id="two byte order marks"),
]


@pytest.mark.parametrize(("written", "why"), NO_SECRETS)
def test_g6_what_nobody_types_as_a_secret_is_refused_by_name_wherever_it_stands(
    tmp_path: Path, written: str, why: str
) -> None:
    (tmp_path / "password").write_bytes(f"{written}\n".encode())  # one line end is the file's own
    from_file = load_text(tmp_path, changed("password_env", 'password_file = "password"')).bus.password
    from_variable = load_text(tmp_path, VALID, environ={"BUS": written}).bus.password
    for key, secret in {"bus.password_file": from_file, "bus.password_env": from_variable, "": Secret(written)}.items():
        with pytest.raises(ConfigInvalid, match=why) as refused:
            secret.reveal()
        assert refused.value.where.endswith(key)
        assert "elig-x" not in str(refused.value)


@pytest.mark.parametrize("content", ["hemmelig-x".encode("utf-16"), b"hemmelig-x\xe5", b"x" * 100_000])
def test_other_encodings_and_sizes_than_a_secrets_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "password").write_bytes(content)
    secret = load_text(tmp_path, changed("password_env", 'password_file = "password"')).bus.password
    with pytest.raises(ConfigInvalid, match=r"password (is not UTF-8 text|is too large)"):
        secret.reveal()
    environ = {"BUS": os.fsdecode(b"hemmelig\xe5")}
    with pytest.raises(ConfigInvalid, match="BUS is not UTF-8 text"):
        load_text(tmp_path, VALID, environ=environ).bus.password.reveal()


def test_the_text_of_a_key_may_have_several_lines(tmp_path: Path) -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert Secret(pem, several_lines=True).reveal() == pem
    with pytest.raises(ConfigInvalid, match="NUL"):
        Secret(f"{pem}\0", several_lines=True).reveal()


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize(("mode", "concerned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_may_read_is_a_concern(tmp_path: Path, mode: int, concerned: bool) -> None:  # noqa: FBT001
    file = tmp_path / "password"
    file.write_text("x")
    file.chmod(mode)

    password = load_text(tmp_path, changed("password_env", 'password_file = "password"')).bus.password

    assert bool(password.concern) is concerned
    assert password.reveal() == "x"


def test_g6_settings_do_not_show_their_secrets(tmp_path: Path) -> None:
    settings = load_text(tmp_path, VALID, environ={"BUS": "hemmelig", "SIGNING": "hemmelig"})

    assert "hemmelig" not in repr(settings)
    assert "hemmelig" not in repr(Secret("hemmelig")) + str(Secret("hemmelig"))


def test_a_credential_of_systemd_is_the_file_of_its_name_and_read_when_it_is_needed(tmp_path: Path) -> None:
    text = changed("password_env", 'password_credential = "bus"')
    for name, content in {"bus": "hemmelig\n", "signing": "to ord", "encryption": "x\0"}.items():
        (tmp_path / name).write_text(content)
    text = text.replace('passphrase_env = "SIGNING"', 'passphrase_credential = "signing"')
    environ = {"OTHER": "x"}
    settings = load_text(tmp_path, text, environ=environ)

    with pytest.raises(ConfigInvalid, match=r"no credential bus: \$CREDENTIALS_DIRECTORY is not set") as caught:
        settings.bus.password.reveal()
    assert caught.value.where == f"{tmp_path / 'kpr.toml'}: bus.password_credential"

    environ["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    assert settings.bus.password.reveal() == "hemmelig"
    assert settings.registry.password.reveal() == "hemmelig"
    signing = settings.keys.signing.secret
    assert signing is not None
    assert signing.reveal() == "to ord"
    (tmp_path / "signing").chmod(0o604)
    assert str(tmp_path / "signing") in signing.exposed
    (tmp_path / "bus").unlink()
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        settings.bus.password.reveal()


@pytest.mark.parametrize("name", ["", "..", "a/b", "hemmelig ord", "/run/credentials/bus"])
def test_g6_what_is_no_credentials_name_is_refused_and_not_repeated(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigInvalid, match="the name of a credential") as refused:
        load_text(tmp_path, changed("password_env", f'password_credential = "{name}"'))
    assert name == "" or name not in str(refused.value)


def test_a_secret_stands_in_one_place(tmp_path: Path) -> None:
    text = changed("password_env", 'password_file = "b"\npassword_credential = "bus"')
    with pytest.raises(ConfigInvalid, match="not both") as refused:
        load_text(tmp_path, text)
    assert refused.value.where.endswith("bus.password_file")

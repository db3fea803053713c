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
    ("content", "secret"), [(b"hemmelig\n", "hemmelig"), (b"hemmelig\r\n", "hemmelig"), (b" to ord ", " to ord ")]
)
def test_a_secret_from_a_file_loses_nothing_but_its_line_end(tmp_path: Path, content: bytes, secret: str) -> None:
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

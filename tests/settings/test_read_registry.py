"""Where the receiver's queue and certificates come from: what must be given then, and what need not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.settings.values import RegistryKind
from tests.helpers.configuration import VALID, changed, load_text

URL = "https://ws.nhn.no/v1/AR/Basic"
RECEIVER_KEYS = ("encryption_certificate", "signing_certificates", "queue")


def _asking(text: str = VALID, **keys: str) -> str:
    lines = {"kind": "soap", "url": URL, **keys}
    return text + "\n[registry]\n" + "\n".join(f'{name} = "{value}"' for name, value in lines.items() if value)


def _without_receiver() -> str:
    return "\n".join(line for line in VALID.splitlines() if not line.startswith(RECEIVER_KEYS))


def test_files_are_the_source_where_nothing_is_said(tmp_path: Path) -> None:
    registry = load_text(tmp_path, VALID).registry

    assert (registry.kind, registry.url) == (RegistryKind.FILES, "")
    assert (registry.max_age, registry.stale_for, registry.timeout) == (3600, 86400, 20)


def test_with_a_register_the_receivers_keys_need_not_be_given(tmp_path: Path) -> None:
    settings = load_text(tmp_path, _asking(_without_receiver(), user="noen", max_age="5m", stale_for="72h"))

    receiver, registry = settings.receiver, settings.registry
    assert (receiver.encryption_certificate, receiver.signing_certificates, receiver.queue) == (None, (), "")
    assert (registry.kind, registry.url, registry.user) == (RegistryKind.SOAP, URL, "noen")
    assert (registry.max_age, registry.stale_for) == (300, 259_200)


def test_the_buss_user_and_password_are_the_registers_unless_it_has_its_own(tmp_path: Path) -> None:
    environ = {"BUS": "en", "REGISTRY": "to"}
    same = load_text(tmp_path, _asking(), environ=environ).registry
    own = load_text(tmp_path, _asking(password_env="REGISTRY"), environ=environ).registry

    assert same.password is not None
    assert own.password is not None
    assert (same.user, same.password.reveal(), own.password.reveal()) == ("kommune", "en", "to")


@pytest.mark.parametrize("name", RECEIVER_KEYS)
def test_without_a_register_each_of_the_receivers_keys_is_missed(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigInvalid, match="as long as no registry is asked") as caught:
        load_text(tmp_path, changed(name, ""))

    assert caught.value.where.endswith(f": receiver.{name}")


@pytest.mark.parametrize(
    ("keys", "where", "said"),
    [
        ({"kind": "ldap"}, "registry.kind", 'one of "files", "soap"'),
        ({"url": ""}, "registry.url", "needs it"),
        ({"url": "http://ws.nhn.no/v1/AR/Basic"}, "registry.url", "begins with https://"),
        ({"url": "https://user:secret@ws.nhn.no/"}, "registry.url", "without user"),
        ({"url": "https://ws.nhn.no/?a=b"}, "registry.url", "query"),
        ({"password_env": "A", "password_file": "b"}, "registry.password_env", "not both"),
        ({"max_age": "2d"}, "registry.max_age", "a duration"),
        ({"stale_for": "-1s"}, "registry.stale_for", "a duration"),
        ({"password": "hemmelig"}, "registry.password", "Secrets do not belong"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(tmp_path: Path, keys: dict[str, str], where: str, said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said) as caught:
        load_text(tmp_path, _asking(**keys))

    assert caught.value.where.endswith(where)
    assert "hemmelig" not in str(caught.value)

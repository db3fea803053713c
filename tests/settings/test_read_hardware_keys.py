"""A key in a hardware token, as the configuration names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from tests.helpers.configuration import VALID, load_text

TOKEN = {
    "pkcs11_module": '"hsm.so"',
    "token_label": '"kommune"',
    "key_label": '"signing"',
    "pin_env": '"KPR_PIN"',
}


def text(**changes: str | None) -> str:
    """The valid configuration with its signing key in a token."""
    before, rest = VALID.split("[keys.signing]\n")
    after = rest[rest.index("\n[") :]
    lines = [f"{name} = {value}" for name, value in {**TOKEN, **changes}.items() if value is not None]
    return "\n".join([before, "[keys.signing]", *lines, after])


def test_a_token_s_key_needs_no_file(tmp_path: Path) -> None:
    source = load_text(tmp_path, text()).keys.signing
    assert source.token is not None
    assert (source.pkcs12, source.certificate_pem, source.key_pem, source.passphrase) == (None, None, None, None)
    assert (source.token.module, source.token.token_label, source.token.slot) == (tmp_path / "hsm.so", "kommune", None)
    assert (source.key_label, source.key_id) == ("signing", b"")
    assert source.secret is source.token.pin
    assert "***" in repr(source.token)


def test_slot_id_and_certificate_may_stand_in_place_of_labels(tmp_path: Path) -> None:
    written = text(token_label=None, slot="3", key_label=None, key_id='"A1 0f"', certificate='"a.pem"')
    source = load_text(tmp_path, written).keys.signing
    assert source.token is not None
    assert (source.token.token_label, source.token.slot, source.key_id) == ("", 3, b"\xa1\x0f")
    assert source.certificate_pem == tmp_path / "a.pem"


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"token_label": None}, "token_label", "expected token_label or slot"),
        ({"key_label": None}, "key_label", "expected key_label or key_id"),
        ({"pin_env": None}, "pin_env", "expected pin_env or pin_file"),
        ({"pin_file": '"pin"'}, "pin_env", "not both"),
        ({"pin": '"1234"'}, "pin", "Secrets do not belong"),
        ({"pkcs12": '"a.p12"'}, "pkcs12", "pkcs11_module"),
        ({"key": '"a.key"'}, "key", "pkcs11_module"),
        ({"passphrase_env": '"PASS"'}, "passphrase_env", "pkcs11_module"),
        ({"key_id": '"xyz"'}, "key_id", "hexadecimal"),
        ({"key_id": '""'}, "key_id", "hexadecimal"),
        ({"slot": "-1"}, "slot", "whole number, 0 or more"),
        ({"pkcs11_module": None}, "token_label", "needs pkcs11_module beside it"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, changes: dict[str, str | None], key: str, says: str
) -> None:
    with pytest.raises(ConfigInvalid, match=says) as refused:
        load_text(tmp_path, text(**changes))
    assert refused.value.where.endswith(f"keys.signing.{key}")
    assert "1234" not in str(refused.value)

"""What a native library raises or prints at a secret reaches nobody."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.keys.configured import ConfiguredKeys
from kpr_sender.keys.files import load_pem, load_pkcs12
from kpr_sender.keys.native import shielded
from tests.helpers import pki
from tests.helpers.municipality import municipality
from tests.helpers.pki import Kind

WORD = "hemmelig\0ord"
DECIMAL = ", ".join(map(str, WORD.encode()))
"""How Rust prints bytes."""


def _everything(error: BaseException, capfd: pytest.CaptureFixture[str]) -> str:
    """Whatever anybody could show of it: also what errors it came from."""
    found, each = [], [error]
    while each:
        one = each.pop()
        found.append(f"{one!r} {one.args}")
        each += [more for more in (one.__context__, one.__cause__) if more is not None]
    return "".join((*found, *traceback.format_exception(error), *capfd.readouterr()))


def _panic() -> None:
    """As pyo3 does it, whatever a future cryptography takes."""
    os.write(2, f"thread panicked: NulError([{DECIMAL}])\n".encode())
    raise type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})(f"NulError([{DECIMAL}])")


def _cryptography() -> None:
    pkcs12.load_pkcs12(pki.p12(Kind.SIGNER), WORD.encode())  # 50.0 panics


@pytest.mark.parametrize("work", [_panic, _cryptography])
def test_g6_a_panic_is_a_refusal_and_none_of_its_words_is_shown(
    work: Callable[[], None], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((AccessRefused, ValueError)) as refused:
        shielded(work, name="keys.signing")
    shown = _everything(refused.value, capfd)
    assert DECIMAL not in shown
    assert "panicked" not in shown
    if work is _panic:
        assert "keys.signing: The library that reads keys failed on the key or its passphrase." in shown


def test_g6_whatever_else_a_library_raises_is_a_refusal_without_its_words(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise OverflowError(WORD)

    with pytest.raises(AccessRefused) as refused:
        shielded(fail, name="keys.signing")
    assert repr(WORD) not in _everything(refused.value, capfd)
    with pytest.raises(KeyboardInterrupt):
        shielded(lambda: (_ for _ in ()).throw(KeyboardInterrupt), name="keys.signing")


def test_what_others_print_meanwhile_is_shown_when_it_is_over(capfd: pytest.CaptureFixture[str]) -> None:
    assert shielded(lambda: os.write(2, b"another thread's log line\n"), name="keys.signing") == 26
    os.write(2, b"and the next\n")
    assert capfd.readouterr().err == "another thread's log line\nand the next\n"


@pytest.mark.parametrize("passphrase", [WORD, "\udcff"])
def test_g6_a_passphrase_with_nul_is_refused_before_a_library_has_it(
    passphrase: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AccessRefused, match="passphrase has NUL in it, or bytes that are no UTF-8 text"):
        load_pkcs12(pki.p12(Kind.SIGNER), passphrase, name="keys.signing")
    with pytest.raises(AccessRefused, match="passphrase has NUL"):
        load_pem(pki.certificate_pem(Kind.SIGNER), pki.key_pem(Kind.SIGNER, "x"), passphrase, name="keys.signing")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [WORD.encode(), b"hemmelig\0", "hemmelig".encode("utf-16-le")])
def test_g6_a_passphrase_file_with_nul_is_refused_by_its_name(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    made = municipality(tmp_path)
    (tmp_path / "passphrase").write_bytes(content)
    settings = made.configure({"keys.decryption": {"passphrase_file": "passphrase"}})
    with pytest.raises(ConfigInvalid, match=f"{tmp_path}/passphrase has NUL in it") as refused:
        ConfiguredKeys(settings).decrypters()
    assert refused.value.where.endswith("keys.decryption.passphrase_file")
    assert "104, 101" not in _everything(refused.value, capfd)

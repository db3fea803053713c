"""``kpr-send certs``: all certificates in use, when each is warned of, and the exit code for cron."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.cli.main import run
from kpr_sender.sandbox.sandbox import Sandbox
from tests.helpers import pki
from tests.helpers.municipality import SENDER_HER_ID, Changes, Municipality
from tests.helpers.pki import Kind

Certs = Callable[..., tuple[int, str]]
ROLES = ["ours for signing", "ours for decryption", "FHI's for encryption", "FHI's for signing", "the bus's TLS"]


@pytest.fixture
def certs(made: Municipality, capsys: pytest.CaptureFixture[str]) -> Certs:
    def ask(*arguments: str, before: tuple[str, ...] = (), changes: Changes | None = None, port: int = 1) -> Any:
        made.configure(changes, port=port)
        code = run(["--env", "lokal", "--config", str(made.config), *before, "certs", *arguments])
        return code, capsys.readouterr().out

    return ask


def test_all_that_are_in_play_are_shown_and_nothing_is_sent(made: Municipality, certs: Certs) -> None:
    with Sandbox(made.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        code, out = certs("--check", port=sandbox.port)

    assert code == 0
    for role in ROLES:
        assert role in out
    for text in ("EKSEMPEL KOMMUNE", "SANDKASSE KPR VALIDERING", "localhost", "2025-01-15", "kommune-signing.p12"):
        assert text in out
    assert "To be seen to" not in out
    assert not made.journal.exists()


def test_as_json_each_has_its_dates_and_days(made: Municipality, certs: Certs) -> None:
    with Sandbox(made.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        told = json.loads(certs(before=("--json",), port=sandbox.port)[1])

    assert (told["exit_code"], told["error"], told["deadline"]) == (0, None, "2025-01-15")
    assert told["days_to_deadline"] < 0
    assert [each["role"] for each in told["certificates"]] == ROLES
    for each in told["certificates"]:
        assert each["days_left"] == 364
        assert each["days_left_at_deadline"] is None, "2024's deadline is past"
        assert "SHA-1 thumbprint" in each["certificate"]
        assert (each["known"], each["concern"]) == (True, "")


def test_a_bus_out_of_reach_is_said_and_is_no_alarm(certs: Certs) -> None:
    code, out = certs("--check")
    assert code == 0
    assert "?  the bus's TLS" in out
    assert "The bus cannot be reached" in out


@pytest.mark.parametrize(
    ("kind", "text"),
    [(Kind.EXPIRED_SIGNER, "expired on"), (Kind.ENCRYPTION, "does not include nonRepudiation")],
)
def test_with_check_what_must_not_be_used_is_85(made: Municipality, certs: Certs, kind: Kind, text: str) -> None:
    (made.folder / "own.p12").write_bytes(pki.p12(kind))
    (made.folder / "own.passphrase").write_text(pki.PASSPHRASE)
    changes: Changes = {"keys.signing": {"pkcs12": "own.p12", "passphrase_file": "own.passphrase"}}

    assert certs(changes=changes)[0] == 0
    code, out = certs("--check", changes=changes)
    assert code == 85
    assert "!  ours for signing" in out
    assert text in out
    told = json.loads(certs("--check", before=("--json",), changes=changes)[1])
    assert (told["exit_code"], told["error"]["code"]) == (85, "certificate-ending")
    assert set(told["error"]) == {"code", "text", "next_step"}
    lights = {each["role"]: each["light"] for each in told["certificates"]}
    assert (lights["ours for signing"], lights["ours for decryption"], lights["the bus's TLS"]) == (
        "red",
        "green",
        "yellow",
    )


def test_a_key_that_is_missing_is_85_and_the_others_are_shown(certs: Certs) -> None:
    code, out = certs("--check", changes={"keys.signing": {"pkcs12": "none.p12"}})
    assert code == 85
    assert "none.p12 cannot be read" in out
    assert "SANDKASSE KPR VALIDERING" in out


def test_earlier_ones_are_shown_and_not_warned_of(made: Municipality, certs: Certs) -> None:
    (made.folder / "old.pem").write_bytes(pki.certificate_pem(Kind.EXPIRED_SIGNER))
    current = str(made.folder / "pki/fhi-signing.pem")
    code, out = certs("--check", changes={"receiver": {"signing_certificates": [current, "old.pem"]}})
    assert code == 0
    assert "FHI's for signing, earlier 1" in out


def test_certificates_under_other_roots_are_85(made: Municipality, certs: Certs) -> None:
    (made.folder / "root.pem").write_bytes(pki.root().public_bytes(Encoding.PEM))
    code, out = certs("--check", changes={"protection": {"roots": ["root.pem"]}})
    assert code == 85
    assert out.count("does not lead to a trusted authority") == 4

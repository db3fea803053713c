"""What asks a network is loaded only where it is asked; what others may read is not used with real data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kpr_sender import Client
from kpr_sender.errors import ConfigInvalid, InputMissing
from kpr_sender.model import Environment
from tests.helpers.configuration import VALID, load_text

ASKING = {
    "httpcore",
    "joserfc",
    *(f"kpr_sender.registry.{name}" for name in ("cached", "client", "helseid", "rest", "soap")),
    *(f"kpr_sender.trust.{name}" for name in ("fetch", "revocation")),
}


def test_a_client_that_asks_no_network_loads_nothing_that_could() -> None:
    code = "import sys; from kpr_sender import Client; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "kpr_sender.registry" in ran.stdout.split()
    assert not ASKING & set(ran.stdout.split())


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_g6_nothing_is_sent_to_produksjon_with_a_key_that_others_may_read(tmp_path: Path) -> None:
    key, texts = tmp_path / "encryption.key", {Environment.VALIDERING: VALID}
    texts[Environment.PRODUKSJON] = VALID.replace('"validering"', '"produksjon"').replace("171479", "122612")
    key.touch()
    for environment, mode, error in (
        (Environment.PRODUKSJON, 0o604, ConfigInvalid),
        (Environment.PRODUKSJON, 0o600, InputMissing),  # there are no files to send
        (Environment.VALIDERING, 0o604, InputMissing),
    ):
        key.chmod(mode)
        settings = load_text(tmp_path, texts[environment].replace("journal.db", f"{environment}.db"), environment)
        with Client(settings) as client:
            with pytest.raises(error) as refused:
                client.submit()
            assert client.status() is None
        assert (f"{key} may be read by others" in str(refused.value)) is (error is ConfigInvalid)

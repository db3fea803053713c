"""What asks a network is loaded only where it is asked."""

from __future__ import annotations

import subprocess
import sys

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

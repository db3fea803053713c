"""The demo's configuration names no certificate and no queue; a certificate that FHI changes is picked up."""

from __future__ import annotations

import json
import tomllib

import pytest

from kpr_sender.client import Client
from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import SubmissionState
from kpr_sender.sandbox.faults import Faults
from kpr_sender.sandbox.pki import SUCCESSOR
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.settings.sample_file import register_url
from kpr_sender.settings.values import Settings
from tests.helpers.command import Ran, kpr_send, start, until
from tests.helpers.municipality import Municipality
from tests.helpers.repository import ROOT

NOT_NAMED: dict[str, object] = {"encryption_certificate": None, "signing_certificates": None, "queue": None}


def test_the_demo_names_her_ids_and_a_folder_and_nothing_else() -> None:
    written = tomllib.loads((ROOT / "config" / "lokal.toml").read_text("utf-8"))

    assert {"receiver", "registry", "keys", "bus"}.isdisjoint({name for name, table in written.items() if table})
    assert written["sandbox"] == {"embedded": True, "dir": "../.demo/sandbox"}


def test_a_served_sandbox_s_configuration_names_no_certificate_of_fhi_and_no_queue(kommune: Municipality) -> None:
    stage = kommune.folder / "stage"
    process = start("--json", "sandbox", "serve", "--dir", stage)
    try:
        until((stage / "lokal.toml").exists)
        written = tomllib.loads((stage / "lokal.toml").read_text("utf-8"))
    finally:
        process.terminate()
        process.communicate(timeout=20)

    assert written.get("receiver", {}) == {}
    assert set(written["registry"]) == {"kind", "url", "ca_file"}
    assert written["registry"]["kind"] == "soap"


class January:
    """A municipality that asks the register at each send."""

    def __init__(self, made: Municipality, sandbox: Sandbox) -> None:
        self.made, self.sandbox = made, sandbox
        self.registry: dict[str, object] = {
            "kind": "soap",
            "url": register_url(sandbox.register_port),
            "ca_file": str(made.pki.ca),
            "max_age": "0s",
        }

    def configure(self, **changes: object) -> Settings:
        return self.made.configure({"receiver": NOT_NAMED | changes, "registry": self.registry}, port=self.sandbox.port)

    def fhi_changes(self) -> None:
        self.sandbox.faults = Faults.parse(["register-new-certificate"])

    def send(self, replaces: str | None = None) -> tuple[str, SubmissionState]:
        with Client(self.configure()) as client:
            report = client.submit(replaces=replaces, reason="a test" if replaces else "")
            report = client.wait(timeout=20, submission_id=report.submission.submission_id)
        return report.submission.submission_id, report.submission.state

    def certs(self) -> Ran:
        self.configure()
        return kpr_send("--env", "lokal", "--config", self.made.config, "--json", "certs")


@pytest.fixture
def january(kommune: Municipality, sandbox: Sandbox) -> January:
    return January(kommune, sandbox)


def test_a_certificate_that_fhi_changed_is_used_from_then_on(january: January) -> None:
    first, state = january.send()
    assert state is SubmissionState.DELIVERED

    january.fhi_changes()
    january.made.new_extract()
    _, state = january.send(replaces=first)

    # FHI opens nothing with the old key any more.
    assert state is SubmissionState.DELIVERED


def test_certs_shows_the_new_one_and_that_the_register_told_it(january: January) -> None:
    def shown() -> str:
        rows = json.loads(january.certs().out)["certificates"]
        (row,) = [row for row in rows if "FHI" in row["role"] and "encryption" in row["role"]]
        assert row["source"].startswith("from https://127.0.0.1:")
        return str(row["certificate"]).replace(":", "").lower()

    old = shown()
    january.fhi_changes()

    assert f"{january.made.pki.certificate('fhi-encryption').serial_number:x}" in old
    new = shown()
    assert f"{january.made.pki.certificate(SUCCESSOR).serial_number:x}" in new


def test_a_file_that_names_the_old_one_is_refused_and_told(january: January) -> None:
    january.fhi_changes()
    old = str(january.made.pki.folder / "fhi-encryption.pem")

    settings = january.configure(encryption_certificate=old)
    with Client(settings) as client, pytest.raises(ConfigInvalid, match="is not the one in Adresseregisteret"):
        client.submit()

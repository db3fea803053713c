"""The main job with no key file on the disk: sealed and opened by a token, through the client, against the sandbox."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kpr_sender.checking import run_checks
from kpr_sender.client import Client
from kpr_sender.errors import AccessRefused, ConfigInvalid, KeyUnavailable
from kpr_sender.keys.files import load_pkcs12
from kpr_sender.messages.xml_signature import verify_enveloped
from kpr_sender.model import SubmissionState
from kpr_sender.operator.self_check import CHECKS, WITHOUT_BUS, Status
from kpr_sender.sandbox.sandbox import Sandbox
from tests.helpers.desk import Desk
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import SENDER_HER_ID, Changes, Municipality, municipality
from tests.helpers.pki import NOW
from tests.helpers.softhsm import LABEL, PIN, SoftHsm

_NO_FILES: dict[str, object] = {"pkcs12": None, "passphrase_file": None}


@pytest.fixture
def kommune(tmp_path: Path) -> Municipality:
    return municipality(tmp_path)


@pytest.fixture
def changes(kommune: Municipality, softhsm: SoftHsm) -> Changes:
    """Move the municipality's keys from their files into the token.

    The certificate for signing lies on the token, that for decryption in a file.
    """
    pki = kommune.pki
    signing, encryption = (
        load_pkcs12(pki.pkcs12(name), pki.passphrase(), name=name) for name in ("kommune-signing", "kommune-encryption")
    )
    softhsm.put(signing.private_key, label="signing", key_id="a1")
    softhsm.put_certificate(signing.certificate, key_id="a1")
    softhsm.put(encryption.private_key, label="encryption", key_id="b2")
    pin = kommune.folder / "pin"
    pin.write_text(PIN, encoding="ascii")
    pin.chmod(0o600)
    token = {**_NO_FILES, "pkcs11_module": softhsm.module, "token_label": LABEL, "pin_file": "pin"}
    return {
        "keys.signing": {**token, "key_label": "signing"},
        "keys.decryption": {**token, "key_id": "b2", "certificate": "pki/kommune-encryption.pem"},
    }


def strip_of_key_files(kommune: Municipality) -> None:
    for path in (kommune.folder / "pki").glob("kommune-*.p12"):
        path.unlink()
    assert not [path for path in kommune.folder.rglob("*.key") if "kommune" in path.name]


def test_the_doctor_proves_them_without_a_key_file(kommune: Municipality, changes: Changes) -> None:
    checks = tuple(check for check in CHECKS if check.name in ("signing key", "decryption keys", "self-sealed message"))
    strip_of_key_files(kommune)
    assert [line.status for line in run_checks(kommune.configure(changes), checks=checks)] == [Status.GREEN] * 3

    lines = list(
        run_checks(kommune.configure({**changes, "keys.signing": {**changes["keys.signing"], "key_label": "x"}}))
    )
    assert {line.name: line.status for line in lines}["signing key"] is Status.RED
    assert PIN not in str(lines)


def test_seal_and_open_with_no_key_file_on_disk(kommune: Municipality, changes: Changes) -> None:
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        strip_of_key_files(kommune)
        with Client(kommune.configure(changes, port=sandbox.port)) as client:
            client.submit()
            report = client.wait(timeout=20)
    assert (report.submission.state, report.exit_code) == (SubmissionState.DELIVERED, 0)
    assert all(receipt.verified for shipment in report.submission.shipments for receipt in shipment.receipts)
    desk, archive = Desk(kommune, MemoryBus(), []), str(kommune.folder / "evidence.zip")
    assert desk.command("evidence", report.submission.submission_id, archive).code == 0
    assert desk.command("evidence", "verify", archive).code == 0


def test_the_hodemelding_s_xml_signature_is_the_token_s_too(kommune: Municipality, changes: Changes, fhi: Fhi) -> None:
    bus = MemoryBus(fhi.answer)
    with closing(Client(kommune.configure({**changes, "hodemelding": {"xmldsig": True}}), bus=bus)) as client:
        client.submit()
        assert client.wait(timeout=5).exit_code == 0
    for message in bus.published:
        assert verify_enveloped(fhi.opened(message), kommune.pki.certificate("kommune-signing"))


def test_check_config_looks_into_the_token(kommune: Municipality, changes: Changes) -> None:
    strip_of_key_files(kommune)
    settings = kommune.configure(changes)
    found = {result.name: result for result in run_checks(settings, checks=WITHOUT_BUS, now=lambda: NOW)}
    for name in ("signing key", "decryption keys"):
        assert found[name].status is Status.GREEN
    assert "the first ends in" in found["our certificates"].text


@pytest.fixture
def fhi(kommune: Municipality) -> Fhi:
    return Fhi(kommune.pki)


@pytest.fixture
def client(kommune: Municipality, changes: Changes, fhi: Fhi) -> Iterator[Client]:
    with closing(Client(kommune.configure(changes), bus=MemoryBus(fhi.answer))) as client:
        yield client


# python-pkcs11 complains by itself, on standard error, of a search in a session that is lost.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_outage_while_receipts_are_read_is_no_bad_receipt(client: Client, softhsm: SoftHsm) -> None:
    client.submit()
    softhsm.unplug()
    with pytest.raises(KeyUnavailable) as outage:
        client.wait(timeout=5)
    assert outage.value.exit_code == 77
    report = client.status()
    assert report is not None
    assert [shipment.receipts for shipment in report.submission.shipments] == [(), ()]
    assert "receipts cannot be fetched" in str(report.error)

    softhsm.plug_in()
    assert client.wait(timeout=5).exit_code == 0


def test_an_outage_in_the_middle_of_a_receipt_leaves_it_on_the_queue(
    kommune: Municipality, changes: Changes, softhsm: SoftHsm
) -> None:
    with Sandbox(kommune.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        settings = kommune.configure(changes, port=sandbox.port)
        with Client(settings) as client:
            client.submit()
            assert client._app.receipt_handler.examiner.decrypters  # found and logged in; only then:
            softhsm.unplug()
            with pytest.raises(KeyUnavailable):
                client.wait(timeout=20)
            report = client.status()
            assert report is not None
            assert [shipment.receipts for shipment in report.submission.shipments] == [(), ()]
        softhsm.plug_in()
        with Client(settings) as client:
            assert client.wait(timeout=20).exit_code == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # as above
def test_an_outage_while_sealing_leaves_nothing_behind(client: Client, softhsm: SoftHsm) -> None:
    softhsm.unplug()
    with pytest.raises(KeyUnavailable):
        client.submit()
    assert client.status() is None
    softhsm.plug_in()
    assert client.submit().sent == 2


def spoil_pin(kommune: Municipality) -> None:
    (kommune.folder / "pin").write_text("wrong", encoding="ascii")


def empty_pin(kommune: Municipality) -> None:
    (kommune.folder / "pin").unlink()


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [(spoil_pin, AccessRefused, "refuses the PIN"), (empty_pin, ConfigInvalid, "pin")],
)
def test_without_the_right_pin_nothing_is_sealed(
    kommune: Municipality, client: Client, spoil: Callable[[Municipality], None], error: type[Exception], says: str
) -> None:
    spoil(kommune)
    with pytest.raises(error, match=says):
        client.submit()
    assert client.status() is None


def test_without_the_extra_it_says_what_to_install(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "kpr_sender.keys.pkcs11", None)
    with pytest.raises(ConfigInvalid, match=r"kpr-sender\[pkcs11\]"):
        client.submit()


def test_the_pin_may_come_from_the_environment(
    kommune: Municipality, changes: Changes, fhi: Fhi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "KPR_TEST_PIN", PIN)
    by_environment = {
        section: {**keys, "pin_file": None, "pin_env": "KPR_TEST_PIN"} for section, keys in changes.items()
    }
    with closing(Client(kommune.configure(by_environment), bus=MemoryBus(fhi.answer))) as client:
        client.submit()
        assert client.wait(timeout=5).exit_code == 0

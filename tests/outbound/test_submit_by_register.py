"""The main job with a configuration that names no certificate and no queue: the register tells them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.bus.port import Outcome, Reach, Verdict
from kpr_sender.checking import run_checks
from kpr_sender.client import Client
from kpr_sender.errors import AccessRefused, BusUnreachable, ConfigInvalid, KprError, RegistryUnreachable
from kpr_sender.model import SubmissionState
from kpr_sender.report import Report
from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.settings.exposure import secrets_of
from kpr_sender.settings.sample_file import EDI_RECEIVER as THEIRS
from kpr_sender.settings.sample_file import EDI_SENDER as OURS
from kpr_sender.settings.values import QueueIds, Settings
from kpr_sender.texts import Text
from tests.helpers.command import kpr_send
from tests.helpers.edi_municipality import BY_MAIL, account
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import SENDER_HER_ID
from tests.helpers.register_scene import OWN_ADDRESSES, Scene
from tests.helpers.registry_stub import ADDRESS, FHI, KPR_VALIDERING, Address, Facts, says
from tests.helpers.seid_pki import ENCIPHER, ORGANISATION, OTHER_ORGANISATION, new_root, seid_1


@pytest.fixture
def settings(scene: Scene) -> Iterator[Settings]:
    with Sandbox(scene.made.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        yield scene.configure(port=sandbox.port)


def test_the_pair_is_sealed_sent_and_delivered_by_what_the_register_tells(
    scene: Scene, settings: Settings, registered: Callable[..., None]
) -> None:
    registered({"Name": "Saksbehandling", "ParentName": "EKSEMPEL KOMMUNE"})
    with Client(settings, on_event=scene.told.append) as client:
        client.submit()
        report = client.wait(timeout=20)

    assert report.submission.state is SubmissionState.DELIVERED
    assert not any("Adresseregisteret" in warning for warning in scene.warnings)
    details = "GetCommunicationPartyDetails"
    asked = [her_id for operation, her_id in scene.stub.questions if operation == details]
    assert asked == [KPR_VALIDERING, FHI, SENDER_HER_ID, 900001], "each with the organisation that it belongs to"


def test_names_come_from_the_register_and_a_difference_is_said(
    scene: Scene, settings: Settings, registered: Callable[..., None]
) -> None:
    registered()
    scene.stub.parties[FHI] = Facts(FHI, parent=-1, changes={"Name": "FOLKEHELSEINSTITUTTET", "DisplayName": "FHI"})

    bus = MemoryBus()
    configured = replace(settings, receiver=replace(settings.receiver, service_name="KPR"))
    with Client(configured, bus=bus, on_event=scene.told.append) as client:
        client.submit()

    sent = Fhi(scene.made.pki).hodemelding(bus.taken[0])
    assert (sent.sender.name, sent.sender.service_name) == ("Eksempel kommune", "Saksbehandling pasientopplysninger")
    assert (sent.receiver.name, sent.receiver.service_name) == ("FHI", "KPR Validering")
    assert sum("as Adresseregisteret has it" in warning for warning in scene.warnings) == 3


def test_nothing_is_sent_whose_receipt_none_of_our_keys_would_open(
    scene: Scene, settings: Settings, registered: Callable[..., None]
) -> None:
    registered()
    known = scene.stub.parties[SENDER_HER_ID]
    scene.stub.parties[SENDER_HER_ID] = replace(known, certificates=(scene.made.pki.certificate("fhi-encryption"),) * 2)
    bus = MemoryBus()

    with (
        Client(settings, bus=bus) as client,
        pytest.raises(AccessRefused, match="FHI seals its receipts for") as refused,
    ):
        client.submit()

    assert refused.value.where == "keys.decryption"
    assert bus.published == []
    scene.stub.parties[SENDER_HER_ID] = replace(known, certificates=(None, None))
    scene.cache.unlink()
    with Client(settings, bus=bus) as client:
        client.submit()
    assert len(bus.published) == 2, "a register without our certificate says nothing"


def test_what_waits_is_not_published_either_whose_receipt_none_of_our_keys_would_open(
    scene: Scene, settings: Settings, registered: Callable[..., None]
) -> None:
    """Sealed by a run that could not reach the bus; the register has another certificate of ours since."""
    registered()
    known = scene.stub.parties[SENDER_HER_ID]
    other = replace(known, certificates=(scene.made.pki.certificate("fhi-encryption"),) * 2)
    bus = MemoryBus(Fhi(scene.made.pki).answer)

    def submit(*, fails: type[KprError] | None = None) -> Report | None:
        scene.cache.unlink(missing_ok=True)
        with Client(settings, bus=bus, on_event=scene.told.append) as client:
            if fails is None:
                return client.submit()
            with pytest.raises(fails):
                client.submit()
            return client.status()

    bus.connect_error = BusUnreachable(Text("Refused."))
    submit(fails=BusUnreachable)
    bus.connect_error = None
    scene.stub.parties[SENDER_HER_ID] = other
    refused = submit(fails=AccessRefused)
    assert refused is not None
    assert (refused.exit_code, bus.published) == (77, [])
    assert "FHI seals its receipts for" in refused.text()
    del scene.stub.parties[SENDER_HER_ID]
    report = submit()
    assert report is not None
    assert report.sent == 2
    assert any("it is not checked whether one of our keys opens" in warning for warning in scene.warnings)
    with Client(settings, bus=bus) as client:
        assert client.wait(timeout=5).exit_code == 0
    scene.stub.parties[SENDER_HER_ID] = other
    asked = len(scene.stub.questions)
    assert submit() is not None
    assert len(scene.stub.questions) == asked, "what is delivered needs no register"


def test_whole_registered_ids_are_sent_where_they_are_asked_for_and_the_bus_takes_them(
    scene: Scene, settings: Settings, registered: Callable[..., None]
) -> None:
    registered()
    bus = MemoryBus()
    whole = replace(settings, bus=replace(settings.bus, ids=QueueIds.REGISTERED))
    bus.outcomes.append(Outcome(Verdict.NOT_SENT, Reach.NO_CONNECTION))
    with Client(whole, bus=bus) as client, suppress(BusUnreachable):
        client.submit()
    with Client(whole) as client:
        client.submit()
        assert client.wait(timeout=20).submission.state is SubmissionState.DELIVERED

    assert bus.published[0].envelope.queue == "127.0.0.1/NHNTESTServiceBus/171479_async"
    assert bus.published[0].envelope.reply_to == "127.0.0.1/NHNTESTServiceBus/900002_async"


def test_g7_our_own_address_in_the_register_is_this_environment_s_or_nothing_is_sealed(
    scene: Scene, settings: Settings, registered: Callable[..., None]
) -> None:
    """FHI answers to it; it comes from the register's cache in most runs."""
    whole = replace(settings, bus=replace(settings.bus, ids=QueueIds.REGISTERED))
    registered(addresses=(Address("E_SB_ASYNC", "tb.nhn.no/NHNPRODServiceBus/900002_async"),))
    for _ in range(2):
        with Client(whole, bus=MemoryBus()) as client, pytest.raises(ConfigInvalid, match="not belong to") as refused:
            client.submit()
        assert refused.value.where == f"HER-id {SENDER_HER_ID}, E_SB_ASYNC"
        with Client(whole) as client:
            assert client.status() is None


def test_nothing_is_sealed_when_the_register_is_away_and_never_answered(scene: Scene, settings: Settings) -> None:
    scene.stub.mishap = says(502, b"<html>")

    with Client(settings) as client:
        with pytest.raises(RegistryUnreachable):
            client.submit()
        assert client.status() is None

        scene.stub.mishap = None
        assert client.submit().sent == 2


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<"], ids=["none", "part of one"]
)
def test_a_stop_is_heard_within_a_second_of_a_register_that_is_silent(
    scene: Scene, settings: Settings, answer: bytes
) -> None:
    asked, ended = threading.Event(), threading.Event()

    def is_silent(handler: Any, _operation: str) -> None:
        handler.wfile.write(answer)
        handler.wfile.flush()
        asked.set()
        ended.wait(20)

    scene.stub.mishap = is_silent
    patient = replace(settings, registry=replace(settings.registry, timeout=20.0))
    said: list[str] = []
    with Client(patient) as client:

        def submit() -> None:
            with pytest.raises(RegistryUnreachable) as stopped:
                client.submit()
            said.append(stopped.value.what)

        sending = threading.Thread(target=submit)
        sending.start()
        assert asked.wait(5)
        client.stop()
        sending.join(1.2)
        assert not sending.is_alive()
        ended.set()
        assert client.status() is None
    assert said == ["No usable answer: the run was told to stop, or its time was up."]


def test_the_pair_goes_out_by_the_last_good_answer_and_it_is_said(scene: Scene, settings: Settings) -> None:
    with Client(settings, on_event=scene.told.append, now=lambda: scene.now) as client:
        scene.ask(settings)
        scene.stub.close()
        scene.later(hours=2)
        assert client.submit().sent == 2

    assert any("cannot be asked" in warning for warning in scene.warnings)


def test_nothing_is_sealed_for_a_receiver_that_the_register_speaks_against(scene: Scene, settings: Settings) -> None:
    scene.lists(parent=2397)

    with Client(settings) as client:
        with pytest.raises(ConfigInvalid, match="belongs to HER-id 2397"):
            client.submit()
        assert client.status() is None


def test_nothing_is_sealed_for_another_organisations_certificate(scene: Scene, settings: Settings) -> None:
    root = new_root()
    (scene.made.folder / "roots.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    trusting = replace(settings, protection=replace(settings.protection, roots=(scene.made.folder / "roots.pem",)))
    scene.lists(
        changes={"ParentOrganizationNumber": ORGANISATION},
        certificates=(root.issue(seid_1(OTHER_ORGANISATION), usages=ENCIPHER), root.issue()),
    )

    with Client(trusting) as client, pytest.raises(AccessRefused, match=f"{OTHER_ORGANISATION}; it must be"):
        client.submit()


def test_who_names_files_loads_nothing_that_asks_a_register(scene: Scene) -> None:
    scene.made.configure()
    source = f"""
import sys
from kpr_sender import Client
Client.from_config({str(scene.made.config)!r}, "lokal").close()
assert not {{"httpcore", "joserfc", "kpr_sender.registry.cached"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", source], check=True)


def test_g7_another_environments_register_is_refused_before_it_is_asked(scene: Scene) -> None:
    settings = scene.configure(registry={"url": "https://ws-web.test.nhn.no/v1/AR/Basic"})

    with pytest.raises(ConfigInvalid, match="The register's host does not belong"):
        Client(settings)


def test_the_registers_password_is_among_the_secrets(scene: Scene) -> None:
    settings = scene.configure()

    assert settings.registry.password in secrets_of(settings)


def _check(scene: Scene) -> tuple[int, dict[str, dict[str, str]]]:
    ran = kpr_send("--env", "lokal", "--config", str(scene.made.config), "--json", "config", "check")
    return ran.code, {check["name"]: check for check in json.loads(ran.out)["checks"]}


@pytest.mark.usefixtures("registered")
def test_config_check_says_where_the_answers_came_from(scene: Scene) -> None:
    scene.configure()

    code, checks = _check(scene)

    assert code == 0, [check for check in checks.values() if check["light"] == "red"]
    assert checks["receiver"]["light"] == "green"
    assert f"queue 171479_async, from {scene.stub.url}, fetched " in checks["receiver"]["seen"]


def test_config_check_tells_what_the_register_speaks_against(scene: Scene) -> None:
    scene.configure()
    scene.lists(addresses=(Address("E_SB_ERROR", "a/b/c"),))

    code, checks = _check(scene)

    assert code == ConfigInvalid.exit_code
    assert "No queue is registered" in checks["receiver"]["seen"]


def test_config_check_says_that_the_configuration_was_the_source(scene: Scene) -> None:
    scene.made.configure()

    _, checks = _check(scene)

    assert "queue 171479_async, from the configuration's files" in checks["receiver"]["seen"]


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        (OURS.upper(), THEIRS.title(), None),
        ("", THEIRS, f"No EDI address is registered for HER-id {SENDER_HER_ID}"),
        ("other@rehearsal.example", THEIRS, "Adresseregisteret has other@rehearsal.example"),
        (OURS, "", f"No EDI address is registered for HER-id {KPR_VALIDERING}"),
        (OURS, "other@rehearsal.example", "Adresseregisteret has other@rehearsal.example"),
        (None, THEIRS, f"does not know HER-id {SENDER_HER_ID}"),
    ],
)
def test_mail_goes_from_and_to_the_registered_addresses_and_doctor_says_what_stops_it(
    scene: Scene, registered: Callable[..., None], ours: str | None, theirs: str, told: str | None
) -> None:
    """HITS 1172, rules 261 and 262: one rule, whether a person asks or a pair is sealed."""
    with EdiSandbox(scene.made.folder, sender_her_id=SENDER_HER_ID) as box:
        settings = scene.configure(more={"": BY_MAIL, "edi": account(box, address=OURS, receiver_address=THEIRS)})
        queue = Address("E_SB_ASYNC", ADDRESS)
        scene.lists(addresses=(queue, Address("E_EDI", theirs)), changes={"Name": "KPR Validering"})
        registered(addresses=(*OWN_ADDRESSES, Address("E_EDI", ours or "")))
        if ours is None:
            del scene.stub.parties[SENDER_HER_ID]
        rows = {row.name: row for row in run_checks(settings)}
        red = [row.error.text for row in rows.values() if row.error is not None]
        with Client(settings) as client:
            if told is None:
                assert (client.submit().sent, red) == (2, [])
                assert rows["EDI addresses"].text == f"from {ours} to {theirs}"
                return
            with pytest.raises(ConfigInvalid, match=re.escape(told)) as refused:
                client.submit()
            assert client.status() is None, "nothing was sealed"
    assert refused.value.text in red

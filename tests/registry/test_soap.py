"""Adresseregisteret over SOAP: what it says becomes the receiver, and whatever is wrong is told for what it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kpr_sender.errors import AccessRefused, ConfigInvalid, KprError, LoginRefused, RegistryUnreachable
from kpr_sender.logins import RefusedLogins, beside
from kpr_sender.registry.configured import open_registry
from kpr_sender.registry.port import Use
from kpr_sender.settings.values import Settings
from kpr_sender.trust.parties import check_counterpart
from kpr_sender.trust.policy import ConfiguredTrust
from tests.helpers import pki, registry_stub
from tests.helpers.register_scene import Scene
from tests.helpers.registry_stub import (
    ADDRESS,
    FHI,
    KPR_VALIDERING,
    Address,
    Facts,
    Mishap,
    RegistryStub,
    details,
    fault,
    says,
    spoils,
)
from tests.helpers.tls_certificates import make_authority

SOAP_12 = b"http://www.w3.org/2003/05/soap-envelope"
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.mark.parametrize("soap_11", [True, False])
def test_the_register_tells_queue_and_certificates(scene: Scene, *, soap_11: bool) -> None:
    scene.stub.soap_11 = soap_11

    found = scene.ask()

    assert (found.her_id, found.queue, found.objections) == (KPR_VALIDERING, "171479_async", ())
    assert found.encryption == scene.made.pki.certificate("fhi-encryption")
    assert found.signing == (scene.made.pki.certificate("fhi-signing"),)
    assert (found.name, found.organisation_number) == ("Meldingsvalidering", "994598759")
    assert scene.stub.questions == [
        ("GetCommunicationPartyDetails", KPR_VALIDERING),
        ("GetCommunicationPartyDetails", FHI),
        ("GetCertificateForEncryption", KPR_VALIDERING),
        ("GetCertificateForValidatingSignature", KPR_VALIDERING),
    ]
    check_counterpart(found, scene.configure(), ConfiguredTrust(), at=scene.now)


def test_each_answer_says_where_it_came_from_and_until_when_it_may_be_used(scene: Scene) -> None:
    opened = scene.open()

    for provenance in (
        opened.entry(KPR_VALIDERING).provenance,
        opened.counterpart(KPR_VALIDERING).provenance,
    ):
        assert provenance.source == scene.stub.url
        assert provenance.fetched_at == scene.now
        assert provenance.usable_until is not None
        assert (provenance.usable_until - scene.now).total_seconds() == 3600
    assert opened.entry(KPR_VALIDERING).queues.asynchronous == ADDRESS
    assert opened.entry(KPR_VALIDERING).queues.error == "a/b/c_error"
    assert opened.entry(KPR_VALIDERING).party.parent_her_id == 85217


def test_an_address_of_its_own_goes_before_one_that_it_inherits(scene: Scene) -> None:
    inherited = Address("E_SB_ASYNC", "127.0.0.1/x/85217_async", inherited=True)

    scene.lists(addresses=(inherited, Address("E_SB_ASYNC", ADDRESS)))
    assert scene.ask().queue == "171479_async"

    scene.cache.unlink()
    scene.lists(addresses=(inherited,))
    assert scene.ask().queue == "85217_async"


Case = tuple[Mishap, type[KprError], str]
MISHAPS: dict[str, Case] = {
    "HER-id unknown, SOAP 1.1": (says(500, fault()), ConfigInvalid, "does not know HER-id 171479"),
    "HER-id unknown, SOAP 1.2": (says(500, fault(soap_11=False)), ConfigInvalid, "does not know HER-id 171479"),
    "another fault": (says(500, fault(code="NoAccess")), AccessRefused, r"refuses .* \(NoAccess\)"),
    "no access": (says(403, b""), AccessRefused, "refuses our user"),
    "HTML 502": (says(502, HTML), RegistryUnreachable, "failed .HTTP 502"),
    "HTML 200": (says(200, HTML), RegistryUnreachable, "no SOAP envelope"),
    "not XML": (says(200, b"\x00\x01"), RegistryUnreachable, "not well-formed"),
    "empty": (says(200, b""), RegistryUnreachable, "cannot be read"),
    "not found": (says(404, HTML), ConfigInvalid, "No register is there"),
    "redirect": (says(302, b"", Location="https://127.0.0.2/"), ConfigInvalid, "redirects .HTTP 302"),
    "silent": (registry_stub.keeps_silent, RegistryUnreachable, "no answer in 0.3 seconds"),
    "slow": (registry_stub.drips, RegistryUnreachable, "no answer in 0.3 seconds"),
    "huge": (registry_stub.grows, RegistryUnreachable, "larger than 2,000,000"),
    "truncated by the line": (registry_stub.hangs_up, RegistryUnreachable, "cut off"),
    "truncated": (spoils(lambda body: body[:-40]), RegistryUnreachable, "not well-formed"),
    "a DTD": (spoils(lambda body: b"<!DOCTYPE x []>" + body), RegistryUnreachable, "document type"),
    "another namespace": (
        spoils(lambda body: body.replace(b"register.nhn.no/CommunicationParty", b"register.nhn.no/Other")),
        RegistryUnreachable,
        "no GetCommunicationPartyDetailsResponse",
    ),
    "a comment in a value": (
        spoils(lambda body: body.replace(b"171479</", b"171479<!--x-->9</")), RegistryUnreachable, "something else",
    ),
    "an answer twice": (
        spoils(lambda body: re.sub(rb"<([\w:]*HerId>).*?</\1", rb"\g<0>\g<0>", body)),
        RegistryUnreachable,
        "more than one",
    ),
    "a no-break space": (
        spoils(lambda body: body.replace(b"171479</", "171479\u00a0</".encode())), RegistryUnreachable, "is no number",
    ),
    "an address without end": (
        says(200, details(Facts(addresses=(Address("E_SB_ASYNC", "a" * 900),)))), RegistryUnreachable, "characters",
    ),
    "another party": (says(200, details(Facts(her_id=122612))), RegistryUnreachable, "about another party"),
    "a date that is none": (
        says(200, details(Facts(changes={"To": "soon"}))), RegistryUnreachable, "a date in it is none",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("mishap", "error", "said"), MISHAPS.values(), ids=[name.replace(" ", "-") for name in MISHAPS]
)
def test_what_goes_wrong_is_told_for_what_it_is(scene: Scene, mishap: Mishap, error: type[KprError], said: str) -> None:
    slow = mishap in (registry_stub.keeps_silent, registry_stub.drips)
    settings = scene.configure(registry={"timeout": 0.3 if slow else "5s"})
    scene.stub.mishap = mishap

    with pytest.raises(error, match=said) as caught:
        scene.ask(settings)

    assert caught.value.code == error.code
    assert caught.value.next_step
    assert scene.stub.url in caught.value.where
    assert not scene.cache.exists()
    assert scene.stub.dripped < 500, "no pause of its own ended it"


def test_the_wrong_password_is_refused_and_not_repeated(scene: Scene) -> None:
    settings = scene.configure()
    (scene.made.folder / "registry-password").write_text("feil-passord")

    with pytest.raises(AccessRefused, match="refuses our user") as caught:
        scene.ask(settings)

    assert "feil" not in str(caught.value)
    assert len(scene.stub.questions) == 1


def test_a_refused_password_is_not_repeated_by_the_next_run_until_it_is_corrected(scene: Scene) -> None:
    settings, memory = scene.configure(), beside(scene.made.journal)

    def ask(*, anyway: bool = False) -> str:
        attempt = RefusedLogins(memory, lambda: scene.now, anyway=anyway).attempt
        opened = open_registry(settings, now=lambda: scene.now, observe=scene.told.append, max_age=0, attempt=attempt)
        return opened.counterpart(KPR_VALIDERING).queue

    (scene.made.folder / "registry-password").write_text("feil-passord")
    for anyway, refusal, asked in ((False, LoginRefused, 1), (False, AccessRefused, 1), (True, LoginRefused, 2)):
        with pytest.raises(refusal, match=r"refuses our user|is not repeated before"):
            ask(anyway=anyway)
        assert len(scene.stub.questions) == asked
    (scene.made.folder / "registry-password").write_text(registry_stub.PASSWORD)
    assert ask() == "171479_async"
    assert not memory.exists()


def test_the_buss_user_and_password_count_where_the_register_has_none(scene: Scene) -> None:
    (scene.made.folder / "bus-password").write_text(registry_stub.PASSWORD)

    assert scene.ask(scene.configure(registry={"user": None, "password_file": None})).queue == "171479_async"


def test_nobody_there_is_no_answer(scene: Scene) -> None:
    settings = scene.configure()
    scene.stub.close()

    with pytest.raises(RegistryUnreachable, match="no connection: "):
        scene.ask(settings)


def test_an_authority_that_we_do_not_know_is_refused_before_the_password_is_told(scene: Scene, tmp_path: Path) -> None:
    other = make_authority(tmp_path / "other", "another authority")

    with pytest.raises(AccessRefused, match="cannot be verified"):
        scene.ask(scene.configure(registry={"ca_file": str(other.ca_file)}))

    assert scene.stub.questions == []


def test_a_certificate_made_out_to_another_host_is_refused(scene: Scene, tmp_path: Path) -> None:
    with (
        RegistryStub(tmp_path / "elsewhere", scene.authority, "ws.nhn.no") as stub,
        pytest.raises(AccessRefused, match="cannot be verified"),
    ):
        scene.ask(scene.configure(registry={"url": stub.url}))


def test_no_proxy_is_taken_from_the_environment(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert scene.ask().queue == "171479_async"


def _demand(scene: Scene, settings: Settings) -> None:
    check_counterpart(scene.ask(settings), settings, ConfiguredTrust(), at=scene.now)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"changes": {"Active": "false"}}, "not in use"),
        ({"changes": {"IsValidCommunicationParty": "false"}}, "not in use"),
        ({"changes": {"To": "2024-12-31T00:00:00"}}, "not in use"),
        ({"changes": {"From": "2199-01-01T00:00:00+01:00"}}, "not in use"),
        ({"parent": 2397}, "belongs to HER-id 2397 there, not to 85217"),
        ({"parent": -1}, "belongs to no party there, not to 85217"),
        ({"addresses": ()}, "No queue is registered"),
        ({"addresses": (Address("E_EDI", ADDRESS),)}, "No queue is registered"),
        ({"addresses": (Address("E_SB_ASYNC", " "),)}, "No queue is registered"),
        ({"addresses": (Address("E_SB_ASYNC", "171479_async"),)}, "not of the form host/exchange/queue"),
        ({"addresses": (Address("E_SB_ASYNC", "127.0.0.1:amqps/x/171479_async"),)}, "not of the form"),
        ({"addresses": (Address("E_SB_ASYNC", "tb.nhn.no/NHNPRODServiceBus/171479_async"),)}, "on the bus tb.nhn.no"),
        ({"addresses": (Address("E_SB_ASYNC", "127.0.0.1/x/122612_async"),)}, "belongs to produksjon"),
    ],
)
def test_what_speaks_against_the_receiver_stops_sealing_and_no_reading(
    scene: Scene, facts: dict[str, Any], said: str
) -> None:
    scene.lists(**facts)
    settings = scene.configure()

    found = scene.ask(settings)

    assert found.signing
    with pytest.raises(ConfigInvalid, match=said) as caught:
        check_counterpart(found, settings, ConfiguredTrust(), at=scene.now)
    assert caught.value.next_step


@pytest.mark.parametrize("use", list(Use))
def test_a_missing_certificate_is_refused_and_nothing_is_kept(scene: Scene, use: Use) -> None:
    known = scene.lists()
    scene.ask()
    assert "171479" in scene.cache.read_text()
    encryption, signing = known.certificates
    scene.lists(certificates=(None, signing) if use is Use.ENCRYPTION else (encryption, None))
    scene.later(hours=2)

    with pytest.raises(AccessRefused, match=f"no certificate for {'encryption' if use is Use.ENCRYPTION else 'valid'}"):
        scene.ask()

    assert "171479" not in scene.cache.read_text()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (pki.Kind.EXPIRED_ENCRYPTION, "expired on"),
        (pki.Kind.NO_USAGE, "no key usage"),
        (pki.Kind.RSA_1024, "1024 bits"),
        (pki.Kind.SIGNER, "does not include keyEncipherment"),
    ],
)
def test_a_certificate_that_must_not_be_used_is_refused_with_where_it_came_from(
    scene: Scene, kind: pki.Kind, said: str
) -> None:
    scene.lists(certificates=(pki.certificate(kind), scene.made.pki.certificate("fhi-signing")))

    with pytest.raises(AccessRefused, match=said) as caught:
        _demand(scene, scene.configure())

    assert caught.value.where == f"Adresseregisteret ({scene.stub.url}), certificate for encryption"


def test_a_damaged_certificate_is_no_answer(scene: Scene) -> None:
    scene.stub.mishap = spoils(lambda body: body.replace(b"MII", b"AAA"))

    with pytest.raises(RegistryUnreachable, match="certificate in it is damaged"):
        scene.ask()


def test_what_the_configuration_says_all_the_same_is_compared(scene: Scene) -> None:
    same: dict[str, object] = {
        "encryption_certificate": "pki/fhi-encryption.pem",
        "signing_certificates": ["pki/fhi-signing.pem"],
        "queue": "171479_async",
    }
    _demand(scene, scene.configure(receiver=same))

    settings = scene.configure(receiver={"queue": "171479_sync"})
    with pytest.raises(ConfigInvalid, match="the queue 171479_sync, Adresseregisteret has 171479_async"):
        _demand(scene, settings)


@pytest.mark.parametrize(
    ("configured", "registered", "said"),
    [
        (pki.Kind.EXPIRED_ENCRYPTION, pki.Kind.RECEIVER_ENCRYPTION, "Adresseregisteret's is newer"),
        (pki.Kind.RECEIVER_ENCRYPTION, pki.Kind.EXPIRED_ENCRYPTION, "the configuration's is newer"),
        (pki.Kind.NEXT_ENCRYPTION, pki.Kind.RECEIVER_ENCRYPTION, "both begin at the same moment"),
    ],
)
def test_another_certificate_than_the_registers_is_refused_with_which_is_newer(
    scene: Scene, configured: pki.Kind, registered: pki.Kind, said: str
) -> None:
    (scene.made.folder / "pinned.pem").write_bytes(pki.certificate_pem(configured))
    scene.lists(certificates=(pki.certificate(registered), scene.made.pki.certificate("fhi-signing")))

    with pytest.raises(ConfigInvalid, match=said) as caught:
        _demand(scene, scene.configure(receiver={"encryption_certificate": "pinned.pem"}))

    assert caught.value.where == f"{scene.made.config}: receiver.encryption_certificate"


def test_earlier_signing_certificates_of_the_configuration_are_believed_as_well(scene: Scene) -> None:
    (scene.made.folder / "earlier.pem").write_bytes(pki.certificate_pem(pki.Kind.SIGNER))
    settings = scene.configure(receiver={"signing_certificates": ["pki/fhi-signing.pem", "earlier.pem"]})

    found = scene.ask(settings)

    assert found.signing == (scene.made.pki.certificate("fhi-signing"), pki.certificate(pki.Kind.SIGNER))
    check_counterpart(found, settings, ConfiguredTrust(), at=scene.now)

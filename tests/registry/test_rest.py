"""Adresseregisteret's REST interface behind HelseID: the token is ours alone, and each use of it is proven anew."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from kpr_sender.client import Client
from kpr_sender.errors import AccessRefused, ConfigInvalid, KprError, LoginRefused, RegistryUnreachable
from kpr_sender.model import SubmissionState, Transport
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.settings.edi import EdiSettings
from kpr_sender.settings.exposure import secrets_of
from kpr_sender.settings.values import Settings
from kpr_sender.trust.parties import check_counterpart
from kpr_sender.trust.policy import ConfiguredTrust
from tests.helpers.helseid_stub import CLIENT_ID, HelseIdStub
from tests.helpers.municipality import SENDER_HER_ID
from tests.helpers.register_scene import Scene
from tests.helpers.registry_stub import ADDRESS, FHI, KPR_VALIDERING, Address, Facts


@dataclass
class Guarded:
    """The scene, with the REST interface in the place of the SOAP service."""

    scene: Scene
    stub: HelseIdStub

    def settings(
        self, key: str | None = None, *, port: int = 1, without: str | None = None, **registry: object
    ) -> Settings:
        path = self.scene.made.folder / "helseid-key"
        path.write_text(key or self.stub.client_key.as_pem(private=True).decode())
        path.chmod(0o600)
        asked: dict[str, object] = {
            "kind": "rest",
            "url": self.stub.origin,
            "helseid_url": self.stub.origin,
            "client_id": CLIENT_ID,
            "client_key_file": "helseid-key",
            **registry,
            **({} if without is None else {without: None}),
        }
        return self.scene.configure(registry=asked, port=port)

    def lists(self, **facts: Any) -> None:
        self.stub.parties[KPR_VALIDERING] = self.scene.lists(**facts)
        self.stub.parties[FHI] = Facts(FHI)


@pytest.fixture(scope="module")
def client_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "vår"})


@pytest.fixture
def guarded(scene: Scene, client_key: RSAKey, tmp_path: Path) -> Iterator[Guarded]:
    with HelseIdStub(tmp_path / "helseid", scene.authority, client_key) as stub:
        guarded = Guarded(scene, stub)
        guarded.lists()
        yield guarded


def test_the_register_tells_queue_and_certificates(guarded: Guarded) -> None:
    settings = guarded.settings()

    found = guarded.scene.ask(settings)

    assert (found.her_id, found.queue, found.objections) == (KPR_VALIDERING, "171479_async", ())
    assert found.encryption == guarded.scene.made.pki.certificate("fhi-encryption")
    assert found.signing == (guarded.scene.made.pki.certificate("fhi-signing"),)
    assert (found.name, found.organisation_number) == ("KPR Validering", "310000000")
    assert found.provenance.source == guarded.stub.origin
    check_counterpart(found, settings, ConfiguredTrust(), at=guarded.scene.now)
    assert guarded.stub.refusals == []


def test_the_pair_is_delivered_by_what_it_tells(guarded: Guarded) -> None:
    guarded.stub.nonces = {"/connect": "en", "/api": "to"}
    with Sandbox(guarded.scene.made.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        settings = guarded.settings(port=sandbox.port)
        with Client(settings) as client:
            client.submit()
            assert client.wait(timeout=20).submission.state is SubmissionState.DELIVERED


def test_a_nonce_that_is_asked_for_is_given_once_to_helseid_and_once_to_the_interface(guarded: Guarded) -> None:
    guarded.stub.nonces = {"/connect": "en", f"/api/v1/communicationparty/{KPR_VALIDERING}": "to"}

    assert guarded.scene.ask(guarded.settings()).queue == "171479_async"

    assert guarded.stub.refusals == ["use_dpop_nonce", "use_dpop_nonce"]


def test_a_token_that_is_expired_is_replaced_by_a_new_one(guarded: Guarded) -> None:
    guarded.stub.expires_first = True

    assert guarded.scene.ask(guarded.settings()).queue == "171479_async"

    assert guarded.stub.refusals == ["invalid_token"]


def _key(make: Callable[[], RSAKey | ECKey], *, jwk: bool) -> tuple[RSAKey | ECKey, str]:
    key = make()
    return key, json.dumps(key.as_dict(private=True)) if jwk else key.as_pem(private=True).decode()


@pytest.mark.parametrize("jwk", [True, False])
@pytest.mark.parametrize("curve", ["P-256", "P-384", "RSA"])
def test_the_clients_key_may_be_jwk_or_pem(guarded: Guarded, client_key: RSAKey, curve: str, *, jwk: bool) -> None:
    key, text = _key(lambda: client_key if curve == "RSA" else ECKey.generate_key(curve), jwk=jwk)
    guarded.stub.client_key = key

    assert guarded.scene.ask(guarded.settings(text)).queue == "171479_async"


MISHAPS: dict[str, tuple[Callable[[HelseIdStub], object], type[KprError], str]] = {
    "nonce without end": (
        lambda stub: setattr(stub, "renews_nonce", True), RegistryUnreachable, "another nonce again and again",
    ),
    "another audience": (lambda stub: setattr(stub, "audience", "nhn:other"), AccessRefused, "refuses the token"),
    "token not bound": (
        lambda stub: setattr(stub, "token_type", "Bearer"), RegistryUnreachable, "not bound to our key",
    ),
    "unknown party": (lambda stub: stub.parties.clear(), ConfigInvalid, "does not know HER-id 171479"),
    "HelseID down": (
        lambda stub: setattr(stub, "instead", lambda path: (502, b"<html>") if "connect" in path else None),
        RegistryUnreachable, "HTTP 502",
    ),
    "HelseID refuses": (
        lambda stub: setattr(stub, "instead", lambda _path: (400, b'{"error": "invalid_client"}')),
        LoginRefused, r"refuses our client \(invalid_client\)",
    ),
    "HelseID's reason is no code": (
        lambda stub: setattr(stub, "instead", lambda _path: (400, b'{"error": "<b>"}')),
        AccessRefused, r"refuses our client \(HTTP 400\)",
    ),
    "closed": (
        lambda stub: setattr(stub, "instead", lambda path: (403, b"") if "api" in path else None),
        AccessRefused, "closed to our client",
    ),
    "no JSON": (
        lambda stub: setattr(stub, "instead", lambda path: (200, b"<html>") if "api" in path else None),
        RegistryUnreachable, "no JSON object",
    ),
    "deep JSON": (
        lambda stub: setattr(stub, "instead", lambda path: (200, b"[" * 200_000) if "api" in path else None),
        RegistryUnreachable, "no JSON object",
    ),
    "another party": (
        lambda stub: setattr(stub, "instead", lambda path: (200, b'{"herId": 1}') if "api" in path else None),
        RegistryUnreachable, "about another party",
    ),
    "damaged certificate": (
        lambda stub: setattr(
            stub, "instead", lambda path: (200, b'{"certificateValue": "AAAA"}') if "signing" in path else None
        ),
        RegistryUnreachable, "certificate in it is damaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("go_wrong", "error", "said"), MISHAPS.values(), ids=[name.replace(" ", "-") for name in MISHAPS]
)
def test_what_goes_wrong_is_told_for_what_it_is(
    guarded: Guarded, go_wrong: Callable[[HelseIdStub], object], error: type[KprError], said: str
) -> None:
    go_wrong(guarded.stub)

    with pytest.raises(error, match=said) as caught:
        guarded.scene.ask(guarded.settings())

    assert caught.value.code == error.code
    assert guarded.stub.origin in caught.value.where
    assert len(guarded.stub.refusals) <= 3, "nobody is asked again and again"


def test_an_address_of_other_than_printable_ascii_cannot_be_read(guarded: Guarded) -> None:
    settings = guarded.settings()
    for name, character in [*(("amqpAsyncQueue", each) for each in "\0\x1b\ud800\uff11"), ("amqpErrorQueue", "\x7f")]:
        said = json.dumps({"herId": KPR_VALIDERING, "amqpAddress": {name: f"127.0.0.1/x/171479{character}_async"}})
        guarded.stub.instead = lambda path, said=said: (200, said.encode()) if "api" in path else None

        with pytest.raises(RegistryUnreachable, match="other than printable ASCII") as caught:
            guarded.scene.ask(settings)

        assert str(caught.value).isprintable()
        assert character not in str(caught.value)


def test_a_replayed_proof_is_refused_and_none_of_ours_is(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = guarded.settings(max_age=0)
    guarded.scene.ask(settings)
    guarded.scene.ask(settings)
    assert guarded.stub.refusals == []

    monkeypatch.setattr("kpr_sender.registry.helseid.uuid.uuid4", lambda: "the same again")
    with pytest.raises(AccessRefused, match="invalid_"):
        guarded.scene.ask(settings)


def test_another_clients_key_opens_nothing(guarded: Guarded) -> None:
    with pytest.raises(LoginRefused, match="invalid_client"):
        guarded.scene.ask(guarded.settings(RSAKey.generate_key(2048).as_pem(private=True).decode()))


@pytest.mark.parametrize(
    "text", ["not a key", "{}", '{"kty": "oct", "k": "aGVtbWVsaWc"}', "{", "-----BEGIN EC PRIVATE"]
)
def test_what_is_no_private_key_is_refused_without_being_shown(guarded: Guarded, text: str) -> None:
    with pytest.raises(AccessRefused, match="no private key") as caught:
        guarded.scene.ask(guarded.settings(text))

    assert "aGVt" not in str(caught.value)


def test_a_public_key_is_no_private_one(guarded: Guarded, client_key: RSAKey) -> None:
    with pytest.raises(AccessRefused, match="no private key"):
        guarded.scene.ask(guarded.settings(client_key.as_pem(private=False).decode()))


def test_g7_mail_goes_to_the_registered_edi_address_alone(guarded: Guarded) -> None:
    """E_EDI is read with and without a queue; none, another than configured or another environment's stops a send."""
    account = EdiSettings(address="kommune@edi.example.no", receiver_address="kpr@edi.example.no")
    settings = replace(guarded.settings(max_age=0), transport=Transport.EDI, edi=account)

    def objections(registered: str, *addresses: Address, **changes: str) -> str:
        guarded.lists(addresses=(*addresses, Address("E_EDI", registered)), changes=changes)
        found = guarded.scene.ask(settings)
        assert found.edi_address == registered.strip()
        return " ".join(one.text for one in found.objections)

    queue = Address("E_SB_ASYNC", ADDRESS)
    assert objections("  KPR@edi.example.no ", queue) == ""
    assert objections("kpr@edi.example.no", amqpTransportStatus="Disabled") == ""
    assert "No EDI address is registered" in objections("", queue)
    told = objections("other@edi.example.no", queue)
    assert "edi.receiver_address is kpr@edi.example.no; Adresseregisteret has other@edi.example.no" in told
    assert "belongs to produksjon and validering" in objections("kpr@edi.nhn.no", queue)
    with pytest.raises(ConfigInvalid, match=r"Adresseregisteret has kpr@edi\.nhn\.no"):
        check_counterpart(guarded.scene.ask(settings), settings, ConfiguredTrust(), at=guarded.scene.now)


def test_a_party_without_queue_or_certificate_is_refused(guarded: Guarded) -> None:
    settings = guarded.settings(max_age=0)
    guarded.lists(changes={"amqpTransportStatus": "Disabled"})
    with pytest.raises(ConfigInvalid, match="No queue is registered"):
        check_counterpart(guarded.scene.ask(settings), settings, ConfiguredTrust(), at=guarded.scene.now)

    guarded.lists(certificates=(None, None))
    with pytest.raises(AccessRefused, match="no certificate for encryption"):
        guarded.scene.ask(settings)


def test_the_last_good_answer_has_to_do_when_helseid_is_away(guarded: Guarded) -> None:
    settings = guarded.settings()
    guarded.scene.ask(settings)
    guarded.stub.close()
    guarded.scene.later(hours=2)

    assert guarded.scene.ask(settings).provenance.stale is True
    assert "cannot be asked" in guarded.scene.warnings[0]


@pytest.mark.parametrize("name", ["url", "helseid_url", "client_id", "client_key_file"])
def test_what_is_needed_is_missed_by_its_key(guarded: Guarded, name: str) -> None:
    with pytest.raises(ConfigInvalid, match="needs it") as caught:
        guarded.settings(without=name)

    assert caught.value.where.endswith(f"registry.{name}")


def test_the_clients_key_is_among_the_secrets(guarded: Guarded) -> None:
    settings = guarded.settings()

    assert settings.registry.helseid is not None
    assert settings.registry.helseid.client_key in secrets_of(settings)


def test_g7_another_environments_helseid_is_refused(guarded: Guarded) -> None:
    with pytest.raises(ConfigInvalid, match="register's host does not belong"):
        Client(guarded.settings(helseid_url="https://helseid-sts.nhn.no"))


def test_without_the_extra_it_is_told_how_to_get_it(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("joserfc", "kpr_sender.registry.helseid"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "kpr_sender.registry.rest", raising=False)
    monkeypatch.setitem(sys.modules, "joserfc", None)

    with pytest.raises(ConfigInvalid, match="needs the extra helseid") as caught:
        guarded.scene.ask(guarded.settings())

    assert "kpr-sender[helseid]" in caught.value.next_step

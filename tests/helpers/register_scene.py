"""A municipality whose configuration names no certificate and no queue, and the register that tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from kpr_sender.events import Event, EventKind
from kpr_sender.registry.cached import CachedRegistry
from kpr_sender.registry.configured import age_for_sending, open_registry
from kpr_sender.registry.port import Counterpart
from kpr_sender.settings.values import Settings
from tests.helpers.municipality import SENDER_HER_ID, Municipality, municipality
from tests.helpers.registry_stub import KPR_VALIDERING, PASSWORD, USER, Address, Facts, RegistryStub
from tests.helpers.tls_certificates import Authority, make_authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("register-ca"))


@dataclass
class Scene:
    """A municipality, a register, and a clock that is set by hand."""

    made: Municipality
    stub: RegistryStub
    authority: Authority
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    told: list[Event] = field(default_factory=list)

    def configure(
        self,
        *,
        port: int = 1,
        registry: Mapping[str, object] | None = None,
        receiver: Mapping[str, object] | None = None,
        more: Mapping[str, Mapping[str, object]] | None = None,
    ) -> Settings:
        (self.made.folder / "registry-password").write_text(PASSWORD)
        (self.made.folder / "registry-password").chmod(0o600)
        nothing: dict[str, object] = {"encryption_certificate": None, "signing_certificates": None, "queue": None}
        asked: dict[str, object] = {
            "kind": "soap",
            "url": self.stub.url,
            "user": USER,
            "password_file": "registry-password",
            "ca_file": str(self.authority.ca_file),
            "timeout": "5s",
        }
        changes = {
            "receiver": {**nothing, **(receiver or {})},
            "registry": {**asked, **(registry or {})},
            **(more or {}),
        }
        return self.made.configure(changes, port=port)

    def open(self, settings: Settings | None = None) -> CachedRegistry:
        opened = open_registry(settings or self.configure(), now=lambda: self.now, observe=self.told.append)
        assert isinstance(opened, CachedRegistry)
        return opened

    def open_for_sending(self, settings: Settings) -> CachedRegistry:
        max_age = age_for_sending(settings)
        opened = open_registry(settings, now=lambda: self.now, observe=self.told.append, max_age=max_age)
        assert isinstance(opened, CachedRegistry)
        return opened

    def ask(self, settings: Settings | None = None) -> Counterpart:
        return self.open(settings).counterpart(KPR_VALIDERING)

    def later(self, **length: float) -> None:
        self.now += timedelta(**length)

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.told if event.kind is EventKind.WARNING]

    @property
    def cache(self) -> Path:
        return self.made.folder / "journal-registry.json"

    def lists(self, **facts: Any) -> Facts:
        """Let the register list KPR Validering, with the sandbox's certificates unless others are given."""
        pki = self.made.pki
        certificates = pki.certificate("fhi-encryption"), pki.certificate("fhi-signing")
        known = Facts(**{"certificates": certificates, **facts})
        self.stub.parties[KPR_VALIDERING] = known
        return known


@pytest.fixture
def scene(tmp_path: Path, authority: Authority) -> Iterator[Scene]:
    made = municipality(tmp_path / "kommune")
    with RegistryStub(tmp_path / "tls", authority) as stub:
        scene = Scene(made, stub, authority)
        scene.lists()
        yield scene


OWN_ADDRESSES: Final = (
    Address("E_SB_ASYNC", "127.0.0.1/NHNTESTServiceBus/900002_async"),
    Address("E_SB_ERROR", "127.0.0.1/NHNTESTServiceBus/900002_error"),
)
OWN_NAMES: Final = {"Name": "Saksbehandling pasientopplysninger", "ParentName": "Eksempel kommune"}


@pytest.fixture
def registered(scene: Scene) -> Callable[..., None]:
    def register(names: Mapping[str, str] | None = None, **facts: Any) -> None:
        known: dict[str, Any] = {
            "parent": 900001,
            "addresses": OWN_ADDRESSES,
            "changes": {**OWN_NAMES, **(names or {})},
        }
        pki = scene.made.pki
        certificates = pki.certificate("kommune-encryption"), pki.certificate("kommune-signing")
        scene.stub.parties[SENDER_HER_ID] = Facts(SENDER_HER_ID, **({"certificates": certificates} | known | facts))

    scene.lists(changes={"Name": "KPR Validering"})
    register()
    return register

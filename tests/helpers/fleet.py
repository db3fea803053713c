"""A fleet in a folder: municipalities of ``lokal``, each with a sandbox of its own, and a fleet file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

from kpr_sender.client import Client
from kpr_sender.fleet.file import FleetFile
from kpr_sender.model import Environment, Submission
from kpr_sender.sandbox.pki import Pki
from kpr_sender.sandbox.sample import write_pair
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import YEAR, Municipality, municipality

COMMON = """\
environment = "lokal"

[fleet]
jobs = 2
{fleet}

[files]
fagmelding = "{{municipality}}/fagmelding.xml"
identmelding = "{{municipality}}/identmelding.xml"

[report]
year = 2024

[journal]
path = "{{municipality}}/journal.db"

[sandbox]
embedded = true
dir = "{{municipality}}"
{more}
"""
ONE = """
[[municipality]]
name = "KOMMUNE {name}"
kommunenummer = "{kommunenummer}"
bydel = "{bydel}"
her_id = {her_id}
service_her_id = {service_her_id}
{own}
"""


@dataclass(frozen=True)
class Fleet:
    """Where all of it lies."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "fleet.toml"

    def write(self, *names: str, fleet: str = "", more: str = "", own: str = "") -> Path:
        """Write a fleet file of these municipalities; ``own`` is what the last of them says beside the usual."""
        text = COMMON.format(fleet=fleet, more=more)
        for number, name in enumerate(names):
            kommunenummer, _, bydel = name.partition("-")
            text += ONE.format(
                name=name,
                kommunenummer=kommunenummer,
                bydel=bydel or "00",
                her_id=900_100 + number,
                service_her_id=900_200 + number,
                own=own if number == len(names) - 1 else "",
            )
        self.path.write_text(text, "utf-8")
        return self.path

    def read(self) -> FleetFile:
        return FleetFile.load(self.path, Environment.LOKAL)

    def of(self, name: str) -> Municipality:
        """Where one municipality's files lie."""
        return Municipality(self.folder / name)


def fleet(folder: Path, *names: str, files: bool = True, **more: str) -> Fleet:
    """Set a fleet up; without ``files`` no pair is exported yet."""
    made = Fleet(folder)
    made.write(*names, **more)
    for name in names:
        place = folder / name
        place.mkdir()
        one = municipality(place)
        seal_keys_anew(one.pki)
        if files:
            kommunenummer, _, bydel = name.partition("-")
            write_pair(place, year=YEAR, persons=3, kommunenummer=kommunenummer, bydel=bydel or "00")
        else:
            one.fagmelding.unlink()
            one.identmelding.unlink()
    return made


def seal_keys_anew(pki: Pki) -> None:
    """Write a copied PKI's key files with another salt: a fleet takes no two that are alike, and RSA keys take time."""
    passphrase = pki.passphrase().encode("ascii")
    for name in ("kommune-signing", "kommune-encryption"):
        held = _opened(pki.pkcs12(name), passphrase)
        assert held.cert is not None
        encryption = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(1).build(passphrase)
        issuers = [one.certificate for one in held.additional_certs]
        sealed = pkcs12.serialize_key_and_certificates(
            name.encode("ascii"), _rsa(held.key), held.cert.certificate, issuers, encryption
        )
        (pki.folder / f"{name}.p12").write_bytes(sealed)


@cache
def _opened(bundle: bytes, passphrase: bytes) -> pkcs12.PKCS12KeyAndCertificates:
    return pkcs12.load_pkcs12(bundle, passphrase)


def _rsa(key: object) -> rsa.RSAPrivateKey:
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def submitted(made: Fleet, name: str, *, answered: bool) -> Submission:
    """Submit one municipality's pair without its sandbox; FHI answers it, or not yet."""
    one, entry = made.of(name), made.read().named(name).document
    kommunenummer, _, bydel = name.partition("-")
    sender = {key: entry["sender"][key] for key in ("name", "her_id", "service_her_id")}
    settings = one.configure({"sender": {**sender, "kommunenummer": kommunenummer, "bydel": bydel or "00"}})
    with Client(settings, bus=MemoryBus(Fhi(one.pki).answer) if answered else MemoryBus()) as client:
        client.submit()
        return client.wait(timeout=0).submission

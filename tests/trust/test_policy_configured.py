"""Roots and revocation by the configuration's keys: what a send and a receipt make of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from kpr_sender.client import Client
from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.events import Event
from kpr_sender.model import SubmissionState
from kpr_sender.settings.values import Revocation
from tests.helpers import pki
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Changes, Municipality

NewClient = Callable[..., Client]


@pytest.fixture
def trusting(kommune: Municipality) -> Callable[..., Changes]:
    """Write the sandbox's authorities where ``protection.roots`` names them; return the changes that do so."""
    bundle = pkcs12.load_pkcs12(kommune.pki.pkcs12("fhi-signing"), kommune.pki.passphrase().encode())
    issuing = [each.certificate.public_bytes(Encoding.PEM) for each in bundle.additional_certs]
    (kommune.folder / "issuing.pem").write_bytes(b"".join(issuing))

    def change(revocation: str = "off", number: str = "", roots: tuple[str, ...] = ()) -> Changes:
        named = list(roots) or [str(kommune.pki.ca), "issuing.pem"]
        changes: dict[str, dict[str, object]] = {"protection": {"roots": named, "revocation": revocation}}
        return changes | ({"sender": {"organisation_number": number}} if number else {})

    return change


def strangers_root(kommune: Municipality) -> str:
    (kommune.folder / "stranger.pem").write_bytes(pki.root().public_bytes(Encoding.PEM))
    return "stranger.pem"


def test_with_the_right_roots_all_goes_on_as_before(
    kommune: Municipality, new_client: NewClient, bus: MemoryBus, trusting: Callable[..., Changes]
) -> None:
    client = new_client(bus, trusting())
    client.submit()
    assert client.wait(timeout=5).submission.state is SubmissionState.DELIVERED
    assert not (kommune.folder / "revocation").exists()


def test_with_other_roots_nothing_is_sent(
    kommune: Municipality, new_client: NewClient, bus: MemoryBus, trusting: Callable[..., Changes]
) -> None:
    client = new_client(bus, trusting(roots=(strangers_root(kommune),)))
    with pytest.raises(AccessRefused, match=r"its issuer is not among protection\.roots") as refused:
        client.submit()
    assert refused.value.where == "receiver.encryption_certificate"
    assert client.status() is None
    assert not bus.published


def test_our_own_certificate_must_be_our_organisations(
    new_client: NewClient, bus: MemoryBus, trusting: Callable[..., Changes]
) -> None:
    client = new_client(bus, trusting(number="310000000"))
    with pytest.raises(AccessRefused, match=r"organisation number .*; it must be 310000000") as refused:
        client.submit()
    assert refused.value.where == "keys.signing"


@pytest.mark.parametrize("mode", [Revocation.SOFT, Revocation.REQUIRE])
def test_where_nobody_tells_of_revocation_soft_warns_and_require_refuses(
    mode: Revocation, new_client: NewClient, bus: MemoryBus, trusting: Callable[..., Changes], events: list[Event]
) -> None:
    client = new_client(bus, trusting(mode.value))
    if mode is Revocation.REQUIRE:
        with pytest.raises(AccessRefused, match="No issuer says whether the certificate is revoked"):
            client.submit()
        assert not bus.published
        return
    client.submit()
    assert client.wait(timeout=5).submission.state is SubmissionState.DELIVERED
    assert any("No issuer says whether" in event.text for event in events)


def test_a_receipt_under_another_root_is_kept_and_not_believed(
    kommune: Municipality, new_client: NewClient, bus: MemoryBus, trusting: Callable[..., Changes]
) -> None:
    new_client(bus).submit()
    client = new_client(bus, trusting(roots=(strangers_root(kommune),)))
    report = client.wait(timeout=0.2)
    assert report.submission.state is not SubmissionState.DELIVERED
    assert "does not lead to a trusted authority" in str(client.receipts())

    assert new_client(bus, trusting()).wait(timeout=5).submission.state is SubmissionState.DELIVERED


@pytest.mark.parametrize(
    ("roots", "text"),
    [
        ("missing.pem", "cannot be read"),
        ("fagmelding.xml", "There is no certificate in the file"),
        ("pki/fhi-signing.pem", "is no authority's"),
    ],
)
def test_roots_that_are_none_are_a_wrong_configuration(
    roots: str, text: str, new_client: NewClient, bus: MemoryBus, trusting: Callable[..., Changes]
) -> None:
    with pytest.raises(ConfigInvalid, match=text):
        new_client(bus, trusting(roots=(roots,))).submit()


def test_revocation_needs_roots(kommune: Municipality) -> None:
    with pytest.raises(ConfigInvalid, match="Who issued a certificate must be known"):
        kommune.configure({"protection": {"revocation": "soft"}})

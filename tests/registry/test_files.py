"""The receiver's certificates as files: read, or told by configuration key."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kpr_sender.cms.certificates import load_certificate
from kpr_sender.errors import AccessRefused, ConfigInvalid
from kpr_sender.registry.files import FilesRegistry
from tests.helpers.municipality import Changes, Municipality, municipality

KPR_VALIDERING = 171479


@pytest.fixture
def made(tmp_path: Path) -> Municipality:
    return municipality(tmp_path)


def _certificates(made: Municipality) -> tuple[Path, Path]:
    return made.folder / "pki" / "fhi-encryption.pem", made.folder / "pki" / "fhi-signing.pem"


def _with(made: Municipality, **receiver: object) -> FilesRegistry:
    changes: Changes = {"receiver": receiver}
    return FilesRegistry(made.configure(changes))


def test_the_receiver_has_the_configured_queue_and_certificates(made: Municipality) -> None:
    encryption, signing = (load_certificate(path.read_bytes(), "it") for path in _certificates(made))

    found = _with(made, queue=" tb.nhn.no/NHNPRODServiceBus/171479_async ".strip()).counterpart(KPR_VALIDERING)

    assert found.her_id == KPR_VALIDERING
    assert found.queue == "171479_async"
    assert found.encryption == encryption
    assert found.signing == (signing,)


def test_der_is_read_like_pem(made: Municipality) -> None:
    encryption, _ = _certificates(made)
    certificate = load_certificate(encryption.read_bytes(), "it")
    (made.folder / "fhi.cer").write_bytes(certificate.public_bytes(Encoding.DER))

    found = _with(made, encryption_certificate="fhi.cer").counterpart(KPR_VALIDERING)

    assert found.encryption == certificate


def test_another_party_is_not_known_here(made: Municipality) -> None:
    with pytest.raises(ConfigInvalid, match="171479 only"):
        FilesRegistry(made.configure()).counterpart(122612)


@pytest.mark.parametrize("key", ["encryption_certificate", "signing_certificates"])
def test_a_missing_file_is_told_with_its_key(made: Municipality, key: str) -> None:
    missing: object = ["none.pem"] if key == "signing_certificates" else "none.pem"

    with pytest.raises(ConfigInvalid, match=r"none\.pem") as caught:
        _with(made, **{key: missing}).counterpart(KPR_VALIDERING)

    assert caught.value.where == f"{made.config}: receiver.{key}"


def test_a_file_that_is_no_certificate_is_told_with_its_key(made: Municipality) -> None:
    (made.folder / "fhi.pem").write_text("not a certificate")

    with pytest.raises(AccessRefused) as caught:
        _with(made, encryption_certificate="fhi.pem").counterpart(KPR_VALIDERING)

    assert "receiver.encryption_certificate" in caught.value.where


def test_an_earlier_signing_certificate_is_kept_to_be_recognised_whatever_it_is(made: Municipality) -> None:
    encryption, signing = (load_certificate(path.read_bytes(), "it") for path in _certificates(made))
    both = ["pki/fhi-signing.pem", "pki/fhi-encryption.pem"]

    assert _with(made, signing_certificates=both).counterpart(KPR_VALIDERING).signing == (signing, encryption)

"""A municipality and a sandbox whose bus it can reach, with files to break its configuration with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kpr_sender.sandbox.sandbox import Sandbox
from tests.helpers import pki
from tests.helpers.municipality import SENDER_HER_ID, municipality
from tests.helpers.pki import Kind
from tests.helpers.self_checks import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = municipality(tmp_path_factory.mktemp("kommune"))
    for name, content in {
        "wrong": b"feil",
        "test.passphrase": pki.PASSPHRASE.encode(),
        "expired.p12": pki.p12(Kind.EXPIRED_SIGNER),
        "expired.pem": pki.certificate_pem(Kind.EXPIRED_SIGNER),
        "damaged.db": b"no journal at all" * 500,
    }.items():
        (made.folder / name).write_bytes(content)
        (made.folder / name).chmod(0o600)
    with Sandbox(made.folder, sender_her_id=SENDER_HER_ID) as sandbox:
        yield Stage(made, sandbox.port)

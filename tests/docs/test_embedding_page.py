"""Each block of docs/embedding.md runs, and a type checker takes it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from kpr_sender import Decrypter, Party, Signer
from kpr_sender.keys.files import KeyPair, load_pkcs12
from kpr_sender.sandbox.pki import Pki
from kpr_sender.testing import FakeTjenestebuss
from tests.helpers.repository import ROOT

_PAGE: Final = (ROOT / "docs" / "embedding.md").read_text("utf-8")
_DELIVER, _ASYNC, _SEVERAL, _SIGNER = re.findall(r"```python\n(.*?)```", _PAGE, flags=re.DOTALL)


def _run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "embedding"}
    exec(compile(code, "embedding.md", "exec"), names)  # noqa: S102 - it is our own page
    return names


def test_a_delivery_says_what_a_person_should_read(tjenestebuss: FakeTjenestebuss) -> None:
    deliver, folder, document = _run(_DELIVER)["deliver"], tjenestebuss.fagmelding.parent, tjenestebuss.document
    for source in (document["keys"]["signing"], *document["keys"]["decryption"]):
        del source["passphrase_file"]
        source.update(passphrase_env="KEYS")
    secrets = {"KEYS": Pki(folder / "pki").passphrase()}
    tjenestebuss.reachable = False
    assert deliver(document, folder, secrets, tjenestebuss.parts) == "later"
    tjenestebuss.reachable = True
    assert "Both shipments are delivered" in deliver(document, folder, secrets, tjenestebuss.parts)
    tjenestebuss.new_extract()
    assert deliver(document, folder, secrets, tjenestebuss.parts).startswith("already-submitted: ")


def test_a_cancelled_task_stops_the_client(tjenestebuss: FakeTjenestebuss) -> None:
    receipts_of = _run(_ASYNC)["receipts_of"]
    tjenestebuss.set_faults("no-answer")

    async def cancelled() -> None:
        waiting = asyncio.create_task(receipts_of(client, 30))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with tjenestebuss.client() as client:
        client.submit()
        begun = datetime.now(UTC)
        asyncio.run(cancelled())  # it ends when the thread does
    assert (datetime.now(UTC) - begun).total_seconds() < 10


def test_several_municipalities_are_sent_for_at_once(tmp_path: Path, kpr_test_keys: Path) -> None:
    made = []
    for number in (1103, 4601, 5001):
        folder = tmp_path / str(number)
        shutil.copytree(kpr_test_keys, folder / "pki")
        party = Party(f"PRØVE KOMMUNE {number}", 910000 + number, "Saksbehandling", 920000 + number)
        made.append(FakeTjenestebuss(folder, municipality=party, kommunenummer=str(number), persons=1))
    made[1].set_faults("refuse-login")
    with made[2].client() as elsewhere:
        elsewhere.submit()  # and holds the journal
        known = _run(_SEVERAL)["all_of_them"]((each.settings, each.parts) for each in made)
    assert known == {"1103": "delivered", "4601": "access-refused", "5001": "another run has it"}


def test_a_signer_of_ones_own_signs_what_is_verified(tjenestebuss: FakeTjenestebuss) -> None:
    pki = Pki(tjenestebuss.fagmelding.parent / "pki")
    ours, opening = (
        load_pkcs12(pki.pkcs12(f"kommune-{use}"), pki.passphrase(), name=use) for use in ("signing", "encryption")
    )
    made: Signer = _run(_SIGNER)["signer"](ours.certificate, ours.chain, ours.sign_digest)

    class OurKeys:
        def signer(self, *, at: datetime) -> Signer:
            return made

        def decrypters(self) -> tuple[Decrypter, ...]:
            return (opening,)

    assert isinstance(opening, KeyPair)
    with tjenestebuss.client(keys=OurKeys()) as client:
        client.submit()
        assert client.wait(timeout=0).exit_code == 0


def test_a_type_checker_takes_every_block(tmp_path: Path) -> None:
    """With the project's own options and cache: mypy --strict."""
    pages = ("embedding", "own-listener", "testing")
    blocks = [
        block
        for page in pages
        for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text("utf-8"), re.DOTALL)
    ]
    files = [tmp_path / f"block_{number}.py" for number in range(len(blocks))]
    for file, block in zip(files, blocks, strict=True):
        file.write_text(block, "utf-8")
    command = [sys.executable, "-m", "mypy", *map(str, files)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr

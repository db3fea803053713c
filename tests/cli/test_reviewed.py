"""After delivery a person looks at FHI's feedback view: what is said before and after, and that it is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpr_sender.client import Client
from kpr_sender.errors import UsageError
from kpr_sender.journal.verify import verify
from kpr_sender.model import Environment
from tests.helpers.command import kpr_send
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality, municipality


@pytest.fixture
def delivered(tmp_path: Path) -> Municipality:
    made = municipality(tmp_path / "kommune")
    fhi = Fhi(made.pki)
    with Client(made.configure(), bus=MemoryBus(fhi.answer)) as client:
        client.submit()
        assert client.wait(timeout=5).exit_code == 0
    return made


def test_a_review_is_stored_and_shown_without_its_author_in_json(delivered: Municipality) -> None:
    told = ("--env", "lokal", "--config", delivered.config)
    assert kpr_send(*told, "--json", "status").json()["reviewed"] is None

    noted = kpr_send(*told, "reviewed", "--by", "Inga", "--note", "Tallene stemmer")

    assert (noted.code, "What to do  Nothing: Inga looked at FHI's feedback view (" in noted.out) == (0, True)
    status = kpr_send(*told, "--json", "status")
    assert status.json()["reviewed"]["at"]
    assert "Inga" not in status.out
    assert "Tallene" not in kpr_send(*told, "journal", "export").out
    verified = verify(delivered.journal, Environment.LOKAL)
    assert verified is not None
    assert verified.findings == ()


def test_a_review_of_what_is_not_delivered_and_one_with_a_national_id_are_refused(
    tmp_path: Path, delivered: Municipality
) -> None:
    with Client(delivered.configure()) as client, pytest.raises(UsageError, match="national id"):
        client.reviewed(by="Inga", note="rad 17: 15 85 20 12345")

    other = municipality(tmp_path / "annen")
    with Client(other.configure(), bus=MemoryBus()) as client:
        client.submit()
        with pytest.raises(UsageError, match="Only what is delivered"):
            client.reviewed(by="Inga")

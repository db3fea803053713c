"""``submit`` asks the journal before it checks: what is a submission already is neither parsed nor refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kpr_sender import preflight
from kpr_sender.client import Client
from kpr_sender.errors import AlreadySubmitted, BusUnreachable, InputMissing, InputRefused
from kpr_sender.events import Event, EventKind
from kpr_sender.model import Submission
from kpr_sender.texts import Text
from tests.helpers.memory_bus import MemoryBus
from tests.helpers.municipality import Municipality

NewClient = Callable[..., Client]

NEW_CERTIFICATE = {"receiver": {"encryption_certificate": "pki/kommune-encryption.pem"}}
_SEND = """
import json, sys
from kpr_sender.cli.main import run
code = run(["--env", "lokal", "--config", sys.argv[1], "--json", "send", "--wait", "0s"])
heavy = {"kpr_sender.preflight", "kpr_sender.bus.amqp", "kpr_sender.messages.hodemelding", "cryptography", "proton"}
print(json.dumps({"code": code, "heavy": sorted(heavy & set(sys.modules))}), file=sys.stderr)
"""


def send(kommune: Municipality) -> tuple[int, list[str], dict[str, Any]]:
    """Send in a process of its own; return exit code, what it loaded to check and send with, and the JSON."""
    command = [sys.executable, "-c", _SEND, str(kommune.config)]
    ended = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    last = json.loads(ended.stderr.splitlines()[-1])
    return last["code"], last["heavy"], json.loads(ended.stdout)


def deliver(new_client: NewClient, bus: MemoryBus) -> Submission:
    client = new_client(bus)
    client.submit()
    report = client.wait(timeout=5)
    assert report.exit_code == 0
    return report.submission


def forbid_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        pytest.fail("the files were checked")

    monkeypatch.setattr(preflight, "check", fail)


def recode(path: Path, encoding: str, name: str) -> None:
    """Write a file in another encoding, which its declaration names."""
    text = path.read_text("utf-8")
    assert 'encoding="UTF-8"' in text
    path.write_text(text.replace('encoding="UTF-8"', f'encoding="{name}"'), encoding=encoding)


def test_a_second_send_loads_nothing_to_check_or_send_with_and_answers_the_same(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality
) -> None:
    client = new_client(bus)
    client.submit()
    first = client.wait(timeout=5).as_json()
    client.close()
    code, loaded, answer = send(kommune)
    assert (code, loaded) == (0, [])
    assert answer == answer | first
    kommune.new_extract()
    code, loaded, _ = send(kommune)
    assert code == AlreadySubmitted.exit_code
    assert "kpr_sender.preflight" in loaded, "other files are checked"


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-8", "UTF-8"), ("utf-16", "UTF-16"), ("latin-1", "ISO-8859-1"), ("utf-8-sig", "utf-8")]
)
def test_files_are_found_by_what_was_sealed_whatever_their_encoding(
    new_client: NewClient,
    bus: MemoryBus,
    kommune: Municipality,
    events: list[Event],
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    name: str,
) -> None:
    for path in (kommune.fagmelding, kommune.identmelding):
        recode(path, encoding, name)
    first = deliver(new_client, bus)
    assert [event.type for event in events if event.kind is EventKind.CHECKED] == ["KPR_IPL", "KPR_IDE"]
    forbid_check(monkeypatch)
    events.clear()
    again = new_client(bus).submit()
    assert (again.submission, again.sent) == (first, 0)
    assert [event.kind for event in events] == [EventKind.CONTINUED]


def test_what_is_sealed_goes_on_whatever_the_configuration_says_of_the_files_now(
    new_client: NewClient, bus: MemoryBus
) -> None:
    """G2: a kommunenummer that was corrected since must not leave a receipt unread."""
    first = deliver(new_client, bus)
    assert new_client(bus, {"sender": {"kommunenummer": "0301"}}).submit().submission == first


@pytest.mark.parametrize("half", ["fagmelding", "identmelding"])
def test_one_known_file_beside_a_new_one_is_no_submission(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality, events: list[Event], half: str
) -> None:
    known = getattr(kommune, half)
    before = known.read_bytes()
    deliver(new_client, bus)
    kommune.new_extract()
    known.write_bytes(before)
    events.clear()
    # The new extract has a person more, so that the two files do not agree either: a person would have to accept it.
    with pytest.raises((AlreadySubmitted, InputRefused)) as refused:
        new_client(bus).submit()
    if isinstance(refused.value, InputRefused):
        drops = int(refused.value.next_step.rpartition("--accept-findings ")[2].split(".")[0])
        with pytest.raises(AlreadySubmitted):
            new_client(bus).submit(accept_findings=drops)
    assert {event.kind for event in events} >= {EventKind.CHECKED}
    assert len(bus.published) == 2


def test_the_same_files_replace_nothing_and_need_no_check_for_it(
    new_client: NewClient, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = deliver(new_client, bus)
    forbid_check(monkeypatch)
    with pytest.raises(AlreadySubmitted, match="cannot replace anything"):
        new_client(bus).submit(replaces=first.submission_id, reason="Corrected.")


def test_what_is_sealed_for_an_old_certificate_is_sealed_again_without_a_check(
    new_client: NewClient, silent_bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent_bus.connect_error = BusUnreachable(Text("Refused."))
    with pytest.raises(BusUnreachable):
        new_client(silent_bus).submit()
    silent_bus.connect_error = None
    forbid_check(monkeypatch)
    report = new_client(silent_bus, NEW_CERTIFICATE).submit()
    assert (report.sent, report.exit_code) == (2, 80)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<IPLOS>", "namespace|root"),
        (b"<?xml version='1.0' encoding='KOI8-R'?><IPLOS/>", "encoding"),
        (b"<?xml version='1.0' encoding='UTF-16'?><IPLOS/>", "another encoding"),
        (b"<?xml version='1.0' encoding='us-ascii'?><IPLOS>\xe5</IPLOS>", "not in the encoding"),
    ],
)
def test_a_broken_file_is_refused_before_and_after_a_submission(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality, content: bytes, reason: str
) -> None:
    valid = kommune.fagmelding.read_bytes()
    for _ in range(2):
        kommune.fagmelding.write_bytes(content)
        with pytest.raises(InputRefused, match=reason) as refused:
            new_client(bus).submit()
        assert refused.value.where.startswith(str(kommune.fagmelding))
        kommune.fagmelding.write_bytes(valid)
        deliver(new_client, bus)
    assert len(bus.published) == 2


@pytest.mark.parametrize("missing", ["fagmelding", "identmelding"])
def test_a_missing_file_is_missing_also_where_it_was_submitted(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality, missing: str
) -> None:
    deliver(new_client, bus)
    path: Path = getattr(kommune, missing)
    path.unlink()
    with pytest.raises(InputMissing) as refused:
        new_client(bus).submit()
    assert refused.value.where == str(path)


def test_what_is_sealed_is_what_was_checked(
    new_client: NewClient, bus: MemoryBus, kommune: Municipality, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is another during the check only would otherwise go out unchecked."""
    check, hashed = preflight.check, kommune.fagmelding.read_bytes()

    def another_meanwhile(*arguments: Any, **options: Any) -> preflight.CheckReport:
        kommune.fagmelding.write_bytes(hashed.replace(b"<iiLopenr>1<", b"<iiLopenr>2<"))
        try:
            return check(*arguments, **options)
        finally:
            kommune.fagmelding.write_bytes(hashed)

    monkeypatch.setattr(preflight, "check", another_meanwhile)
    client = new_client(bus)
    with pytest.raises(InputRefused, match="changed while it was read"):
        client.submit()
    assert client.status() is None
    assert bus.published == []

"""Nothing on a Norwegian screen is English but what is typed or quoted: every help, and what a person on duty sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import pytest

from kpr_sender.bus.port import Outbound, Outcome, Reach, Verdict
from kpr_sender.cli.language import localized
from kpr_sender.cli.main import cli, run
from kpr_sender.client import Client
from kpr_sender.cms.write import seal
from kpr_sender.errors import BusUnreachable, InDoubt
from kpr_sender.model import Language
from kpr_sender.render.language import speaking
from kpr_sender.texts import Text
from tests.helpers.desk import Desk
from tests.helpers.fhi import Fhi
from tests.helpers.memory_bus import ACCEPTED, MemoryBus
from tests.helpers.municipality import municipality

_TYPED: Final = re.compile(
    r"kpr-send(?: -{0,2}[\w./=:-]+)+|(?<!\w)--?[a-z][\w-]*|^ {2}[a-z]+ {2,}"
    r"|\S*[/@_]\S*|\b[\w-]+\.[\w.]+|'[^']*'|\"[^\"]*\""
)
"""Commands, options, paths, keys of the configuration, and what stands in quotation marks."""
_ENGLISH: Final = re.compile(
    r"(?<![\w-])(?:the|and|of|with|is|are|or|not|was|were|has|have|been|from|this|that|it|its|which|when|where|who|what|will"
    r"|would|must|may|can|until|only|before|after|than|none|yes|no|your|reach|sealed|reviewed|settled|handed|link|file"
    r"|options|command|args|text|year|name|dir|folder|duration|value|integer|range)(?![\w-])",
    re.IGNORECASE,
)
_NO_OUTCOME: Final = Outcome(
    *(Verdict.IN_DOUBT, Reach.HANDED_OVER, 4711, "amqp:connection:forced", "noden gikk ned"),
    InDoubt(Text("An earlier run ended before the outcome of the transfer was known.")),
)
_NOT_SENT: Final = Outcome(Verdict.NOT_SENT, Reach.NO_CONNECTION, error=BusUnreachable(Text("The bus is closing.")))


def _english(screen: str) -> list[str]:
    """The lines that have English words in them."""
    lines = [line for line in screen.splitlines() if not line.startswith('{"timestamp"')]  # the log is for programs
    return [line for line in lines if _ENGLISH.search(_TYPED.sub(" ", line))]


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, (*path, name))


def test_no_help_has_english_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    found = {}
    for path, _ in _commands(cli):
        assert run(["--lang", "nb", *path, "--help"]) == 0
        screen = capsys.readouterr().out
        assert "Bruk: kpr-send" in screen
        found[path] = _english(screen)
    assert len(found) > 40
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_what_stands_for_what_a_person_types_is_norwegian_too() -> None:
    """``FILE`` of ``--config FILE``; what is in small letters is typed as it stands."""

    def places(root: click.Command) -> set[str]:
        return {
            word
            for _, command in _commands(root)
            for each in command.params
            if not (isinstance(each, click.Option) and each.is_flag)
            for word in re.findall("[A-Z]+", each.make_metavar(click.Context(command)))
        }

    english = places(cli)
    with speaking(Language.NB):
        as_in_english = english & places(localized(cli))
    assert as_in_english == {"FAGMELDING", "HER", "ID", "IDENTMELDING", "MSGID", "N", "PORT", "TYPE", "URL"}


def test_no_screen_of_the_person_on_duty_has_english_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kommune = municipality(tmp_path)
    fhi = Fhi(kommune.pki)
    desk = Desk(kommune, MemoryBus(), [])
    first, second = desk.sent(_NO_OUTCOME, ACCEPTED)
    screens: dict[str, str] = {}

    def see(*arguments: str) -> None:
        ran = desk.command("--lang", "nb", *arguments)
        screens[" ".join((str(len(screens)), *arguments))] = f"{ran.out}\n{ran.err}"

    kari = ("--reason", "FHI svarte", "--by", "Kari", "--yes")
    see("status")
    see("resolve", first.msg_id)
    see("resolve", first.msg_id, "--not-arrived", *kari)
    desk.sent(_NOT_SENT)
    see("resolve", first.msg_id)
    see("send", "--wait", "0", "--max-wait", "1s")
    see("wait", "--wait", "0", "--max-wait", "1s")
    forged = fhi.sealed(fhi.apprec(desk.bus.published[0]), signed_by=fhi.key("kommune-signing"))
    (tmp_path / "forged.p7m").write_bytes(forged)
    see("receipts", "add", str(tmp_path / "forged.p7m"))
    see("receipts", "accept", "1", *kari)
    see("receipts", "discard", "1", *kari)
    for number, message in enumerate(desk.bus.published):
        (tmp_path / f"{number}.p7m").write_bytes(fhi.answer(message)[0].body)
    see("receipts", "add", str(kommune.fagmelding))
    see("receipts", "add", str(tmp_path / "0.p7m"), str(tmp_path / "1.p7m"))
    see("status")
    see("receipts")
    see("reviewed", "--by", "Inga")
    see("resolve", second.msg_id)
    see("journal", "prune", "--before", "2025", *kari)
    for arguments in ("log", "verify", "prune --before 2025 --reason x --by x", "backup {0}/copy.db", "release {0}"):
        see("journal", *arguments.format(tmp_path).split())
    for arguments in (
        "check",
        "certs",
        "config check",
        "doctor",
        "notify --test",
        "send --env x",
        "nothing",
        "resolve",
    ):
        see(*arguments.split())
    assert {name: lines for name, screen in screens.items() if (lines := _english(screen))} == {}


def _altered(fhi: Fhi, message: Outbound, old: bytes, new: bytes) -> bytes:
    xml = fhi.apprec(message)
    assert old in xml
    return fhi.sealed(xml.replace(old, new))


def _damaged(fhi: Fhi, message: Outbound) -> bytes:
    sealed = bytearray(fhi.sealed(fhi.apprec(message)))
    sealed[-40] ^= 1
    return bytes(sealed)


def _for_another(fhi: Fhi, message: Outbound) -> bytes:
    xml, recipient = fhi.apprec(message), fhi.pki.certificate("fhi-encryption")
    return b"".join(map(bytes, seal([xml], len(xml), signer=fhi.key("fhi-signing"), recipient=recipient)))


_DISBELIEVED: Final[Mapping[str, Callable[[Fhi, Outbound], bytes]]] = {
    "another signer": lambda fhi, one: fhi.sealed(fhi.apprec(one), signed_by=fhi.key("kommune-signing")),
    "damaged": _damaged,
    "for another": _for_another,
    "no AppRec": lambda fhi, _: fhi.sealed(b"<Noe/>"),
    "not sealed": lambda fhi, one: fhi.apprec(one),
    "unknown status": lambda fhi, one: _altered(fhi, one, b'Status V="1"', b'Status V="9"'),
    "another type": lambda fhi, one: _altered(fhi, one, b"KPR_IPL", b"KPR_IDE"),
    "another HER-id": lambda fhi, one: _altered(fhi, one, b"171479", b"171480"),
    "nothing": lambda _fhi, _one: b"",
}


@pytest.mark.parametrize("later", [timedelta(), timedelta(days=40_000)], ids=["now", "expired"])
@pytest.mark.parametrize("name", _DISBELIEVED)
def test_why_an_answer_is_not_verified_is_said_in_norwegian(tmp_path: Path, name: str, later: timedelta) -> None:
    kommune, bus = municipality(tmp_path), MemoryBus()
    fhi, desk = Fhi(kommune.pki), Desk(kommune, bus, [])
    first, _ = desk.sent(ACCEPTED, ACCEPTED)
    with Client(kommune.configure(), bus=bus, now=lambda: datetime.now(UTC) + later) as client:
        client.handle(fhi.inbound(bus.taken[0], _DISBELIEVED[name](fhi, bus.taken[0])))
    screens = {
        command: desk.command("--lang", "nb", *command.split()).out
        for command in ("status", "receipts", f"resolve {first.msg_id}")
    }
    assert all("IKKE VERIFISERT" in screen for screen in screens.values())
    assert {command: lines for command, screen in screens.items() if (lines := _english(screen))} == {}

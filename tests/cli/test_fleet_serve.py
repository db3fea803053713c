"""``kpr-send fleet serve``: what it shows, that it writes nothing, and what it refuses to begin with."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.fleet import Fleet, fleet, submitted
from tests.helpers.tls_certificates import make_authority

Command = Callable[..., tuple[int, str, str]]
WEB = '[web]\nmetrics_listen = "127.0.0.1:0"\n'


def _text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - on loopback
        found: str = answer.read().decode()
        return found


def _stored(folder: Path) -> dict[Path, bytes]:
    """Return all files but what SQLite lays beside a journal that is read: shared memory, and a log with nothing."""
    files = {one: one.read_bytes() for one in folder.rglob("*") if one.is_file() and not one.name.endswith("-shm")}
    return {one: content for one, content in files.items() if content or not one.name.endswith("-wal")}


def test_it_shows_what_fleet_status_says_reads_only_and_ends_with_0(tmp_path: Path, command: Command) -> None:
    made = fleet(tmp_path, "0301-03", "1103", "4601", "5001", more=WEB, own='[municipality.report]\nyear = "none"')
    submitted(made, "1103", answered=True)
    submitted(made, "4601", answered=False)
    options = ["--env", "lokal", "--config", str(made.path)]
    _, out, _ = command("--json", *options, "fleet", "status")
    said = {one["municipality"]: one["exit_code"] for one in json.loads(out)["municipalities"]}
    _, out, _ = command(*options, "fleet", "status")
    order = [line.split()[0] for line in out.splitlines() if line[:4].isdigit() and "KOMMUNE" in line]
    before = _stored(tmp_path)

    with subprocess.Popen(
        [sys.executable, "-m", "kpr_sender", "--json", *options, "fleet", "serve", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        begun = json.loads(process.stdout.readline())
        page, one = _text(begun["page"]), _text(f"{begun['page']}m/4601?lang=nb")
        metrics = _text(f"{begun['figures']}/metrics")
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)
        rest = process.stdout.read()

    assert (code, rest, begun["exit_code"]) == (0, "", 0)
    assert re.findall(r'href="/m/([0-9-]+)"', page) == order
    assert {
        key: float(value) for key, value in re.findall(r'exit_code\{.*municipality="([^"]+)"\} (\S+)', metrics)
    } == said
    assert f"kpr-send --env lokal --config {made.path} --municipality 4601 wait" in one
    assert one.count("<article>") == 2
    assert _stored(tmp_path) == before, "nothing is written"


@pytest.mark.parametrize(
    ("web", "listen", "key"),
    [
        ("", "0.0.0.0:0", "web.listen"),
        ('address = "https://kpr.example.no"', "127.0.0.1:0", "web.address"),
        ('issuer = "https://login.example.no"\nclient_id = "a"', "127.0.0.1:0", "web.allow"),
        ("port = 80", "127.0.0.1:0", "web.port"),
        ('listen = "localhost"', "127.0.0.1:0", "web.listen"),
        ("allow = { groups = [] }", "127.0.0.1:0", "web.allow"),
        ('certificate = "none.pem"\nkey = "none.key"', "127.0.0.1:0", "web.certificate, web.key"),
        ("", "192.0.2.1:80", "web.listen"),
        (
            'proxy_header = "X-User"\nproxy_address = "192.0.2.9"\naddress = "https://a.no"',
            "192.0.2.1:80",
            "web.listen",
        ),
    ],
)
def test_what_would_let_others_read_or_cannot_be_used_is_refused_by_its_key(
    tmp_path: Path, command: Command, web: str, listen: str, key: str
) -> None:
    path = Fleet(tmp_path).write("1103", more=WEB + web)

    code, out, _ = command("--json", "--env", "lokal", "--config", str(path), "fleet", "serve", "--listen", listen)

    assert code == 78
    assert key in json.loads(out)["error"]["text"]


def test_a_session_secret_is_read_where_the_file_says_and_must_be_long(tmp_path: Path, command: Command) -> None:
    authority = make_authority(tmp_path)
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "web-session").write_text("short")
    web = WEB + (
        f'issuer = "https://login.example.no"\nclient_id = "a"\nallow = {{ groups = ["a"] }}\n'
        f'session_secret_credential = "web-session"\nca_file = "{authority.ca_file}"\n'
    )
    path = Fleet(tmp_path).write("1103", more=web, fleet='credentials = "credentials"')
    options = ("--env", "lokal", "--config", str(path), "fleet", "serve", "--listen", "127.0.0.1:0")

    code, out, _ = command("--json", *options)

    assert (code, "too short" in json.loads(out)["error"]["text"]) == (78, True)


def test_without_the_extra_it_says_how_to_install_it(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Fleet(tmp_path).write("1103", more=WEB)
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    for name in [one for one in sys.modules if one.startswith("kpr_sender.web")]:
        monkeypatch.delitem(sys.modules, name)

    code, _, err = command("--env", "lokal", "--config", str(path), "fleet", "serve")

    assert code == 78
    assert "pip install 'kpr-sender[web]'" in err


def test_what_is_no_address_is_a_wrong_command_line(tmp_path: Path, command: Command) -> None:
    path = Fleet(tmp_path).write("1103")

    code, _, err = command("--env", "lokal", "--config", str(path), "fleet", "serve", "--listen", "8080")

    assert code == 64
    assert "127.0.0.1:8080" in err


@pytest.mark.nightly  # a process of its own, for what the contracts of import-linter hold as well
def test_nothing_of_it_is_loaded_by_another_command(tmp_path: Path) -> None:
    path = Fleet(tmp_path).write("1103")
    program = (
        "import sys\nfrom kpr_sender.cli.main import run\n"
        f"run(['-q', '--env', 'lokal', '--config', {str(path)!r}, 'fleet', 'status'])\n"
        "print([name for name in ('starlette', 'uvicorn', 'authlib', 'httpx2', 'jinja2') if name in sys.modules])"
    )

    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"

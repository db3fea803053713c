"""The files of ``kpr-send schedule``, with the path that is installed, as systemd, cron and an XML reader take them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from lxml import etree

from kpr_sender.cli.main import run as run_command
from kpr_sender.errors import UsageError
from kpr_sender.fleet.supervisor import GRACE_SECONDS
from kpr_sender.operator.scheduled_run import Backups, ScheduledRun, scheduled_run
from kpr_sender.render import schedule
from kpr_sender.settings.values import Settings
from tests.helpers.desk import Desk
from tests.helpers.fleet import fleet
from tests.helpers.municipality import Changes

ANALYZE: Final = shutil.which("systemd-analyze")
needs_systemd: Final = pytest.mark.skipif(ANALYZE is None, reason="NOT TESTED: units; as root: apt-get install systemd")
TASK: Final = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
LOADED: Final[Changes] = {
    "bus": {"password_file": None, "password_credential": "bus-password"},
    "keys.signing": {"passphrase_file": None, "passphrase_env": "KPR_SIGNING"},
}


def _run(settings: Settings, **changes: object) -> ScheduledRun:
    given: dict[str, object] = {
        "program": ("/opt/kpr sender/bin/kpr-send",),
        "options": ("--env", "lokal", "--config", "/etc/kpr-sender/100 %.toml"),
        "user": "kpr",
        "home": Path("/var/lib/kpr"),
        "environ": {},
        "backups": Backups(Path("/var/backups/kpr"), 3),
        **changes,
    }
    return scheduled_run(settings, **given)  # type: ignore[arg-type]  # each is as its default above


def _unit(run: ScheduledRun, name: str = "kpr-sender-lokal.service") -> list[str]:
    made = schedule.systemd(run, Path("/etc/kpr-sender/lokal"))
    return next(one.text for one in made.files if one.path.endswith(f"/{name}")).splitlines()


def _taken_in_silence(*units: str | Path) -> None:
    verified = subprocess.run([str(ANALYZE), "verify", *units], check=False, capture_output=True, text=True)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def _closed(unit: str | Path) -> None:
    judged = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", "--no-pager", unit], check=False, capture_output=True, text=True
    )
    level = re.search(r"exposure level for \S+: ([\d.]+)", judged.stdout)
    assert level is not None, judged.stderr
    assert float(level[1]) <= 2.0, judged.stdout


@needs_systemd
def test_systemd_takes_the_units_in_silence_and_finds_them_closed(desk: Desk, tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    backups = tmp_path / "back ups 100 %"
    desk.kommune.write(LOADED, port=1)
    made = desk.command("schedule", "systemd", "--write", str(units), "--backups", str(backups), "--keep", "3")
    assert (made.code, made.err) == (0, "")

    names = sorted(str(path) for path in units.iterdir())
    assert [Path(name).name for name in names] == [
        *("kpr-sender-lokal-backup.service", "kpr-sender-lokal-backup.timer"),
        *("kpr-sender-lokal.service", "kpr-sender-lokal.timer"),
    ]
    _taken_in_silence(*names)
    for name in names[::2]:
        _closed(name)

    again = desk.command("schedule", "systemd", "--write", str(units))
    assert (again.code, "not overwritten" in again.err) == (64, True)


def test_a_service_gets_what_the_configuration_names_and_no_more(desk: Desk) -> None:
    lines = _unit(_run(desk.kommune.configure(LOADED)))

    assert "LoadCredential=bus-password:/etc/kpr-sender/lokal/bus-password" in lines
    assert lines[lines.index("EnvironmentFile=/etc/kpr-sender/lokal.env") - 1] == "# KPR_SIGNING"
    assert "SuccessExitStatus=80 87 90" in lines
    command = '"/opt/kpr sender/bin/kpr-send" --env lokal --config "/etc/kpr-sender/100 %%.toml" -q send'
    assert f"ExecStart={command} --wait-for-files --wait 8m --max-wait 9m" in lines
    written = f"{desk.kommune.folder} /var/lib/kpr/.local/state/kpr-sender /var/backups/kpr"
    assert f"ReadWritePaths={written}" in lines
    assert {"ProtectHome=yes", "PrivateTmp=yes", "MemoryDenyWriteExecute=yes"} <= set(lines)
    timer = _unit(_run(desk.kommune.configure()), "kpr-sender-lokal.timer")
    assert {"OnCalendar=*:0/10", "RandomizedDelaySec=2min", "Persistent=yes"} <= set(timer)


def test_a_service_is_as_closed_as_its_paths_and_keys_allow(desk: Desk) -> None:
    token = {"pkcs12": None, "passphrase_file": None, "pkcs11_module": "/usr/lib/p11.so", "slot": 1, "key_label": "k"}
    changes: Changes = {
        "keys.signing": {**token, "pin_env": "PIN"},
        "log": {"file": "/tmp/log/kpr.log"},  # noqa: S108 - that is what is tested
        "monitor": {"metrics_file": "/var/lib/node-exporter/kpr.prom"},
    }
    settings = desk.kommune.configure(changes)
    lines = _unit(_run(settings, home=Path("/home/kpr"), environ={"XDG_STATE_HOME": "/srv/state"}, backups=None))

    assert "ProtectHome=yes" in lines, "the home is not used where XDG_STATE_HOME names a folder"
    assert "Environment=XDG_STATE_HOME=/srv/state" in lines
    assert {"MemoryDenyWriteExecute=yes", "PrivateTmp=yes"} & set(lines) == set()
    written = next(line for line in lines if line.startswith("ReadWritePaths="))
    assert written.endswith(" /srv/state/kpr-sender /tmp/log /var/lib/node-exporter")
    made = schedule.systemd(_run(settings, home=Path("/home/kpr")), Path("/x"))
    assert "ProtectHome=read-only" in made.files[0].text
    assert "/var/lib/node-exporter" not in made.steps[0], "that folder is another's"


def test_crons_line_runs_and_mails_nothing(desk: Desk) -> None:
    desk.kommune.write({"report": {"year": 2024, "deadline": "2099-01-15"}}, port=1)
    desk.kommune.fagmelding.unlink()
    printed = desk.command("schedule", "cron", "--user", "kpr", "--json").json()
    assert [one["path"] for one in printed["files"]] == ["/etc/cron.d/kpr-sender-lokal"]
    line = printed["files"][0]["text"].splitlines()[-1]
    when, command = line.split(" kpr ", 1)
    assert when == "*/10 * * * *"

    bare = {"PATH": "/usr/bin:/bin", "HOME": str(desk.kommune.folder), "LC_ALL": "C"}
    ran = subprocess.run(["/bin/sh", "-c", command], check=False, capture_output=True, text=True, env=bare, cwd="/")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_crons_file_says_where_secrets_are_and_escapes_percent_signs(desk: Desk) -> None:
    made = schedule.cron(_run(desk.kommune.configure(LOADED)), Path("/etc/kpr-sender/lokal"))
    lines = made.files[0].text.splitlines()
    assert "CREDENTIALS_DIRECTORY=/etc/kpr-sender/lokal" in lines
    assert any(line.startswith("#") and line.endswith("KPR_SIGNING") for line in lines)
    backup = lines[-1].split(" kpr ", 1)[1]
    assert r"'/etc/kpr-sender/100 \%.toml'" in backup
    assert shlex.split(backup.replace(r"\%", "%"))[-5:] == ["journal", "backup", "/var/backups/kpr", "--keep", "3"]


def test_a_task_of_windows_is_xml_in_the_order_that_its_own_exports_have(desk: Desk, tmp_path: Path) -> None:
    made = desk.command("schedule", "windows", "--user", r"KOMMUNE\kpr & co", "--write", str(tmp_path))
    assert made.code == 0
    content = (tmp_path / "kpr-sender-lokal.xml").read_bytes()
    assert content.startswith((b"\xff\xfe", b"\xfe\xff"))
    task = etree.fromstring(content)

    def under(path: str) -> list[str]:
        found = task.find("/".join(f"{TASK}{name}" for name in path.split("/")))
        assert found is not None, path
        return [str(one.tag).removeprefix(TASK) for one in found]

    assert task.tag == f"{TASK}Task"
    assert [str(one.tag).removeprefix(TASK) for one in task] == [
        *("RegistrationInfo", "Triggers", "Principals", "Settings", "Actions")
    ]
    trigger = "Triggers/CalendarTrigger"
    assert under(trigger) == ["Repetition", "StartBoundary", "Enabled", "RandomDelay", "ScheduleByDay"]
    assert under(f"{trigger}/Repetition") == ["Interval", "Duration", "StopAtDurationEnd"]
    values = {str(one.tag).removeprefix(TASK): one.text for one in task.iter()}
    assert (values["Interval"], values["StartWhenAvailable"], values["MultipleInstancesPolicy"]) == (
        *("PT10M", "true", "IgnoreNew"),
    )
    assert values["UserId"] == r"KOMMUNE\kpr & co"
    assert str(values["Arguments"]).endswith("-q send --wait-for-files --wait 8m --max-wait 9m")


@needs_systemd
def test_systemd_reads_every_path_back_as_it_is(desk: Desk, tmp_path: Path) -> None:
    folder = Path("/srv/a $HOME 100 % folder")
    settings = desk.kommune.configure(LOADED)
    run = _run(settings, program=("/bin/echo", "$HOME"), backups=Backups(folder, 3), environ={})
    (unit, *_) = schedule.systemd(run, folder).files
    path = tmp_path / "kpr-sender-lokal.service"
    path.write_text(unit.text)
    verified = subprocess.run([str(ANALYZE), "verify", str(path)], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    escaped = str(folder).replace("%", "%%")
    assert f"LoadCredential=bus-password:{escaped}/bus-password" in unit.text
    assert f'"{escaped}"' in next(line for line in unit.text.splitlines() if line.startswith("ReadWritePaths="))
    assert 'ExecStart=/bin/echo "$$HOME" ' in unit.text


def test_a_line_end_in_the_state_folder_begins_no_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the journal's folder, which may be written, has it in it."""
    monkeypatch.setenv("XDG_STATE_HOME", f"{desk.kommune.journal.parent}/x\n* * * * * root id")
    for kind in ("cron", "systemd"):
        assert desk.command("schedule", kind, "--user", "kpr").code == 64


def test_a_user_s_name_is_one_word_everywhere_or_refused(desk: Desk) -> None:
    run = _run(desk.kommune.configure(), user=r"KOMMUNE\kpr & co")
    assert r" -o 'KOMMUNE\kpr & co' " in schedule.systemd(run, Path("/etc/kpr-sender")).steps[0]
    assert r' /RU "KOMMUNE\kpr & co" /RP' in schedule.windows(run).steps[0]
    with pytest.raises(UsageError, match="blank in it"):
        schedule.cron(run, Path("/etc/kpr-sender"))
    for kind in ("cron", "systemd"):
        assert desk.command("schedule", kind, "--user", "kpr", "--credentials", "/x\n* * * * * root id").code == 64


def test_windows_has_no_credentials(desk: Desk) -> None:
    with pytest.raises(UsageError, match="bus-password"):
        schedule.windows(_run(desk.kommune.configure(LOADED)))


def test_what_is_printed_can_be_pasted_and_names_what_to_do_next(desk: Desk) -> None:
    printed = desk.command("schedule", "systemd", "--user", "kpr")
    lines = printed.out.splitlines()
    assert lines[0] == "# /etc/systemd/system/kpr-sender-lokal.service", "no TEST before it: it is a file"
    arguments = ["--env", "lokal", "--config", str(desk.kommune.config), "schedule", "systemd", "--user", "kpr"]
    assert f"#   {shlex.join(['kpr-send', *arguments, '--write', '/etc/systemd/system'])}" in lines
    assert any(line.startswith("#   install -d -m 0700 -o kpr ") for line in lines)
    assert json.loads(desk.command("schedule", "systemd", "--json").out)["steps"][-1].startswith("systemctl enable")
    assert desk.command("schedule", "cron", "--user", "a\nb").code == 64


def test_a_worker_s_service_is_started_again_lets_runs_end_and_gets_the_secrets_of_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = '[municipality.files]\ndrop = "/srv/kpr/5001"\n[municipality.journal]\npath = "/srv/of all/kpr/5001/journal"'
    made = fleet(tmp_path, "1103", "4601", "5001", own=own)
    common = """[journal]
url = "postgresql://kpr@127.0.0.1/kpr"
password_credential = "{municipality}-journal"
path = "/srv/of all/kpr/{municipality}/journal"
"""
    text = made.path.read_text("utf-8").replace('[journal]\npath = "{municipality}/journal.db"\n', common)
    made.path.write_text(text, "utf-8")
    units = tmp_path / "units"
    units.mkdir()
    command = ("--env", "lokal", "--config", str(made.path), "--json", "schedule", "worker")

    assert run_command([*command, "--user", "kpr", "--jobs", "7", "--write", str(units)]) == 0
    value = json.loads(capsys.readouterr().out)
    unit = units / "kpr-sender-worker-lokal.service"
    lines = unit.read_text("utf-8").splitlines()
    assert {"Type=exec", "Restart=on-failure", "RestartSec=10", "KillMode=mixed"} <= set(lines)
    (stop,) = [int(line.partition("=")[2]) for line in lines if line.startswith("TimeoutStopSec=")]
    assert stop > GRACE_SECONDS, "the worker itself ends its runs before systemd does"
    assert {"StartLimitIntervalSec=0", "WantedBy=multi-user.target", "User=kpr"} <= set(lines)
    (started,) = [line for line in lines if line.startswith("ExecStart=")]
    assert started.endswith(f" --env lokal --config {made.path} fleet worker --jobs 7")
    for name in ("1103", "4601", "5001"):
        assert f"LoadCredential={name}-journal:/etc/kpr-sender/lokal/{name}-journal" in lines
    (written,) = [line for line in lines if line.startswith("ReadWritePaths=")]
    assert '"/srv/of all/kpr"' in written, "not one by one"
    assert written.endswith(" /srv/kpr/5001"), "a pair is moved within its drop folder"
    assert value["steps"][-1] == "systemctl enable --now kpr-sender-worker-lokal.service"
    assert "/srv/kpr/5001" not in value["steps"][0], "that folder is the EPJ's"
    if ANALYZE is not None:
        _taken_in_silence(unit)
        _closed(unit)

    folder = '[fleet]\ncredentials = "/etc/kpr-sender/credentials"\n'
    made.path.write_text(text.replace("[fleet]\n", folder), "utf-8")
    assert run_command(command) == 0
    assert "LoadCredential" not in json.loads(capsys.readouterr().out)["files"][0]["text"], "they are read there"
    assert run_command([*command[:4], "--municipality", "1103", "schedule", "worker"]) == 64

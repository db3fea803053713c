"""A schedule's files: systemd's services and timers, a file of cron's, a task for Windows' Task Scheduler."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpr_sender.errors import UsageError
from kpr_sender.operator.scheduled_run import ScheduledRun
from kpr_sender.render.language import say
from kpr_sender.texts import Text

_EVERY_TEN_MINUTES: Final = "*:0/10"
_EACH_NIGHT: Final = "*-*-* 02:30"
_HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - what systemd's PrivateTmp= hides
_NOBODYS_MOVE: Final = "80 87 90"
_PLAIN: Final = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_PLAIN_ON_WINDOWS: Final = re.compile(r"[\w@.\\-]+")
_MADE: Final = Text(
    "Made by the schedule command of kpr-sender. Make it anew when the configuration's paths or secrets change."
)

_MAILS: Final = Text("cron mails what needs a person, at each run; nothing is mailed for 80, 87 and 90.")


@dataclass(frozen=True, slots=True)
class ScheduleFile:
    """One file: where it goes, and what is in it."""

    path: str
    text: str
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule's files, and the commands that put it to work, in their order."""

    files: tuple[ScheduleFile, ...]
    steps: tuple[str, ...]


def systemd(run: ScheduledRun, credentials: Path) -> Schedule:
    """Return service and timer; those of the backups, too, where they are wanted.

    Args:
        run: What a run needs.
        credentials: The folder that systemd loads the credentials from.
    """
    of_send = Text("Hand the year's KPR data to FHI (kpr-sender, {env})", env=run.environment.value)
    of_backup = Text("Back up the journal (kpr-sender, {env})", env=run.environment.value)
    units = {f"{run.name}.service": _service(run, of_send, credentials)}
    units[f"{run.name}.timer"] = _timer(of_send, _EVERY_TEN_MINUTES, "2min")
    if run.backups:
        units[f"{run.name}-backup.service"] = _backup_service(run, of_backup)
        units[f"{run.name}-backup.timer"] = _timer(of_backup, _EACH_NIGHT, "30min")
    timers = [name for name in units if name.endswith(".timer")]
    return Schedule(
        tuple(ScheduleFile(f"/etc/systemd/system/{name}", "\n".join(lines) + "\n") for name, lines in units.items()),
        (
            *_folders_made(run),
            *(f"systemd-analyze verify /etc/systemd/system/{name}" for name in timers),
            "systemctl daemon-reload",
            f"systemctl enable --now {' '.join(timers)}",
        ),
    )


def systemd_worker(run: ScheduledRun, credentials: Path) -> Schedule:
    """Return the service of a fleet's worker, which systemd starts again when it fails.

    Args:
        run: What the worker needs.
        credentials: The folder that systemd loads the credentials from.
    """
    path = f"/etc/systemd/system/{run.name}.service"
    return Schedule(
        (ScheduleFile(path, "\n".join(_worker(run, credentials)) + "\n"),),
        (
            *_folders_made(run),
            f"systemd-analyze verify {path}",
            "systemctl daemon-reload",
            f"systemctl enable --now {run.name}.service",
        ),
    )


def _worker(run: ScheduledRun, credentials: Path) -> Iterator[str]:
    yield from _unit(Text("Look after the municipalities of the fleet (kpr-sender, {env})", env=run.environment.value))
    # A database that is away for long is waited for as long.
    yield from ("Wants=network-online.target", "After=network-online.target", "StartLimitIntervalSec=0")
    yield from ("", "[Service]", "Type=exec", f"User={_specified(run.user)}", f"ExecStart={_command(run.command)}")
    yield from ("Restart=on-failure", "RestartSec=10")
    # The worker alone is asked to end: it asks its runs, and ends them after half a minute.
    yield from ("KillMode=mixed", "TimeoutStopSec=90")
    yield from _secrets(run, credentials)
    yield from _hardened(run, (*run.own_folders, *run.other_folders))
    yield "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"  # AF_UNIX: as a run's, and to what begins the runs
    yield from ("", "[Install]", "WantedBy=multi-user.target")


def _secrets(run: ScheduledRun, credentials: Path) -> Iterator[str]:
    yield from (f"LoadCredential={name}:{_specified(credentials / name)}" for name in run.credentials)
    if run.variables:
        yield f"# {', '.join(run.variables)}"
        yield f"EnvironmentFile=/etc/kpr-sender/{run.environment.value}.env"


def _service(run: ScheduledRun, description: Text, credentials: Path) -> Iterator[str]:
    yield from _unit(description)
    yield from ("Wants=network-online.target", "After=network-online.target", "", "[Service]", "Type=oneshot")
    yield f"User={_specified(run.user)}"
    yield f"ExecStart={_command(run.command)}"
    yield f"SuccessExitStatus={_NOBODYS_MOVE}"
    # A transfer under way is finished, also beyond --max-wait.
    yield from ("TimeoutStartSec=30min", "TimeoutStopSec=5min")
    yield from _secrets(run, credentials)
    yield from _hardened(run, (*run.own_folders, *run.other_folders))
    # DNS may be asked by a socket of this machine, as a token's daemon is.
    yield "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"


def _backup_service(run: ScheduledRun, description: Text) -> Iterator[str]:
    yield from _unit(description)
    yield from ("", "[Service]", "Type=oneshot", f"User={_specified(run.user)}", f"ExecStart={_command(run.back_up)}")
    yield "TimeoutStartSec=1h"
    yield from _hardened(run, run.own_folders)
    yield from ("PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX")


def _unit(description: Text) -> Iterator[str]:
    yield f"# {say(_MADE)}"
    yield "[Unit]"
    yield f"Description={say(description)}"


def _timer(description: Text, on_calendar: str, spread: str) -> Iterator[str]:
    yield from _unit(description)
    yield from ("", "[Timer]", f"OnCalendar={on_calendar}", f"RandomizedDelaySec={spread}", "Persistent=yes")
    yield from ("", "[Install]", "WantedBy=timers.target")


def _hardened(run: ScheduledRun, written: Sequence[Path]) -> Iterator[str]:
    """Yield what a service may not do; PrivateUsers= is not among it: a file's owner would look like another's."""
    if run.state_home:
        yield f"Environment={_word(f'XDG_STATE_HOME={run.state_home}')}"
    yield from ("UMask=0077", f"ReadWritePaths={_words(list(map(str, written)))}", "ProtectSystem=strict")
    paths = (*run.reads, *written)
    yield f"ProtectHome={'read-only' if _within(paths, _HOMES) else 'yes'}"
    if not _within(paths, _TEMPORARY):
        yield "PrivateTmp=yes"
    if not run.token:  # a token's library may make code while it runs
        yield "MemoryDenyWriteExecute=yes"
    yield from _NOT_ALLOWED


_NOT_ALLOWED: Final = (
    "AmbientCapabilities=",
    "CapabilityBoundingSet=",
    "DevicePolicy=closed",
    "KeyringMode=private",
    "LockPersonality=yes",
    "NoNewPrivileges=yes",
    "PrivateDevices=yes",
    "PrivateIPC=yes",
    "PrivateMounts=yes",
    "ProcSubset=pid",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "RemoveIPC=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "SystemCallErrorNumber=EPERM",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
)


def _within(paths: Sequence[Path], folders: Sequence[Path]) -> bool:
    return any(folder == path or folder in path.parents for path in paths for folder in folders)


def _command(words: Sequence[str]) -> str:
    """Return a command line: there alone a dollar sign begins a variable (systemd.service(5), COMMAND LINES)."""
    return _words([word.replace("$", "$$") for word in words])


def _words(words: Sequence[str]) -> str:
    return " ".join(map(_word, words))


def _word(word: str) -> str:
    """Return a word as systemd reads it back (systemd.syntax(7), QUOTING)."""
    escaped = _specified(word)
    if _PLAIN.fullmatch(word):
        return escaped
    escaped = escaped.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _specified(value: str | Path) -> str:
    """Return a value that is all of its line, blanks too: no quotes are taken off it (systemd.unit(5), SPECIFIERS)."""
    return str(value).replace("%", "%%")


def cron(run: ScheduledRun, credentials: Path) -> Schedule:
    """Return a file for /etc/cron.d.

    Args:
        run: What a run needs.
        credentials: The folder of the files that systemd would hand over; cron lets the command find them there.

    Raises:
        UsageError: The user's name would be two words of a line.
    """
    path = f"/etc/cron.d/{run.name}"
    if set(run.user) & set(" \t"):
        raise UsageError(Text("cron takes no user whose name has a blank in it: {user}.", user=run.user))
    return Schedule(
        (ScheduleFile(path, "\n".join(_crontab(run, credentials)) + "\n"),),
        (*_folders_made(run), f"chown root:root {path}", f"chmod 0600 {path}"),
    )


def _crontab(run: ScheduledRun, credentials: Path) -> Iterator[str]:
    yield f"# {say(_MADE)}"
    yield f"# {say(_MAILS)}"
    if run.variables:
        to_set = Text("Set here, and let only root read this file: {names}", names=", ".join(run.variables))
        yield f"# {say(to_set)}"
    if run.credentials:
        yield f"CREDENTIALS_DIRECTORY={credentials}"
    if run.state_home:
        yield f"XDG_STATE_HOME={run.state_home}"
    yield f"*/10 * * * * {run.user} {_cron_words(run.command)}"
    if run.back_up:
        yield f"30 2 * * * {run.user} {_cron_words(run.back_up)}"


def _cron_words(words: Sequence[str]) -> str:
    return shlex.join(words).replace("%", r"\%")  # crontab(5): a line end, else


def windows(run: ScheduledRun) -> Schedule:
    """Return the tasks for Windows' Task Scheduler ([MS-TSCH] 2.5), as UTF-16, which schtasks reads.

    Raises:
        UsageError: The configuration names systemd's credentials.
    """
    if run.credentials:
        raise UsageError(
            Text(
                "The configuration names systemd credentials, which Windows has not: {names}.",
                names=", ".join(run.credentials),
            ),
            next_step=Text("Name a file for each secret, by password_file, passphrase_file or pin_file."),
        )
    tasks = {run.name: (_EACH_TEN_MINUTES_XML, run.command)}
    if run.back_up:
        tasks[f"{run.name}-backup"] = (_EACH_NIGHT_XML, run.back_up)
    return Schedule(
        tuple(
            ScheduleFile(f"{name}.xml", _task(run, name, triggers, words), "utf-16")
            for name, (triggers, words) in tasks.items()
        ),
        tuple(
            rf"schtasks /Create /TN \kpr-sender\{name} /XML {name}.xml /RU {_of_windows(run.user)} /RP *"
            for name in tasks
        ),
    )


def _of_windows(word: str) -> str:
    """Return a word as it is typed: where it has more than letters, cmd.exe would take signs such as & for its own."""
    return word if _PLAIN_ON_WINDOWS.fullmatch(word) else f'"{word}"'


def _task(run: ScheduledRun, name: str, triggers: str, words: Sequence[str]) -> str:
    return _TASK.format(
        description=html.escape(say(_MADE), quote=False),
        uri=html.escape(rf"\kpr-sender\{name}", quote=False),
        triggers=triggers,
        user=html.escape(run.user, quote=False),
        command=html.escape(words[0], quote=False),
        arguments=html.escape(subprocess.list2cmdline(words[1:]), quote=False),
    )


def _folders_made(run: ScheduledRun) -> Iterator[str]:
    """Yield the command that makes what the user must own, as root: a service does not start without it."""
    yield f"install -d -m 0700 -o {shlex.quote(run.user)} {shlex.join(map(str, run.own_folders))}"


_EACH_TEN_MINUTES_XML: Final = """\
    <CalendarTrigger>
      <Repetition>
        <Interval>PT10M</Interval>
        <Duration>P1D</Duration>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
      <StartBoundary>2026-01-01T00:00:00</StartBoundary>
      <Enabled>true</Enabled>
      <RandomDelay>PT2M</RandomDelay>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>"""
_EACH_NIGHT_XML: Final = """\
    <CalendarTrigger>
      <StartBoundary>2026-01-01T02:30:00</StartBoundary>
      <Enabled>true</Enabled>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>"""
_TASK: Final = """\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>{description}</Description>
    <URI>{uri}</URI>
  </RegistrationInfo>
  <Triggers>
{triggers}
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>{user}</UserId>
      <LogonType>Password</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <RunOnlyIfIdle>false</RunOnlyIfIdle>
    <WakeToRun>false</WakeToRun>
    <ExecutionTimeLimit>PT30M</ExecutionTimeLimit>
    <Priority>7</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{command}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"""

"""Real Postfix and Dovecot of the test run's own: free ports on loopback, own configuration, spool and mailboxes.

Postfix takes mail with STARTTLS, AUTH, SIZE and DSN and delivers it into Maildirs, which Dovecot shows over POP3S and
IMAPS. Both need root, as Debian has them. Nothing of the machine's own configuration or spool is read or written, and
no service is started: both are processes of the test run, in a group each, and ended by its id.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from kpr_sender.settings.edi import EdiSettings, MailboxKind, MailboxPlace, SmtpSecurity
from kpr_sender.settings.secrets import Secret
from tests.helpers.command import until
from tests.helpers.process_state import state_of
from tests.helpers.tls_certificates import Authority, make_authority

NO_MAIL_SERVERS: Final = (
    "no Postfix and Dovecot here: apt-get install postfix dovecot-pop3d dovecot-imapd, be root, on Debian 12"
)
DOMAIN: Final = "example.no"
OURS: Final = f"kommune-kpr@{DOMAIN}"
THEIRS: Final = f"kpr@{DOMAIN}"
NOBODY: Final = f"nobody@dead.{DOMAIN}"
"""Taken by Postfix, and then not delivered: a report comes back."""
LIMIT: Final = 2_000_000
"""The largest mail that it takes, in bytes."""
_SBIN: Final = Path("/usr/lib/postfix/sbin")
_START_SECONDS: Final = 30.0
_NEEDED: Final = (
    _SBIN / "master",
    Path("/usr/sbin/dovecot"),
    Path("/usr/lib/dovecot/pop3"),
    Path("/usr/lib/dovecot/imap"),
)
_OWNER: Final = "mail"
_MAIN: Final = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.{domain}
mydestination =
alias_maps =
local_recipient_maps =
message_size_limit = {limit}
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ {{ {ours} = kommune-kpr/ }}, {{ {theirs} = kpr/ }} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
transport_maps = inline:{{ {{ dead.{domain} = refusing: }} }}
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/auth
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_delay_reject = no
smtpd_client_restrictions =
smtpd_helo_restrictions =
"""
_MASTER: Final = """
127.0.0.1:{smtp} inet n - n - - smtpd
127.0.0.1:{smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
refusing unix - n n - - pipe user=mail argv=/bin/sh -c {{exit 67}}
"""
_DOVECOT: Final = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
auth_mechanisms = plain login
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%n
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%n
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = 0
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
"""


def lacking() -> bool:
    """Tell whether they cannot be had here."""
    if os.geteuid() != 0 or not all(map(Path.exists, _NEEDED)):
        return True
    version = subprocess.run(("/usr/sbin/dovecot", "--version"), capture_output=True, text=True, check=False).stdout
    return not version.startswith("2.3.")  # 2.4 reads its configuration in another language


def _group_of(process: Path) -> int:
    """Return a process's group, of its folder in /proc; 0 where it is gone."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((process / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[2])
    return 0


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@dataclass
class MailServers:
    """Both servers. ``start`` them, use them, ``kill_postfix`` it, ``stop`` them."""

    folder: Path
    authority: Authority
    smtp: int = 0
    smtps: int = 0
    imaps: int = 0
    pop3s: int = 0
    password: str = field(default_factory=lambda: secrets.token_hex(8))
    _postfix: subprocess.Popen[bytes] | None = None
    _dovecot: subprocess.Popen[bytes] | None = None

    @classmethod
    def made(cls) -> MailServers:
        """Return both with their configuration written."""
        folder = Path(tempfile.mkdtemp(prefix="kpr-mail-", dir="/tmp"))
        folder.chmod(0o755)
        servers = cls(folder, make_authority(folder / "ca"))
        servers._configure()
        return servers

    def account(self, kind: MailboxKind = MailboxKind.IMAPS, **changes: Any) -> EdiSettings:
        """Return our account there."""
        port = self.imaps if kind is MailboxKind.IMAPS else self.pop3s
        given: dict[str, Any] = {
            "address": OURS,
            "receiver_address": THEIRS,
            "smtp_host": "localhost",
            "smtp_port": self.smtp,
            "smtp_security": SmtpSecurity.STARTTLS,
            "user": OURS,
            "password": Secret(self.password),
            "mailbox": MailboxPlace(kind, "localhost", port, "INBOX" if kind is MailboxKind.IMAPS else ""),
            "tls_ca": self.authority.ca_file,
        }
        return EdiSettings(**(given | changes))

    @property
    def trusting(self) -> ssl.SSLContext:
        """What trusts the servers, for a client that is not ours."""
        return ssl.create_default_context(cafile=str(self.authority.ca_file))

    def maildir(self, name: str = "kommune-kpr") -> Path:
        """Return an account's Maildir, made where no mail has come yet."""
        path = self.folder / "mail" / name
        for part in (path, *(path / one for one in ("new", "cur", "tmp"))):
            part.mkdir(exist_ok=True)
            shutil.chown(part, _OWNER, _OWNER)
        return path

    def lay(self, content: bytes, name: str, *, account: str = "kommune-kpr", seen: bool = False) -> Path:
        """Lay a mail into an account's Maildir, as if it had come."""
        path = self.maildir(account) / ("cur" if seen else "new") / (f"{name}:2,S" if seen else name)
        path.write_bytes(content)
        shutil.chown(path, _OWNER, _OWNER)
        return path

    def start(self) -> MailServers:
        """Start both, and wait until they take connections."""
        self._dovecot = self._run("dovecot", "/usr/sbin/dovecot", "-F", "-c", str(self.folder / "dovecot.conf"))
        self._wait(self._dovecot, self.imaps, self.pop3s)
        self.start_postfix()  # it asks Dovecot about logins, and gives up for a minute where nobody answers
        return self

    def start_postfix(self) -> None:
        """Start Postfix alone, after it was killed, too: what it has taken is delivered then."""
        self._postfix = self._run("postfix", str(_SBIN / "master"), "-c", str(self.folder / "postfix"), "-d")
        self._wait(self._postfix, self.smtp, self.smtps)

    def kill_postfix(self) -> None:
        """End Postfix as a loss of power would: every process of it, at once."""
        assert self._postfix is not None
        os.killpg(self._postfix.pid, signal.SIGKILL)
        group = [int(one.name) for one in Path("/proc").glob("[0-9]*") if _group_of(one) == self._postfix.pid]
        self._postfix.wait()
        # One that is not gone yet has the ports, and a new master would end at once.
        until(lambda: {state_of(Path("/proc", str(pid))) for pid in group} <= set("ZX"))
        (self.folder / "queue/pid/master.pid").unlink(missing_ok=True)

    def waiting(self) -> int:
        """Return how many mails Postfix has and has not delivered."""
        queue = self.folder / "queue"
        # What is being written has no right to be executed yet: the end of the mail has not come (cleanup(8)).
        files = (one for name in ("incoming", "active", "deferred") for one in (queue / name).rglob("*"))
        found = 0
        for one in files:
            with contextlib.suppress(FileNotFoundError):
                found += one.is_file() and bool(one.stat().st_mode & 0o100)
        return found

    def delivered(self, account: str, text: bytes, *, expected: int | None = None) -> int:
        """Return how many mails in an account's Maildir hold a text, once nothing waits any more."""
        ends = time.monotonic() + _START_SECONDS
        while True:
            files = [one for name in ("new", "cur") for one in (self.maildir(account) / name).iterdir()]
            count = sum(text in one.read_bytes() for one in files)
            if (not self.waiting() and (expected is None or count >= expected)) or time.monotonic() > ends:
                return count
            time.sleep(0.02)

    def stop(self) -> None:
        """End both, and remove all of it."""
        for process in (self._postfix, self._dovecot):
            if process is not None and process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=10)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _configure(self) -> None:
        self.smtp, self.smtps, self.imaps, self.pop3s = _free_ports(4)
        certificate, key = self.authority.issue(self.folder / "ca", "localhost")
        owner = pwd.getpwnam(_OWNER)
        values: dict[str, Any] = {
            "folder": self.folder, "domain": DOMAIN, "limit": LIMIT, "ours": OURS, "theirs": THEIRS,
            "uid": owner.pw_uid, "gid": owner.pw_gid, "certificate": certificate, "key": key,
            "smtp": self.smtp, "smtps": self.smtps, "imaps": self.imaps, "pop3s": self.pop3s,
        }  # fmt: skip
        for name in ("postfix", "queue", "data", "mail", "run"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix", "postfix")
        shutil.chown(self.folder / "mail", _OWNER, _OWNER)
        (self.folder / "postfix/main.cf").write_text(_MAIN.format(**values), "utf-8")
        (self.folder / "postfix/master.cf").write_text(_MASTER.format(**values), "utf-8")
        (self.folder / "dovecot.conf").write_text(_DOVECOT.format(**values), "utf-8")
        users = "".join(f"{user}:{self.password}\n" for user in (OURS, THEIRS))
        (self.folder / "users").write_text(users, "utf-8")
        for account in ("kommune-kpr", "kpr"):
            self.maildir(account)
        check = ("/usr/sbin/postfix", "-c", str(self.folder / "postfix"), "check")
        made = subprocess.run(check, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr

    def _run(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.out").open("ab") as log:
            ends_with_us = ("setpriv", "--pdeathsig=TERM")  # also where the test run is killed
            return subprocess.Popen([*ends_with_us, *command], stdout=log, stderr=log, cwd="/", start_new_session=True)

    def _wait(self, process: subprocess.Popen[bytes], *ports: int) -> None:
        ends = time.monotonic() + _START_SECONDS
        for port in ports:
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                    if process.poll() is None:
                        break
                if time.monotonic() > ends or process.poll() is not None:
                    raise RuntimeError(
                        "".join(one.read_text("utf-8", "replace") for one in self.folder.glob("*.[lo]*"))
                    )
                time.sleep(0.02)


@pytest.fixture(scope="session")
def mail_servers_once() -> Iterator[MailServers]:
    """Both servers, for the whole run."""
    if lacking():
        pytest.skip(NO_MAIL_SERVERS)
    servers = MailServers.made()
    try:
        yield servers.start()
    finally:
        servers.stop()


@pytest.fixture
def mail_servers(mail_servers_once: MailServers) -> MailServers:
    """The same servers, running and with every mailbox empty."""
    servers = mail_servers_once
    servers.delivered("kpr", b"")  # once it returns nothing of an earlier test is on its way
    for account in ("kommune-kpr", "kpr"):
        maildir = servers.maildir(account)
        until(functools.partial(_is_gone, maildir))  # Dovecot may write its index for an earlier test until now
        servers.maildir(account)
    return servers


def _is_gone(folder: Path) -> bool:
    """Remove a folder; tell whether that is done."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()

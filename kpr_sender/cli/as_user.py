"""A command run again in a child with another user's ids: what that user may read, write and import is then tried."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

import click

from kpr_sender.cli.invocation import Invocation
from kpr_sender.errors import NotReady
from kpr_sender.texts import Text

OPTION: Final = "--as-user"
_OF_THE_USER: Final = "XDG_"
_IMPORT: Final = "import kpr_sender.cli.main"


def run_as(name: str, invocation: Invocation) -> int:
    """Run this command line as another user and return its exit code; its output is that of this process.

    Raises:
        click.UsageError: Not root asks, or there is no such user.
        NotReady: That user cannot run kpr-send at all.
    """
    if sys.platform == "win32":
        raise click.UsageError(Text("{option} is there where users have numbers, not on Windows.", option=OPTION))
    import pwd  # noqa: PLC0415 - Windows has none

    if os.geteuid() != 0:
        raise click.UsageError(Text("{option} is root's: run it with sudo.", option=OPTION))
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise click.UsageError(Text("{option}: there is no user {name} here.", option=OPTION, name=name)) from None

    def run(*arguments: str, quiet: bool = False) -> int:
        # -P: whatever lies in the current folder is not imported in place of kpr-sender.
        return subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-P", *arguments],
            check=False,
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=os.getgrouplist(user.pw_name, user.pw_gid),
            env=_environ(os.environ, user.pw_name, user.pw_dir),
            stderr=subprocess.DEVNULL if quiet else None,
        ).returncode

    try:
        imported = run("-c", _IMPORT, quiet=True) == 0
    except OSError:
        program = os.path.realpath(sys.executable)
        raise NotReady(
            Text("The user {name} cannot run kpr-send: its Python is {program}.", name=name, program=program),
            next_step=Text("Install kpr-send with a Python that every user may run, in a folder that all may read."),
        ) from None
    if not imported:
        raise NotReady(
            Text("The user {name} cannot run kpr-send: it may not read all of {folder}.", name=name, folder=sys.prefix),
            next_step=Text(
                "It was installed with a umask that hides it, as 077 does: chmod -R go+rX {folder}, and see that the "
                "folders above it can be entered.",
                folder=sys.prefix,
            ),
        )
    code = run("-m", "kpr_sender", *_without_option(invocation.called.arguments))
    invocation.ending.answered = True  # by the child, with --json as well
    return invocation.ending.known(code)


def _environ(environ: Mapping[str, str], name: str, home: str) -> dict[str, str]:
    """Return what root's environment is for another user: where root keeps configuration and state is not theirs."""
    kept = {key: value for key, value in environ.items() if not key.startswith(_OF_THE_USER)}
    return kept | {"HOME": home, "USER": name, "LOGNAME": name}


def _without_option(arguments: tuple[str, ...]) -> list[str]:
    if OPTION in arguments:
        at = arguments.index(OPTION)
        return [*arguments[:at], *arguments[at + 2 :]]
    return [each for each in arguments if not each.startswith(f"{OPTION}=")]

"""``kpr-send completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from kpr_sender.cli import output
from kpr_sender.cli.invocation import Invocation
from kpr_sender.render import json

VARIABLE = "_KPR_SEND_COMPLETE"
"""Set by the shell's function when it asks; click derives it from the program's name."""


class _WholeDescriptions(FishComplete):
    """fish's, with a command's description up to its end: click's own ends it at its first comma."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split --max 1 ","')


@click.group("completion", subcommand_metavar="bash | zsh | fish")
def command() -> None:
    """Print what lets a shell complete commands and options."""


@command.command("bash")
@click.pass_obj
def bash(invocation: Invocation) -> int:
    """Print it for bash: kpr-send completion bash > /etc/bash_completion.d/kpr-send."""
    return _print(invocation, BashComplete)


@command.command("zsh")
@click.pass_obj
def zsh(invocation: Invocation) -> int:
    """Print it for zsh: kpr-send completion zsh > a file _kpr-send in a folder of $fpath."""
    return _print(invocation, ZshComplete)


@command.command("fish")
@click.pass_obj
def fish(invocation: Invocation) -> int:
    """Print it for fish: kpr-send completion fish > ~/.config/fish/completions/kpr-send.fish."""
    return _print(invocation, _WholeDescriptions)


def _print(invocation: Invocation, shell: type[ShellComplete]) -> int:
    # ShellComplete's own source(): bash's would start a bash to ask its version.
    script = ShellComplete.source(shell(command, {}, "kpr-send", VARIABLE))
    return output.answer_text(invocation, json.envelope(None, shell=shell.name, script=script), script)

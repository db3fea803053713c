# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes config/*.toml and docs/configuration.md from the declarations of the keys.

Run it after a change of ``kpr_sender/settings/values.py``: ``python docs/make_configuration.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kpr_sender.model import Environment
from kpr_sender.settings.fleet import FLEET
from kpr_sender.settings.keys import Key
from kpr_sender.settings.proposals import on_nhn
from kpr_sender.settings.rehearsal import FILES, SENDER, YEAR, values
from kpr_sender.settings.sample_file import render
from kpr_sender.settings.values import SECTIONS, TOP
from kpr_sender.settings.web import SECTION as WEB

ROOT: Final = Path(__file__).resolve().parents[1]

_EXTRACT: Final = "/var/lib/kpr-sender/extract"
_COPY: Final = """Copy it to ~/.config/kpr-sender/ or /etc/kpr-sender/: where it lies now it is used only by --config.
kpr-send init writes such a file. Every key: docs/configuration.md."""


def _on_nhn(environment: Environment) -> dict[str, dict[str, object]]:
    """Return what differs from the defaults for a municipality that does not exist."""
    name = environment.value
    keys = f"/etc/kpr-sender/{name}"
    return {
        "": {"environment": name},
        "files": {kind: f"{_EXTRACT}/{file}" for kind, file in FILES.items()},
        "report": {"year": YEAR},
        "sender": {key: value for key, value in SENDER.items() if key != "service_name"},
        **on_nhn(environment),
        "keys.signing": {"pkcs12": f"{keys}/signing.p12", "passphrase_env": "KPR_SIGNING_PASSPHRASE"},
        "keys.decryption": {"pkcs12": f"{keys}/encryption.p12", "passphrase_env": "KPR_ENCRYPTION_PASSPHRASE"},
        "bus": {**on_nhn(environment)["bus"], "username": "kommune", "password_env": "KPR_BUS_PASSWORD"},
        "journal": {"path": f"/var/lib/kpr-sender/{name}/journal.db"},
    }


SAMPLES: Final[dict[Environment, tuple[str, dict[str, dict[str, object]]]]] = {
    Environment.LOKAL: (
        """Rehearsal on this machine: a sandbox inside the process plays NHN Tjenestebuss and KPR Validering.
Works as it is; nothing leaves the machine: kpr-send demo --dir .demo, then kpr-send --env lokal status.""",
        values("../.demo"),
    ),
    Environment.VALIDERING: (
        f"""Test submission to KPR Validering (HER-id 171479), which is in the production Adresseregister.
{_COPY}""",
        _on_nhn(Environment.VALIDERING),
    ),
    Environment.PRODUKSJON: (
        f"""The yearly submission to KPR (HER-id 122612). Real data, once, by 15 January.
Rehearse with validering.toml first.
{_COPY}""",
        _on_nhn(Environment.PRODUKSJON),
    ),
    Environment.AR_TEST: (
        f"""Communication test with the test Adresseregister (HER-id 8133973): its HER-ids, and synthetic data only.
{_COPY}""",
        _on_nhn(Environment.AR_TEST),
    ),
}


def samples() -> dict[Path, str]:
    """Return the text of each file in config/."""
    return {
        ROOT / "config" / f"{environment.value}.toml": render(environment, values, intro=intro)
        for environment, (intro, values) in SAMPLES.items()
    }


def documentation() -> str:
    """Return the text of docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "One TOML file for each environment, written by `kpr-send init` ([set-up.md](set-up.md)) with what differs",
        "from the defaults; `config/` has an example of each. Here is every key. Made from",
        "`kpr_sender/settings/values.py` by `docs/make_configuration.py`: edit there.",
        "",
        "- The file is the one that `--config` names; else the first that is there of",
        "  `$XDG_CONFIG_HOME/kpr-sender/<env>.toml` (`~/.config` where that is not set) and",
        "  `/etc/kpr-sender/<env>.toml`. For `lokal` and `ar-test` `config/<env>.toml` in the current folder comes",
        "  before them. With real data it never counts by itself: whoever owns that folder would decide where the data",
        "  goes.",
        "- `lokal` needs no file: without one it is the embedded sandbox, with journal, keys and queues in",
        "  `$XDG_STATE_HOME/kpr-sender/lokal` (`~/.local/state` where that is not set).",
        "- Its `environment` must be what `--env` says.",
        "- Except in `lokal` it is refused when another user than root owns it, or may write it or its folder",
        "  (everybody, or a group with others than its owner in it). So are the files that it relies on: FHI's",
        "  certificates, `protection.roots`, `ca_file` and `pkcs11_module`. Where owners and modes are the mount's",
        "  (a Windows drive in WSL, FAT, shares, FUSE, NFS) or a container's (a read-only mount, a user or group",
        "  without a name), nothing is refused for them; a warning says where they tell nothing.",
        "- Relative paths start in the file's folder. Sizes are in bytes; durations are written `30s`, `10m`, `2h`,",
        "  or as a number of seconds.",
        "- Secrets never stand in the file: a key ending in `_env` names an environment variable, one ending in",
        "  `_file` a file that holds the secret alone and that nobody else may read, one ending in `_credential` what",
        "  systemd hands to the service with `LoadCredential=NAME:PATH` (the file NAME in `$CREDENTIALS_DIRECTORY`).",
        "  Where others may read it, `doctor` is red and `send` refuses it in `produksjon`; so with a private key",
        "  without passphrase.",
        "- Text files are UTF-8, with or without a byte order mark. A secret with a second line, a blank at its end,",
        "  NUL or another control character is refused.",
        "- A key that is not in this list is an error, so that a misspelt one is never silently without effect.",
    ]
    for section in (TOP, *SECTIONS.values(), FLEET, WEB):
        lines += ["", f"## {f'`{section.heading}`' if section.name else 'Top level'}", ""]
        lines += [section.purpose, ""] if section.purpose else []
        lines += ["| key | what | expected | when it is not there |", "| --- | --- | --- | --- |"]
        lines += [_row(key) for key in section.keys]
    return "\n".join(lines) + "\n"


def _row(key: Key) -> str:
    only = "" if key.environments == frozenset(Environment) else f" Only in {', '.join(sorted(key.environments))}."
    example = f" For example `{key.shown}`." if key.example is not None else ""
    cells = (f"`{key.name}`", f"{key.help}{example}{only}", key.kind.expected, key.absence)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> None:
    """Write all the files."""
    for path, text in (samples() | {ROOT / "docs" / "configuration.md": documentation()}).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

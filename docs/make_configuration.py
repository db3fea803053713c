# ruff: noqa: INP001 - scripts beside what they write, no package
"""Writes config/*.toml and docs/configuration.md from the declarations of the keys.

Run it after a change of ``kpr_sender/settings/values.py``: ``python docs/make_configuration.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kpr_sender.model import Environment
from kpr_sender.settings.keys import Key
from kpr_sender.settings.sample_file import render
from kpr_sender.settings.values import SECTIONS, TOP

ROOT: Final = Path(__file__).resolve().parents[1]

_YEAR: Final = {"year": 2024}
_EXAMPLE_SENDER: Final = {
    "name": "EKSEMPEL KOMMUNE",
    "her_id": 900001,
    "service_name": "Saksbehandling",
    "service_her_id": 900002,
    "kommunenummer": "9999",
}
_EXTRACT: Final = "/var/lib/kpr-sender/extract"
_FILES: Final = {"fagmelding": f"{_EXTRACT}/fagmelding.xml", "identmelding": f"{_EXTRACT}/identmelding.xml"}


def _on_nhn(environment: Environment, *, host: str, exchange: str, queue: str) -> dict[str, dict[str, object]]:
    name = environment.value
    # HITS 1216 2.1.4 and 3.1: a path to an authority, and online revocation; without an answer, try again later.
    protection: dict[str, object] = {"roots": ["certs/roots.pem"], "revocation": "require"}
    keys = f"/etc/kpr-sender/{name}"
    return {
        "": {"environment": name},
        "files": {**_FILES},
        "report": {**_YEAR},
        "sender": {**_EXAMPLE_SENDER},
        "receiver": {
            "encryption_certificate": f"certs/{name}-fhi-encryption.pem",
            "signing_certificates": [f"certs/{name}-fhi-signing.pem"],
            "queue": queue,
        },
        "keys.signing": {"pkcs12": f"{keys}/signing.p12", "passphrase_env": "KPR_SIGNING_PASSPHRASE"},
        "keys.decryption": {"pkcs12": f"{keys}/encryption.p12", "passphrase_env": "KPR_ENCRYPTION_PASSPHRASE"},
        **({} if environment is Environment.AR_TEST else {"protection": protection}),
        "bus": {
            "host": host,
            "username": "kommune",
            "password_env": "KPR_BUS_PASSWORD",
            "exchange": exchange,
        },
        "journal": {"path": f"/var/lib/kpr-sender/{name}/journal.db"},
    }


SAMPLES: Final[dict[Environment, tuple[str, dict[str, dict[str, object]]]]] = {
    Environment.LOKAL: (
        """Rehearsal on this machine: a sandbox inside the process plays NHN Tjenestebuss and KPR Validering.
Works as it is; nothing leaves the machine:

    kpr-send sample .demo --persons 200 --year 2024 --seed 1
    kpr-send --env lokal --config config/lokal.toml""",
        {
            "": {"environment": "lokal"},
            "files": {"fagmelding": "../.demo/fagmelding.xml", "identmelding": "../.demo/identmelding.xml"},
            "report": {**_YEAR},
            "sender": {**_EXAMPLE_SENDER},
            "journal": {"path": "../.demo/journal.db", "receipts_dir": "../.demo/receipts"},
            "sandbox": {"embedded": True, "dir": "../.demo/sandbox"},
        },
    ),
    Environment.VALIDERING: (
        """Test submission to KPR Validering (HER-id 171479), which is in the production Adresseregister.
Copy this file to ~/.config/kpr-sender/ or /etc/kpr-sender/: where it lies now it is used only by --config.
Begin with [sender], then [receiver], [keys.signing], [keys.decryption] and [bus]; then run
kpr-send --env validering config check.""",
        _on_nhn(Environment.VALIDERING, host="tb.nhn.no", exchange="NHNPRODServiceBus", queue="171479_async"),
    ),
    Environment.PRODUKSJON: (
        """The yearly submission to KPR (HER-id 122612). Real data, once, by 15 January.
Copy this file to ~/.config/kpr-sender/ or /etc/kpr-sender/: where it lies now it is used only by --config.
Rehearse with validering.toml first; then run kpr-send --env produksjon config check.""",
        _on_nhn(Environment.PRODUKSJON, host="tb.nhn.no", exchange="NHNPRODServiceBus", queue="122612_async"),
    ),
    Environment.AR_TEST: (
        """Communication test with the test Adresseregister (HER-id 8133973). Synthetic data only.
The HER-ids of [sender] are those of the test register; then run kpr-send --env ar-test config check.""",
        _on_nhn(Environment.AR_TEST, host="tb.test.nhn.no", exchange="NHNTESTServiceBus", queue="8133973_async"),
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
        "One TOML file for each environment; `config/` has a commented one for each, to be copied to",
        "`~/.config/kpr-sender/` or `/etc/kpr-sender/`. Made from `kpr_sender/settings/values.py` by",
        "`docs/make_configuration.py`: edit there.",
        "",
        "- The file is the one that `--config` names; else the first that is there of",
        "  `$XDG_CONFIG_HOME/kpr-sender/<env>.toml` (`~/.config` where that is not set) and",
        "  `/etc/kpr-sender/<env>.toml`. For `lokal` and `ar-test` `config/<env>.toml` in the current folder comes",
        "  before them. With real data it never counts by itself: whoever owns that folder would decide where the data",
        "  goes.",
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
    for section in (TOP, *SECTIONS.values()):
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

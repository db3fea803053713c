"""Reads a configuration file: TOML in, checked and typed ``Settings`` out.

The rules:

1. Every key is in ``schema.KEYS``; any other key is an error, so that a misspelt one is never silently without effect.
2. The file's ``environment`` must be the one that was asked for (promise G7).
3. Secrets are not read here, only where they are used; in the file itself they are refused.
4. Messages name file and key and say what is expected; they never repeat a value.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment, Party
from kpr_sender.net import is_loopback
from kpr_sender.settings.keys import ARRAYS, SECTIONS, Absent, Key, keys_of
from kpr_sender.settings.sandbox_defaults import sandbox_defaults
from kpr_sender.settings.secrets import EnvironmentSecret, FileSecret
from kpr_sender.settings.values import (
    BusSettings,
    FileSettings,
    HelseIdSettings,
    HodemeldingSettings,
    JournalSettings,
    KeySettings,
    KeySource,
    LimitSettings,
    LogSettings,
    ProtectionSettings,
    ReceiverSettings,
    RegistryKind,
    RegistrySettings,
    ReportSettings,
    Revocation,
    SandboxSettings,
    Secret,
    SenderSettings,
    Settings,
    TokenKey,
)

# From checked values to ``Settings``: what no single key can tell, because it takes two.

Values = Mapping[str, list[dict[str, Any]]]

_FILE_ONLY: Final = ("pkcs12", "key", "passphrase_env", "passphrase_file")
_TOKEN_ONLY: Final = ("token_label", "slot", "key_label", "key_id", "pin_env", "pin_file")

PORT_NOT_KNOWN_YET: Final = 0
"""The embedded sandbox's port before it listens."""


def settings(
    values: Values, *, environment: Environment, origin: str, environ: Mapping[str, str], embedded: bool
) -> Settings:
    """Put the values together.

    Args:
        values: By section, the tables' values by key, defaults filled in.
        environment: The environment.
        origin: The file, as messages name it.
        environ: Where secrets are looked up when they are needed.
        embedded: Whether the embedded sandbox will tell the bus's port.

    Raises:
        ConfigInvalid: Two keys do not go together.
    """
    building = _Building(origin, environ)
    one = {section: tables[0] for section, tables in values.items()}
    report = ReportSettings(**one["report"])
    bus = building.bus(one["bus"], service_her_id=one["sender"]["service_her_id"], embedded=embedded)
    return Settings(
        environment=environment,
        origin=origin,
        files=FileSettings(**one["files"]),
        report=report,
        sender=_sender(one["sender"]),
        receiver=building.receiver(
            one["receiver"], year=report.year, environment=environment, kind=RegistryKind(one["registry"]["kind"])
        ),
        registry=building.registry(one["registry"], bus),
        keys=KeySettings(
            signing=building.key_source("keys.signing", one["keys.signing"]),
            decryption=tuple(building.key_source("keys.decryption", table) for table in values["keys.decryption"]),
        ),
        protection=building.protection(one["protection"]),
        bus=bus,
        hodemelding=HodemeldingSettings(**one["hodemelding"]),
        limits=building.limits(one["limits"]),
        journal=_journal(one["journal"]),
        sandbox=_sandbox(one["sandbox"]),
        log=LogSettings(**one["log"]),
    )


def secrets_of(whole: Settings) -> tuple[Secret, ...]:
    """Return every secret that a configuration names."""
    keys = (source.secret for source in (whole.keys.signing, *whole.keys.decryption))
    helseid = whole.registry.helseid
    named = (whole.bus.password, whole.registry.password, helseid.client_key if helseid else None, *keys)
    return tuple(dict.fromkeys(secret for secret in named if secret is not None))


def _sender(table: dict[str, Any]) -> SenderSettings:
    party = Party(
        name=table["name"],
        her_id=table["her_id"],
        service_name=table["service_name"],
        service_her_id=table["service_her_id"],
        organisation_number=table["organisation_number"],
    )
    return SenderSettings(party, kommunenummer=table["kommunenummer"], bydel=table["bydel"])


def _journal(table: dict[str, Any]) -> JournalSettings:
    path: Path = table["path"]
    return JournalSettings(path, table["receipts_dir"] or beside(path), table["allow_network"])


def beside(journal: Path) -> Path:
    """Return where the receipts of a journal lie when nothing else is said."""
    return journal.parent / "receipts"


def _sandbox(table: dict[str, Any]) -> SandboxSettings | None:
    folder = table.get("dir")
    return None if folder is None else SandboxSettings(embedded=table["embedded"], dir=folder)


class _Building:
    """One file's settings being put together."""

    def __init__(self, origin: str, environ: Mapping[str, str]) -> None:
        self.origin = origin
        self.environ = environ

    def wrong(self, key: str, what: str, next_step: str = "") -> ConfigInvalid:
        return ConfigInvalid(what, where=f"{self.origin}: {key}", next_step=next_step)

    def secret(self, stem: str, variable: str | None, file: Path | None) -> Secret | None:
        if variable is not None and file is not None:
            raise self.wrong(f"{stem}_env", f"Expected either this or {stem}_file, not both.")
        if variable is not None:
            return Secret(EnvironmentSecret(f"{self.origin}: {stem}_env", variable, self.environ))
        return None if file is None else Secret(FileSecret(f"{self.origin}: {stem}_file", file))

    def key_source(self, section: str, table: dict[str, Any]) -> KeySource:
        bundle, certificate, key = table["pkcs12"], table["certificate"], table["key"]
        self.without_module(section, table)
        if table["pkcs11_module"] is not None:
            return KeySource(section, None, certificate, None, None, self.token_key(section, table))
        if bundle is None and certificate is None and key is None:
            raise self.wrong(section, "No key is named; expected pkcs12, certificate and key, or pkcs11_module.")
        if bundle is not None and (certificate is not None or key is not None):
            raise self.wrong(f"{section}.pkcs12", "Expected either this or certificate and key, not both.")
        if bundle is None and (certificate is None or key is None):
            missing = "certificate" if certificate is None else "key"
            raise self.wrong(f"{section}.{missing}", "This is missing; certificate and key go together.")
        passphrase = self.secret(f"{section}.passphrase", table["passphrase_env"], table["passphrase_file"])
        return KeySource(section, bundle, certificate, key, passphrase)

    def without_module(self, section: str, table: dict[str, Any]) -> None:
        """Refuse what only a file has beside a token, and what only a token has without one."""
        has_token = table["pkcs11_module"] is not None
        for name in _FILE_ONLY if has_token else _TOKEN_ONLY:
            if table[name] is not None:
                what = "does not go together with pkcs11_module" if has_token else "needs pkcs11_module beside it"
                raise self.wrong(f"{section}.{name}", f"This {what}.")

    def token_key(self, section: str, table: dict[str, Any]) -> TokenKey:
        label, slot, key_label, key_id = (table[name] for name in ("token_label", "slot", "key_label", "key_id"))
        if label is None and slot is None:
            raise self.wrong(f"{section}.token_label", "This is missing; expected token_label or slot.")
        if key_label is None and key_id is None:
            raise self.wrong(f"{section}.key_label", "This is missing; expected key_label or key_id.")
        pin = self.secret(f"{section}.pin", table["pin_env"], table["pin_file"])
        if pin is None:
            raise self.wrong(f"{section}.pin_env", "No PIN is named; expected pin_env or pin_file.")
        return TokenKey(table["pkcs11_module"], label or "", slot, key_label or "", key_id or b"", pin)

    def receiver(
        self, table: dict[str, Any], *, year: int, environment: Environment, kind: RegistryKind
    ) -> ReceiverSettings:
        if kind is RegistryKind.FILES:
            for name in ("encryption_certificate", "signing_certificates", "queue"):
                if table[name] is None:
                    raise self.wrong(
                        f"receiver.{name}",
                        "This is missing; expected here as long as no registry tells it.",
                        'Give it, or set registry.kind = "soap".',
                    )
        her_id = table.pop("her_id")
        if her_id is not None:
            from kpr_sender import profiles  # noqa: PLC0415 - read only where the configuration names the receiver

            try:
                profiles.guard_receiver(profiles.load(year), environment, her_id)
            except ConfigInvalid as error:
                raise self.wrong("receiver.her_id", error.what, error.next_step) from None
        given = {"signing_certificates": table["signing_certificates"] or (), "queue": table["queue"] or ""}
        return ReceiverSettings(**table | given)

    def registry(self, table: dict[str, Any], bus: BusSettings) -> RegistrySettings:
        password = self.secret("registry.password", table.pop("password_env"), table.pop("password_file"))
        client_key = self.secret("registry.client_key", table.pop("client_key_env"), table.pop("client_key_file"))
        client = {"helseid_url": table.pop("helseid_url"), "client_id": table.pop("client_id")}
        kind = table["kind"]
        needed = {"url": table["url"]} if kind is not RegistryKind.FILES else {}
        needed |= {**client, "client_key_file": client_key} if kind is RegistryKind.REST else {}
        for name, value in needed.items():
            if value is None:
                raise self.wrong(f"registry.{name}", f'This is missing; registry.kind = "{kind.value}" needs it.')
        helseid = None
        if kind is RegistryKind.REST and client_key is not None:
            helseid = HelseIdSettings(client["helseid_url"], client["client_id"], client_key)
        # One organisation user opens both the bus and the register, as a rule.
        given = {"url": table["url"] or "", "user": table["user"] or bus.username}
        return RegistrySettings(**table | given, password=password or bus.password, helseid=helseid)

    def bus(self, table: dict[str, Any], *, service_her_id: int, embedded: bool) -> BusSettings:
        password = self.secret("bus.password", table.pop("password_env"), table.pop("password_file"))
        if password is None:
            raise self.wrong("bus.password_env", "No password is named; expected password_env or password_file.")
        if not table["tls"] and not is_loopback(table["host"]):
            raise self.wrong("bus.tls", "TLS may be off only to a loopback address.")
        own_queues = {
            "receipts_queue": table["receipts_queue"] or f"{service_her_id}_async",
            "error_queue": table["error_queue"] or f"{service_her_id}_error",
        }
        port = {"port": PORT_NOT_KNOWN_YET} if embedded else {}
        return BusSettings(**table | own_queues | port, password=password)

    def protection(self, table: dict[str, Any]) -> ProtectionSettings:
        roots = table.pop("roots") or ()
        if not roots and table["revocation"] is not Revocation.OFF:
            raise self.wrong("protection.revocation", "Who issued a certificate must be known; name protection.roots.")
        return ProtectionSettings(**table, roots=roots)

    def limits(self, table: dict[str, Any]) -> LimitSettings:
        limits = LimitSettings(**table)
        if limits.warn_bytes > limits.refuse_bytes:
            raise self.wrong("limits.warn_bytes", "Expected no more than limits.refuse_bytes.")
        return limits


Tables = dict[str, list[dict[str, object]]]
"""By section, the tables as written: one, or several where a section may be repeated."""

_SECRETS: Final = ("password", "passphrase", "pin")


def load(path: Path, environment: Environment, *, environ: Mapping[str, str]) -> Settings:
    """Read and check one environment's configuration.

    Args:
        path: The TOML file; relative paths in it start in its folder.
        environment: What was asked for, for example by ``--env``.
        environ: Where secrets named by ``*_env`` are looked up when they are needed.

    Raises:
        ConfigInvalid: The file is missing, is no TOML, or does not say what it must.
    """
    document = _toml(path)
    found = document.pop("environment", None)
    if found != environment.value:
        _refuse_environment(path, environment, found)
    reading = _Reading(path, environment)
    tables = reading.collect(document)
    embedded = environment is Environment.LOKAL and tables["sandbox"][0].get("embedded") is True
    if embedded:
        tables = reading.with_embedded_sandbox(tables)
    values = {section: [reading.values(section, table) for table in tables[section]] for section in SECTIONS if section}
    return settings(values, environment=environment, origin=str(path), environ=environ, embedded=embedded)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigInvalid("There is no such configuration file.", where=str(path)) from None
    except OSError as error:
        raise ConfigInvalid(f"The configuration cannot be read: {error.strerror}.", where=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigInvalid("The configuration is not UTF-8 text.", where=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"The configuration is not valid TOML: {error}.", where=str(path)) from None


def _refuse_environment(path: Path, environment: Environment, found: object) -> None:
    said = f'"{found}"' if found in tuple(Environment) else "nothing that can be understood"
    raise ConfigInvalid(
        f"This file is not for {environment.value}: it says {said if found is not None else 'nothing'}, "
        f'expected environment = "{environment.value}".',
        where=f"{path}: environment",
        next_step="Use the configuration that belongs to --env.",
    )


class _Reading:
    """One file being read."""

    def __init__(self, path: Path, environment: Environment) -> None:
        self.origin = str(path)
        self.base = path.absolute().parent
        self.environment = environment

    def wrong(self, key: str, what: str, next_step: str = "") -> ConfigInvalid:
        return ConfigInvalid(what, where=f"{self.origin}: {key}", next_step=next_step)

    def collect(self, document: Mapping[str, object]) -> Tables:
        """Sort what is written into the sections of the schema."""
        tables: Tables = {section: [] for section in SECTIONS}
        self._collect("", document, tables)
        for section, found in tables.items():
            if not found:
                found.append({})
            for table in found:
                self._refuse_unknown(section, table)
        return tables

    def _collect(self, at: str, table: Mapping[str, object], tables: Tables) -> None:
        own: dict[str, object] = {}
        for name, value in table.items():
            path = f"{at}.{name}" if at else name
            if not any(section == path or section.startswith(f"{path}.") for section in SECTIONS):
                own[name] = value
                continue
            several = value if isinstance(value, list) and path in ARRAYS else [value]
            for one in several:
                if not isinstance(one, dict):
                    raise self.wrong(path, f"Expected a section [{path}] here.")
                self._collect(path, one, tables)
        if at in SECTIONS:
            tables[at].append(own)
        elif own:
            raise self.wrong(f"{at}.{next(iter(own))}", f"There is no such key; [{at}] has only sections in it.")

    def _refuse_unknown(self, section: str, table: Mapping[str, object]) -> None:
        known = {key.name: key for key in keys_of(self.environment) if key.section == section}
        for name in table:
            if name in known:
                continue
            path = f"{section}.{name}" if section else name
            if name in _SECRETS:
                raise self.wrong(
                    path,
                    "Secrets do not belong in the configuration.",
                    f"Use {path}_env or {path}_file, and change the secret: it has been in a file.",
                )
            raise self.wrong(path, f"There is no such key{self._meant(name, section, tuple(known))}.")

    def _meant(self, name: str, section: str, known: tuple[str, ...]) -> str:
        import difflib  # noqa: PLC0415 - only when something is wrong: it costs start-up time

        if not known:
            return f" in a configuration for {self.environment.value}"
        if close := difflib.get_close_matches(name, known, n=1):
            return f"; perhaps {close[0]} is meant"
        return f"; {f'[{section}]' if section else 'the top level'} may have {', '.join(known)}"

    def with_embedded_sandbox(self, tables: Tables) -> Tables:
        """Fill in what the embedded sandbox decides, and refuse what contradicts it."""
        folder = self.values("sandbox", tables["sandbox"][0])["dir"]
        if folder is None:
            raise self.wrong("sandbox.dir", "The embedded sandbox needs a folder.")
        decided = sandbox_defaults(folder)
        for section, dictated in decided.items():
            everything = section.startswith("keys.")
            for name in tables[section][0]:
                if everything or name in dictated or name in ("port", "tls"):
                    raise self.wrong(
                        f"{section}.{name}",
                        "The embedded sandbox decides this.",
                        "Remove the line, or set sandbox.embedded = false.",
                    )
        return tables | {section: [tables[section][0] | dictated] for section, dictated in decided.items()}

    def values(self, section: str, table: Mapping[str, object]) -> dict[str, Any]:
        """Check one table and return its values by name, defaults filled in."""
        return {key.name: self._value(key, table) for key in keys_of(self.environment) if key.section == section}

    def _value(self, key: Key, table: Mapping[str, object]) -> object:
        if key.name not in table:
            if key.default is Absent.NONE:
                return None
            if key.default is Absent.REFUSED:
                raise self.wrong(key.path, f"This is missing; expected {key.kind.expected}.")
        try:
            return key.kind.parse(table.get(key.name, key.default), self.base)
        except ValueError:
            raise self.wrong(key.path, f"Expected {key.kind.expected}.") from None

"""Reads a configuration file: TOML in, checked and typed ``Settings`` out.

The rules:

1. Every key is declared in ``values.py``; any other is an error, so that a misspelt one is never silently ignored.
2. The file's ``environment`` must be the one that was asked for (promise G7).
3. Secrets are not read here, only where they are used; in the file itself they are refused.
4. Messages name file and key and say what is expected; they never repeat a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from kpr_sender.errors import ConfigInvalid
from kpr_sender.messages.transport import is_registered_id
from kpr_sender.model import Environment, Transport
from kpr_sender.settings.edi import EdiSettings, bus_filled_in, lacking
from kpr_sender.settings.environments import environment_named
from kpr_sender.settings.exposure import relied_on_files
from kpr_sender.settings.file_access import require_trusted
from kpr_sender.settings.keys import (
    ENV,
    FILE,
    SECRET_ENDINGS,
    Key,
    KeyGroup,
    SecretKeys,
    Section,
    declarations,
    first_key_of,
)
from kpr_sender.settings.kinds import Unfit
from kpr_sender.settings.locations import absolute
from kpr_sender.settings.secrets import CredentialSecret, EnvironmentSecret, FileSecret, KeySettings, KeySource, Secret
from kpr_sender.settings.toml_file import read_toml
from kpr_sender.settings.values import (
    SECTIONS,
    TOP,
    BusSettings,
    QueueIds,
    ReceiptsFrom,
    RegistryKind,
    RegistrySettings,
    Revocation,
    SandboxSettings,
    Settings,
)
from kpr_sender.texts import Text
from kpr_sender.wording import any_of

Table = dict[str, Any]
"""One section: what is written in it, by key; as TOML has it first, later as ``ValueKind.parse`` returns it."""
Tables = dict[str, list[Table]]
"""By section; several where a section may be repeated, and an empty one where it is absent."""

_PORT_NOT_KNOWN_YET: Final = {Transport.AMQP: {"port": 0}, Transport.EDI: {"smtp_port": 0}}
"""The embedded sandbox's, before it listens."""

_SECRETS: Final = ("password", "passphrase", "pin")
_PASSWORD, _PASSPHRASE, _PIN = (tuple(f"{secret}{ending}" for ending in SECRET_ENDINGS) for secret in _SECRETS)
_FILE_ONLY: Final = ("pkcs12", "key", *_PASSPHRASE)
_KEY_NAMES: Final[tuple[str, str]] = ("key_label", "key_id")
_TOKEN_ONLY: Final = ("token_label", "slot", *_KEY_NAMES, *_PIN)
_OWN_QUEUES: Final = {"receipts_queue": "async", "error_queue": "error"}
_URL: Final = (("url",),)
_HELSEID: Final = (("helseid_url",), ("client_id",), ("client_key_file", "client_key_env", "client_key_credential"))
_REGISTRY_NEEDS: Final[dict[RegistryKind, tuple[tuple[str, ...], ...]]] = {
    RegistryKind.FILES: (),
    RegistryKind.SOAP: _URL,
    RegistryKind.REST: (*_URL, *_HELSEID),
}
"""What each kind cannot do without: of each row one."""
_PLAIN: Final = (
    *("files", "report", "sender", "receiver", "protection", "hodemelding", "limits", "journal", "log", "notify"),
    "monitor",
)
"""The sections that say all of their dataclass themselves."""
_NAMES: Final = tuple(name.split(".") for name in SECTIONS)
_HOLD_SECTIONS: Final = frozenset(".".join(parts[:number]) for parts in _NAMES for number in range(1, len(parts) + 1))
_TOP_LEVEL: Final = Text("the top level")

T = TypeVar("T")


def load(path: Path, environment: str | Environment, *, environ: Mapping[str, str]) -> Settings:
    """Read and check one environment's configuration; its relative paths start in its folder.

    Raises:
        UsageError: There is no such environment.
        ConfigInvalid: The file is missing, is no TOML, or does not say what it must; or another user may write it, or a
            file that it relies on.
    """
    file = ConfigurationFile(path, environment_named(environment), environ, trusted=True)
    file.require_trusted_file(path)
    return file.read(read_toml(path))


def from_document(
    document: Mapping[str, object], environment: Environment, *, path: Path, environ: Mapping[str, str]
) -> Settings:
    """Check what one environment's configuration says.

    Args:
        document: As TOML has it.
        environment: Whose it must be.
        path: The file, for messages; relative paths start in its folder. Nothing of it is read.
        environ: Where secrets in environment variables are.

    Raises:
        ConfigInvalid: It does not say what it must.
    """
    return ConfigurationFile(path, environment, environ).read(document)


def beside(journal: Path) -> Path:
    """Return the folder for a journal's receipts where the configuration names none."""
    return journal.parent / "receipts"


def _other_environment(path: Path, environment: Environment, found: object) -> ConfigInvalid:
    otherwise = Text("nothing") if found is None else Text("nothing that can be understood")
    said = f'"{found}"' if found in tuple(Environment) else otherwise
    return ConfigInvalid(
        Text(
            'This file is not for {environment}: it says {said}, expected environment = "{environment}".',
            environment=environment.value,
            said=said,
        ),
        where=f"{path}: environment",
        next_step=Text("Use the configuration that belongs to --env."),
    )


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """One file being read. Its methods raise ConfigInvalid, which names file and key.

    Attributes:
        trusted: Whether what it says is relied on: no other user may write a file that decides whom we trust.
    """

    path: Path
    environment: Environment
    environ: Mapping[str, str]
    trusted: bool = False

    def wrong(self, key: str, what: Text, next_step: Text | None = None) -> ConfigInvalid:
        """Return the error that names file and key."""
        return ConfigInvalid(what, where=f"{self.path}: {key}", next_step=next_step)

    def read(self, document: Mapping[str, object]) -> Settings:
        """Check what it says, as ``from_document``; where it is ``trusted``, the files that it relies on, too."""
        found = document.get("environment")
        if found != self.environment.value:
            raise _other_environment(self.path, self.environment, found)
        tables = bus_filled_in(document.get("transport"), self.collect(document))
        embedded = self.environment is Environment.LOKAL and tables["sandbox"][0].get("embedded") is True
        way = Transport.EDI if document.get("transport") == Transport.EDI else Transport.AMQP
        if embedded:
            tables = self.with_embedded_sandbox(tables, way)
        tables = {name: [self.parse(section, table) for table in tables[name]] for name, section in SECTIONS.items()}
        if embedded:
            tables["edi" if way is Transport.EDI else "bus"][0] |= _PORT_NOT_KNOWN_YET[way]
        top = {key.name: document[key.name] for key in TOP.keys if key.name in document}
        settings = self.settings(self.parse(TOP, top), tables)
        for key, relied_on in relied_on_files(settings) if self.trusted else ():
            self.require_trusted_file(relied_on, key)
        return settings

    def require_trusted_file(self, path: Path, key: str = "") -> None:
        """Refuse a file that another user may write, the configuration or one that a key names; never in ``lokal``."""
        if self.environment is not Environment.LOKAL:
            require_trusted(path, where=f"{self.path}: {key}" if key else str(self.path))

    # 1. Which section is what in? Nothing may be there that is not declared.

    def collect(self, document: Mapping[str, object]) -> Tables:
        """Sort what is written into the declared sections."""
        tables: Tables = {name: [] for name in SECTIONS}
        top = self._collect("", document, tables)
        self.refuse_undeclared(TOP, top)
        for name, found in tables.items():
            for table in found or [{}]:
                self.refuse_undeclared(SECTIONS[name], table)
        return {name: found or [{}] for name, found in tables.items()}

    def _collect(self, at: str, table: Mapping[str, object], tables: Tables) -> Table:
        """Put a table's sections where they belong, and return the rest of it."""
        own: Table = {}
        for name, value in table.items():
            path = f"{at}.{name}" if at else name
            if path not in _HOLD_SECTIONS:
                own[name] = value
                continue
            section = SECTIONS.get(path)
            for one in value if isinstance(value, list) and section is not None and section.repeated else [value]:
                if not isinstance(one, dict):
                    raise self.wrong(path, Text("Expected a section [{path}] here.", path=path))
                within = self._collect(path, one, tables)
                if section is not None:
                    tables[path].append(within)
                elif within:
                    stray = f"{path}.{next(iter(within))}"
                    raise self.wrong(stray, Text("There is no such key; [{path}] has only sections in it.", path=path))
        return own

    def refuse_undeclared(self, section: Section, table: Table) -> None:
        """Refuse a key that the section does not declare."""
        known = [key.name for key in section.keys_in(self.environment)]
        for name in table:
            if name in known:
                continue
            path = f"{section.name}.{name}" if section.name else name
            if name in _SECRETS:
                raise self.wrong(
                    path,
                    Text("Secrets do not belong in the configuration."),
                    Text(
                        "Use {path}_env or {path}_file or {path}_credential, and change the secret that was in a file.",
                        path=path,
                    ),
                )
            raise self.wrong(path, Text("There is no such key{meant}.", meant=self._meant(name, section, known)))

    def _meant(self, name: str, section: Section, known: list[str]) -> str:
        import difflib  # noqa: PLC0415 - only when something is wrong: it costs start-up time

        if not section.name and name in ("fleet", "municipality"):
            return Text(" in one municipality's configuration; of a fleet file name one with --municipality NUMBER")
        if not known:
            return Text(" in a configuration for {environment}", environment=self.environment.value)
        if close := difflib.get_close_matches(name, known, n=1):
            return Text("; perhaps {close} is meant", close=close[0])
        heading = section.heading if section.name else _TOP_LEVEL
        return Text("; {heading} may have {known}", heading=heading, known=", ".join(known))

    def with_embedded_sandbox(self, tables: Tables, transport: Transport) -> Tables:
        """Fill in what the embedded sandbox decides, and refuse what contradicts it."""
        from kpr_sender.settings.sample_file import sandbox_defaults  # noqa: PLC0415 - needed in lokal alone

        folder = self.parse(SECTIONS["sandbox"], tables["sandbox"][0]).get("dir")
        if folder is None:
            raise self.wrong("sandbox.dir", Text("The embedded sandbox needs a folder."))
        decided = sandbox_defaults(folder, transport=transport)
        for section, dictated in decided.items():
            for name in tables[section][0]:
                if section.startswith("keys.") or name in {*dictated, "port", "smtp_port", "tls"}:
                    raise self.wrong(
                        f"{section}.{name}",
                        Text("The embedded sandbox decides this."),
                        Text("Remove the line, or set sandbox.embedded = false."),
                    )
        return tables | {section: [tables[section][0] | dictated] for section, dictated in decided.items()}

    # 2. What does each key say? Each by itself.

    def folder(self) -> Path:
        """Return where its relative paths start."""
        return absolute(self.path).parent

    def parse(self, section: Section, table: Table) -> Table:
        """Check each key by its kind, and return the values of those that are there."""
        parsed, folder = {}, self.folder()
        for key in section.keys_in(self.environment):
            if key.name in table:
                try:
                    parsed[key.name] = key.kind.parse(table[key.name], folder)
                except ValueError as error:
                    # Only the words of our own kind: any other error may quote the value.
                    why = Text(": {error}", error=error) if isinstance(error, Unfit) and error.args else ""
                    raise self.wrong(
                        key.path, Text("Expected {expected}{why}.", expected=key.kind.expected, why=why)
                    ) from None
            elif key.required:
                raise self.wrong(key.path, Text("This is missing; expected {expected}.", expected=key.kind.expected))
        return parsed

    # 3. What do the keys say together, and what follows from them for those that are absent?

    def settings(self, top: Table, tables: Tables) -> Settings:
        """Put the parsed tables together."""
        one = {name: found[0] for name, found in tables.items()}
        bus, journal, registry = one["bus"], one["journal"], one["registry"]
        self._require_either("bus", bus, _PASSWORD, Text("No password is named"))
        for name, ending in _OWN_QUEUES.items():
            read = name == "receipts_queue" or bus.get("receipts_from") is not ReceiptsFrom.FOLDER
            bus.setdefault(name, f"{one['sender']['service_her_id']}_{ending}" if read else "")
        journal.setdefault("receipts_dir", beside(journal["path"]))
        # One organisation user opens both the bus and the register, as a rule.
        registry.setdefault("user", bus["username"])
        kind = registry.get("kind", RegistryKind.FILES)
        self._check_receiver(one["receiver"], kind, one["report"]["year"], top.get("transport"))
        self._check_registry(registry, kind)
        if kind is not RegistryKind.REST:
            registry.pop("helseid_url", None)
        built_bus = self.build(BusSettings, "bus", bus)
        settings = Settings(
            **top,
            origin=str(self.path),
            keys=KeySettings(
                signing=self._key_source("keys.signing", one["keys.signing"]),
                decryption=tuple(self._key_source("keys.decryption", table) for table in tables["keys.decryption"]),
            ),
            bus=built_bus,
            edi=self.build(EdiSettings, "edi", one["edi"]) if one["edi"] else None,
            registry=self.build(RegistrySettings, "registry", registry, password=built_bus.password),
            sandbox=self.build(SandboxSettings, "sandbox", one["sandbox"]) if "dir" in one["sandbox"] else None,
            **{name: self.build(SECTIONS[name].type, name, one[name]) for name in _PLAIN},
        )
        self._check(settings)
        return settings

    def build(self, declaring: type[T], section: str, table: Table, **given: Any) -> T:
        """Make a section, or a part of one, from its values; ``given`` is what the table need not say."""
        for attribute, declared in declarations(declaring):
            match declared:
                case Key(name=name) if (name or attribute) in table:
                    given[attribute] = table[name or attribute]
                case SecretKeys() as keys if (secret := self._secret(section, attribute, table, keys)) is not None:
                    given[attribute] = secret
                case KeyGroup(type=inner) if first_key_of(inner) in table:
                    given[attribute] = self.build(inner, section, table)
        return declaring(**given)

    def _secret(self, section: str, name: str, table: Table, declared: SecretKeys) -> Secret | None:
        named = [ending for ending in SECRET_ENDINGS if f"{name}{ending}" in table]
        if not named:
            return None
        key = f"{section}.{name}{named[0]}"
        if named[1:]:
            raise self.wrong(key, Text("Expected either this or {name}{named}, not both.", name=name, named=named[1]))
        where, value = f"{self.path}: {key}", table[f"{name}{named[0]}"]
        if named[0] == FILE:
            return Secret(FileSecret(where, value), declared.several_lines)
        kind = EnvironmentSecret if named[0] == ENV else CredentialSecret
        return Secret(kind(where, value, self.environ), declared.several_lines)

    def _key_source(self, section: str, table: Table) -> KeySource:
        in_token = "pkcs11_module" in table
        for name in _FILE_ONLY if in_token else _TOKEN_ONLY:
            if name in table and not (name in _KEY_NAMES and "pkcs12" in table):
                needed = Text("pkcs11_module or pkcs12") if name in _KEY_NAMES else "pkcs11_module"
                what = (
                    Text("does not go together with pkcs11_module")
                    if in_token
                    else Text("needs {needed} beside it", needed=needed)
                )
                raise self.wrong(f"{section}.{name}", Text("This {what}.", what=what))
        if in_token:
            self._require_either(section, table, ("token_label", "slot"))
            self._require_either(section, table, _KEY_NAMES)
            self._require_either(section, table, _PIN, Text("No PIN is named"))
        else:
            self._check_key_files(section, table)
        return self.build(KeySource, section, table, key=section)

    def _check_key_files(self, section: str, table: Table) -> None:
        pair = [name for name in ("certificate", "key") if name in table]
        if "pkcs12" in table and pair:
            raise self.wrong(f"{section}.pkcs12", Text("Expected either this or certificate and key, not both."))
        if "pkcs12" in table or len(pair) == len(("certificate", "key")):
            return
        if not pair:
            raise self.wrong(section, Text("No key is named; expected pkcs12, certificate and key, or pkcs11_module."))
        missing = "key" if "certificate" in pair else "certificate"
        raise self.wrong(f"{section}.{missing}", Text("This is missing; certificate and key go together."))

    def _require_either(
        self, section: str, table: Table, names: tuple[str, ...], what: str = Text("This is missing")
    ) -> None:
        if not any(name in table for name in names):
            raise self.wrong(f"{section}.{names[0]}", Text("{what}; expected {names}.", what=what, names=any_of(names)))

    def _check_receiver(self, table: Table, kind: RegistryKind, year: int, way: object) -> None:
        needed = ("encryption_certificate", "signing_certificates", *(() if way is Transport.EDI else ("queue",)))
        for name in needed if kind is RegistryKind.FILES else ():
            if name not in table:
                raise self.wrong(
                    f"receiver.{name}",
                    Text("This is missing; expected here as long as no registry is asked."),
                    Text('Give it, or set registry.kind = "soap".'),
                )
        if "her_id" in table:
            from kpr_sender import profiles  # noqa: PLC0415 - read only where the configuration names the receiver

            try:
                profiles.guard_receiver(profiles.load(year), self.environment, table["her_id"])
            except ConfigInvalid as error:
                raise self.wrong("receiver.her_id", error.what, error.next_step) from None

    def _check_registry(self, table: Table, kind: RegistryKind) -> None:
        for names in _REGISTRY_NEEDS[kind]:
            if not any(name in table for name in names):
                what = Text('This is missing; registry.kind = "{kind}" needs it.', kind=kind.value)
                raise self.wrong(f"registry.{names[0]}", what)

    def _check(self, settings: Settings) -> None:
        if not settings.journal.path.name:
            raise self.wrong("journal.path", Text("Expected a file, and not the root folder."))
        if not settings.bus.tls:
            from kpr_sender.net import is_loopback  # noqa: PLC0415 - with it come ssl and sockets

            if not is_loopback(settings.bus.host):
                raise self.wrong("bus.tls", Text("TLS may be off only to a loopback address."))
        if (settings.bus.receipts_from is ReceiptsFrom.FOLDER) != (settings.bus.receipts_inbox is not None):
            raise self.wrong(
                "bus.receipts_inbox", Text('Expected together with receipts_from = "folder", and only then.')
            )
        if settings.receiver.unsealed_receipts and self.environment is Environment.PRODUKSJON:
            raise self.wrong(
                "receiver.unsealed_receipts",
                Text("In produksjon no clear text is accepted."),
                Text(
                    "Remove the line. What FHI answers so all the same a person settles, after asking kpr@fhi.no: "
                    "kpr-send resolve MSGID --settled --reason TEXT."
                ),
            )
        if settings.protection.revocation is not Revocation.OFF and not settings.protection.roots:
            what = Text("Who issued a certificate must be known; name protection.roots.")
            raise self.wrong("protection.revocation", what)
        self._check_ids(settings)
        report = settings.report
        if (report.extended_to is None) == bool(report.extension_letter):
            missing = "extended_to" if report.extended_to is None else "extension_letter"
            raise self.wrong(
                f"report.{missing}", Text("This is missing; extended_to and extension_letter go together.")
            )
        if settings.limits.warn_bytes > settings.limits.refuse_bytes:
            raise self.wrong("limits.warn_bytes", Text("Expected no more than limits.refuse_bytes."))

    def _check_ids(self, settings: Settings) -> None:
        """Require what EDI needs, and complete registered ids where they are sent and no register is asked for them."""
        asked = settings.registry.kind is not RegistryKind.FILES
        if settings.transport is Transport.EDI and (missing := lacking(settings.edi, registered=asked)):
            raise self.wrong(missing, Text('This is missing; transport = "edi" needs it.'))
        if settings.bus.ids is QueueIds.QUEUE or asked:
            return
        for key, queue in (
            ("receiver.queue", settings.receiver.queue),
            ("bus.receipts_queue", settings.bus.receipts_queue),
        ):
            if not is_registered_id(queue):
                raise self.wrong(
                    key,
                    Text('Expected the complete registered id (host/exchange/queue), as bus.ids = "registered" says.'),
                )

"""What of a configuration others may read or change: its secrets and keys, and the files that it relies on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment
from kpr_sender.settings.edi import UNUSED_HOST
from kpr_sender.settings.file_access import unguarded
from kpr_sender.settings.secrets import Secret
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text, paragraph


def secrets_of(settings: Settings) -> tuple[Secret, ...]:
    """Return every secret that a configuration names."""
    keys = (source.secret for source in (settings.keys.signing, *settings.keys.decryption))
    helseid, edi = settings.registry.helseid, settings.edi
    no_bus = settings.bus.host == UNUSED_HOST
    named = (
        *(
            None if no_bus else settings.bus.password,
            settings.registry.password,
            helseid.client_key if helseid else None,
        ),
        *((edi.password, edi.mailbox_password) if edi else ()),
        *(settings.journal.password, *keys),
    )
    return tuple(dict.fromkeys(secret for secret in named if secret is not None))


def addresses_of(settings: Settings) -> tuple[Secret, ...]:
    """Return the secrets that no send needs: where notices and pings go. What is wrong with one keeps nothing back."""
    return tuple(secret for secret in (settings.notify.urls, settings.monitor.ping_url) if secret is not None)


def concerns(settings: Settings) -> tuple[str, ...]:
    """Say what is unwise about the places of secrets, private keys and files that we rely on, a sentence each."""
    found = (*concerns_of_sending(settings), *(secret.concern for secret in addresses_of(settings)))
    return tuple(dict.fromkeys(filter(None, found)))


def concerns_of_sending(settings: Settings) -> tuple[str, ...]:
    """The same of what a send needs."""
    keys = (source.concern for source in (settings.keys.signing, *settings.keys.decryption))
    real = settings.environment is not Environment.LOKAL
    relied_on = (Path(settings.origin), *(path for _, path in relied_on_files(settings))) if real else ()
    found = (*(secret.concern for secret in secrets_of(settings)), *keys, *map(unguarded, relied_on))
    return tuple(dict.fromkeys(filter(None, found)))


def loosened(settings: Settings) -> tuple[str, ...]:
    """Say what of a configuration makes it less safe than it may be: what every run shows, however little it prints."""
    return tuple(filter(None, (settings.receiver.concern, *concerns(settings))))


def require_unexposed(settings: Settings) -> None:
    """Refuse secrets and private keys that others may read.

    Raises:
        ConfigInvalid: Names each of their files.
    """
    keys = (source.exposed for source in (settings.keys.signing, *settings.keys.decryption))
    open_to_others = filter(None, (*(secret.exposed for secret in secrets_of(settings)), *keys))
    if text := paragraph(*dict.fromkeys(open_to_others)):
        raise ConfigInvalid(
            text,
            where=settings.origin,
            next_step=Text("Whoever read it has it: close it, and have secret or key changed where others had access."),
        )


def relied_on_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yield the files that decide whom we trust, seal for and log in to, with their keys."""
    receiver, protection = settings.receiver, settings.protection
    sources = (settings.keys.signing, *settings.keys.decryption)
    named: dict[str, Iterable[Path | None]] = {
        "receiver.encryption_certificate": (receiver.encryption_certificate,),
        "receiver.signing_certificates": receiver.signing_certificates,
        "protection.roots": protection.roots,
        "bus.ca_file": (settings.bus.ca_file,),
        "registry.ca_file": (settings.registry.ca_file,),
        "edi.tls_ca": (settings.edi.tls_ca,) if settings.edi else (),
        "pkcs11_module": (source.token.module for source in sources if source.token is not None),
    }
    yield from ((key, path) for key, paths in named.items() for path in paths if path is not None)

"""What stands in a short configuration file: its keys, each with a comment, and what a sandbox decides by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from kpr_sender.model import Environment, Transport
from kpr_sender.settings.keys import SECRET_ENDINGS, Key, toml_value
from kpr_sender.settings.values import SECTIONS, TOP
from kpr_sender.texts import Text

EXCHANGE: Final = "NHNTESTServiceBus"
USERNAME: Final = "kommune"
HOST: Final = "127.0.0.1"
RECEIVER_QUEUE: Final = "171479_async"
"""KPR Validering's: that is whom the sandbox plays."""
EDI_SENDER: Final = "kommune@rehearsal.example"
EDI_RECEIVER: Final = "kpr@rehearsal.example"
"""Whose EDI addresses the sandbox has."""
MAILBOX: Final = "mailbox"
"""The municipality's Maildir in the sandbox's folder."""
_LOOK_EVERY: Final = 0.2
"""Seconds: nobody else reads a sandbox's mailbox."""
REGISTER_PATH: Final = "/v1/AR/Basic"

_COLUMN: Final = 64
"""Where comments begin at the latest, unless the value is longer."""


def render(
    environment: Environment,
    values: Mapping[str, Mapping[str, object]],
    *,
    intro: str,
    say: Callable[[Text], str] = str,
) -> str:
    """Return the text of a configuration: what differs from the defaults, each key with its comment.

    Args:
        environment: Decides which keys there are.
        values: By section, what is written.
        intro: Who the file is for and how to begin; may have several lines.
        say: Says a comment in the reader's language.

    Raises:
        KeyError: A value has no key, or no comment.
    """
    lines = [f"# {line}".rstrip() for line in intro.strip().splitlines()]
    left = {(section, name) for section, table in values.items() for name in table}
    for section in (TOP, *SECTIONS.values()):
        written = [key for key in section.keys_in(environment) if (section.name, key.name) in left]
        left -= {(section.name, key.name) for key in written}
        if section.name and written:
            lines.append(section.heading)
        entries = {key: f"{key.name} = {toml_value(values[section.name][key.name])}" for key in written}
        width = min(max(map(len, entries.values()), default=0), _COLUMN)
        lines += [f"{entry:{width}}  # {say(comment(key))}" for key, entry in entries.items()]
    if left:
        raise KeyError(min(left))
    return "\n".join(lines) + "\n"


def comment(key: Key) -> Text:
    """Return what a key is, in a line.

    Raises:
        KeyError: No file that we write has it.
    """
    table = _COMMENTS["keys" if key.section.startswith("keys.") else key.section]
    secret = [key.name.removesuffix(ending) for ending in SECRET_ENDINGS if key.name.endswith(ending)]
    return table[key.name if key.name in table or not secret else secret[0]]


_COMMENTS: Final = {
    "": {
        "environment": Text("Where this sends to: must be what --env says."),
        "language": Text("The language of screens and messages: nb or en."),
        "transport": Text("Which way it goes: amqp (NHN Tjenestebuss) or edi (ebXML over e-mail)."),
    },
    "files": {
        "fagmelding": Text("The fagmelding (KPR_IPL), as the EPJ makes it."),
        "identmelding": Text("The identmelding (KPR_IDE), as the EPJ makes it."),
    },
    "report": {
        "year": Text("The reporting year."),
    },
    "sender": {
        "name": Text("The municipality's name (level 1 in Adresseregisteret)."),
        "her_id": Text("The municipality's HER-id (level 1)."),
        "organisation_number": Text("The municipality's organisation number."),
        "service_name": Text("The tjenestested's name (level 2)."),
        "service_her_id": Text("The tjenestested's HER-id (level 2): its queues are ours."),
        "kommunenummer": Text("The kommunenummer that was valid in the reporting year."),
        "bydel": Text("The bydel that is reported on its own."),
    },
    "receiver": {
        "encryption_certificate": Text("FHI's certificate for encryption."),
        "signing_certificates": Text("FHI's certificates for signing, the current one first."),
        "queue": Text("FHI's queue, copied from Adresseregisteret with care."),
    },
    "registry": {
        "kind": Text("FHI's queue and certificates: from Adresseregisteret (soap, rest) or from [receiver] (files)."),
        "url": Text("Adresseregisteret's address."),
        "ca_file": Text("The authorities to trust for its certificate."),
        "helseid_url": Text("HelseID's address."),
        "user": Text("Our user in Adresseregisteret."),
        "password": Text("Where its password is; the password itself never stands here."),
        "client_id": Text("Our client in HelseID."),
        "client_key": Text("Where that client's private key is."),
    },
    "protection": {
        "roots": Text("The authorities that certificates must lead to."),
        "revocation": Text("Ask the authorities whether a certificate is revoked; without an answer nothing is sent."),
    },
    "bus": {
        "host": Text("Tjenestebuss, reached from Helsenettet only."),
        "port": Text("Its port."),
        "ca_file": Text("The authorities to trust for the bus's certificate."),
        "username": Text("The organisation's user (OrgUsr in RegisterPlattformen)."),
        "password": Text("Where its password is; the password itself never stands here."),
        "exchange": Text("The exchange, as in the registered address host/exchange/queue."),
        "receipts_queue": Text("Our queue for receipts."),
        "error_queue": Text("Our error queue."),
    },
    "edi": {
        "address": Text("Our EDI address, as Adresseregisteret has it."),
        "smtp_host": Text("The mail server that takes our mail."),
        "smtp_port": Text("Its port."),
        "user": Text("Our user there."),
        "password": Text("Where its password is; the password itself never stands here."),
        "mailbox": Text("Our mailbox, where acknowledgements and receipts come."),
        "tls_ca": Text("The authorities to trust for the mail server's certificate."),
        "look_every": Text("How often it is looked at while a receipt is waited for, in seconds."),
    },
    "journal": {
        "path": Text("The journal: keep it, on a local disk, and have it backed up."),
    },
    "sandbox": {
        "embedded": Text("The sandbox runs inside kpr-send."),
        "dir": Text("Its folder: test keys, queues, what it received."),
    },
    "keys": {
        "pkcs12": Text("The key with its certificate, a PKCS#12 file."),
        "certificate": Text("The certificate, a PEM file: its intermediates after it."),
        "key": Text("The private key that goes with it, a PEM file."),
        "passphrase": Text("Where its passphrase is; the passphrase itself never stands here."),
        "pkcs11_module": Text("The PKCS#11 library of the token that has the key."),
        "token_label": Text("The token's label."),
        "key_label": Text("The key's label on the token."),
        "pin": Text("Where the token's PIN is; the PIN itself never stands here."),
    },
}
"""By section and name: both of our keys have one table, and the three keys of a secret have one comment."""


def register_url(port: int) -> str:
    """Return the address of a sandbox's Adresseregister."""
    return f"https://{HOST}:{port}{REGISTER_PATH}"


def sandbox_defaults(
    folder: Path, *, register_port: int = 0, transport: Transport = Transport.AMQP
) -> dict[str, dict[str, object]]:
    """Return the sections a sandbox decides, as they would be written in a configuration.

    FHI's addresses and certificates are not among them: its Adresseregister has them. Nor is the port of bus or mail
    server, which is known when the sandbox listens.
    """
    pki = folder / "pki"
    passphrase = str(pki / "passphrase")
    registry: dict[str, object] = {"kind": "soap", "url": register_url(register_port), "ca_file": str(pki / "ca.pem")}
    keys: dict[str, dict[str, object]] = {
        "keys.signing": {"pkcs12": str(pki / "kommune-signing.p12"), "passphrase_file": passphrase},
        "keys.decryption": {"pkcs12": str(pki / "kommune-encryption.p12"), "passphrase_file": passphrase},
    }
    login: dict[str, object] = {"password_file": str(folder / "bus-password")}
    if transport is Transport.EDI:
        edi: dict[str, object] = {
            "address": EDI_SENDER,
            "smtp_host": HOST,
            "user": EDI_SENDER,
            **login,
            "mailbox": f"maildir:{folder / MAILBOX}",
            "tls_ca": str(pki / "ca.pem"),
            "look_every": _LOOK_EVERY,
        }
        return {"registry": {**registry, "user": USERNAME, **login}, **keys, "edi": edi}
    bus: dict[str, object] = {
        "host": HOST,
        "ca_file": str(pki / "ca.pem"),
        "username": USERNAME,
        **login,
        "exchange": EXCHANGE,
    }
    return {"registry": registry, **keys, "bus": bus}

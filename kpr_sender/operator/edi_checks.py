"""The checks of our EDI account: mail server, mailbox, addresses. No mail is sent, none is taken."""

from __future__ import annotations

import time
from typing import Final

from kpr_sender.events import ignore
from kpr_sender.net import verifying
from kpr_sender.operator.check_context import CheckContext, CheckResult, counted, found, required
from kpr_sender.registry.edi_address import own_edi_address, receivers_edi_address
from kpr_sender.settings.edi import EdiSettings
from kpr_sender.settings.values import RegistryKind
from kpr_sender.texts import Text

_BETWEEN_LOOKS: Final = 1.0  # seconds


def account(context: CheckContext) -> CheckResult:
    """Where we connect to; the file with the authorities behind those addresses can be used."""
    edi = _edi(context)
    verifying(edi.tls_ca, key="edi.tls_ca")
    server = f"{edi.smtp_host}:{edi.smtp_port}"
    text = Text(
        "mail server {server}, mailbox {mailbox}, as {address}", server=server, mailbox=edi.mailbox, address=edi.address
    )
    return found(text)


def mail_server(context: CheckContext) -> CheckResult:
    """The mail server is there, is the one that its certificate says, lets us in, and takes our largest mail."""
    edi, shown = _edi(context), context.mail_server()
    concerns: list[str] = []
    if shown.handshake is None:
        concerns.append(Text("mail goes without TLS, and no login is sent"))
    if shown.size and shown.size < edi.max_mail_bytes:
        concerns.append(Text("its largest mail has {size:,} bytes, less than edi.max_mail_bytes", size=shown.size))
    tls = shown.handshake.tls if shown.handshake else Text("without TLS")
    login = Text("logged in") if shown.logged_in else Text("no login")
    reports = Text("reports what it cannot deliver") if shown.dsn else Text("offers no delivery reports")
    server = f"{edi.smtp_host}:{edi.smtp_port}"
    return found(
        Text("{server}, {tls}, {login}; {reports}; no mail sent", server=server, tls=tls, login=login, reports=reports),
        concerns,
    )


def mailbox(context: CheckContext) -> CheckResult:
    """Our mailbox can be read, ours can be taken out of it alone, and nobody else empties it."""
    edi, first = _edi(context), context.mailbox()
    time.sleep(_BETWEEN_LOOKS)
    gone = len(first.keys - context.mailbox().keys)
    concerns: list[str] = []
    if gone:
        concerns.append(
            Text(
                "{count} mail went between two looks: another system reads this mailbox, too",
                plural="{count} mails went between two looks: another system reads this mailbox, too",
                count=gone,
            )
        )
    if not first.can_take:
        concerns.append(Text("a mail of ours cannot be taken out without touching others': ours stay there"))
    lie = counted(len(first.keys), "mail")
    return found(Text("{mailbox}: {lie} there, nothing taken", mailbox=edi.mailbox, lie=lie), concerns)


def registered(context: CheckContext) -> CheckResult:
    """Both addresses are those that Adresseregisteret has: mail from or to another one is refused."""
    edi, settings, receiver = _edi(context), context.settings, required(context.receiver)
    registered = None
    if settings.registry.kind is not RegistryKind.FILES:
        registered = context.registry(ignore).entry(settings.sender.service_her_id).queues.edi
    ours = own_edi_address(settings, edi, registered)
    theirs = receivers_edi_address(settings, edi, receiver.her_id, receiver.edi_address or None)
    concerns = [] if registered else [Text("ours is not compared: no register is asked")]
    return found(Text("from {ours} to {theirs}", ours=ours, theirs=theirs), concerns)


def _edi(context: CheckContext) -> EdiSettings:
    return required(context.settings.edi)

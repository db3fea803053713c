"""Which mailbox the configuration names."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from kpr_sender.deadline import Stopped, never
from kpr_sender.edi.dial import MailboxAccount, MailHost
from kpr_sender.edi.folder import FolderMailbox
from kpr_sender.edi.maildir import MaildirMailbox
from kpr_sender.edi.port import Mailbox
from kpr_sender.errors import ConfigInvalid
from kpr_sender.settings.edi import EdiSettings, MailboxKind, MailboxPlace
from kpr_sender.texts import Text

_WITH_TLS: Final = frozenset({MailboxKind.POP3S, MailboxKind.IMAPS})
_POP3: Final = frozenset({MailboxKind.POP3S, MailboxKind.POP3})


def mailbox(
    settings: EdiSettings,
    *,
    login: Callable[[], AbstractContextManager[None]] = nullcontext,
    stopped: Stopped = never,
) -> Mailbox:
    """Return the mailbox of a configuration; nothing is connected or read yet.

    Args:
        settings: Where it is, and who we are there.
        login: Entered around each login; raises ``AccessRefused`` where it is not to be tried now.
        stopped: Ends whatever waits within a second.

    Raises:
        ConfigInvalid: There is none, no password for it, or the extra that it needs is not installed.
    """
    place = settings.mailbox
    if place is None:
        raise ConfigInvalid(Text("No mailbox is configured."), where="edi.mailbox")
    if place.path is not None:
        kind = MaildirMailbox if place.kind is MailboxKind.MAILDIR else FolderMailbox
        return kind(place.path, settings.max_inbound)
    return _remote(settings, place, login, stopped)


def _remote(
    settings: EdiSettings, place: MailboxPlace, login: Callable[[], AbstractContextManager[None]], stopped: Stopped
) -> Mailbox:
    user = settings.mailbox_user or settings.user
    password = settings.mailbox_password or settings.password
    if not user or password is None:
        raise ConfigInvalid(
            Text("The mailbox needs a user and a password, and none is configured."),
            where="edi.mailbox_user",
            next_step=Text("Name edi.mailbox_user and where its password is, or edi.user and where its is."),
        )
    server = MailHost(place.host, place.port, keys="edi.mailbox", tls_ca=settings.tls_ca)
    tls = place.kind in _WITH_TLS
    account = MailboxAccount(server, user, password, tls, settings.connect_timeout, login, stopped)
    if place.kind in _POP3:
        from kpr_sender.edi.pop3 import Pop3Mailbox  # noqa: PLC0415 - loaded where it is used

        return Pop3Mailbox(account, settings.max_inbound)
    try:
        from kpr_sender.edi.imap import ImapMailbox  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ConfigInvalid(
            Text("A mailbox over IMAP needs the extra edi, which is not installed."),
            where="edi.mailbox",
            next_step=Text("Install it: pip install 'kpr-sender[edi]'; POP3 needs none."),
        ) from None
    return ImapMailbox(account, place.folder, settings.max_inbound)

"""A synthetic municipality whose submissions go by mail, to a sandbox that speaks EDI in its folder."""

from __future__ import annotations

from kpr_sender.sandbox.edi_sandbox import EdiSandbox
from kpr_sender.settings.sample_file import EDI_RECEIVER, EDI_SENDER, MAILBOX
from kpr_sender.settings.values import Settings
from tests.helpers.municipality import SENDER_HER_ID, Municipality

BY_MAIL = {"environment": "lokal", "transport": "edi"}
ACCOUNT: dict[str, object] = {
    "address": EDI_SENDER,
    "receiver_address": EDI_RECEIVER,
    "smtp_host": "127.0.0.1",
    "smtp_port": 1,
    "user": EDI_SENDER,
    "password_file": "bus-password",
    "mailbox": f"maildir:{MAILBOX}",
}
"""[edi] where nobody listens: what goes by mail is played, or fails."""


def edi_sandbox(kommune: Municipality) -> EdiSandbox:
    """Return a sandbox in the municipality's folder; not started."""
    return EdiSandbox(kommune.folder, sender_her_id=SENDER_HER_ID)


def account(box: EdiSandbox, **changes: object) -> dict[str, object]:
    """Return [edi] for a running sandbox."""
    served = {"smtp_port": box.port, "tls_ca": "pki/ca.pem", "look_every": "0.1s", "reconnect_budget": "1s"}
    return {**ACCOUNT, **served, **changes}


def by_mail(kommune: Municipality, box: EdiSandbox, **changes: object) -> Settings:
    """Write and load a configuration whose submissions go by mail."""
    return kommune.configure({"": BY_MAIL, "edi": account(box, **changes)})

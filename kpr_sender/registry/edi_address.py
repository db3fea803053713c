"""Which EDI addresses a mail goes from and to: one rule for what seals, for the register's word and for ``doctor``.

KPR's message server refuses a mail whose From or To is not the address that Adresseregisteret has for that HER-id
(E_EDI; HITS 1172, rules 261 and 262). So where a register is asked its address is the one that counts, none there stops
the send, and so does one that differs from what is configured: one of the two is wrong, and nobody here knows which.
"""

from __future__ import annotations

from typing import Final

from kpr_sender.errors import ConfigInvalid
from kpr_sender.settings.edi import EdiSettings
from kpr_sender.settings.values import Settings
from kpr_sender.texts import Text

_ASK_FHI: Final = Text("Nothing is sent. Ask kpr@fhi.no which HER-id is right.")
_REGISTER_IT: Final = Text("Nothing is sent. Let it be registered there: KPR refuses mail from any other address.")


def own_edi_address(settings: Settings, edi: EdiSettings, registered: str | None) -> str:
    """Return the address that our mail is from.

    Args:
        settings: Who we are.
        edi: Our account.
        registered: What the register has of us, empty where it has no address; None where it was not asked or did not
            answer.

    Raises:
        ConfigInvalid: The register has none, or another than the configuration; or nobody has one.
    """
    her_id = settings.sender.service_her_id
    return _agreed("edi.address", edi.address, registered, her_id, settings.origin, where_none=_REGISTER_IT)


def receivers_edi_address(settings: Settings, edi: EdiSettings, her_id: int, registered: str | None) -> str:
    """Return the address that our mail goes to.

    Args:
        settings: Where the configuration is from.
        edi: Our account.
        her_id: The receiver's.
        registered: As in ``own_edi_address``, of the receiver.

    Raises:
        ConfigInvalid: As ``own_edi_address``.
    """
    configured = edi.receiver_address
    return _agreed("edi.receiver_address", configured, registered, her_id, settings.origin, where_none=_ASK_FHI)


def _agreed(key: str, configured: str, registered: str | None, her_id: int, origin: str, *, where_none: Text) -> str:
    """Return what configuration and register do not differ about; they compare without case."""
    if registered is None:
        if configured:
            return configured
        raise ConfigInvalid(
            Text("The EDI address of HER-id {her_id} is not known.", her_id=her_id),
            where=f"{origin}: {key}",
            next_step=Text("Let it be registered in Adresseregisteret (E_EDI), or set {key}.", key=key),
        )
    if not registered:
        raise ConfigInvalid(
            Text("No EDI address is registered for HER-id {her_id}.", her_id=her_id),
            where=Text("Adresseregisteret, HER-id {her_id}, E_EDI", her_id=her_id),
            next_step=where_none,
        )
    if configured and configured.lower() != registered.lower():
        raise ConfigInvalid(
            Text(
                "{key} is {configured}; Adresseregisteret has {registered} for HER-id {her_id} (E_EDI).",
                key=key,
                configured=configured,
                registered=registered,
                her_id=her_id,
            ),
            where=f"{origin}: {key}",
            next_step=Text("Nothing is sent. Find out which is right: mail from or to another address is refused."),
        )
    return registered

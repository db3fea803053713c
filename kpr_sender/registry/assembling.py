"""The one place where the three answers become a counterpart."""

from __future__ import annotations

from kpr_sender.messages.transport import queue_name
from kpr_sender.registry.port import Counterpart, Directory, Use


def counterpart_of(directory: Directory, her_id: int) -> Counterpart:
    """Ask the three questions about a level 2 HER-id.

    Raises:
        KprError: As the directory does.
    """
    party = directory.party(her_id)
    queues = directory.queues(her_id)
    encryption = directory.certificate(her_id, Use.ENCRYPTION)
    signing = directory.certificate(her_id, Use.SIGNING)
    return Counterpart(
        her_id=her_id,
        queue=queue_name(queues.value.asynchronous),
        encryption=encryption.value[0],
        signing=signing.value,
        name=party.value.name,
        organisation_number=party.value.organisation_number,
        provenance=party.provenance,
    )

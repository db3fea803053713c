"""What both layers of a CMS message have: ContentInfo (RFC 5652 3) and AlgorithmIdentifier (RFC 5280 4.1.1.2)."""

from __future__ import annotations

from kpr_sender.protection import ber, der
from kpr_sender.protection.algorithms import REFUSED
from kpr_sender.protection.policy import Policy
from kpr_sender.protection.refused import AlgorithmRefused


def content_info(data: memoryview, content_type: str, policy: Policy) -> ber.Element:
    """Read a ContentInfo and return what it holds.

    Args:
        data: All of it, nothing after it.
        content_type: The object identifier that it must have.
        policy: The bounds.

    Raises:
        BerError: It is none, or of another type.
        AlgorithmRefused: It is of a type that we know and do not accept (AuthEnvelopedData).
    """
    fields = ber.Fields(ber.read(data, max_elements=policy.max_nodes, max_depth=policy.max_depth))
    oid = fields.take(der.OID).oid()
    if oid in REFUSED:
        raise AlgorithmRefused(REFUSED[oid])
    if oid != content_type:
        raise ber.BerError("another content type than expected")
    content = fields.take(der.CONTEXT_0_CONSTRUCTED).only_child(der.SEQUENCE)
    fields.end()
    return content


def algorithm(identifier: ber.Element) -> tuple[str, ber.Element | None]:
    """Return object identifier and parameters, None where they are absent or NULL: peers write both for *none*."""
    fields = ber.Fields(identifier)
    oid = fields.take(der.OID).oid()
    parameters = fields.remaining()
    if len(parameters) > 1:
        raise ber.BerError("more fields than expected")
    match parameters:
        case [parameter] if bytes(parameter.raw[:3]) != der.NULL:
            return oid, parameter
        case _:
            return oid, None

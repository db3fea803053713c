"""Builds application receipts, AppRec 1.0 and 1.1: what a receiver answers with, in the form that .NET writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from lxml import etree

from kpr_sender.messages.apprec import NAMESPACES
from kpr_sender.messages.hodemelding import Hodemelding
from kpr_sender.model import Party, ReceiptError
from kpr_sender.sandbox.pki import FHI_NUMBER

_MIG_VERSIONS: Final = {"1.0": "1.0 2004-11-21", "1.1": "v1.1 2012-02-15"}
# Sender and receiver of the receipt, as in the standard's own examples (HIS 80415).
_ROLES: Final = {
    "1.0": (("REQ", "Rekvirent"), ("RECEIVER", "Mottaker")),
    "1.1": (("PRIM", "Primærmottaker"), ("AVS", "Avsender")),
}
_HER: Final = {"V": "HER", "DN": "HER-id"}
_ENH: Final = {"V": "ENH", "DN": "Organisasjonsnummeret i Enhetsregisteret"}
_STATUS_TEXTS: Final = {"1": "OK", "2": "Avvist", "3": "OK, feil i delmelding"}  # kodeverk 8258


def build(
    *,
    version: str,
    apprec_id: str,
    generated_at: datetime,
    status_code: str,
    errors: Sequence[ReceiptError],
    original: Hodemelding,
    msg_id: str = "",
    sender_by: str = "",
) -> bytes:
    """Return a receipt for a Hodemelding; every Ident of both parties is mirrored.

    Args:
        version: ``1.0`` or ``1.1``.
        apprec_id: Its own Id.
        generated_at: GenDate; aware.
        status_code: Status V: 1, 2, 3, or whatever a test wants.
        errors: Error elements, in order.
        original: What is answered.
        msg_id: Its MsgId as written, where that differs from ``original``'s.
        sender_by: What alone names the sender: ``level-1``, ``organisation-number`` or ``nothing``; all where empty.
    """
    namespace = NAMESPACES[version]

    def add(parent: etree._Element, name: str, text: str | None = None, **attributes: str) -> etree._Element:
        child = etree.SubElement(parent, f"{{{namespace}}}{name}")
        child.text = text
        for key, value in attributes.items():
            if value:
                child.set(key, value)
        return child

    def add_party(side: str, party: Party, role: tuple[str, str], by: str = "") -> None:
        parent = add(root, side)
        add(parent, "Role", V=role[0], DN=role[1])
        inst = add(add(parent, "HCP"), "Inst")
        if by == "nothing":
            return
        add(inst, "Name", party.name)
        if by == "organisation-number":
            add(inst, "Id", party.organisation_number or FHI_NUMBER)
            add(inst, "TypeId", **_ENH)
            return
        add(inst, "Id", str(party.her_id))
        add(inst, "TypeId", **_HER)
        if by == "level-1":
            return
        dept = add(inst, "Dept")
        add(dept, "Name", party.service_name)
        add(dept, "Id", str(party.service_her_id))
        add(dept, "TypeId", **_HER)
        if party.organisation_number is not None:
            additional = add(inst, "AdditionalId")
            add(additional, "Id", party.organisation_number)
            add(additional, "Type", **_ENH)

    as_default: dict[Any, str] = {None: namespace}
    root = etree.Element(f"{{{namespace}}}AppRec", nsmap=as_default)
    add(root, "MsgType", V="APPREC", DN="Applikasjonskvittering")
    add(root, "MIGversion", _MIG_VERSIONS[version])
    add(root, "GenDate", generated_at.isoformat(timespec="seconds"))
    add(root, "Id", apprec_id)
    add_party("Sender", original.receiver, _ROLES[version][0], sender_by)
    add_party("Receiver", original.sender, _ROLES[version][1])
    add(root, "Status", V=status_code, DN=_STATUS_TEXTS.get(status_code, ""))
    for error in errors:
        add(root, "Error", V=error.code, S=error.code_system, DN=error.text, OT=error.detail)
    answered = add(root, "OriginalMsgId")
    add(answered, "MsgType", V=original.type.value, DN=original.type_text)
    add(answered, "IssueDate", original.generated_at.isoformat(timespec="seconds"))
    add(answered, "Id", msg_id or original.msg_id)
    etree.indent(root)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=False)

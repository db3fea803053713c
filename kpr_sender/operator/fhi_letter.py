"""The question to FHI about a shipment that no answer has come to, ready to be sent to kpr@fhi.no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kpr_sender.messages.transport import FROM_HER_ID, TIME_STAMP, TO_HER_ID
from kpr_sender.model import Shipment, Transport
from kpr_sender.operator.resolve import Attempt, Case
from kpr_sender.states import Cause, ShipmentState

# In Norwegian: FHI's people read it. Nothing in it names a person.
_LETTER: Final = """\
Til: kpr@fhi.no
Emne: Har KPR-meldingen {msg_id} kommet fram?

Hei,

Vi har sendt meldingen under til KPR {way} og har ikke fått applikasjonskvittering for den.
Har dere mottatt den? Hvis ja: hva ble utfallet, og kan kvitteringen sendes på nytt?

  MsgId                   {msg_id}
  Meldingstype            {type} ({norwegian}), rapporteringsåret {year}
  Kommunenummer           {kommune}
  Fra HER-id              {sender}
  Til HER-id              {receiver}
  Generert (GenDate)      {generated}
  Sendt                   {sent}
  {id_name:<24}{message_id}
  Størrelse (forseglet)   {size} byte
  SHA-256 (forseglet)     {digest}

Innsendingens andre melding:
{others}

Vi sender ikke meldingen på nytt før vi har fått svar fra dere.

Vennlig hilsen
"""


@dataclass(frozen=True, slots=True)
class _WayInNorwegian:
    """What the letter says of the way that a message goes."""

    name: str
    id_name: str
    accepted: str
    not_sent: str
    unanswered: str
    faulted: str


_WAYS: Final[Mapping[Transport, _WayInNorwegian]] = {
    Transport.AMQP: _WayInNorwegian(
        name="over NHN Tjenestebuss",
        id_name="AMQP message-id",
        accepted="bussen svarte accepted",
        not_sent="forsøk som ikke nådde bussen",
        unanswered="uten svar fra bussen",
        faulted="meldt på feilkøen vår",
    ),
    Transport.EDI: _WayInNorwegian(
        name="som EDI (ebXML over e-post)",
        id_name="eb:MessageId",
        accepted="e-posttjeneren tok imot",
        not_sent="forsøk som ikke nådde e-posttjeneren",
        unanswered="uten svar fra e-posttjeneren",
        faulted="avvist av meldingstjeneren deres, eller kom i retur",
    ),
}
_STATES_IN_NORWEGIAN: Final[Mapping[ShipmentState, str]] = {
    ShipmentState.SEALED: "ikke sendt",
    ShipmentState.PUBLISHING: "under sending",
    ShipmentState.PUBLISHED: "sendt, uten kvittering",
    ShipmentState.IN_DOUBT: "kanskje sendt, uten kvittering",
    ShipmentState.DELIVERED: "kvittert OK av dere",
    ShipmentState.DELIVERED_WITH_ERRORS: "kvittert OK med feil av dere",
    ShipmentState.REJECTED: "avvist av dere",
    ShipmentState.CANCELLED: "trukket av oss",
}


def letter(case: Case) -> str:
    """Return what to write to kpr@fhi.no: everything that finds the message there, no personal data (promise G6)."""
    shipment, submission = case.shipment, case.submission
    way = _WAYS[shipment.transport]
    bydel = "" if submission.bydel == "00" else f", bydel {submission.bydel}"
    others = [one for one in submission.shipments if one.msg_id != shipment.msg_id]
    return _LETTER.format(
        msg_id=shipment.msg_id,
        type=shipment.type.value,
        norwegian=shipment.type.norwegian,
        year=submission.year,
        kommune=f"{submission.kommunenummer}{bydel}",
        sender=case.properties.get(FROM_HER_ID, submission.sender_her_id),
        receiver=case.properties.get(TO_HER_ID, shipment.receiver_her_id),
        generated=case.properties.get(TIME_STAMP, _utc(shipment.created_at)),
        way=way.name,
        id_name=way.id_name,
        sent="; ".join(_sent(one, way) for one in case.attempts) or "ukjent",
        message_id=", ".join(dict.fromkeys([shipment.message_id, *(one.message_id for one in shipment.earlier)])),
        size=f"{shipment.sealed_bytes:,}".replace(",", " "),
        digest=shipment.sealed_sha256,
        others="\n".join(map(_other, others)) or "  ingen",
    )


def _sent(attempt: Attempt, way: _WayInNorwegian) -> str:
    ended = attempt.ended
    at = _utc(attempt.begun.at if ended is None else ended.at)
    if ended is not None and ended.what == Cause.ACCEPTED:
        return f"{at}, {way.accepted}"
    if ended is not None and ended.what == Cause.NOT_SENT:
        return f"{at}, {way.not_sent}"
    return f"{at}, {way.unanswered}"


def _other(shipment: Shipment) -> str:
    kind = shipment.type
    known = _STATES_IN_NORWEGIAN.get(shipment.state, _WAYS[shipment.transport].faulted)
    return f"  {kind.value} ({kind.norwegian}), MsgId {shipment.msg_id}: {known}"


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"

"""Sender, receiver and times for messages under test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from hypothesis import strategies as st

from kpr_sender.messages.hodemelding import Hodemelding
from kpr_sender.model import MessageType, Party

KOMMUNE: Final = Party("EKSEMPEL KOMMUNE", 900001, "Saksbehandling", 900002)
FHI: Final = Party("Folkehelseinstituttet", 85217, "KPR Validering", 171479)

HODEMELDING: Final = Hodemelding(
    type=MessageType.KPR_IPL,
    type_text="KPR IPLOS",
    msg_id="0f0d9d5e-6f0a-4a0e-9b86-5d9a2f9d5b10",
    generated_at=datetime(2025, 1, 6, 9, 15, tzinfo=UTC),
    sender=KOMMUNE,
    receiver=FHI,
    ack=True,
)

# Everything XML can carry in a name; blanks at the ends are not part of one.
NAMES: Final = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=30
).filter(lambda name: name == name.strip())
HER_IDS: Final = st.integers(min_value=1, max_value=9_999_999_999)
PARTIES: Final = st.builds(
    Party,
    name=NAMES,
    her_id=HER_IDS,
    service_name=NAMES,
    service_her_id=HER_IDS,
    organisation_number=st.none() | st.from_regex("[0-9]{9}", fullmatch=True),
)
TIMES: Final = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001 - the zone is drawn apart
    max_value=datetime(2040, 1, 1),  # noqa: DTZ001 - the same
    timezones=st.timezones(),
).map(lambda at: at.replace(microsecond=0).astimezone(timezone(at.utcoffset() or timedelta())))
HODEMELDINGER: Final = st.builds(
    Hodemelding,
    type=st.sampled_from(MessageType),
    type_text=NAMES,
    msg_id=st.uuids(version=4).map(str),
    generated_at=TIMES,
    sender=PARTIES,
    receiver=PARTIES,
    ack=st.booleans(),
)

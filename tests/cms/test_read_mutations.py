"""Thousands of altered messages: none opens to other content, and none raises anything but a refusal."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from kpr_sender.cms.port import ProtectionRefused
from kpr_sender.cms.read import Policy, open_sealed
from kpr_sender.cms.read_signed import verify
from kpr_sender.cms.write import seal
from tests.helpers import cms, pki
from tests.helpers.pki import Kind

XML = b"<MsgHead>" + b"0123456789" * 30 + b"</MsgHead>"
SIGNER = pki.key_pair(Kind.SIGNER)
POLICY = Policy(accept_3des=True)


def _sealed() -> bytes:
    recipient = pki.certificate(Kind.ENCRYPTION)
    return b"".join(map(bytes, seal([XML], len(XML), signer=SIGNER, recipient=recipient)))


def _open(data: bytes) -> bytes:
    decrypters = [pki.key_pair(Kind.ENCRYPTION)]
    return open_sealed(data, decrypters=decrypters, signers=[SIGNER.certificate], policy=POLICY).content


def _verify(data: bytes) -> bytes:
    return verify(data, signers=[SIGNER.certificate], policy=POLICY).content


def _with_attributes() -> bytes:
    info = cms.signer_info(XML, SIGNER, attributes=cms.usual_attributes(XML))
    return cms.signed_data(XML, [info], [SIGNER.certificate])


def _by_a_stranger() -> bytes:
    stranger = pki.key_pair(Kind.STRANGER)
    return cms.signed_data(XML, [cms.signer_info(XML, stranger)], [stranger.certificate])


def _flip_bit(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set_byte(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] = chance.choice((0, 1, 4, 0x24, 0x30, 0x31, 0x7F, 0x80, 0xA0, 0xFF))


def _delete(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 20)]


def _insert(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    data[start:start] = chance.randbytes(chance.randrange(1, 5))


def _copy(data: bytearray, chance: random.Random) -> None:
    source, target = chance.randrange(len(data)), chance.randrange(len(data))
    data[target : target + 16] = data[source : source + 16]


MUTATIONS = (_flip_bit, _flip_bit, _set_byte, _delete, _insert, _copy)


@pytest.mark.parametrize(
    ("original", "open_it", "count"),
    [
        pytest.param(_sealed, _open, 3000, id="sealed"),
        pytest.param(lambda: cms.signed(XML, SIGNER), _verify, 6000, id="signed"),
        pytest.param(_with_attributes, _verify, 6000, id="signed with attributes"),
        pytest.param(_by_a_stranger, _verify, 6000, id="signed by a stranger"),
    ],
)
def test_no_altered_message_opens_to_other_content(
    original: Callable[[], bytes], open_it: Callable[[bytes], bytes], count: int
) -> None:
    chance = random.Random(4)
    data = original()
    refused = 0
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            chance.choice(MUTATIONS)(mutant, chance)
        try:
            content = open_it(bytes(mutant))
        except ProtectionRefused:
            refused += 1
        else:
            # Some bytes carry no meaning for us: an embedded certificate, a version, an unused parameter.
            assert content == XML
    assert refused > count / 3

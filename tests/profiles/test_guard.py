"""Promise G7: ``--env validering`` can never reach production, nor the reverse."""

from __future__ import annotations

import itertools

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment
from kpr_sender.profiles import guard_edi_address, guard_environment, known_years, load

PRODUKSJON, VALIDERING, AR_TEST, LOKAL = (
    Environment.PRODUKSJON,
    Environment.VALIDERING,
    Environment.AR_TEST,
    Environment.LOKAL,
)


def wide(ascii_text: str) -> str:
    """Write it in full-width characters, of which IDNA makes the plain ones again."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in ascii_text)


# What each environment takes, written out; everything else in the tables must be refused.
RECEIVER = {PRODUKSJON: 122612, VALIDERING: 171479, AR_TEST: 8133973, LOKAL: 171479}
HER_IDS = [122612, 171479, 8133973, 85217, 2397, 134197, 900002, 0]
HOSTS = {
    "tb.nhn.no": {PRODUKSJON, VALIDERING},
    "TB.NHN.NO.": {PRODUKSJON, VALIDERING},
    "sb.nhn.no": {PRODUKSJON, VALIDERING},
    "tb.test.nhn.no": {AR_TEST},
    "sb.test.nhn.no": {AR_TEST},
    "new.test.nhn.no": {AR_TEST},
    "bus.example.no": {PRODUKSJON, VALIDERING, AR_TEST},
    "10.1.2.3": {PRODUKSJON, VALIDERING, AR_TEST},
    "127.0.0.1": {LOKAL},
    "127.255.0.9": {LOKAL},
    "::1": {LOKAL},
    "[::1]": {LOKAL},
    "::ffff:127.0.0.1": set(),
    "localhost": {LOKAL},
    "LocalHost.": {LOKAL},
    "kpr.localhost": set(),
    "localhost.example.no": {PRODUKSJON, VALIDERING, AR_TEST},
    "0.0.0.0": set(),  # noqa: S104 - refused, not bound
    "::": set(),
    "::ffff:0.0.0.0": set(),
    wide("TB") + ".test.nhn.no": {AR_TEST},
    "tb。test。nhn。no": {AR_TEST},
    "tb.te\u00adst.nhn.no": {AR_TEST},
    "tb.nhn.no。": {PRODUKSJON, VALIDERING},
    "127.1": set(),
    "127.0.0.1.": {LOKAL},
    "0x7f.1": set(),
    "2130706433": set(),
    "0177.0.0.1": set(),
    "0": set(),
    wide("127") + ".0.0.1": {LOKAL},
    "64:ff9b::7f00:1": set(),
    "localhost.localdomain": set(),
    "ip6-localhost": set(),
    "0x0a.1.2.3": {PRODUKSJON, VALIDERING, AR_TEST},
}
EDI_DOMAINS = {
    "edi.nhn.no": {PRODUKSJON, VALIDERING},
    "EDI.nhn.no.": {PRODUKSJON, VALIDERING},
    wide("edi") + "。nhn。no": {PRODUKSJON, VALIDERING},
    "testedi.nhn.no": {AR_TEST},
    "test\u00adedi.nhn.no.": {AR_TEST},
    "samsvar.nhn.no": {AR_TEST},
    "kommune.example.no": set(Environment),
}
QUEUES = {
    "122612_async": {PRODUKSJON},
    "171479_async": {VALIDERING, LOKAL},
    " 171479_async ": {VALIDERING, LOKAL},
    "8133973_async": {AR_TEST},
    "0122612_async": {PRODUKSJON},
    "122612": {PRODUKSJON},
    "2397_async": set(),
    "134197_async": set(),
    "1226120_async": set(Environment),
    "x122612_async": {PRODUKSJON},
    "kpr-async-0122612": {PRODUKSJON},
    wide("122612") + "_async": {PRODUKSJON},
    "async_2397": set(),
    "171479_async_122612": set(),
    "x" + "0" * 5000 + "122612": {PRODUKSJON},
    "1" * 5000: set(Environment),
    "amqps://tb.test.nhn.no:5671/NHNTESTServiceBus/122612_async": set(),
    "amqp+ssl://x.test.nhn.no/e/122612_async": set(),
    "amqp10://x.test.nhn.no:5671/e/122612_async": set(),
    "//x.test.nhn.no/e/122612_async": set(),
    "///u:p@x.test.nhn.no/e/122612_async": set(),
    "x.test.nhn.no://e/122612_async": set(),
    "x.test.nhn.no:amqps/e/122612_async": set(),
    "amqps:x.test.nhn.no/e/122612_async": set(),
    "x.test.nhn.no" + wide(":") + "5671/e/122612_async": set(),
    "x.test.nhn.no" + wide("/") + "e/122612_async": set(),
    "u@x.test.nhn.no:5671:x/e/122612_async": set(),
    "127.0.0.1:amqps/x/122612_async": set(),
    "2130706433/x/122612_async": set(),
    "::1/x/171479_async": {LOKAL},
    "tb.nhn.no:amqps/e/122612_async": {PRODUKSJON},
    "amqp+ssl://tb.nhn.no/e/122612_async": {PRODUKSJON},
    "amqp+tcp://127.0.0.1:5672/e/171479_async": {LOKAL},
    "tb.test.nhn.no:5671/NHNTESTServiceBus/122612_async": set(),
    "tb.nhn.no:5671/NHNPRODServiceBus/122612_async": {PRODUKSJON},
    "[::1]:5672/x/171479_async": {LOKAL},
    "[::1/x/171479_async": {LOKAL},
    "fhi_kpr": set(Environment),
    "85217_async": set(Environment),
    "tb.nhn.no/NHNPRODServiceBus/122612_async": {PRODUKSJON},
    "tb.nhn.no/NHNPRODServiceBus/171479_async": {VALIDERING},
    "tb.test.nhn.no/NHNTESTServiceBus/8133973_async": {AR_TEST},
    "tb.test.nhn.no/NHNTESTServiceBus/122612_async": set(),
    "tb.nhn.no/NHNPRODServiceBus/8133973_async": set(),
    "/exchange/NHNPRODServiceBus/2397_async": set(),
    "/exchange/NHNPRODServiceBus/171479_async": {VALIDERING, LOKAL},
}
HOST_OF = {PRODUKSJON: "tb.nhn.no", VALIDERING: "tb.nhn.no", AR_TEST: "tb.test.nhn.no", LOKAL: "127.0.0.1"}


PROFILES = {year: load(year) for year in known_years()}


def admitted(environment: Environment, *, her_id: int, queue: str, host: str, year: int = 2024) -> bool:
    try:
        guard_environment(PROFILES[year], environment, receiver_her_id=her_id, queue=queue, host=host)
    except ConfigInvalid as refused:
        return not (refused.where and refused.next_step)
    return True


def test_the_whole_cross_table() -> None:
    """Every environment with every receiver, queue and host: only what each table allows by itself is let through."""
    table = list(itertools.product(Environment, HER_IDS, QUEUES, HOSTS))
    let_through = {row for row in table if admitted(row[0], her_id=row[1], queue=row[2], host=row[3])}
    assert let_through == {
        (environment, her_id, queue, host)
        for environment, her_id, queue, host in table
        if her_id == RECEIVER[environment] and environment in QUEUES[queue] and environment in HOSTS[host]
    }
    assert len(table) > 10_000
    reached = {(environment, her_id) for environment, her_id, _, _ in let_through}
    assert reached == set(RECEIVER.items())


@pytest.mark.parametrize("year", known_years())
@pytest.mark.parametrize("environment", Environment)
def test_the_right_mix_passes_in_every_year(year: int, environment: Environment) -> None:
    her_id = RECEIVER[environment]
    assert admitted(environment, her_id=her_id, queue=f"{her_id}_async", host=HOST_OF[environment], year=year)


@pytest.mark.parametrize(
    ("her_id", "reason"),
    [
        (2397, "Helsedirektoratet's, the level 1 until 2023"),
        (134197, "level 2 of the data years 2019 to 2021"),
        (85217, "level 1, where level 2 is wanted"),
        (171479, "belongs to validering and lokal"),
        (8133973, "belongs to ar-test"),
        (900002, "does not know it"),
    ],
)
def test_a_wrong_receiver_is_refused_by_name_with_the_reason(her_id: int, reason: str) -> None:
    with pytest.raises(ConfigInvalid, match=reason) as refused:
        guard_environment(load(2024), PRODUKSJON, receiver_her_id=her_id, queue="122612_async", host="tb.nhn.no")
    assert str(her_id) in refused.value.what
    assert refused.value.where == "receiver.her_id"
    assert "122612" in refused.value.next_step


@pytest.mark.parametrize(
    ("environment", "queue", "host", "where", "reason"),
    [
        (VALIDERING, "122612_async", "tb.nhn.no", "receiver.queue", "belongs to produksjon"),
        (PRODUKSJON, "122612_async", "tb.test.nhn.no", "bus.host", "belongs to ar-test"),
        (PRODUKSJON, "tb.test.nhn.no/X/122612_async", "tb.nhn.no", "receiver.queue", "belongs to ar-test"),
        (PRODUKSJON, "122612_async", "127.0.0.1", "bus.host", "never on this machine"),
        (LOKAL, "171479_async", "tb.nhn.no", "bus.host", "loopback address only"),
    ],
)
def test_a_wrong_queue_or_host_names_its_key_and_its_owner(
    environment: Environment, queue: str, host: str, where: str, reason: str
) -> None:
    with pytest.raises(ConfigInvalid, match=reason) as refused:
        guard_environment(load(2024), environment, receiver_her_id=RECEIVER[environment], queue=queue, host=host)
    assert refused.value.where == where


@pytest.mark.parametrize("environment", Environment)
@pytest.mark.parametrize("domain", EDI_DOMAINS)
def test_g7_the_domain_of_an_edi_address_where_it_tells(domain: str, environment: Environment) -> None:
    """However it is written: a register's answer is no better than what it was typed as."""
    if environment in EDI_DOMAINS[domain]:
        guard_edi_address(environment, f"kpr@{domain}", where="edi.receiver_address")
        return
    with pytest.raises(ConfigInvalid, match=r"nhn\.no, which belongs to"):
        guard_edi_address(environment, f"kpr@{domain}", where="edi.receiver_address")

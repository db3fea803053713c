"""Promise G7: no environment ever reaches another one's receiver, and no unconfirmed year silently reaches production.

The rules:

1. The receiver is the one the profile names for the environment; former addresses are refused by name.
2. A queue that carries another environment's receiver, or a former address, anywhere in its name is refused.
3. A host known to belong to other environments only is refused. An unknown host is not: NHN publishes no full list.
4. ``lokal`` connects to loopback only, and nothing but ``lokal`` to what could be this machine.

Numbers, names and addresses are compared by what they mean to broker and resolver, not as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

from kpr_sender.errors import ConfigInvalid
from kpr_sender.messages.transport import queue_name, registered_address
from kpr_sender.model import Environment
from kpr_sender.profiles.profile import Profile
from kpr_sender.texts import Text
from kpr_sender.wording import all_of

_NUMBER: Final = re.compile(r"(?<!\d)0*(\d{1,18})(?!\d)")  # no HER-id is longer
_BUS_HOST: Final = Text("The bus host")
_CORRECT: Final = Text("Correct the host, or the environment.")


def admit(profile: Profile, environment: Environment, letter: str) -> Text | None:
    """Return None where a year may be reported to an environment, or a warning for the person who runs it.

    Raises:
        ConfigInvalid: The year is not confirmed, and this is production.
    """
    if profile.letter:
        return None
    named = letter.strip()
    year, carried = profile.year, profile.carried_from
    if named and named != carried:
        return Text(
            "The profile for {year} carries the values of FHI's letter {carried}; the configuration says that letter "
            "{named} confirms them.",
            year=year,
            carried=carried,
            named=named,
        )
    if environment is not Environment.PRODUKSJON:
        return Text(
            "The profile for {year} carries the values of FHI's letter {carried}; no letter confirms them for {year} "
            "yet.",
            year=year,
            carried=carried,
        )
    raise ConfigInvalid(
        _unconfirmed(year, carried, named),
        where="report.letter",
        next_step=Text("Compare the values with FHI's letter about {year} and put its reference here.", year=year),
    )


def _unconfirmed(year: int, carried: str, named: str) -> Text:
    if not named:
        return Text(
            "The profile for {year} carries the values of FHI's letter {carried} and no letter confirms them: {year} "
            "is not sent to produksjon.",
            year=year,
            carried=carried,
        )
    return Text(
        "The profile for {year} carries the values of FHI's letter {carried} and letter {named} is the earlier "
        "year's: {year} is not sent to produksjon.",
        year=year,
        carried=carried,
        named=named,
    )


def guard_environment(
    profile: Profile, environment: Environment, *, receiver_her_id: int, queue: str, host: str | None
) -> None:
    """Refuse every mix of environment, receiver, queue and host that could reach the wrong place (promise G7).

    The queue may be a complete registered address (``host/exchange/queue``); host is None where no bus is used.

    Raises:
        ConfigInvalid: With the key that is wrong and the reason.
    """
    guard_receiver(profile, environment, receiver_her_id)
    _guard_queue(profile, environment, queue)
    if host is not None:
        _guard_host(profile, environment, host, where="bus.host")
    guard_address(profile, environment, queue, where="receiver.queue")


def guard_address(profile: Profile, environment: Environment, address: str, *, where: str) -> None:
    """Refuse a registered address on another environment's host, however it can be read (promise G7).

    Raises:
        ConfigInvalid: Says whose it is.
    """
    for host in registered_address(address).hosts:
        _guard_host(profile, environment, host, where=where, whose=Text("The registered host"))


def guard_registry(profile: Profile, environment: Environment, host: str) -> None:
    """Refuse a register that belongs to another environment: its queues and certificates would, too (promise G7).

    Raises:
        ConfigInvalid: Says whose it is.
    """
    _guard_host(profile, environment, host, where="registry.url", whose=Text("The register's host"))


def guard_edi_address(environment: Environment, address: str, *, where: str) -> None:
    """Refuse an EDI address whose domain is another environment's, where the domain tells (promise G7).

    KPR Validering is registered in the same register as production, and has a production domain; which receiver it is,
    the HER-id and the whole registered address say.

    Raises:
        ConfigInvalid: Says whose it is.
    """
    # Only here, as in ``_guard_host``.
    from kpr_sender.net import host_name  # noqa: PLC0415

    domain = host_name(address.rpartition("@")[2])
    owners = _EDI_DOMAINS.get(f"@{domain}")
    if owners is None or environment in owners:
        return
    raise ConfigInvalid(
        Text(
            "The EDI address is at {domain}, which belongs to {owners}, not to {environment}.",
            domain=domain,
            owners=all_of(sorted(owner.value for owner in owners)),
            environment=environment.value,
        ),
        where=where,
        next_step=Text("Correct the address, or the environment."),
    )


_REAL: Final = frozenset({Environment.VALIDERING, Environment.PRODUKSJON})
_EDI_DOMAINS: Final[Mapping[str, frozenset[Environment]]] = {
    "@edi.nhn.no": _REAL,
    "@testedi.nhn.no": frozenset({Environment.AR_TEST}),
    "@samsvar.nhn.no": frozenset({Environment.AR_TEST}),
}
"""NHN's domains (developer portal, "EDI"): no mail crosses from test to production."""


def guard_receiver(profile: Profile, environment: Environment, her_id: int) -> None:
    """Refuse any other receiver than the environment's own (promise G7).

    Raises:
        ConfigInvalid: Says whose it is, or why it is out of use.
    """
    expected = profile.receivers[environment]
    if her_id == expected.service_her_id:
        return
    raise ConfigInvalid(
        Text(
            "The receiver's HER-id {her_id} is not {environment}'s: {whose}.",
            her_id=her_id,
            environment=environment.value,
            whose=_whose(profile, environment, her_id),
        ),
        where="receiver.her_id",
        next_step=Text(
            "The receiver in {environment} is {her_id} ({name}).",
            environment=environment.value,
            her_id=expected.service_her_id,
            name=expected.service_name,
        ),
    )


def _guard_queue(profile: Profile, environment: Environment, queue: str) -> None:
    expected = profile.receivers[environment].service_her_id
    services = {party.service_her_id for party in profile.receivers.values()}
    carried = [int(number) for number in _NUMBER.findall(queue_name(queue))]
    wrong = [one for one in carried if one != expected and one in services | profile.refused_her_ids.keys()]
    if not wrong:
        return
    raise ConfigInvalid(
        Text(
            "The receiver's queue carries HER-id {her_id}, which is not {environment}'s: {whose}.",
            her_id=wrong[0],
            environment=environment.value,
            whose=_whose(profile, environment, wrong[0]),
        ),
        where="receiver.queue",
        next_step=Text("Take the queue of {her_id} from Adresseregisteret.", her_id=expected),
    )


def _whose(profile: Profile, environment: Environment, her_id: int) -> Text:
    """Say what is known of a HER-id that is not the expected one."""
    if her_id in profile.refused_her_ids:
        return profile.refused_her_ids[her_id]
    if her_id == profile.receivers[environment].her_id:
        return Text("it is the receiver's level 1, where level 2 is wanted")
    owners = [name.value for name, party in profile.receivers.items() if party.service_her_id == her_id]
    if not owners:
        return Text("the profile for {year} does not know it", year=profile.year)
    return Text("it belongs to {owners}", owners=all_of(owners))


def _guard_host(profile: Profile, environment: Environment, host: str, *, where: str, whose: Text = _BUS_HOST) -> None:
    # Only here: who checks files or reads a year's profile needs neither ssl nor sockets, which take their time.
    from kpr_sender.net import host_name, is_loopback, may_be_this_machine  # noqa: PLC0415

    name = host_name(host)
    local = environment is Environment.LOKAL
    if not is_loopback(name) if local else may_be_this_machine(name):
        raise ConfigInvalid(_other_machine(whose, environment), where=where, next_step=_CORRECT)
    owners = [who for who, patterns in profile.hosts.items() if any(fnmatchcase(name, each) for each in patterns)]
    if owners and environment not in owners:
        belongs = all_of(owner.value for owner in owners)
        raise ConfigInvalid(
            Text(
                "{whose} {host} belongs to {owners}, not to {environment}.",
                whose=whose,
                host=name,
                owners=belongs,
                environment=environment.value,
            ),
            where=where,
            next_step=_CORRECT,
        )


def _other_machine(whose: Text, environment: Environment) -> Text:
    if environment is Environment.LOKAL:
        return Text(
            "{whose} does not belong to the environment lokal: lokal connects to a loopback address only.", whose=whose
        )
    return Text(
        "{whose} does not belong to the environment {environment}: {environment} is never on this machine.",
        whose=whose,
        environment=environment.value,
    )

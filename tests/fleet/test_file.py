"""A fleet file: what is said once holds for all, what one says counts before it, and what is wrong is refused."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid, UsageError
from kpr_sender.fleet.file import FleetFile
from kpr_sender.model import Environment
from kpr_sender.settings.keys import Key
from kpr_sender.settings.read import from_document
from kpr_sender.settings.secrets import CredentialSecret
from kpr_sender.settings.values import SECTIONS, Settings

COMMON = """\
environment = "ar-test"

[fleet]
time_limit = "5m"
credentials = "credentials"

[report]
year = 2024

[receiver]
encryption_certificate = "fhi-encryption.pem"
signing_certificates = ["fhi-signing.pem"]
queue = "tb.example.no/exchange/8133973_async"

[keys.signing]
pkcs12 = "{municipality}/signing.p12"
passphrase_env = "KPR_{municipality}_SIGNING"

[[keys.decryption]]
certificate = "{municipality}/encryption.pem"
key = "{municipality}/encryption.key"

[bus]
host = "tb.example.no"
username = "kommune-{kommunenummer}"
password_credential = "{municipality}-bus"

[journal]
path = "state/{municipality}/journal.db"
"""
OSLO = """
[[municipality]]
name = "OSLO KOMMUNE"
kommunenummer = "0301"
bydel = "03"
her_id = 900101
service_her_id = 900201
"""
BERGEN = """
[[municipality]]
name = "BERGEN KOMMUNE"
kommunenummer = "4601"
her_id = 900102
service_her_id = 900202
[municipality.files]
fagmelding = "bergen/f.xml"
identmelding = "bergen/i.xml"
[municipality.bus]
password_file = "bergen/bus-password"
[municipality.keys.signing]
pkcs11_module = "/usr/lib/p11.so"
slot = 1
key_label = "bergen"
pin_file = "bergen/pin"
"""


def read(folder: Path, text: str = COMMON + OSLO + BERGEN) -> FleetFile:
    path = folder / "fleet.toml"
    path.write_text(text, "utf-8")
    return FleetFile.load(path, Environment.AR_TEST)


def known(file: FleetFile, name: str) -> Settings:
    found = file.named(name).known
    assert isinstance(found, Settings), found
    return found


def refused(folder: Path, text: str) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as raised:
        read(folder, text)
    assert raised.value.exit_code == 78
    return raised.value


def test_what_is_said_once_holds_for_all_with_each_one_s_own_names_in_it(tmp_path: Path) -> None:
    file = read(tmp_path)

    assert [(one.name, one.title) for one in file.municipalities] == [
        ("0301-03", "OSLO KOMMUNE"),
        ("4601", "BERGEN KOMMUNE"),
    ]
    oslo = known(file, "0301-03")
    assert oslo.journal.path == tmp_path / "state/0301-03/journal.db"
    assert (oslo.bus.username, oslo.bus.receipts_queue) == ("kommune-0301", "900201_async")
    assert oslo.keys.signing.passphrase is not None
    assert "KPR_0301_03_SIGNING" in repr(oslo.keys.signing.passphrase.place)
    assert (file.settings.time_limit, file.settings.jobs) == (300, 4)


def test_what_a_municipality_says_takes_the_place_of_what_may_not_stand_beside_it(tmp_path: Path) -> None:
    bergen = known(read(tmp_path), "4601")

    assert bergen.files.fagmelding == tmp_path / "bergen/f.xml"
    assert bergen.bus.host == "tb.example.no"
    assert "bergen/bus-password" in repr(bergen.bus.password.place)
    assert bergen.keys.signing.token is not None
    assert (bergen.keys.signing.pkcs12, bergen.keys.signing.passphrase) == (None, None)
    assert bergen.keys.decryption[0].key_pem == tmp_path / "4601/encryption.key"


def test_a_drop_folder_and_the_two_files_take_each_other_s_place(tmp_path: Path) -> None:
    both = '[files]\nfagmelding = "{municipality}/f.xml"\nidentmelding = "{municipality}/i.xml"\n'
    own = OSLO + '[municipality.files]\ndrop = "oslo/in"\n'

    bergen = known(read(tmp_path, COMMON + '[files]\ndrop = "{municipality}/in"\n' + OSLO + BERGEN), "4601").files
    oslo = known(read(tmp_path, COMMON + both + own), "0301-03").files

    assert (bergen.drop, bergen.fagmelding) == (None, tmp_path / "bergen/f.xml")
    assert (oslo.drop, oslo.fagmelding, oslo.identmelding) == (tmp_path / "oslo/in", None, None)


def test_secrets_of_all_may_lie_in_one_folder_of_credentials(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/0301-03-bus").write_text("hemmelig")

    place = known(read(tmp_path), "0301-03").bus.password.place
    assert isinstance(place, CredentialSecret)
    assert place.read() == "hemmelig"


def test_a_municipality_can_be_handed_to_another_process(tmp_path: Path) -> None:
    oslo = read(tmp_path).named("0301-03")
    assert isinstance(oslo.known, Settings)

    handed = pickle.loads(pickle.dumps(oslo))  # noqa: S301 - our own
    assert handed == oslo
    assert handed.settings().journal == oslo.known.journal


def test_what_is_wrong_with_one_is_that_one_s_alone(tmp_path: Path) -> None:
    file = read(tmp_path, COMMON + OSLO + BERGEN.replace("slot = 1", 'slot = "one"'))

    assert isinstance(file.named("0301-03").known, Settings)
    wrong = file.named("4601").known
    assert isinstance(wrong, ConfigInvalid)
    assert wrong.where.startswith("4601: ")
    assert "keys.signing.slot" in wrong.where


def test_municipalities_are_named_by_kommunenummer_or_with_their_bydel(tmp_path: Path) -> None:
    other = OSLO.replace('"03"', '"04"').replace("9001", "9003").replace("9002", "9004")
    file = read(tmp_path, COMMON + OSLO + BERGEN + other)

    assert [one.name for one in file.only([])] == ["0301-03", "4601", "0301-04"]
    assert [one.name for one in file.only(["0301"])] == ["0301-03", "0301-04"]
    assert [one.name for one in file.only(["0301-04", "4601"])] == ["4601", "0301-04"]
    with pytest.raises(UsageError, match=r"5001, 9999 is not in the fleet file"):
        file.only(["9999", "4601", "5001"])
    with pytest.raises(UsageError, match="0301-03, 0301-04"):
        file.named("0301")


@pytest.mark.parametrize(
    ("before", "after", "where", "what"),
    [
        (OSLO + BERGEN, "", "municipality", "No municipality is named"),
        (BERGEN, OSLO, "[[municipality]]", "0301-03 is named twice"),
        ('"ar-test"', '"produksjon"', "environment", "not for ar-test"),
        ("time_limit", "time_limits", "fleet.time_limits", "perhaps time_limit is meant"),
        ('time_limit = "5m"', "time_limit = false", "fleet.time_limit", "Expected a duration"),
        ("[report]", "her_id = 4\n[report]", "fleet.her_id", "no such key"),
        ('environment = "ar-test"', 'environment = "ar-test"\nher_id = 4', "her_id", "expected in [[municipality]]"),
        ("[report]", "[raport]", "raport", "no such key or section"),
        ('kommunenummer = "0301"', "kommunenummer = 301", "[[municipality]] 1: kommunenummer", "four digits"),
        ('bydel = "03"', 'bydel = "3"', "[[municipality]] 1: bydel", "two digits"),
        ("her_id = 900101", 'environment = "ar-test"', "[[municipality]] 1: environment", "say it once"),
        (
            "{kommunenummer}",
            "{kommune}",
            "bus.username",
            "A name in braces is not known here; expected one of {kommunenummer}",
        ),
    ],
)
def test_what_is_wrong_with_the_file_is_said_with_its_place(
    tmp_path: Path, before: str, after: str, where: str, what: str
) -> None:
    error = refused(tmp_path, (COMMON + OSLO + BERGEN).replace(before, after))

    assert error.where == f"{tmp_path}/fleet.toml: {where}"
    assert what in error.what


_TABLES = [key for section in SECTIONS.values() for key in section.keys if isinstance(key.example, Mapping)]


def test_there_are_keys_whose_values_are_tables() -> None:
    assert "edi.service" in {key.path for key in _TABLES}


@pytest.mark.parametrize("key", _TABLES, ids=lambda key: key.path)
def test_a_key_whose_value_is_a_table_says_in_a_fleet_what_it_says_in_one_configuration(
    tmp_path: Path, key: Key
) -> None:
    """For all, for one in place of it, and for one some of it: one entry after another, as keys of a section are."""
    for_all = f"[{key.section}]\n{key.name} = {key.shown}\n"
    assert isinstance(key.example, Mapping)
    first, *others = key.example
    for_one = f'[municipality.{key.section}]\n{key.name} = {{ {first} = "other" }}\n'
    file = read(tmp_path, COMMON + for_all + OSLO + BERGEN + for_one)

    def says(settings: Settings) -> dict[str, object]:
        return dict(attrgetter(key.path)(settings))

    assert says(known(file, "0301-03")) == key.example
    assert says(known(file, "4601")) == {first: "other"} | {name: key.example[name] for name in others}
    for one in file.municipalities:
        alone = from_document(one.document, Environment.AR_TEST, path=file.path, environ={})
        assert says(alone) == says(known(file, one.name))


def test_a_fleet_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    read(tmp_path).path.chmod(0o666)

    with pytest.raises(ConfigInvalid, match="may be written by everybody"):
        FleetFile.load(tmp_path / "fleet.toml", Environment.AR_TEST)


def test_what_a_municipality_relies_on_and_others_may_write_is_refused_for_each_that_does(tmp_path: Path) -> None:
    (tmp_path / "fhi-signing.pem").touch()
    (tmp_path / "fhi-signing.pem").chmod(0o666)
    (tmp_path / "bergen.pem").touch(0o600)
    file = read(tmp_path, COMMON + OSLO + BERGEN + '[municipality.receiver]\nsigning_certificates = ["bergen.pem"]\n')

    wrong = file.named("0301-03").known
    assert isinstance(wrong, ConfigInvalid)
    assert wrong.where == f"0301-03: {tmp_path}/fleet.toml: receiver.signing_certificates"
    known(file, "4601")
    with pytest.raises(ConfigInvalid, match="may be written by everybody"):
        file.named("0301-03").settings()

"""The sandbox's Adresseregister, asked by our own client and by hand."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.x509 import Certificate, load_der_x509_certificate
from lxml import etree

from kpr_sender.errors import AccessRefused, ConfigInvalid, RegistryUnreachable
from kpr_sender.http_client import HttpClient
from kpr_sender.model import Party
from kpr_sender.net import verifying
from kpr_sender.registry.configured import open_registry
from kpr_sender.registry.port import Counterpart
from kpr_sender.registry.soap import SoapRegister, question
from kpr_sender.sandbox.faults import NO_FAULTS, Faults
from kpr_sender.sandbox.pki import SUCCESSOR
from kpr_sender.sandbox.sandbox import Sandbox
from kpr_sender.settings.sample_file import register_url
from kpr_sender.settings.values import Settings
from tests.helpers.municipality import SENDER_HER_ID, Municipality, municipality
from tests.helpers.shared import SHARED

FHI, KPR_VALIDERING = 85217, 171479
NONE: dict[str, object] = {"encryption_certificate": None, "signing_certificates": None, "queue": None}
Start = Callable[..., Sandbox]


@pytest.fixture
def made(tmp_path: Path) -> Municipality:
    return municipality(tmp_path)


@pytest.fixture
def start(made: Municipality) -> Iterator[Start]:
    with ExitStack() as running:

        def one(*faults: str, **options: object) -> Sandbox:
            sandbox = Sandbox(made.folder, sender_her_id=SENDER_HER_ID, faults=Faults.parse(faults), **options)  # type: ignore[arg-type]
            return running.enter_context(sandbox)

        yield one


@pytest.fixture(scope="module")
def register_schema(tmp_path_factory: pytest.TempPathFactory) -> etree.XMLSchema:
    """The schemas inside NHN's WSDL as one: each in a file, its imports leading to the others."""
    folder = tmp_path_factory.mktemp("wsdl")
    wsdl = etree.parse(SHARED / "registries" / "wsdl" / "nhn-adresseregisteret-sok.wsdl")
    xs = "{http://www.w3.org/2001/XMLSchema}"
    schemas = {each.get("targetNamespace", ""): each for each in wsdl.iter(f"{xs}schema")}
    files = {namespace: f"{number}.xsd" for number, namespace in enumerate(schemas)}
    for namespace, schema in schemas.items():
        for each in schema.iter(f"{xs}import"):
            each.set("schemaLocation", files[each.get("namespace", "")])
        (folder / files[namespace]).write_bytes(etree.tostring(schema))
    driver = etree.Element(f"{xs}schema")
    for namespace, file in files.items():
        etree.SubElement(driver, f"{xs}import", namespace=namespace, schemaLocation=file)
    (folder / "all.xsd").write_bytes(etree.tostring(driver))
    return etree.XMLSchema(file=str(folder / "all.xsd"))


def asking(made: Municipality, sandbox: Sandbox, **changes: object) -> Settings:
    """Return a configuration as ``kpr-send sandbox serve`` writes it: no certificate, no queue."""
    register: dict[str, object] = {
        "kind": "soap",
        "url": register_url(sandbox.register_port),
        "ca_file": str(made.pki.ca),
        "max_age": "0s",
        "stale_for": "0s",
    }
    return made.configure({"receiver": NONE, "registry": register | changes}, port=sandbox.port)


def ask(settings: Settings, her_id: int = KPR_VALIDERING) -> Counterpart:
    return open_registry(settings, now=lambda: datetime.now(UTC), observe=lambda _: None).counterpart(her_id)


def test_our_client_finds_the_receiver_and_nothing_speaks_against_it(made: Municipality, start: Start) -> None:
    found = ask(asking(made, start()))

    assert (found.her_id, found.queue, found.name) == (KPR_VALIDERING, "171479_async", "KPR Validering")
    assert found.encryption == made.pki.certificate("fhi-encryption")
    assert found.signing == (made.pki.certificate("fhi-signing"),)
    assert found.organisation_number == "310000027"
    assert found.objections == ()


@pytest.mark.parametrize(
    ("her_id", "name", "parent", "queue"),
    [
        (FHI, "Folkehelseinstituttet", None, ""),
        (KPR_VALIDERING, "KPR Validering", FHI, "127.0.0.1/NHNTESTServiceBus/171479_async"),
        (900009, "FJELL & DAL", None, ""),
        (SENDER_HER_ID, "Saksbehandling", 900009, "127.0.0.1/NHNTESTServiceBus/900002_async"),
    ],
)
def test_both_parties_stand_there_with_both_levels(
    made: Municipality, start: Start, her_id: int, name: str, parent: int | None, queue: str
) -> None:
    sandbox = start(municipality=Party("FJELL & DAL", 900009, "Saksbehandling", SENDER_HER_ID))

    found = SoapRegister(asking(made, sandbox).registry).fetch(her_id)

    assert (found.party.name, found.party.parent_her_id) == (name, parent)
    assert (found.party.active, found.queues.asynchronous) == (True, queue)
    assert len(found.party.organisation_number) == 9
    owner = "fhi" if her_id in {FHI, KPR_VALIDERING} else "kommune"
    assert found.encryption == (made.pki.certificate(f"{owner}-encryption"),)
    assert found.signing == (made.pki.certificate(f"{owner}-signing"),)


def test_nobody_else_stands_there(made: Municipality, start: Start) -> None:
    with pytest.raises(ConfigInvalid, match="does not know HER-id 122612"):
        SoapRegister(asking(made, start()).registry).fetch(122612)


def test_only_the_bus_s_own_user_is_told_anything(made: Municipality, start: Start) -> None:
    with pytest.raises(AccessRefused, match="401"):
        ask(asking(made, start(), user="noen"))


QUESTION = question("GetCertificateForEncryption", KPR_VALIDERING)


@pytest.mark.parametrize(
    ("path", "authorization", "body", "status"),
    [
        ("/v1/AR/Basic", "right", QUESTION, 200),
        ("/v1/AR/Basic", "right", question("GetPhysicalAddresses", KPR_VALIDERING), 500),
        (
            "/v1/AR/Basic",
            "right",
            QUESTION.replace(b"http://register", b"urn:register"),
            500,
        ),
        ("/v1/AR/Basic", "right", QUESTION.replace(b"171479", b"-1"), 500),
        ("/v1/AR/Basic", "right", b"<!DOCTYPE a><a/>", 500),
        ("/v1/AR/Basic", "right", b" " * 60_000, 500),
        ("/v1/AR/Basic", "Bearer abc", QUESTION, 401),
        ("/v1/AR/Basic", "Basic %", QUESTION, 401),
        ("/v1/AR/Basic", "Basic /w==", QUESTION, 401),
        ("/v1/AR", "right", QUESTION, 404),
    ],
)
def test_what_it_does_not_understand_is_refused(
    made: Municipality, start: Start, path: str, authorization: str, body: bytes, status: int
) -> None:
    sandbox = start()
    right = f"Basic {base64.b64encode(b'kommune:hemmelig-i-test').decode()}"
    headers = {"Authorization": authorization.replace("right", right)}

    with HttpClient(seconds=10, max_bytes=1_000_000, tls=verifying(made.pki.ca, key="ca")) as client:
        url = register_url(sandbox.register_port).replace("/v1/AR/Basic", path)
        for _ in range(2):  # on one connection, as long as it lasts
            answer = client.ask(url, body, headers)
            assert answer.status == status
            challenged = answer.headers.get("www-authenticate", "")
            assert challenged.startswith("Basic realm=") == (status == 401)
            assert (status == 500) == (b"<s:Fault><faultcode" in answer.body)


OPERATIONS = (
    "GetCommunicationPartyDetails",
    "GetCertificateForEncryption",
    "GetCertificateForValidatingSignature",
    "GetCertificateDetailsForEncryption",
    "GetCertificateDetailsForValidatingSignature",
)


def by_hand(made: Municipality, sandbox: Sandbox, operation: str, her_id: int = KPR_VALIDERING) -> etree._Element:
    """Ask as .NET's client does, with user and password only after the challenge; return what is in the body."""
    with HttpClient(seconds=10, max_bytes=1_000_000, tls=verifying(made.pki.ca, key="ca")) as client:
        url, body = register_url(sandbox.register_port), question(operation, her_id)
        assert client.ask(url, body).headers["www-authenticate"].startswith("Basic")
        answer = client.ask(url, body, login=("kommune", "hemmelig-i-test"))
    found = etree.fromstring(answer.body).find("{*}Body/*")
    assert found is not None
    return found


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("her_id", [FHI, KPR_VALIDERING, SENDER_HER_ID])
def test_every_answer_is_valid_by_the_wsdl_of_nhn(
    made: Municipality, start: Start, register_schema: etree.XMLSchema, operation: str, her_id: int
) -> None:
    answer = by_hand(made, start(), operation, her_id)
    register_schema.assertValid(answer)
    assert etree.QName(answer).localname == f"{operation}Response"


def test_a_fault_s_detail_is_valid_too(made: Municipality, start: Start, register_schema: etree.XMLSchema) -> None:
    detail = by_hand(made, start(), "GetCommunicationPartyDetails", 122612).find("detail/*")
    assert detail is not None
    register_schema.assertValid(detail)
    assert detail.findtext("{*}ErrorCode") == "InvalidHerIdSupplied"


def test_queues_have_the_type_by_which_nhns_client_finds_them(made: Municipality, start: Start) -> None:
    answer = by_hand(made, start(), "GetCommunicationPartyDetails")
    found = {
        address.findtext("{*}Type/{*}CodeValue"): address.findtext("{*}Address")
        for address in answer.iter("{http://register.nhn.no/Common}ElectronicAddress")
    }
    assert found == {
        "E_EDI": "kpr@rehearsal.example",
        "E_SB_ASYNC": "127.0.0.1/NHNTESTServiceBus/171479_async",
        "E_SB_ERROR": "127.0.0.1/NHNTESTServiceBus/171479_error",
    }
    assert found.keys() == {each.text for each in answer.iter("{http://register.nhn.no/Common}TypeCodeValue")}


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("GetCertificateDetailsForEncryption", "fhi-encryption"),
        ("GetCertificateDetailsForValidatingSignature", "fhi-signing"),
    ],
)
def test_certificates_come_with_their_details(made: Municipality, start: Start, operation: str, name: str) -> None:
    details = by_hand(made, start(), operation).find(f"{{*}}{operation}Result")
    assert details is not None
    namespace = "{http://register.nhn.no/CertificateDetails}"
    given = base64.b64decode(details.findtext(f"{namespace}Certificate") or "")
    assert load_der_x509_certificate(given) == made.pki.certificate(name)
    assert (details.findtext(f"{namespace}LdapUrl") or "").startswith("ldap://127.0.0.1/")


def test_who_connects_and_says_nothing_keeps_nobody_waiting(made: Municipality, start: Start) -> None:
    sandbox = start()
    with socket.create_connection(("127.0.0.1", sandbox.register_port)):
        assert ask(asking(made, sandbox)).queue


def test_its_port_can_be_chosen_and_is_free_again(made: Municipality, start: Start) -> None:
    first = start()
    port = first.register_port
    first.close()

    second = start(register_port=port)
    assert second.register_port == port
    assert ask(asking(made, second)).queue


def test_a_port_that_is_taken_is_told_and_nothing_goes_on_running(made: Municipality, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        start(register_port=taken.getsockname()[1])
    assert ask(asking(made, start())).queue


def test_register_down_is_down_until_it_is_switched_off(made: Municipality, start: Start) -> None:
    sandbox = start("register-down")
    settings = asking(made, sandbox)

    with pytest.raises(RegistryUnreachable, match="503"):
        ask(settings)
    sandbox.faults = NO_FAULTS
    assert ask(settings).queue


def test_register_new_certificate_gives_out_another_one_and_keeps_it(made: Municipality, start: Start) -> None:
    def told(*faults: str) -> Certificate:
        with start(*faults) as sandbox:
            return ask(asking(made, sandbox)).encryption

    old = told()
    new = told("register-new-certificate")

    assert new == made.pki.certificate(SUCCESSOR)
    assert (new.public_key(), new.serial_number) != (old.public_key(), old.serial_number)
    assert (new.subject, new.issuer) == (old.subject, old.issuer)
    assert told("register-new-certificate") == new
    assert told() == old


@pytest.mark.parametrize(
    ("fault", "her_id", "name"),
    [
        ("register-new-signer", KPR_VALIDERING, "fhi-signing"),
        ("register-other-for-us", SENDER_HER_ID, "kommune-encryption"),
    ],
)
def test_the_register_gives_out_the_certificate_that_a_fault_puts_there(
    made: Municipality, start: Start, fault: str, her_id: int, name: str
) -> None:
    def given(*faults: str) -> tuple[Certificate, ...]:
        with start(*faults) as sandbox:
            found = SoapRegister(asking(made, sandbox).registry).fetch(her_id)
            return found.signing if name == "fhi-signing" else found.encryption

    assert given() == (made.pki.certificate(name),)
    assert given(fault) == (made.pki.certificate(f"{name}-next"),) == given(fault)
    assert given() == (made.pki.certificate(name),)

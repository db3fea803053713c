"""What ``kpr-send init`` asks, how an answer is checked, and the configuration that follows from the answers.

A row of ``QUESTIONS`` is one question with its flag. The first part is what Adresseregisteret is asked with, where it
answers; it may then know the answers of the second part.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from kpr_sender.model import Environment, Language
from kpr_sender.preflight.catalogue import kommuner
from kpr_sender.settings import proposals
from kpr_sender.settings.keys import CREDENTIAL, ENV, FILE, Key
from kpr_sender.settings.kinds import PATH, PATHS
from kpr_sender.settings.sample_file import comment
from kpr_sender.settings.values import SECTIONS, RegistryKind
from kpr_sender.texts import Text

Answers = dict[str, Any]
"""By question: the value as TOML has it."""
CREDENTIALS: Final = "credentials"
MODULE: Final = "token"
KEY_LABEL: Final = "token_label"
UNPROTECTED: Final = "no_passphrase"
"""What is no question, and decides how our keys are named: a token's library and label; that no passphrase is there."""
_LABELS: Final = ("signing_key", "decryption_key")
"""Named by their labels where the keys are in a token."""
ENVIRONMENT: Final = "environment"
_PKCS12: Final = (".p12", ".pfx")
_MADE_UP: Final = "9999"
"""The kommunenummer of who does not exist; SSB gives it to nobody."""


class WrongAnswer(ValueError):
    """An answer that cannot be one; says what is expected, and never repeats what was written."""


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that a configuration needs to know.

    Attributes:
        name: As the parameter of the command has it; its flag is made of it.
        path: The key that the answer is written to, dotted; its kind checks the answer.
        asked: The question where it is more than that key's comment.
        example: Shown where there is nothing to propose.
    """

    name: str
    path: str
    asked: Text | None = None
    example: str = ""

    @property
    def flag(self) -> str:
        """Its option on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def text(self) -> Text:
        """The question, as a sentence."""
        return self.asked or comment(self.key)

    @property
    def key(self) -> Key:
        """The declaration of the key."""
        section, _, name = self.path.rpartition(".")
        return next(key for key in SECTIONS[section].keys if key.name == name)

    @property
    def metavar(self) -> str:
        """What stands for an answer in the help of its option."""
        if self.name == "registry":
            return f"[{'|'.join(RegistryKind)}]"
        if self.key.kind in (PATH, PATHS):
            return "FILE" if self.name != "secrets" else "WHERE"
        return {"her_id": "HER-ID", "service_her_id": "HER-ID", "registry_url": "URL"}.get(self.name, "TEXT")

    def shown_example(self) -> str:
        """Return what an answer looks like."""
        return self.example or (self.key.shown.strip('"') if self.key.example is not None else "")


_SERVICE: Final = Question("service_her_id", "sender.service_her_id")
_SECRETS: Final = Question(
    "secrets",
    "bus.password_file",
    Text("Where passwords and passphrases are: a folder with a file for each, credentials (systemd's) or environment."),
)
FOR_THE_REGISTER: Final = (
    _SERVICE,
    Question("user", "bus.username"),
    _SECRETS,
    Question("registry", "registry.kind"),
    Question("registry_url", "registry.url"),
    Question("helseid_client", "registry.client_id"),
)
"""Asked first: with these Adresseregisteret can be asked."""
OF_THE_MUNICIPALITY: Final = (
    Question("her_id", "sender.her_id"),
    Question("name", "sender.name"),
    Question("organisation_number", "sender.organisation_number"),
    Question("year", "report.year"),
    Question("kommunenummer", "sender.kommunenummer", example="0301"),
    Question("signing_key", "keys.signing.pkcs12", Text("Our key for signing: a PKCS#12 file, or a PEM file.")),
    Question("signing_certificate", "keys.signing.certificate"),
    Question("decryption_key", "keys.decryption.pkcs12", Text("Our key for opening receipts, likewise.")),
    Question("decryption_certificate", "keys.decryption.certificate"),
    Question("fagmelding", "files.fagmelding"),
    Question("identmelding", "files.identmelding"),
    Question("roots", "protection.roots", example="certs/roots.pem"),
)
QUESTIONS: Final = (*FOR_THE_REGISTER, *OF_THE_MUNICIPALITY)
BY_NAME: Final = {question.name: question for question in QUESTIONS}


@dataclass(frozen=True, slots=True)
class ConfigurationPlace:
    """Where a configuration is written, and for whom.

    Attributes:
        folder: Of the configuration.
        data: Of journal and extracts.
        today: The day.
    """

    environment: Environment
    folder: Path
    data: Path
    today: date


def needed(name: str, answers: Answers) -> bool:
    """Return whether a question is one, by the answers before it."""
    asks_register = answers.get("registry") != RegistryKind.FILES
    return {
        "registry_url": asks_register,
        "helseid_client": answers.get("registry") == RegistryKind.REST,
        "signing_certificate": MODULE not in answers and not _is_pkcs12(answers.get("signing_key", ".p12")),
        "decryption_certificate": MODULE not in answers and not _is_pkcs12(answers.get("decryption_key", ".p12")),
    }.get(name, True)


def proposed(name: str, answers: Answers, place: ConfigurationPlace) -> str | None:
    """Return what is proposed as an answer; None where only the municipality knows it.

    Args:
        name: The question's.
        answers: Those before it, and what Adresseregisteret says.
        place: Where and for whom.
    """
    if name in answers:
        return str(answers[name])
    environment, folder = place.environment, place.folder
    if name in _LABELS and MODULE in answers:
        return {"signing_key": "signing", "decryption_key": "encryption"}[name]
    kind = answers.get("registry", RegistryKind.SOAP.value)
    addresses = proposals.REST_REGISTER if kind == RegistryKind.REST else proposals.REGISTER
    fixed: dict[str, object] = {
        "secrets": folder / environment.value,
        "registry": RegistryKind.SOAP.value,
        "registry_url": addresses.get(environment),
        "year": proposals.reporting_year(place.today),
        "signing_key": folder / environment.value / "signing.p12",
        "decryption_key": folder / environment.value / "encryption.p12",
        "fagmelding": place.data / "extract" / "fagmelding.xml",
        "identmelding": place.data / "extract" / "identmelding.xml",
        "roots": folder / "certs" / "roots.pem",
    }
    return str(fixed[name]) if fixed.get(name) is not None else None


def answer(question: Question, written: str, answers: Answers) -> Any:
    """Check an answer, and return it as it is written to the file.

    Args:
        question: Which.
        written: The answer.
        answers: Those before it.

    Raises:
        WrongAnswer: It cannot be one.
    """
    written = written.strip()
    if question is _SECRETS and written in (CREDENTIALS, ENVIRONMENT):
        return written
    if question is _SECRETS and os.sep not in written:
        raise WrongAnswer(
            Text("expected {credentials}, {environment}, or a folder", credentials=CREDENTIALS, environment=ENVIRONMENT)
        )
    if question.name in _LABELS and MODULE in answers:
        return written
    kind = question.key.kind
    if question.name == "roots" or kind is PATH:
        return os.path.abspath(Path(written).expanduser())  # noqa: PTH100 - the file's relative paths start elsewhere
    try:
        value: object = int(written)
    except ValueError:
        value = written
    if question.name in _DIGITS_AS_TEXT:
        value = written.replace(" ", "")
    try:
        kind.parse(value, Path())
    except ValueError:
        raise WrongAnswer(Text("expected {what}", what=kind.expected)) from None
    if question.name == "kommunenummer":
        _require_kommune(str(value), int(answers["year"]))
    return value


_DIGITS_AS_TEXT: Final = ("organisation_number", "kommunenummer")


def _require_kommune(number: str, year: int) -> None:
    if number == _MADE_UP or year > kommuner.LAST_KNOWN_YEAR or kommuner.valid(number, date(year, 12, 31)):
        return
    heirs = ", ".join(f"{heir} {name}" for heir, name in kommuner.successors(number))
    if heirs:
        raise WrongAnswer(
            Text("no municipality had this number in {year}; since 2024 it is {heirs}", year=year, heirs=heirs)
        )
    raise WrongAnswer(Text("no municipality had this number in {year}", year=year))


def configuration(
    answers: Answers, place: ConfigurationPlace, language: Language, journal: Path
) -> dict[str, dict[str, object]]:
    """Return what the answers amount to, by section: what differs from the defaults.

    Args:
        answers: To all questions that were one, and what Adresseregisteret adds to them.
        place: Where and for whom.
        language: Of screens and messages.
        journal: The journal's file.
    """
    environment, secrets = place.environment, str(answers["secrets"])
    alike = proposals.on_nhn(environment)
    protection = alike["protection"] and {**alike["protection"], "roots": [answers["roots"]]}
    bus = {**alike["bus"], "username": answers["user"], **_secret("password", "bus-password", secrets)}
    bus |= {key: answers[key] for key in ("exchange", "receipts_queue", "error_queue") if answers.get(key)}
    sender = ("name", "her_id", "organisation_number", "service_name", "service_her_id", "kommunenummer", "bydel")
    return {
        "": {"environment": environment.value, "language": language.value},
        "files": {name: answers[name] for name in ("fagmelding", "identmelding")},
        "report": {"year": answers["year"]},
        "sender": {name: answers[name] for name in sender if answers.get(name)},
        **_registry(answers, place, secrets),
        "keys.signing": _own_key(answers, "signing", "signing-passphrase", secrets),
        "keys.decryption": _own_key(answers, "decryption", "encryption-passphrase", secrets),
        "protection": protection,
        "bus": bus,
        "journal": {"path": str(journal)},
    }


def _registry(answers: Answers, place: ConfigurationPlace, secrets: str) -> dict[str, dict[str, object]]:
    name, kind = place.environment.value, answers["registry"]
    if kind == RegistryKind.FILES:
        certificates = f"certs/{name}-fhi"
        return {
            "receiver": {
                "encryption_certificate": f"{certificates}-encryption.pem",
                "signing_certificates": [f"{certificates}-signing.pem"],
                "queue": proposals.QUEUES[place.environment],
            }
        }
    registry: dict[str, object] = {"kind": kind, "url": answers["registry_url"]}
    if kind == RegistryKind.REST:
        registry |= {"helseid_url": proposals.HELSEID[place.environment], "client_id": answers["helseid_client"]}
        registry |= _secret("client_key", "helseid-key", secrets)
    return {"registry": registry}


def _own_key(answers: Answers, use: str, passphrase: str, secrets: str) -> dict[str, object]:
    file = str(answers[f"{use}_key"])
    if MODULE in answers:
        in_token = {"pkcs11_module": answers[MODULE], "token_label": answers[KEY_LABEL], "key_label": file}
        return {**in_token, **_secret("pin", "token-pin", secrets)}
    named: dict[str, object] = (
        {"pkcs12": file} if _is_pkcs12(file) else {"certificate": answers[f"{use}_certificate"], "key": file}
    )
    return named if UNPROTECTED in answers else {**named, **_secret("passphrase", passphrase, secrets)}


def _secret(key: str, name: str, secrets: str) -> dict[str, object]:
    if secrets == CREDENTIALS:
        return {f"{key}{CREDENTIAL}": name}
    if secrets == ENVIRONMENT:
        return {f"{key}{ENV}": f"KPR_{name.upper().replace('-', '_')}"}
    return {f"{key}{FILE}": f"{secrets}{os.sep}{name}"}


def _is_pkcs12(file: object) -> bool:
    return str(file).lower().endswith(_PKCS12)


def paths_in(values: Mapping[str, Mapping[str, object]], folder: Path) -> list[Path]:
    """Return the files that a configuration names and that others than kpr-send make, in order.

    Args:
        values: By section.
        folder: Where relative paths start.
    """
    found = []
    for section, table in values.items():
        keys = SECTIONS[section].keys if section not in ("", "journal", "sandbox") else ()
        for name in (key.name for key in keys if key.kind in (PATH, PATHS) and key.name in table):
            value = table[name]
            found += [folder / str(one) for one in (value if isinstance(value, list) else [value])]
    return list(dict.fromkeys(found))

"""``kpr-send init``: asks what only the municipality knows, and writes a short configuration."""

from __future__ import annotations

import dataclasses
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from kpr_sender import profiles
from kpr_sender.cli import console, doctor, output
from kpr_sender.cli.called import Called
from kpr_sender.cli.invocation import PATH, Invocation
from kpr_sender.durable import created, state_home
from kpr_sender.errors import ConfigInvalid, KprError
from kpr_sender.model import Environment, Language
from kpr_sender.operator.look_up import LookedUp
from kpr_sender.registry.port import UnknownParty
from kpr_sender.regular_file import read_regular
from kpr_sender.render import json
from kpr_sender.render.language import say, speaking
from kpr_sender.settings import locations, rehearsal, set_up
from kpr_sender.settings.locations import absolute
from kpr_sender.settings.read import from_document
from kpr_sender.settings.sample_file import render
from kpr_sender.settings.set_up import Answers, ConfigurationPlace, Question, WrongAnswer
from kpr_sender.settings.values import SECTIONS, RegistryKind
from kpr_sender.texts import Text

_MACHINE_S_DATA: Final = Path("/var/lib/kpr-sender")
_IN_LOKAL: Final = (
    *("her_id", "service_her_id", "name", "organisation_number", "year", "kommunenummer"),
    *("fagmelding", "identmelding"),
)
"""What a configuration of lokal leaves open: all else the sandbox decides."""
_MOST_BYTES: Final = 1_000_000
_COMPARED: Final = ("her_id", "organisation_number")
"""What Adresseregisteret and the municipality must agree on; a name may be written in another way."""
_PLACEHOLDER: Final = {"her_id": 1, "name": "?", "year": 2024, "kommunenummer": "0000", "roots": "roots.pem"}


def _options() -> Iterator[click.Option]:
    for question in set_up.QUESTIONS:
        yield click.Option([question.flag], metavar=question.metavar, help=question.text)


@click.command("init", params=list(_options()))
@click.option("--service-name", metavar="NAME", help='The tjenestested\'s name, where it is not "Saksbehandling".')
@click.option("--bydel", metavar="DIGITS", help="The bydel, where one is reported on its own.")
@click.option(
    "--token",
    type=PATH,
    metavar="FILE",
    help="The keys are in a token: its PKCS#11 library. --signing-key and --decryption-key are their labels then.",
)
@click.option("--token-label", metavar="TEXT", help="With --token: the token's label.")
@click.option("--no-passphrase", is_flag=True, help="The files with our keys have no passphrase.")
@click.option("--sandbox", type=PATH, metavar="DIR", help="With lokal: for the sandbox that kpr-send serves there.")
@click.option("--doctor", "then_doctor", is_flag=True, help="Run doctor at the end, and end with its exit code.")
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    *,
    sandbox: Path | None,
    token: Path | None,
    no_passphrase: bool,
    then_doctor: bool,
    **written: str | None,
) -> int:
    """Write a short configuration: what differs from the defaults, each line with a comment.

    It asks what the options do not say, with a proposal where there is one, and looks up in Adresseregisteret what is
    registered. Without a terminal it never asks. As root it writes to /etc/kpr-sender/, else to the user's
    configuration folder, or where --config says; it never overwrites. No secret stands in the file.
    """
    given = {name: value for name, value in written.items() if value is not None}
    given |= _of_keys(token, given.get(set_up.KEY_LABEL), no_passphrase=no_passphrase)
    asking = sys.stdin.isatty() and sys.stderr.isatty() and not invocation.as_json
    environment = invocation.environment or _asked_environment(asking=asking)
    if sandbox is not None and environment is not Environment.LOKAL:
        raise click.UsageError(Text("--sandbox goes together with --env lokal."))
    path, place = _place(invocation, environment)
    if os.path.lexists(path):
        raise ConfigInvalid(
            Text("There is a configuration already, and it stays as it is."),
            where=str(path),
            next_step=Text("Correct it by hand, move it away, or name another file with --config."),
        )
    language = invocation.language or Language.NB
    journal = absolute(invocation.journal) if invocation.journal else place.data / environment.value / "journal.db"
    notes: list[str] = []
    if environment is Environment.LOKAL:
        values = _for_lokal(given, journal, sandbox, journal_named=invocation.journal is not None)
        values[""]["language"] = language.value
    else:
        answers = _Interview(invocation, given, place, asking=asking, notes=notes).held(journal)
        values = set_up.configuration(answers, place, language, journal)
    with speaking(language):
        intro = say(
            Text("Written by kpr-send init. Every other key has its default: docs/configuration.md lists all of them.")
        )
        text = render(environment, values, intro=intro, say=say)
    _require_characters(text, path)
    from_document(tomllib.loads(text), environment, path=path, environ=os.environ)
    _write(path, text)
    return _ended(_as_written(invocation, environment, path), path, values, notes, then_doctor=then_doctor)


def _require_characters(text: str, path: Path) -> None:
    """Refuse what TOML cannot hold: bytes that are no UTF-8, in a name that was typed or in a path.

    Raises:
        ConfigInvalid: Something in the text is so.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigInvalid(
            Text("A name or path has bytes in it that are no UTF-8, which no configuration can hold."),
            where=str(path),
            next_step=Text("Use a terminal with UTF-8, and a folder whose name is UTF-8."),
        ) from None


def _asked_environment(*, asking: bool) -> Environment:
    if not asking:
        raise click.UsageError(Text("--env is missing: one of {names}.", names=", ".join(Environment)))
    names = click.Choice([each.value for each in Environment])
    return Environment(click.prompt(say(Text("Where to send (--env)")), type=names, default="validering", err=True))


def _place(invocation: Invocation, environment: Environment) -> tuple[Path, ConfigurationPlace]:
    """Return where the configuration is written, and where everything of it lies."""
    home = state_home(os.environ)
    folder, data = locations.MACHINE, _MACHINE_S_DATA
    if not _is_root():
        own = locations.own_folder(os.environ)
        if own is None or home is None:
            raise ConfigInvalid(
                Text("Nobody knows this user's home folder."), next_step=Text("Set HOME, so that there is one.")
            )
        folder, data = own, home / "kpr-sender"
    path = absolute(invocation.config) if invocation.config else folder / f"{environment.value}.toml"
    return path, ConfigurationPlace(environment, path.parent, data, datetime.now(UTC).date())


def _for_lokal(
    given: dict[str, str], journal: Path, sandbox: Path | None, *, journal_named: bool
) -> dict[str, dict[str, object]]:
    """Return a configuration of lokal: of the embedded sandbox, or of one that serves in a folder."""
    if refused := [name for name in given if name not in (*_IN_LOKAL, "service_name", "bydel")]:
        flag = f"--{refused[0].replace('_', '-')}"
        raise click.UsageError(Text("In lokal the sandbox decides what {flag} says.", flag=flag))
    values = rehearsal.values(str(journal.parent)) if sandbox is None else _served(absolute(sandbox))
    if sandbox is None or journal_named:
        values["journal"]["path"] = str(journal)
    answers: Answers = {"year": values["report"]["year"]}
    for name in sorted(given, key=lambda name: name != "year"):
        if name in set_up.BY_NAME:
            question = set_up.BY_NAME[name]
            answers[name] = _checked(question, given[name], answers)
            section, _, key = question.path.rpartition(".")
            values[section][key] = answers[name]
    values["sender"] |= _extras(given)
    return values


def _served(folder: Path) -> dict[str, dict[str, object]]:
    """Return what ``sandbox serve`` has written into its folder, with paths from the root."""
    try:
        tables = _tables_of(tomllib.loads(read_regular(folder / "lokal.toml", most=_MOST_BYTES).decode()), folder)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ):  # another's file may be anything
        raise ConfigInvalid(
            Text("No sandbox has served in this folder."),
            where=str(folder),
            next_step=Text("Start one in another terminal: kpr-send sandbox serve --dir {folder}", folder=folder),
        ) from None
    return tables


def _tables_of(document: dict[str, Any], folder: Path) -> dict[str, dict[str, object]]:
    keys = document.pop("keys")
    tables = {"": {"environment": document.pop("environment")}, **document}
    tables |= {"keys.signing": keys["signing"], "keys.decryption": keys["decryption"][0]}
    for section, name in (("files", "fagmelding"), ("files", "identmelding"), ("journal", "path")):
        tables[section][name] = str(folder / tables[section][name])
    return tables


def _of_keys(token: Path | None, label: str | None, *, no_passphrase: bool) -> dict[str, str]:
    """Return what was said of how our keys are stored.

    Raises:
        click.UsageError: The options do not go together.
    """
    if (token is None) != (label is None):
        raise click.UsageError(Text("--token and --token-label go together."))
    if token is not None and no_passphrase:
        raise click.UsageError(Text("--no-passphrase is about files, and --token says that the keys are in none."))
    named = {} if token is None else {set_up.MODULE: str(absolute(token))}
    return {**named, set_up.UNPROTECTED: ""} if no_passphrase else named


def _extras(given: dict[str, str]) -> dict[str, object]:
    """Return what is no question, as it is: checked with the configuration."""
    found: dict[str, object] = {}
    for name in ("service_name", "bydel"):
        if name in given:
            key = next(key for key in SECTIONS["sender"].keys if key.name == name)
            try:
                found[name] = key.kind.parse(given[name], Path())
            except ValueError:
                flag, expected = f"--{name.replace('_', '-')}", key.kind.expected
                raise click.UsageError(Text("{flag}: expected {what}.", flag=flag, what=expected)) from None
    return found


def _checked(question: Question, written: str, answers: Answers) -> Any:
    try:
        return set_up.answer(question, written, answers)
    except WrongAnswer as wrong:
        raise click.UsageError(Text("{flag}: {why}.", flag=question.flag, why=wrong.args[0])) from None


@dataclasses.dataclass
class _Interview:
    """The questions, each answered by its option, by a person at the terminal, or as proposed."""

    invocation: Invocation
    given: dict[str, str]
    place: ConfigurationPlace
    asking: bool
    notes: list[str]

    def held(self, journal: Path) -> Answers:
        """Return all answers.

        Raises:
            click.UsageError: An option's value is wrong; or options are missing, and there is nobody to ask.
        """
        of_keys = (set_up.MODULE, set_up.KEY_LABEL, set_up.UNPROTECTED)
        answers: Answers = {name: self.given[name] for name in of_keys if name in self.given}
        missing = list(self._part(set_up.FOR_THE_REGISTER, answers, {}))
        known: Answers = {}
        if not missing and answers["registry"] != RegistryKind.FILES:
            known = self._looked_up(answers, journal)
        missing += self._part(set_up.OF_THE_MUNICIPALITY, answers, known)
        if missing:
            flags = ", ".join(question.flag for question in missing)
            raise click.UsageError(Text("Without a terminal nothing is asked. Missing: {flags}.", flags=flags))
        return {**known, **answers, **_extras(self.given)}

    def _part(self, questions: Iterable[Question], answers: Answers, known: Answers) -> Iterator[Question]:
        """Answer a part of the questions; yield those that nobody can answer."""
        for question in questions:
            if not set_up.needed(question.name, answers):
                continue
            proposal = set_up.proposed(question.name, {**known, **answers}, self.place)
            written = self.given.get(question.name)
            if written is None and self.asking:
                answers[question.name] = self._asked(question, proposal, answers, known)
            elif (written or proposal) is None:
                yield question
            else:
                answers[question.name] = _checked(question, written or proposal or "", answers)
                _compare(question, answers[question.name], answers, known)

    def _asked(self, question: Question, proposal: str | None, answers: Answers, known: Answers) -> Any:
        example = question.shown_example() if proposal is None else ""
        hint = f", {say(Text('for example {example}', example=example))}" if example else ""

        def checked(written: str) -> Any:
            try:
                answer = set_up.answer(question, written, answers)
                _compare(question, answer, answers, known)
            except WrongAnswer as wrong:
                raise click.UsageError(say(wrong.args[0])) from None
            except click.UsageError as differs:
                raise click.UsageError(say(differs.message)) from None
            return answer

        text = f"{say(question.text).rstrip('.')} ({question.flag}{hint})"
        return click.prompt(text, default=proposal, value_proc=checked, err=True)

    def _looked_up(self, answers: Answers, journal: Path) -> Answers:
        """Ask Adresseregisteret; what it does not answer is asked of the person, or left to doctor."""
        if self.asking:
            self._say([Text("Asking Adresseregisteret.")])
        try:
            found = self._entries(answers, journal)
        except UnknownParty as error:
            flag = set_up.BY_NAME["service_her_id"].flag
            raise click.UsageError(Text("{flag}: {why}", flag=flag, why=error.what)) from None
        except KprError as error:
            self._say([Text("Adresseregisteret could not be asked: {why}", why=error.what)])
            return {}
        self._say(found.lines())
        return found.answers("Saksbehandling")

    def _say(self, lines: Iterable[Text]) -> None:
        """Say what the register knows: at once where it helps with the questions that follow, else at the end."""
        if self.asking:
            console.say(self.invocation.called, lines, err=True)
        else:
            self.notes += lines

    def _entries(self, answers: Answers, journal: Path) -> LookedUp:
        from kpr_sender.checking import look_up  # noqa: PLC0415 - --help needs no parts

        place = self.place
        proposals = {
            question.name: set_up.proposed(question.name, {}, place) or _PLACEHOLDER.get(question.name)
            for question in set_up.OF_THE_MUNICIPALITY
        }
        provisional = {**proposals, **_PLACEHOLDER, "organisation_number": None, **answers}
        values = set_up.configuration(provisional, place, Language.EN, journal)
        document = tomllib.loads(render(place.environment, values, intro=""))
        settings = from_document(document, place.environment, path=place.folder / "init.toml", environ=os.environ)
        theirs = profiles.load(settings.report.year).receivers[place.environment].service_her_id
        return look_up(settings, answers["service_her_id"], theirs)


def _compare(question: Question, answer: object, answers: Answers, known: Answers) -> None:
    """Refuse an answer that Adresseregisteret contradicts."""
    registered = known.get(question.name)
    if question.name in _COMPARED and registered is not None and registered != answer:
        raise click.UsageError(
            Text(
                "{flag}: Adresseregisteret has {registered} for HER-id {service}.",
                flag=question.flag,
                registered=registered,
                service=answers["service_her_id"],
            )
        )


def _write(path: Path, text: str) -> None:
    """Write the file: for all to read as root, since every user of the machine runs by it; else for its owner alone."""
    root = _is_root()
    try:
        for folder in [one for one in reversed(path.parents) if not one.exists()]:
            folder.mkdir(mode=0o700)
            folder.chmod(0o755 if root else 0o700)  # whatever the umask
        with created(path) as file:
            file.write(text.encode())
            path.chmod(0o644 if root else 0o600)  # whatever the umask
    except OSError as error:
        raise ConfigInvalid(
            Text("The configuration cannot be written: {why}.", why=error.strerror or ""),
            where=str(path),
            next_step=Text("Name a file that this user may write, with --config."),
        ) from None


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _as_written(invocation: Invocation, environment: Environment, path: Path) -> Invocation:
    """Return the invocation with which other commands use the file: with --config only where they need it."""
    try:
        found = locations.find(environment, os.environ)
    except KprError:
        found = None
    config = None if found is not None and absolute(found) == path else path
    options = ["--env", environment.value, *(["--config", str(config)] if config else [])]
    called = Called(tuple(options), invocation.called.commands)
    return dataclasses.replace(invocation, called=called, environment=environment, config=config, journal=None)


def _ended(
    invocation: Invocation,
    path: Path,
    values: dict[str, dict[str, object]],
    notes: list[str],
    *,
    then_doctor: bool,
) -> int:
    absent = [file for file in set_up.paths_in(values, path.parent) if not file.exists()]
    lines: list[str] = [Text("{path} is written.", path=path), *notes]
    lines += [Text("Not there yet: {file}", file=file) for file in absent]
    if _is_root() and invocation.environment is not Environment.LOKAL:
        folder = Path(str(values["journal"]["path"])).parent
        lines.append(
            Text(
                "{folder} must belong to the user that runs kpr-send; try it with kpr-send doctor --as-user NAME.",
                folder=folder,
            )
        )
    lines.append(Text("Every key is explained in docs/configuration.md."))
    if not then_doctor:
        lines.append(Text("Check it with kpr-send doctor."))
    also: dict[str, Any] = {
        "config": str(path),
        "absent": [str(file) for file in absent],
        "register": [str(note) for note in notes],
    }
    if then_doctor:
        if not invocation.as_json:
            output.show(invocation, {}, lines)
        return doctor.examine(invocation, **also)
    environment = invocation.environment
    value = json.envelope(None, environment=environment.value if environment else None, **also)
    return output.answer(invocation, value, lines)

"""Taking in a pair of files: going on with the submission they are already, or sealing a new one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kpr_sender.errors import AlreadySubmitted, InputRefused
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.port import Journal
from kpr_sender.keys.configured import Keys, check_counterpart, check_signer
from kpr_sender.model import MessageType, Submission
from kpr_sender.outbound.build import Checked, Sealing, check_files
from kpr_sender.outbound.reseal import Rotation
from kpr_sender.preflight.findings import Effect
from kpr_sender.preflight.report import Report
from kpr_sender.preflight.rules.table import RULES
from kpr_sender.profiles import Profile
from kpr_sender.registry.port import AddressRegistry, Counterpart
from kpr_sender.settings.values import Settings
from kpr_sender.trust.policy import Trust

# Whether a checked pair may be sent: what FHI would discard stops it, what FHI would drop a person must have accepted.
#
# FHI's receipt is positive also where rows were dropped on the way in, so this is the last place where anybody is told.
# FHI wants the data also where it is not complete: a person who has read the findings may send it as it is.

_READ_THEM = "Read all of it with kpr-send check"


def demand_acceptable(report: Report, accepted: int | None, *, names: Mapping[MessageType, str]) -> Mapping[str, int]:
    """Refuse a pair that must not be sent as it is.

    Args:
        report: What the check found.
        accepted: The exact number of findings that a person has read and accepts; None where nobody has.
        names: What errors call the two files.

    Returns:
        How many findings of each rule were accepted; empty where none had to be.

    Raises:
        InputRefused: Something stops it, or something would be dropped that was not accepted.
    """
    if report.refusal is not None:
        raise report.refusal
    if report.stops:
        raise _refused(report, Effect.STOP, names, "Mend it in the EPJ and make a new extract; nothing was sent.")
    if report.drops and accepted is None:
        next_step = (
            f"{_READ_THEM} and mend them in the EPJ. If they must go as they are: send again with "
            f"--accept-findings {report.drops}. Nothing was sent."
        )
        raise _refused(report, Effect.DROP, names, next_step)
    if accepted is not None and accepted != report.drops:
        raise InputRefused(
            f"{report.drops} findings would have to be accepted, not {accepted}.",
            where="--accept-findings",
            next_step=f"{_READ_THEM}: these are not the files that were read, or not all was read. Nothing was sent.",
        )
    return {rule: count for rule, count in report.counts.items() if RULES[rule].effect is Effect.DROP}


def _refused(report: Report, effect: Effect, names: Mapping[MessageType, str], next_step: str) -> InputRefused:
    """Return the error that tells the first finding and how many there are."""
    rules = {rule: count for rule, count in report.counts.items() if RULES[rule].effect is effect}
    first = next(finding for finding in report.findings if finding.rule in rules)
    place = f" ({first.path})" if first.path else ""
    said = f" {first.said}" if first.said else ""
    count = sum(rules.values())
    more = "" if count == 1 else f" It is the first of {count:,} findings of this kind."
    title = RULES[first.rule].title
    where = f"{names[first.file]} line {first.line}" if first.line else names[first.file]
    return InputRefused(f"{title[:1].upper()}{title[1:]}{place}.{said}{more}", where=where, next_step=next_step)


@dataclass(frozen=True, slots=True)
class Intake:
    """Makes a submission of two files, or finds the one they are."""

    journal: Journal
    settings: Settings
    profile: Profile
    registry: AddressRegistry
    keys: Keys
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    observe: Observer
    by: str

    def take(
        self,
        files: Mapping[MessageType, Path],
        *,
        replaces: str | None,
        reason: str,
        is_test_person: Callable[[str], bool],
        accept_findings: int | None,
    ) -> Submission:
        """Check the files, then go on with their submission or seal a new one.

        What was sealed before goes on whatever is found now: it may be with FHI already. But it is not sent for a
        certificate that is not the receiver's any more.

        Args:
            files: Path by type; the pair, in the order they are to be sent.
            replaces: The submission a new one replaces, or None.
            reason: Why it does.
            is_test_person: Whether a national id is on the municipality's own list of test persons.
            accept_findings: The exact number of findings that a person has read and accepts.

        Raises:
            InputMissing: A file is missing.
            InputRefused: A file is not what it must be, or FHI would drop of it what nobody has accepted.
            AlreadySubmitted: Other data for the same municipality and year is submitted already.
            AccessRefused: A key or certificate was refused.
            ConfigInvalid: A key or certificate file is missing.
            JournalUnwritable: The journal cannot be written; nothing was sent.
        """
        checked, report = check_files(
            files, settings=self.settings, is_test_person=is_test_person, observe=self.observe
        )
        existing = self._existing(checked)
        if existing is None:
            names = {message_type: str(path) for message_type, path in files.items()}
            accepted = demand_acceptable(report, accept_findings, names=names)
            self._tell(report, accepted)
            return self._seal(checked, replaces, reason, accepted)
        if replaces is not None and existing.replaces != replaces:
            raise AlreadySubmitted(
                f"These very files are submission {existing.submission_id}; they cannot replace anything.",
                next_step="Make a new extract in the EPJ, then send that one with --replaces.",
            )
        text = f"These files are submission {existing.submission_id}, {existing.state.value}: going on from there."
        self.observe(Event(EventKind.CONTINUED, text, existing.shipments[0].msg_id))
        return Rotation(self.journal, self._counterpart, self._sealing, self.observe).catch_up(existing, checked)

    def _existing(self, checked: Mapping[MessageType, Checked]) -> Submission | None:
        return self.journal.by_payloads(
            environment=self.settings.environment,
            sender_her_id=self.settings.sender.party.service_her_id,
            year=self.profile.year,
            payload_sha256={message_type: one.payload.sha256 for message_type, one in checked.items()},
        )

    def _tell(self, report: Report, accepted: Mapping[str, int]) -> None:
        if accepted:
            text = f"{self.by} accepts {report.drops:,} findings that FHI would drop something for."
            self.observe(Event(EventKind.WARNING, text, details={"accepted": report.drops}))
        if report.warnings:
            text = f"The check has {report.warnings:,} remarks on the files; see them with kpr-send check."
            self.observe(Event(EventKind.WARNING, text, details={"remarks": report.warnings}))

    def _seal(
        self, checked: Mapping[MessageType, Checked], replaces: str | None, reason: str, accepted: Mapping[str, int]
    ) -> Submission:
        submission = self.journal.create(
            self._sealing(self._counterpart()).submission(
                checked, replaces=replaces, reason=reason, accepted=accepted, by=self.by
            )
        )
        for shipment in submission.shipments:
            text = f"The {shipment.type.norwegian} is sealed as {shipment.msg_id}, {shipment.sealed_bytes:,} bytes."
            self.observe(Event(EventKind.SEALED, text, shipment.msg_id, shipment.type))
        return submission

    def _counterpart(self) -> Counterpart:
        return self.registry.counterpart(self.profile.receivers[self.settings.environment].service_her_id)

    def _sealing(self, counterpart: Counterpart) -> Sealing:
        signer = self.keys.signer(at=self.now())
        trust = Trust.of(self.settings, self.observe)
        check_counterpart(counterpart, self.settings, at=self.now(), trust=trust)
        check_signer(signer, self.settings, trust, at=self.now())
        return Sealing(
            settings=self.settings,
            profile=self.profile,
            counterpart=counterpart,
            signer=signer,
            now=self.now,
            new_id=self.new_id,
            observe=self.observe,
        )

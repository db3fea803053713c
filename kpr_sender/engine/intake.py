"""Taking in a pair of files: going on with the submission they are already, or sealing a new one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kpr_sender.engine.keys import Keys, check_counterpart
from kpr_sender.engine.prepare import Checked, Sealing, check_files
from kpr_sender.errors import AlreadySubmitted
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.port import Journal
from kpr_sender.model import MessageType, Submission
from kpr_sender.profiles import Profile
from kpr_sender.registry.port import AddressRegistry
from kpr_sender.settings.values import Settings


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

    def take(self, files: Mapping[MessageType, Path], *, replaces: str | None, reason: str) -> Submission:
        """Check the files, then go on with their submission or seal a new one.

        Raises:
            InputMissing: A file is missing.
            InputRefused: A file is not what it must be.
            AlreadySubmitted: Other data for the same municipality and year is submitted already.
            AccessRefused: A key or certificate was refused.
            ConfigInvalid: A key or certificate file is missing.
            JournalUnwritable: The journal cannot be written; nothing was sent.
        """
        checked = check_files(files, settings=self.settings, profile=self.profile, observe=self.observe)
        existing = self._existing(checked)
        if existing is None:
            return self._seal(checked, replaces, reason)
        if replaces is not None and existing.replaces != replaces:
            raise AlreadySubmitted(
                f"These very files are submission {existing.submission_id}; they cannot replace anything.",
                next_step="Make a new extract in the EPJ, then send that one with --replaces.",
            )
        text = f"These files are submission {existing.submission_id}, {existing.state.value}: going on from there."
        self.observe(Event(EventKind.CONTINUED, text, existing.shipments[0].msg_id))
        return existing

    def _existing(self, checked: Mapping[MessageType, Checked]) -> Submission | None:
        return self.journal.by_payloads(
            environment=self.settings.environment,
            sender_her_id=self.settings.sender.party.service_her_id,
            year=self.profile.year,
            payload_sha256={message_type: one.payload.sha256 for message_type, one in checked.items()},
        )

    def _seal(self, checked: Mapping[MessageType, Checked], replaces: str | None, reason: str) -> Submission:
        receiver = self.profile.receivers[self.settings.environment]
        counterpart = self.registry.counterpart(receiver.service_her_id)
        check_counterpart(counterpart, self.settings, at=self.now())
        sealing = Sealing(
            settings=self.settings,
            profile=self.profile,
            counterpart=counterpart,
            signer=self.keys.signer(at=self.now()),
            now=self.now,
            new_id=self.new_id,
            observe=self.observe,
        )
        submission = self.journal.create(sealing.submission(checked, replaces=replaces, reason=reason, by=self.by))
        for shipment in submission.shipments:
            text = f"The {shipment.type.norwegian} is sealed as {shipment.msg_id}, {shipment.sealed_bytes:,} bytes."
            self.observe(Event(EventKind.SEALED, text, shipment.msg_id, shipment.type))
        return submission

"""From two files to a submission: the one that they are already, or a new one, checked, accepted and sealed.

1. Both files are hashed as they are spliced into their Hodemelding.
2. Where the journal has a submission of exactly these payloads, the run continues it. Nothing is parsed, and nothing
   that a check would find now stops it: FHI may have the files already. From another HER-id it is refused: ``sender``.
3. Otherwise both are checked, and a person must have accepted what FHI would drop.
4. The pair is sealed while the journal writes it; of what it replaces, a half that FHI has of the very same payload is
   kept: it is never sent again because its other half failed.

What steps 3 and 4 need is imported there: rule tables, keys and CMS take longer to load than a known pair to be hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kpr_sender.errors import AlreadySubmitted, InputRefused, RegistryUnreachable
from kpr_sender.events import Event, EventKind, Observer
from kpr_sender.journal.port import Journal
from kpr_sender.keys.port import Keys
from kpr_sender.lifecycle import words_of
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.model import MessageType, Shipment, Submission, Transport
from kpr_sender.outbound.payload_file import PayloadFile, read_chunks
from kpr_sender.profiles import Profile
from kpr_sender.registry.port import AddressRegistry, Counterpart, Directory, RegisterEntry, UnknownParty
from kpr_sender.settings.values import Settings
from kpr_sender.states import is_kept, may_be_published
from kpr_sender.texts import Text, as_text, paragraph
from kpr_sender.trust.port import Trust

if TYPE_CHECKING:
    from kpr_sender.outbound.build import Builder
    from kpr_sender.outbound.port import Sealing
    from kpr_sender.outbound.reseal import Resealer
    from kpr_sender.preflight import CheckReport, Payload
    from kpr_sender.preflight.model import Effect


@dataclass(frozen=True, slots=True)
class Submitter:
    """Makes a submission of two files, or finds the one that they are.

    Attributes:
        registry: Returns where the receiver is looked up; called when something is to be sealed, as are the next three.
        directory: Returns what knows our own entry in the register; None where no register is asked.
        keys: Returns our own keys.
        go: Takes the way that a submission goes, from here on.
        sealing: Returns what seals for the way that it goes.
        trust: Returns what is required of certificates.
        is_test_person: Whether a national id is on the municipality's own list of test persons.
        by: Who submits and accepts findings, for the journal.
    """

    journal: Journal
    settings: Settings
    profile: Profile
    registry: Callable[[], AddressRegistry]
    directory: Callable[[], Directory | None]
    keys: Callable[[], Keys]
    go: Callable[[Transport], None]
    sealing: Callable[[], Sealing]
    trust: Callable[[], Trust]
    is_test_person: Callable[[str], bool]
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    observe: Observer
    by: str

    def submit(
        self, paths: Mapping[MessageType, Path], *, replaces: str | None, reason: str, accept_findings: int | None
    ) -> Submission:
        """Continue the files' submission, or check and seal a new one. Nothing is published here.

        Args:
            paths: The pair, in the order it is to be sent.
            replaces: The submission that a new one replaces, or None.
            reason: Why it does.
            accept_findings: The exact number of findings that a person has read and accepts.

        Raises:
            InputMissing: A file is missing or cannot be read.
            InputRefused: A file is not valid, is another municipality's or changes meanwhile, or FHI would drop
                something of it that nobody has accepted.
            AlreadySubmitted: Other data for the same municipality and year is submitted already, or these very files
                from another HER-id.
            NeedsPerson: FHI has answered what somebody else sent, and no person has settled that.
            RegistryUnreachable: The register does not answer, and no earlier answer may be used.
            AccessRefused: A key or certificate was refused, or the receiver's is another than what was offered to the
                bus is sealed for.
            ConfigInvalid: A key or certificate file is missing.
            JournalUnwritable: The journal cannot be written; nothing was sent.
        """
        files = self._hash(paths)
        known = self._known(files) if len(files) == len(paths) else None
        if known is not None:
            return self._continue(known, files, replaces)
        report, payloads = self._check(paths)
        accepted = accept(report, accept_findings, names={kind: str(path) for kind, path in paths.items()})
        self._report_accepted(report, accepted)
        for kind, payload in payloads.items():
            # What was looked up, what was checked and what is sealed must be the same bytes.
            file = files.get(kind) or PayloadFile(paths[kind], "not hashed", 0)
            file.require_same(payload.sha256)
        lopenr = {kind: payload.lopenr for kind, payload in payloads.items()}
        return self._seal(files, lopenr, replaces, reason, accepted)

    def _hash(self, paths: Mapping[MessageType, Path]) -> dict[MessageType, PayloadFile]:
        """Hash each file; one whose encoding is not valid is left out: no submission has it, the check says why."""
        files = {}
        for kind, path in paths.items():
            with suppress(MessageRefused):
                files[kind] = PayloadFile.hashed(path)
        return files

    def _known(self, files: Mapping[MessageType, PayloadFile]) -> Submission | None:
        return self.journal.by_payloads(
            environment=self.settings.environment,
            sender_her_id=self.settings.sender.party.service_her_id,
            kommunenummer=self.settings.sender.kommunenummer,
            bydel=self.settings.sender.bydel,
            year=self.profile.year,
            payload_sha256={kind: file.sha256 for kind, file in files.items()},
        )

    def _continue(
        self, known: Submission, files: Mapping[MessageType, PayloadFile], replaces: str | None
    ) -> Submission:
        """Go on with a submission, sealed anew where it waits for a certificate that is no longer the receiver's."""
        from kpr_sender.outbound.sender import require_same_sender

        require_same_sender(self.journal, known, self.settings.sender.party.service_her_id)
        if replaces is not None and known.replaces != replaces:
            raise AlreadySubmitted(
                Text(
                    "These very files are submission {submission_id}; they cannot replace anything.",
                    submission_id=known.submission_id,
                ),
                next_step=Text(
                    "Make a new extract in the EPJ, then send that one with kpr-send send --replaces ID "
                    "--reason TEXT; or, where the very same file is to go again, see kpr-send resend MSGID "
                    "--reason TEXT."
                ),
            )
        text = Text(
            "These files are submission {submission_id}, {state}: going on from there.",
            submission_id=known.submission_id,
            state=words_of(known.state),
        )
        self.observe(Event(EventKind.CONTINUED, text, known.shipments[0].msg_id))
        if not any(may_be_published(shipment) for shipment in known.shipments):
            return known
        self.go(known.transport)
        return self.resealer().reseal(known, files)

    def _check(self, paths: Mapping[MessageType, Path]) -> tuple[CheckReport, dict[MessageType, Payload]]:
        """Check what FHI would refuse, drop or blank; return what was found, and what is known of each file."""
        from kpr_sender.preflight import check

        settings = self.settings
        fagmelding, identmelding = paths[MessageType.KPR_IPL], paths[MessageType.KPR_IDE]
        report = check(
            read_chunks(fagmelding),
            read_chunks(identmelding),
            settings.report.year,
            environment=settings.environment,
            organisation_number=settings.sender.party.organisation_number or "",
            is_test_person=self.is_test_person,
            names=(str(fagmelding), str(identmelding), ""),
        )
        payloads = {}
        for kind, path in paths.items():
            payload = next((each for each in report.payloads if each and each.type is kind), None)
            if payload is None:  # its header is wrong, which the report says
                raise report.refusal or InputRefused(Text("The file is not what it must be."), where=str(path))
            require_owner(payload, settings, name=str(path))
            payloads[kind] = payload
            text = Text(
                "{path} is the {norwegian} for {year}, {length:,} bytes.",
                path=path.name,
                norwegian=kind.norwegian,
                year=payload.year,
                length=payload.length,
            )
            details = {"payload_sha256": payload.sha256, "lopenr": payload.lopenr}
            self.observe(Event(EventKind.CHECKED, text, type=kind, details=details))
        return report, payloads

    def _report_accepted(self, report: CheckReport, accepted: Mapping[str, int]) -> None:
        if accepted:
            text = Text(
                "{by} accepts {count:,} finding of the check.",
                plural="{by} accepts {count:,} findings of the check.",
                by=self.by,
                count=report.drops,
            )
            self.observe(Event(EventKind.WARNING, text, details={"accepted": report.drops}))
        if report.warnings:
            text = Text(
                "The check has {count:,} remark on the files; see it with kpr-send check.",
                plural="The check has {count:,} remarks on the files; see them with kpr-send check.",
                count=report.warnings,
            )
            self.observe(Event(EventKind.WARNING, text, details={"remarks": report.warnings}))

    def _seal(
        self,
        files: Mapping[MessageType, PayloadFile],
        lopenr: Mapping[MessageType, str],
        replaces: str | None,
        reason: str,
        accepted: Mapping[str, int],
    ) -> Submission:
        kept = self._with_fhi_already(files, replaces)
        new = self.builder(self.counterpart()).submission(
            {kind: file for kind, file in files.items() if kind not in kept},
            lopenr=lopenr,
            replaces=replaces,
            reason=reason,
            accepted=accepted,
            by=self.by,
            kept=frozenset(one.msg_id for one in kept.values()),
        )
        submission = self.journal.create(new)
        for kind, shipment in kept.items():
            text = Text(
                "The {norwegian} is the one that FHI has as {msg_id}: it is kept, not sent again.",
                norwegian=kind.norwegian,
                msg_id=shipment.msg_id,
            )
            self.observe(Event(EventKind.CONTINUED, text, shipment.msg_id, kind))
        for shipment in [one for one in submission.shipments if one.type not in kept]:
            text = Text(
                "The {norwegian} is sealed as {msg_id}, {sealed_bytes:,} bytes.",
                norwegian=shipment.type.norwegian,
                msg_id=shipment.msg_id,
                sealed_bytes=shipment.sealed_bytes,
            )
            self.observe(Event(EventKind.SEALED, text, shipment.msg_id, shipment.type))
        return submission

    def _with_fhi_already(
        self, files: Mapping[MessageType, PayloadFile], replaces: str | None
    ) -> dict[MessageType, Shipment]:
        """Return the half of the submission that is replaced which FHI has already, of the very same file."""
        replaced = None if replaces is None else self.journal.submission(replaces)
        return {
            one.type: one
            for one in (() if replaced is None else replaced.shipments)
            if is_kept(one) and one.payload_sha256 == files[one.type].sha256
        }

    def resealer(self) -> Resealer:
        """Return what seals anew, under the receiver's present certificate, what is in the journal."""
        from kpr_sender.outbound.reseal import Resealer

        return Resealer(
            journal=self.journal,
            sender_her_id=self.settings.sender.party.service_her_id,
            counterpart=self.counterpart,
            builder=self.builder,
            require_openable=self._openable_entry,
            now=self.now,
            new_id=self.new_id,
            observe=self.observe,
        )

    def counterpart(self) -> Counterpart:
        """Return the receiver as the register has it now; raises as ``AddressRegistry.counterpart``."""
        return self.registry().counterpart(self.profile.receivers[self.settings.environment].service_her_id)

    def _own_entry(self) -> RegisterEntry | None:
        """Return what the register says of us; None where it is not asked or does not say."""
        directory = self.directory()
        if directory is None:
            return None
        try:
            return directory.entry(self.settings.sender.party.service_her_id)
        except (UnknownParty, RegistryUnreachable) as error:
            if isinstance(error, UnknownParty) and self.sealing().transport is Transport.EDI:
                raise  # who is not there has no address there, and mail from any other is refused
            text = Text(
                "Our own entry in Adresseregisteret is not known ({what}): what is sealed now has the "
                "configuration's names, and it is not checked whether one of our keys opens FHI's receipts.",
                what=error.what,
            )
            self.observe(Event(EventKind.WARNING, text))
            return None

    def _openable_entry(self) -> RegisterEntry | None:
        """Return what the register says of us, as ``_own_entry`` does; raises as ``require_openable``."""
        from kpr_sender.registry.counterpart_checks import require_openable

        entry = self._own_entry()
        if entry is not None:
            require_openable(entry, [one.certificate for one in self.keys().decrypters()])
        return entry

    def builder(self, counterpart: Counterpart) -> Builder:
        """Return what builds shipments for a receiver.

        Raises:
            AccessRefused: Its certificate or our key was refused.
        """
        from kpr_sender.outbound.build import Builder, Parties
        from kpr_sender.trust.parties import check_counterpart, check_signer

        signer = self.keys().signer(at=self.now())
        trust = self.trust()
        check_counterpart(counterpart, self.settings, trust, at=self.now())
        check_signer(signer, self.settings, trust, at=self.now())
        known = self.profile.receivers[self.settings.environment]
        entry = self._openable_entry()
        sealing = self.sealing()
        parties = Parties.of(self.settings, known, counterpart, entry, sealing)
        for difference in parties.differences(self.settings):
            self.observe(Event(EventKind.WARNING, difference))
        return Builder(
            settings=self.settings,
            profile=self.profile,
            counterpart=counterpart,
            parties=parties,
            sealing=sealing,
            signer=signer,
            now=self.now,
            new_id=self.new_id,
            observe=self.observe,
        )


def require_owner(payload: Payload, settings: Settings, *, name: str) -> None:
    """Refuse another municipality's file.

    Raises:
        InputRefused: Its kommunenummer or bydel is not the configured one.
    """
    sender = settings.sender
    wanted = {"kommunenummer": (payload.kommunenummer, sender.kommunenummer), "bydel": (payload.bydel, sender.bydel)}
    for key, (found, configured) in wanted.items():
        if found is not None and found != configured:
            raise InputRefused(
                Text(
                    "The file is for {key} {found}, the configuration says {configured}.",
                    key=key,
                    found=found,
                    configured=configured,
                ),
                where=name,
                next_step=Text(
                    "Take the right file, or correct sender.{key} in {origin}; nothing was sent.",
                    key=key,
                    origin=settings.origin,
                ),
            )


def accept(report: CheckReport, accepted: int | None, *, names: Mapping[MessageType, str]) -> dict[str, int]:
    """Refuse a checked pair that must not be sent as it is.

    FHI's receipt is positive also where rows were dropped, so nobody is warned after this. FHI wants the data also
    where it is not complete: a person who has read the findings may send it as it is.

    Args:
        report: What the check found.
        accepted: The exact number of findings that a person has read and accepts; None where nobody has.
        names: What errors call the two files.

    Returns:
        How many findings of each rule were accepted; empty where none had to be.

    Raises:
        InputRefused: FHI would refuse the pair, or would drop something that was not accepted.
    """
    from kpr_sender.preflight.model import Effect
    from kpr_sender.preflight.rules.table import RULES

    if report.refusal is not None:
        raise report.refusal
    if report.stops:
        raise _refused(report, Effect.STOP, names, Text("Fix it in the EPJ and make a new extract; nothing was sent."))
    if report.drops and accepted is None:
        next_step = Text(
            "Read all of it with kpr-send check and fix them in the EPJ. If they must go as they are: kpr-send "
            "... --accept-findings {drops}. Nothing was sent.",
            drops=report.drops,
        )
        raise _refused(report, Effect.DROP, names, next_step)
    if accepted is not None and accepted != report.drops:
        raise InputRefused(
            Text(
                "{count} finding would have to be accepted, not {accepted}.",
                plural="{count} findings would have to be accepted, not {accepted}.",
                count=report.drops,
                accepted=accepted,
            ),
            where="--accept-findings",
            next_step=Text(
                "Read all of it with kpr-send check: these are not the files that were read, or not all was read. "
                "Nothing was sent."
            ),
        )
    return {rule: count for rule, count in report.counts.items() if RULES[rule].effect is Effect.DROP}


def _refused(report: CheckReport, effect: Effect, names: Mapping[MessageType, str], next_step: Text) -> InputRefused:
    """Return the error that names the first finding of an effect, and how many there are."""
    from kpr_sender.preflight.rules.table import RULES

    rules = {rule: count for rule, count in report.counts.items() if RULES[rule].effect is effect}
    first = next(finding for finding in report.findings if finding.rule in rules)
    place = f" ({first.path})" if first.path else ""
    count = sum(rules.values())
    more = Text("It is the first of {count:,} findings of this kind.", count=count) if count > 1 else ""
    title = RULES[first.rule].title
    what = Text("{title:capital}{place}.", title=as_text(title), place=place)
    where = f"{names[first.file]} line {first.line}" if first.line else names[first.file]
    return InputRefused(paragraph(what, first.message, more), where=where, next_step=next_step)

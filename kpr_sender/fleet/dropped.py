"""A municipality's run where it has a drop folder: take a pair, submit it, wait, and move it where it belongs then.

``taken`` has what is under way, ``sent`` what is delivered, ``refused`` what the check refused, with its page, and what
another pair has replaced; in ``waiting`` is a new pair that only a person may send, since the year is submitted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from kpr_sender.app import utc_now
from kpr_sender.client import Client
from kpr_sender.durable import write_file
from kpr_sender.errors import (
    AlreadySubmitted,
    InputMissing,
    InputRefused,
    KprError,
    SealedForAnother,
    UsageError,
    worst,
)
from kpr_sender.messages.refused import MessageRefused
from kpr_sender.model import MessageType, Submission, SubmissionState
from kpr_sender.operator import testpersons
from kpr_sender.outbound.drop import REFUSED, SENT, TAKEN, WAITING, DropFolder, DropLook, DroppedPair
from kpr_sender.outbound.payload_file import PayloadFile, read_chunks
from kpr_sender.outbound.publish import next_sealed
from kpr_sender.regular_file import read_regular
from kpr_sender.render.language import say
from kpr_sender.report import Report
from kpr_sender.texts import Text, paragraph

PAGE: Final = "check.html"
WHY: Final = "check.txt"
"""What lies beside a pair that the check refused."""
_SUBMISSION: Final = ".submission"
_MOST_ID_BYTES: Final = 200


def second_look(
    folder: DropFolder,
    *,
    now: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], object] = time.sleep,
) -> DropLook:
    """Look at a drop folder; where only the second look is missing, wait for it: 30 seconds at most.

    Raises:
        InputRefused: Two files are the same half of the pair.
        InputMissing: The folder or a file of it cannot be read.
    """
    look = folder.look(now())
    if look.why_not is None and look.left:
        sleep(look.left)
        look = folder.look(now())
    return look


@dataclass(frozen=True, slots=True)
class DropDecision:
    """What a person decides with a run; nothing, as a rule.

    Attributes:
        replaces: The submission that a new pair replaces.
        reason: Why.
        accept_findings: How many findings a person has read and accepts.
        by: Who decides.
    """

    replaces: str | None = None
    reason: str = ""
    accept_findings: int | None = None
    by: str = ""

    @property
    def is_made(self) -> bool:
        """Whether a person decides anything: the pair may then be one that was set aside."""
        return self.replaces is not None or self.accept_findings is not None


@dataclass(slots=True)
class DropRun:
    """One run with a drop folder.

    Attributes:
        client: Submits and waits; locks the journal, so that no other run moves anything meanwhile.
        look: The second look at the folder.
        wait: Waits for receipts, where there are some to come.
    """

    client: Client
    folder: DropFolder
    look: DropLook
    wait: Callable[[Report], Report]
    _errors: list[KprError] = field(default_factory=list)

    def carry_out(self, decision: DropDecision) -> Report:
        """Take what is to be taken, submit it, wait, and move every pair where it belongs.

        Returns:
            What is known of the submission that counts.

        Raises:
            KprError: As ``Client.submit``; after the wait for what is under way. A pair that the check refuses lies in
                ``refused`` then, a new one for a year that is submitted in ``waiting``.
        """
        self.client.lock()
        self.folder.recover()
        new = self._new(decision)
        if decision.replaces is None:
            self._take_back()
        submitted = list[tuple[DroppedPair, str]]()
        for pair in self._in_turn(new, decision):
            report = self._submitted(pair, decision if pair == new else DropDecision(by=decision.by))
            if report is not None:
                submitted.append((pair, report.submission.submission_id))
                _note(pair, report.submission.submission_id)
            elif decision.replaces is not None and pair == new:
                break  # else what a person has just given up would be sent, and stand in the way of what replaces it
        known = self.client.status()
        if known is not None:
            known = self.wait(known)
        for pair, submission_id in submitted:
            _settle(self.folder, pair, self.client.status(submission_id))
        if (error := worst(self._errors)) is not None:
            raise error
        if known is None:
            raise InputMissing(Text("No pair was taken from the drop folder."), where=str(self.folder.path))
        if known.error is None and (waiting := self.folder.pairs(WAITING)):
            raise set_aside(waiting[-1], known)
        return known

    def _new(self, decision: DropDecision) -> DroppedPair | None:
        """Return the pair that is taken now, in ``taken``; None where there is none."""
        aside: tuple[DroppedPair, ...] = ()
        if decision.replaces is not None:
            aside = self.folder.pairs(WAITING)
        taken = None if aside else self.folder.take(self.look)
        if taken is None and decision.accept_findings is not None:
            aside = tuple(pair for pair in self.folder.pairs(REFUSED) if (pair.folder / WHY).exists())
        if aside:
            taken = self.folder.move(aside[-1], TAKEN)
        left = self.folder.pairs(TAKEN) if taken is None and decision.is_made else ()
        if left and decision.replaces is not None:
            replaced = self.client.status(decision.replaces)
            left = tuple(pair for pair in left if replaced is None or not _holds(pair, replaced.submission))
            taken = left[-1] if left else None  # a run that was to replace ended after it had taken the pair
        if taken is None and decision.is_made and not left:
            raise InputMissing(
                Text("No pair lies in the drop folder that this could be decided of."),
                where=str(self.folder.path),
                next_step=Text("Let the EPJ lay both files there, or move them there from the folder refused."),
            )
        return taken

    def _in_turn(self, new: DroppedPair | None, decision: DropDecision) -> list[DroppedPair]:
        """Return what is taken, the oldest first; before all of it what replaces: the replaced is not sent then."""
        pairs = list(self.folder.pairs(TAKEN))
        if decision.replaces is not None:
            pairs.sort(key=lambda pair: pair != new)
        return pairs

    def _take_back(self) -> None:
        """Take again the pair of what a person has let go since it was moved; remember where it is gone."""
        known = self.client.status()
        if known is None or known.submission.year != self.client.settings.report.year:
            return
        submission = known.submission
        if next_sealed(submission) is None:
            return
        for where in (TAKEN, REFUSED, WAITING):
            for pair in self.folder.pairs(where):
                if _holds(pair, submission):
                    if where != TAKEN:
                        self.folder.move(pair, TAKEN)
                    return
        self._errors.append(
            InputMissing(
                Text(
                    "Submission {submission_id} is to be sent, and its files are not in the drop folder.",
                    submission_id=submission.submission_id,
                ),
                where=str(self.folder.path),
                next_step=Text("Lay the very same two files there again; kpr-send send goes on with it then."),
            )
        )

    def _submitted(self, pair: DroppedPair, decision: DropDecision) -> Report | None:
        """Submit a pair; where it is not to be sent, move it and remember why."""
        try:
            return self.client.submit(
                pair.files[MessageType.KPR_IPL],
                pair.files[MessageType.KPR_IDE],
                replaces=decision.replaces,
                reason=decision.reason,
                accept_findings=decision.accept_findings,
                by=decision.by,
            )
        except InputRefused as error:
            self._errors.append(self._refused(pair, error))
        except SealedForAnother as error:
            known = self.client.status(error.about)
            # What is replaced, or was sent by an earlier run, is over or waited for, whoever it was sent from.
            to_be_sent = known is None or next_sealed(known.submission) is not None
            is_settled = known is not None and (known.replacement is not None or _is_noted(pair))
            if to_be_sent or not is_settled:
                self._errors.append(error)
            return known
        except AlreadySubmitted as error:
            moved = self.folder.move(pair, WAITING)
            self._errors.append(set_aside(moved, self.client.status()) if decision.replaces is None else error)
        except KprError as error:
            if decision.replaces is not None:
                self.folder.move(pair, WAITING)  # what a person decided does not hold
            self._errors.append(error)
        return None

    def _refused(self, pair: DroppedPair, error: InputRefused) -> InputRefused:
        """Move a refused pair, and write beside it what is wrong: the check's page, and the error in words."""
        moved = self.folder.move(pair, REFUSED)
        text = f"{say(error.placed)}\n{say(error.next_step)}\n"
        pages = {WHY: text.encode("utf-8", "backslashreplace")}
        if (page := _page(self.client, moved)) is not None:
            pages[PAGE] = page.encode("utf-8", "backslashreplace")
        for name, content in pages.items():
            try:
                write_file(moved.folder / name, content, synced=False)
            except OSError:
                break  # the error says it, too
        lies = Text("The pair lies in {folder}, with what the check says of it.", folder=moved.folder)
        return InputRefused(paragraph(error.what, lies), where=error.where, next_step=error.next_step)


def settle_taken(client: Client, folder: DropFolder) -> None:
    """Move the pairs that are over, by what the journal says of the submissions that they became; nothing is sent.

    Raises:
        JournalLocked: Another run has the journal.
        InputMissing: Nothing can be moved within the folder.
    """
    client.lock()
    for pair in folder.pairs(TAKEN):
        try:
            known = client.status(_noted(pair))
        except (OSError, UnicodeDecodeError, UsageError):
            continue  # the next send finds out by the files themselves
        _settle(folder, pair, known)


def _note(pair: DroppedPair, submission_id: str) -> None:
    """Note beside a pair which submission it has become."""
    with suppress(OSError):
        write_file(pair.folder / _SUBMISSION, submission_id.encode("ascii"), synced=False)


def _noted(pair: DroppedPair) -> str:
    return read_regular(pair.folder / _SUBMISSION, most=_MOST_ID_BYTES).decode("ascii")


def _is_noted(pair: DroppedPair) -> bool:
    return (pair.folder / _SUBMISSION).exists()


def _holds(pair: DroppedPair, submission: Submission) -> bool:
    """Return whether a pair is what a submission was made of."""
    with suppress(OSError, UnicodeDecodeError):
        if _noted(pair) == submission.submission_id:
            return True
    try:
        return all(
            PayloadFile.hashed(pair.files[one.type]).sha256 == one.payload_sha256 for one in submission.shipments
        )
    except (KprError, MessageRefused):
        return False


def _settle(folder: DropFolder, pair: DroppedPair, known: Report | None) -> None:
    """Move a pair that is over: nothing of it is to be sent or waited for any more."""
    if known is None:
        return
    if known.submission.state is SubmissionState.DELIVERED:
        folder.move(pair, SENT)
    elif known.replacement is not None or known.error is None:
        folder.move(pair, REFUSED)


def set_aside(pair: DroppedPair, known: Report | None) -> AlreadySubmitted:
    """Return the error where a new pair lies in ``waiting``, which only a person may send."""
    latest = "" if known is None else known.latest.submission_id
    return AlreadySubmitted(
        Text("The year is submitted, and a new pair waits in {folder}.", folder=pair.folder),
        next_step=Text(
            "After contact with FHI (kpr@fhi.no) only: kpr-send send --replaces {latest} --reason TEXT. If it is not "
            "to be sent, move it away.",
            latest=latest or "ID",
        ),
    )


def _page(client: Client, pair: DroppedPair) -> str | None:
    """Return the check's page; None where a file is no such file at all."""
    from kpr_sender.preflight import check, with_sizes  # noqa: PLC0415 - only where something is wrong
    from kpr_sender.render.check import accept_command  # noqa: PLC0415 - the same
    from kpr_sender.render.check_page import check_page  # noqa: PLC0415 - the same

    settings = client.settings
    paths = [pair.files[kind] for kind in (MessageType.KPR_IPL, MessageType.KPR_IDE)]
    try:
        report = check(
            read_chunks(paths[0]),
            read_chunks(paths[1]),
            settings.report.year,
            environment=settings.environment,
            organisation_number=settings.sender.party.organisation_number or "",
            is_test_person=testpersons.load(testpersons.beside(settings.journal.path)).holds,
            names=(paths[0].name, paths[1].name, ""),
        )
    except KprError:
        return None
    report = with_sizes(report, settings.limits.refuse_bytes)
    names = (paths[0].name, paths[1].name)
    made_at = datetime.now().astimezone()
    return check_page(report, made_at=made_at, names=names, accept=accept_command(report))

"""Every error the package raises: what happened, where, whose fault, what to do next.

One class for each exit code; three for 69 (a service is not to be had), two for 76 (what came is not verified) and 77
(login or key refused, or missing). A class owns its stable ``code`` (for ``--json``, logs and the journal), its
``exit_code`` (for cron) and whose move it is. The library raises these; only ``kpr_sender.cli`` turns them into an
exit. No message may hold personal data, payload, passphrase or key material (promise G6): whatever it is made of, it is
cleaned here. Where several things are known, ``ORDER`` says which counts.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final

from kpr_sender.privacy import MAX_TEXT, redact_text
from kpr_sender.texts import Text, paragraph


@contextmanager
def foreign_bytes(refusal: Exception | Callable[[], Exception]) -> Iterator[None]:
    """Raise a refusal in place of whatever a library raises at bytes that are not ours.

    What that may be no library says in full: cryptography alone has ten classes for a certificate that is none, not all
    of them ValueErrors, and a panic of its Rust half is no Exception. What is ours passes, and what says nothing about
    the bytes.

    Args:
        refusal: What to raise; or what makes it, where that costs more than reading the bytes does.
    """
    try:
        yield
    except (KprError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        refused = refusal if isinstance(refusal, Exception) else refusal()
        if isinstance(error, type(refused)):
            raise
        raise refused from None


class Fault(enum.StrEnum):
    """Whose fault, and so whose move, an error is."""

    CALLER = "caller"
    INPUT = "input"
    CONFIGURATION = "configuration"
    NETWORK = "network"
    RECEIVER = "receiver"
    MACHINE = "machine"
    PROGRAM = "program"
    NOBODY = "nobody"


class KprError(Exception):
    """The root; never raised itself.

    Args:
        what: One sentence: what happened. It and the others become one line each, bounded and without ids.
        where: File, line or key it happened at, for example ``fagmelding.xml line 7`` or ``bus.host``.
        next_step: One sentence: what to do next; the class's own advice when not given.
        about: The MsgId that the next step means by MSGID; empty where it means none, or whichever is named.
    """

    code: ClassVar[str]
    exit_code: ClassVar[int]
    meaning: ClassVar[Text]
    fault: ClassVar[Fault]
    advice: ClassVar[Text]

    what: Text
    where: str
    next_step: Text
    about: str

    def __init__(self, what: Text, *, where: str = "", next_step: Text | None = None, about: str = "") -> None:
        self.what, self.where = redact_text(what, MAX_TEXT), redact_text(where, MAX_TEXT)
        super().__init__(self.what)
        self.about = about
        self.next_step = redact_text(next_step, MAX_TEXT) if next_step else self.advice

    def __str__(self) -> str:
        """The whole message in one line."""
        return str(self.text)

    @property
    def text(self) -> Text:
        """The whole message: where, what, and what to do next."""
        return paragraph(self.placed, self.next_step)

    @property
    def placed(self) -> Text:
        """What happened, and where."""
        return Text("{where}: {what}", where=self.where, what=self.what) if self.where else self.what


class NotReady(KprError):
    """``kpr-send doctor`` found what keeps a send from working."""

    code, exit_code, fault = "not-ready", 1, Fault.CALLER
    meaning = Text("doctor: something is red, a send would not work")
    advice = Text("See to the red lines of kpr-send doctor.")


class UsageError(KprError):
    """The command or call was made wrongly."""

    code, exit_code, fault = "usage", 64, Fault.CALLER
    meaning = Text("the command line is wrong")
    advice = Text("See kpr-send --help.")


class InputRefused(KprError):
    """A file is not what it must be; nothing was sent."""

    code, exit_code, fault = "input-refused", 65, Fault.INPUT
    meaning = Text("a file was refused; nothing was sent")
    advice = Text("Make a new extract in the EPJ; nothing was sent.")


class InputMissing(KprError):
    """A file is missing or cannot be read; nothing was sent."""

    code, exit_code, fault = "input-missing", 66, Fault.INPUT
    meaning = Text("a file is missing or cannot be read; nothing was sent")
    advice = Text("Check the path and who may read the file; nothing was sent.")


class BusUnreachable(KprError):
    """The bus could not be reached or would not take the message now; it is certain that it does not have it."""

    code, exit_code, fault = "bus-unreachable", 69, Fault.NETWORK
    meaning = Text("what we send through could not be reached, or would not take it; what is not sent stays sealed")
    advice = Text("Nothing is lost: run the same command again later.")


class RegistryUnreachable(KprError):
    """Adresseregisteret could not be asked now, and no earlier answer of it may be used; nothing was sealed."""

    code, exit_code, fault = "registry-unreachable", 69, Fault.NETWORK
    meaning = Text("Adresseregisteret could not be reached or gave no answer that can be read; nothing is lost")
    advice = Text("Nothing is lost: run the same command again later.")


class NoticeNotSent(KprError):
    """A test notice did not reach every address. Only ``notify --test`` ends with it: a notice decides nothing."""

    code, exit_code, fault = "notice-not-sent", 69, Fault.NETWORK
    meaning = Text("a test notice did not reach every address (notify --test only)")
    advice = Text(
        "See that this machine reaches the address, and that it is written as apprise has it. Then try again: kpr-send "
        "notify --test"
    )


class InternalError(KprError):
    """An error in the program."""

    code, exit_code, fault = "internal", 70, Fault.PROGRAM
    meaning = Text("an error in kpr-sender")
    advice = Text("Run again with -v and report it; the journal holds what is known.")


class JournalUnwritable(KprError):
    """The journal cannot be read or written; nothing is sent without it."""

    code, exit_code, fault = "journal-unwritable", 73, Fault.MACHINE
    meaning = Text("the journal cannot be read or written; nothing is sent without it")
    advice = Text("Make room or correct the permissions, then run the same command again.")


class ReceiptUnverified(KprError):
    """A receipt came that cannot be verified."""

    code, exit_code, fault = "receipt-unverified", 76, Fault.RECEIVER
    meaning = Text("a receipt failed verification")
    advice = Text("Do not send again. Check the receiver's certificates with kpr-send certs, then contact kpr@fhi.no.")


class EvidenceNotGenuine(KprError):
    """An archive of evidence is not what the sender that it names has signed."""

    code, exit_code, fault = "evidence-not-genuine", 76, Fault.INPUT
    meaning = Text("evidence verify: the archive is not what its sender has signed")
    advice = Text("Do not rely on it: ask the sender for another copy.")


class AccessRefused(KprError):
    """Login, certificate or key was refused, by us or by the bus."""

    code, exit_code, fault = "access-refused", 77, Fault.CONFIGURATION
    meaning = Text("login, certificate or key was refused")
    advice = Text("Correct the login, certificate or key, then run the same command again.")


class LoginRefused(AccessRefused):
    """The other side knows user and secret, and does not let us in: repeating it may lock the account or token."""


class KeyUnavailable(AccessRefused):
    """Our key's token is not there or does not answer: an outage, never a verdict on a message.

    The code is its parent's, since the key is what could not be used; another error, since it passes by itself.
    """

    advice = Text("Nothing is lost: see that the token is there and answers, then run the same command again.")


class AnswerUnopened(KprError):
    """An answer of FHI's is here that none of our keys opens."""

    code, exit_code, fault = "answer-unopened", 77, Fault.CONFIGURATION
    meaning = Text("an answer of FHI's is sealed for a key that we do not have")
    advice = Text(
        "Do not send again: FHI has answered. Add the key of the certificate that is registered on your tjenestested "
        "to [[keys.decryption]], then run kpr-send wait: the answer is stored and is opened then."
    )


class ConfigInvalid(KprError):
    """The configuration is wrong."""

    code, exit_code, fault = "config-invalid", 78, Fault.CONFIGURATION
    meaning = Text("the configuration is wrong")
    advice = Text("Correct the configuration, then run the same command again.")


class ReceiptPending(KprError):
    """Published; the receipt is not here yet."""

    code, exit_code, fault = "receipt-pending", 80, Fault.NOBODY
    meaning = Text("published; the receipt is not here yet")
    advice = Text("Do not send again by other means. Run kpr-send wait later.")


class RejectedByReceiver(KprError):
    """FHI said no."""

    code, exit_code, fault = "rejected", 81, Fault.INPUT
    meaning = Text("rejected by FHI")
    advice = Text(
        "Read the receipt's errors, contact kpr@fhi.no, then send a new extract: kpr-send send --replaces ID --reason "
        "TEXT"
    )


class NeedsPerson(KprError):
    """Half arrived or was cancelled, FHI names errors, its receipts contradict, or one is for what we never sent."""

    code, exit_code, fault = "needs-person", 82, Fault.INPUT
    meaning = Text(
        "a person must look: only half is delivered, or a half is cancelled; FHI names errors; its answers contradict "
        "each other; or it answers what this journal never sent"
    )
    advice = Text("Read the receipts and contact kpr@fhi.no before anything is sent again.")


class InDoubt(KprError):
    """The transfer began and no outcome is known. Only an answer or a person may decide."""

    code, exit_code, fault = "in-doubt", 83, Fault.NETWORK
    meaning = Text("in doubt: the transfer began and no outcome is known")
    advice = Text(
        "Do not send again. Run kpr-send wait; if no receipt comes, ask kpr@fhi.no whether the MsgId has arrived, then "
        "give the answer with kpr-send resolve MSGID."
    )


class Overdue(KprError):
    """Published longer ago than receipts take, and no receipt. Still waited for."""

    code, exit_code, fault = "overdue", 84, Fault.RECEIVER
    meaning = Text("overdue: published long ago, and no receipt came")
    advice = Text(
        "Do not send again. Run kpr-send wait once more; if no receipt is there, ask kpr@fhi.no whether the MsgId has "
        "arrived, then give the answer with kpr-send resolve MSGID."
    )


class CertificateEnding(KprError):
    """A certificate in play ends soon or before the deadline, or must not be used."""

    code, exit_code, fault = "certificate-ending", 85, Fault.CONFIGURATION
    meaning = Text("certs --check: a certificate ends within 60 days or before the deadline, or must not be used")
    advice = Text("See kpr-send certs: have the next one issued, registered and configured before this one ends.")


class AlreadySubmitted(KprError):
    """This year's data is submitted already."""

    code, exit_code, fault = "already-submitted", 86, Fault.CALLER
    meaning = Text("refused: already submitted")
    advice = Text("After contact with FHI, send a new extract: kpr-send send --replaces ID --reason TEXT")


class SealedForAnother(AlreadySubmitted):
    """These very files are a submission from another HER-id: ``about`` names a MsgId of it.

    The code is its parent's; another error, since no new pair is there that a person could send in its place.
    """


class JournalLocked(KprError):
    """Another run holds the journal."""

    code, exit_code, fault = "journal-locked", 87, Fault.NOBODY
    meaning = Text("another run holds the journal")
    advice = Text("Let it finish; the lock goes with its process, there is no file to delete.")


class QueueShared(KprError):
    """Messages of others lie on our queue and were taken as often as is safe; it is not read any more (promise G8)."""

    code, exit_code, fault = "queue-shared", 88, Fault.CONFIGURATION
    meaning = Text("messages of others lie unread on our queue: it is not read any more, so that none of them is lost")
    advice = Text(
        "Ask who reads this queue (your EPJ's or message server's vendor; NHN knows the queue's other users) to read "
        "it, then run kpr-send wait --look-anyway --emptied --reason TEXT --by NAME. docs/shared-queue.md has the ways "
        "to share a queue."
    )


class NothingSubmitted(KprError):
    """Nothing is submitted for the configured year. Only ``status``, ``wait`` and ``receipts`` end with it."""

    code, exit_code, fault = "nothing-submitted", 89, Fault.CALLER
    meaning = Text("nothing is submitted for the configured year (status, wait and receipts only)")
    advice = Text("Begin with kpr-send send.")


class ReadyToSend(KprError):
    """Sealed, and nothing keeps it from being sent."""

    code, exit_code, fault = "ready-to-send", 90, Fault.NOBODY
    meaning = Text("sealed, and nothing keeps it from being sent: the next kpr-send send sends it")
    advice = Text("Run kpr-send send with the same files.")


ERRORS: Final = tuple(KprError.__subclasses__())
"""One class for each row of docs/exit-codes.md, in the order of the exit codes."""
_WHAT_STOPS: Final = (
    *(NotReady, UsageError, InputRefused, InputMissing, NoticeNotSent, InternalError, JournalUnwritable, ConfigInvalid),
    *(CertificateEnding, AlreadySubmitted, EvidenceNotGenuine),
)
_OBSTACLES: Final = (BusUnreachable, RegistryUnreachable, AccessRefused, QueueShared)

ORDER: Final[tuple[tuple[str, tuple[type[KprError], ...]], ...]] = (
    ("what stops a run before it knows anything", _WHAT_STOPS),
    ("nobody knows whether FHI has it", (InDoubt,)),
    ("an answer that cannot be verified, or not be opened", (ReceiptUnverified, AnswerUnopened)),
    ("a person must look", (NeedsPerson,)),
    ("FHI said no", (RejectedByReceiver,)),
    ("what keeps us from sending and looking", _OBSTACLES),
    ("no answer in time", (Overdue,)),
    ("ready to be sent", (ReadyToSend,)),
    ("no answer yet", (ReceiptPending,)),
    ("nothing is known here", (JournalLocked, NothingSubmitted)),
)
"""What counts more, the first most: of all that is known of a submission, and of what a run met (promise G5)."""

_RANKS: Final = {error: rank for rank, (_, errors) in enumerate(ORDER) for error in errors}
_OBSTACLE: Final = _RANKS[BusUnreachable]
BY_CODE: Final = {error.code: error for error in ERRORS}

EXIT_OK: Final = 0
EXIT_OK_MEANING: Final = Text("delivered, or nothing to do")


def rank(error: KprError) -> int:
    """Return an error's place in ``ORDER``; of less weight than all of it where it is not there."""
    return next((_RANKS[kind] for kind in type(error).__mro__ if kind in _RANKS), len(ORDER))


def weighs_as_obstacle(error: KprError) -> bool:
    """Return whether an error says no more than what keeps us from sending or knowing more, or that we wait."""
    return rank(error) >= _OBSTACLE


def worst(known: Iterable[KprError | None], obstacles: Iterable[KprError | None] = ()) -> KprError | None:
    """Return what counts most; of two alike the first; None where there is none.

    Args:
        known: What is known, None for nothing.
        obstacles: What keeps us from sending or knowing more. It never outweighs what is known (promise G5), whatever
            its class: a queue that does not exist stops no run that knows already that FHI said no.
    """
    ranked = [(rank(error), error) for error in known if error is not None]
    ranked += [(max(rank(error), _OBSTACLE), error) for error in obstacles if error is not None]
    return min(ranked, key=lambda one: one[0])[1] if ranked else None


@dataclass(frozen=True, slots=True)
class LastError:
    """What last went wrong with a shipment: the error class's stable code, and a sentence without personal data."""

    code: str
    text: str

    @classmethod
    def of(cls, error: KprError) -> LastError:
        """Return an error as the journal stores it: without the advice that its class gives anyway."""
        return cls(error.code, paragraph(error.placed, "" if error.next_step == error.advice else error.next_step))

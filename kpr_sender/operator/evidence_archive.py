"""The archive that evidence is handed over in: a zip file with a signed list of digests, written and read.

Whoever gets one verifies it without us, by ``VERIFICATION``: ``SHA256SUMS`` lists every other file as sha256sum writes
it, and ``SHA256SUMS.p7s`` is the municipality's signature over that list (CMS, detached). The rules:

1. Written: always the same bytes for the same content and time. Files are stored, not compressed: most of it is sealed.
2. Read: it is not ours, whatever it says. Names, kinds and number of entries, their sizes and the sum of them are
   bounded before anything is unpacked, and nothing is ever unpacked to the disk. Files are read once, in chunks.
3. What is in the archive is what is in the list, no more and no less, and the signature is over the list.
4. Who signed is said, and not evaluated here: ``evidence`` does.
"""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from kpr_sender.cms.algorithms import Policy
from kpr_sender.cms.port import ProtectionRefused, Signer
from kpr_sender.cms.read_signed import DetachedSignature, verify_detached
from kpr_sender.cms.write import detached_signature
from kpr_sender.errors import EvidenceNotGenuine, InputMissing, foreign_bytes
from kpr_sender.privacy import foreign_text
from kpr_sender.regular_file import open_regular
from kpr_sender.texts import Text, said

FACTS: Final = "evidence.json"
PAGE: Final = "index.html"
LIST: Final = "SHA256SUMS"
SIGNATURE: Final = "SHA256SUMS.p7s"
RECEIPTS: Final = "receipts/"

_VERIFY: Final = f"openssl cms -verify -binary -inform DER -in {SIGNATURE} -content {LIST} -out /dev/null"
VERIFICATION: Final = (
    f"{_VERIFY} -noverify -signer ../signer.pem",
    "openssl x509 -in ../signer.pem -noout -subject -issuer -serial -dates -fingerprint -sha256",
    f"sha256sum --check --strict --quiet {LIST}",
    "find . -type f | wc -l",
)
"""What verifies an archive where it is unpacked, with openssl and GNU's tools alone."""
VERIFICATION_OF_ISSUER: Final = f"{_VERIFY} -purpose any -no_check_time -CAfile ../roots.pem"
"""The same with the authorities that the reader trusts, in ``roots.pem``."""

_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can say
_UNIX: Final = 3
_MODE: Final = (stat.S_IFREG | 0o600) << 16
_NAMES: Final = re.compile(rf"{re.escape(PAGE)}|{re.escape(FACTS)}|{LIST}(?:\.p7s)?|receipts/[0-9]{{1,9}}\.(?:p7m|xml)")
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([\x21-\x7e]{1,60})")
_MOST_ENTRIES: Final = 5_000
_MOST_BYTES: Final = 1_000_000_000
"""Of all files together, unpacked, and of the archive."""
_MOST_OF_WHAT_IS_READ: Final = 50_000_000
_CHUNK_BYTES: Final = 1 << 20
_ENCRYPTED: Final = 0x1
_END, _END_BYTES, _MOST_DIRECTORY_BYTES = b"PK\5\6", 22, 1_000_000
_LOCATOR, _LOCATOR_BYTES = b"PK\6\7", 20  # of a second, larger end record


@dataclass(frozen=True, slots=True)
class ReadArchive:
    """An archive in which nothing was altered since it was signed.

    Attributes:
        facts: The content of ``evidence.json``.
        signature: Who signed it, and when.
        files: How many files it has.
    """

    facts: bytes
    signature: DetachedSignature
    files: int


def write_archive(file: BinaryIO, contents: Iterable[tuple[str, bytes]], signer: Signer, *, at: datetime) -> None:
    """Write an archive.

    Args:
        file: Where to.
        contents: Names and contents of its files; each is asked for when the one before is written.
        signer: Signs the list.
        at: The time of signing; aware.

    Raises:
        AccessRefused: The signer's key is not its certificate's.
        OSError: It cannot be written.
    """
    digests: dict[str, str] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in contents:
            digests[name] = hashlib.sha256(content).hexdigest()
            archive.writestr(_entry(name), content)
        listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode("ascii")
        archive.writestr(_entry(LIST), listed)
        archive.writestr(_entry(SIGNATURE), detached_signature(listed, signer, at=at))


def _entry(name: str) -> zipfile.ZipInfo:
    if not _NAMES.fullmatch(name):
        raise ValueError("a name that a reader would refuse")
    return zip_entry(name)


def zip_entry(name: str, compression: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    """Return an entry of a zip file that is the same whenever and wherever it is made: its owner's alone, of 1980."""
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.create_system, entry.external_attr, entry.compress_type = _UNIX, _MODE, compression
    return entry


def read_archive(path: Path) -> ReadArchive:
    """Read an archive, whoever made it, and verify that nothing was altered, added or removed since it was signed.

    Raises:
        InputMissing: The file cannot be read.
        EvidenceNotGenuine: It is no such archive, or was altered, or its signature is not valid.
    """
    try:
        with open_regular(path) as file:
            return _read(file)
    except EvidenceNotGenuine as error:
        raise EvidenceNotGenuine(error.what, where=str(path)) from None
    except OSError as error:
        raise InputMissing(
            Text("The file cannot be read: {reason}.", reason=error.strerror), where=str(path)
        ) from error


def _read(file: BinaryIO) -> ReadArchive:
    _require_small_directory(file)
    # OSError is the disk's; all else that the library raises is said of the bytes, and may quote them.
    with foreign_bytes(EvidenceNotGenuine(_NO_ARCHIVE)):
        try:
            with zipfile.ZipFile(file) as archive:
                return _verified(archive)
        except OSError as error:
            if error.errno is None:
                raise EvidenceNotGenuine(_NO_ARCHIVE) from None
            raise


def _require_small_directory(file: BinaryIO) -> None:
    """Refuse what would take the memory before a single entry is seen: the library reads all of the directory at once.

    The end record is the last of the file (APPNOTE 4.3.16): it names the directory's size, and no comment follows.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - _LOCATOR_BYTES))
    locator, end = (tail := file.read())[:-_END_BYTES], tail[-_END_BYTES:]
    if not end.startswith(_END) or end[-2:] != b"\0\0":
        raise EvidenceNotGenuine(_NO_ARCHIVE)
    directory_bytes = int.from_bytes(end[12:16], "little")
    if size > _MOST_BYTES or directory_bytes > _MOST_DIRECTORY_BYTES or locator.startswith(_LOCATOR):
        raise EvidenceNotGenuine(_TOO_LARGE)


def _verified(archive: zipfile.ZipFile) -> ReadArchive:
    entries = _entries(archive)
    listed, signature = _content(archive, entries, LIST), _content(archive, entries, SIGNATURE)
    try:
        signed = verify_detached(signature, listed, policy=Policy())
    except ProtectionRefused as error:
        raise EvidenceNotGenuine(Text("The signature is not valid: {reason}.", reason=said(error))) from None
    digests = _digests(listed)
    files = {name: entry for name, entry in entries.items() if name not in {LIST, SIGNATURE}}
    for name in sorted(digests.keys() - files.keys()):
        raise EvidenceNotGenuine(Text("{name} was removed: it is in the signed list.", name=name))
    for name in sorted(files.keys() - digests.keys()):
        raise EvidenceNotGenuine(Text("{name} was added: it is not in the signed list.", name=name))
    for name, entry in files.items():
        if _digest(archive, entry) != digests[name]:
            raise EvidenceNotGenuine(Text("{name} was altered: the signed list has another digest.", name=name))
    if FACTS not in files:
        raise EvidenceNotGenuine(_NO_ARCHIVE)
    return ReadArchive(_content(archive, entries, FACTS), signed, len(entries))


def _entries(archive: zipfile.ZipFile) -> Mapping[str, zipfile.ZipInfo]:
    """Return the archive's entries by name, all of them of a kind that we write."""
    found = archive.infolist()
    if len(found) > _MOST_ENTRIES or sum(entry.file_size for entry in found) > _MOST_BYTES:
        raise EvidenceNotGenuine(_TOO_LARGE)
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in found:
        shown = foreign_text(entry.filename, 60)
        if not _NAMES.fullmatch(entry.filename):
            raise EvidenceNotGenuine(Text("It holds what is no part of evidence: {name}.", name=shown))
        if entry.filename in entries:
            raise EvidenceNotGenuine(Text("It holds {name} twice.", name=shown))
        kind = stat.S_IFMT(entry.external_attr >> 16)
        plain = entry.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} and not entry.flag_bits & _ENCRYPTED
        if kind not in {0, stat.S_IFREG} or not plain:
            raise EvidenceNotGenuine(Text("{name} is no plain file.", name=shown))
        entries[entry.filename] = entry
    return entries


def _content(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], name: str) -> bytes:
    entry = entries.get(name)
    if entry is None:
        raise EvidenceNotGenuine(Text("{name} is missing.", name=name))
    if entry.file_size > _MOST_OF_WHAT_IS_READ:
        raise EvidenceNotGenuine(_TOO_LARGE)
    return b"".join(_chunks(archive, entry))


def _digest(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(archive, entry):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterable[bytes]:
    """Yield what an entry unpacks to: never more than it says, whatever is in it."""
    left = entry.file_size
    with archive.open(entry) as opened:
        while left > 0 and (chunk := opened.read(min(_CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk


def _digests(listed: bytes) -> Mapping[str, str]:
    """Read the list: one line for each file, as sha256sum has it."""
    digests: dict[str, str] = {}
    for line in listed.decode("ascii", "replace").splitlines():
        found = _LINE.fullmatch(line)
        if found is None or found[2] in digests:
            raise EvidenceNotGenuine(Text("{name} is no list of digests.", name=LIST))
        digests[found[2]] = found[1]
    return digests


_NO_ARCHIVE: Final = Text("The file is no evidence archive that can be read.")
_TOO_LARGE: Final = Text("The archive is larger, or has more in it, than evidence has.")

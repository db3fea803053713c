"""What of a configuration others may read or change is named, and refused where it counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kpr_sender import file_owners
from kpr_sender.errors import ConfigInvalid
from kpr_sender.settings import file_access
from kpr_sender.settings.exposure import concerns, require_unexposed
from tests.helpers.configuration import VALID, changed, load_text

ROOT, KPR, ALICE = 0, 5001, 5002


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_g6_private_keys_without_passphrase_and_password_files_that_others_may_read_are_named(tmp_path: Path) -> None:
    text = changed("password_env", 'password_file = "password"')
    for name in ("password", "encryption.key", "encryption.pem", "signing.p12"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    settings = load_text(tmp_path, text)
    # The certificate is nobody's secret, and the PKCS#12 file has a passphrase.
    assert [sentence.split()[0] for sentence in concerns(settings)] == [
        str(tmp_path / "password"),
        str(tmp_path / "encryption.key"),
    ]
    with pytest.raises(ConfigInvalid, match=r"password may be read .*encryption.key may be read"):
        require_unexposed(settings)
    for name in ("password", "encryption.key"):
        (tmp_path / name).chmod(0o600)
    require_unexposed(settings)
    require_unexposed(load_text(tmp_path, VALID))
    without = text.replace('passphrase_env = "SIGNING"\n', "")
    with pytest.raises(ConfigInvalid, match=r"signing.p12 may be read"):
        require_unexposed(load_text(tmp_path, without))


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize("kind", ["drvfs", "9p", "vfat", "cifs", "nfs4", "fuse.sshfs", "fakeowner"])
def test_where_owners_and_modes_are_the_mounts_nobody_is_locked_out_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """WSL's drives, shares, FAT and a squashed NFS: another's, for everybody, and no chmod that changes it."""
    (tmp_path / "password").touch()
    text = changed("password_env", 'password_file = "password"').replace('passphrase_env = "SIGNING"\n', "")
    (tmp_path / "signing.p12").touch()
    load_text(tmp_path, text)
    here = os.geteuid()
    for path in (tmp_path, *tmp_path.iterdir()):
        path.chmod(0o777)
        if here == ROOT:
            os.chown(path, ALICE, ALICE)
    monkeypatch.setattr(os, "geteuid", lambda: here + KPR)
    with pytest.raises(ConfigInvalid, match=r"belongs to another user"):
        load_text(tmp_path, text)

    monkeypatch.setattr(file_owners, "file_system", lambda _path: kind)
    monkeypatch.setattr(file_access, "file_system", lambda _path: kind)
    settings = load_text(tmp_path, text)
    require_unexposed(settings)
    said = concerns(settings)
    assert [sentence.split()[0] for sentence in said] == [
        str(tmp_path / "password"),
        str(tmp_path / "signing.p12"),
        "Who",
    ]
    assert all(f"those of the mount ({kind})" in sentence for sentence in said)

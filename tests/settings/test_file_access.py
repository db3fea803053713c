"""What another user could have written is not relied on; what others may read is no secret."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.model import Environment
from kpr_sender.settings import load
from kpr_sender.settings.file_access import exposed, require_trusted, too_open
from tests.helpers.configuration import changed, load_text

ROOT, KPR, ALICE, SHARED_GROUP = 0, 5001, 5002, 5003
"""Users by number, each with a group of its own; ``SHARED_GROUP`` has both as members."""


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Names for the numbers, and a way to be one of them without being root."""
    names = {ROOT: "root", KPR: "kpr", ALICE: "alice"}
    people = {uid: pwd.struct_passwd((name, "x", uid, uid, "", "/", "")) for uid, name in names.items()}
    groups = {uid: grp.struct_group((name, "x", uid, [])) for uid, name in names.items()}
    groups[SHARED_GROUP] = grp.struct_group(("fellesgruppe", "x", SHARED_GROUP, ["kpr", "alice"]))
    monkeypatch.setattr(pwd, "getpwuid", people.__getitem__)
    monkeypatch.setattr(grp, "getgrgid", groups.__getitem__)
    return lambda uid: monkeypatch.setattr(os, "geteuid", lambda: uid)


@pytest.fixture
def owned(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int, int, int], None]:
    """Lets a file look as if it belonged to somebody: only root could really give it away."""
    real = Path.stat
    told: dict[Path, tuple[int, int, int]] = {}

    def stat(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        about = real(self, follow_symlinks=follow_symlinks)
        uid, gid, mode = told.get(self, (about.st_uid, about.st_gid, about.st_mode))
        return os.stat_result((mode, *about[1:4], uid, gid, *about[6:]))

    monkeypatch.setattr(Path, "stat", stat)
    return lambda path, uid, gid, mode: told.__setitem__(path, (uid, gid, mode))


RELIED_ON = [
    pytest.param(KPR, KPR, 0o600, "", id="our own"),
    pytest.param(KPR, KPR, 0o664, "", id="our own, and our own group's"),
    pytest.param(ROOT, ROOT, 0o644, "", id="root's"),
    pytest.param(ROOT, KPR, 0o664, "", id="root's, and our own group's"),
    pytest.param(KPR, SHARED_GROUP, 0o644, "", id="a group that may only read"),
    pytest.param(ALICE, ALICE, 0o600, "belongs to another user (alice)", id="another's"),
    pytest.param(ALICE, KPR, 0o660, "belongs to another user (alice)", id="another's, for our group"),
    pytest.param(KPR, KPR, 0o666, "may be written by everybody (mode 0666)", id="everybody's"),
    pytest.param(KPR, SHARED_GROUP, 0o664, "may be written by the group fellesgruppe", id="a group with others in it"),
    pytest.param(KPR, ALICE, 0o664, "may be written by the group alice", id="another's group"),
    pytest.param(ROOT, 7000, 0o664, "may be written by group number 7000", id="a group without a name"),
    pytest.param(7000, 7000, 0o600, "belongs to another user (user number 7000)", id="a user without a name"),
]


@pytest.mark.parametrize(("uid", "gid", "mode", "why"), RELIED_ON)
@pytest.mark.parametrize("place", ["file", "folder", "link's target", "link's folder", "target's folder"])
def test_what_another_user_may_have_written_is_refused_with_its_name_and_the_way_on(
    tmp_path: Path,
    users: Callable[[int], None],
    owned: Callable[[Path, int, int, int], None],
    place: str,
    uid: int,
    gid: int,
    mode: int,
    why: str,
) -> None:
    users(KPR)
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        owned(folder, KPR, KPR, 0o755)
    real, link = there / "roots.pem", here / "roots.pem"
    real.write_text("")
    owned(real, KPR, KPR, 0o644)
    link.symlink_to(real)
    owned(link, KPR, KPR, 0o644)
    named, meant = {
        "file": (real, real),
        "folder": (real, there),
        "link's target": (link, real),
        "link's folder": (link, here),
        "target's folder": (link, there),
    }[place]
    owned(meant, uid, gid, mode)
    if not why:
        require_trusted(named, where="kpr.toml: protection.roots")
        return
    with pytest.raises(ConfigInvalid) as refused:
        require_trusted(named, where="kpr.toml: protection.roots")
    assert refused.value.what.startswith(f"{meant} {why}")
    assert refused.value.where == "kpr.toml: protection.roots"
    assert f"chmod go-w {meant}" in refused.value.next_step or "chown" in refused.value.next_step


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize(
    ("key", "line", "replacement"),
    [
        ("receiver.encryption_certificate", "encryption_certificate", 'encryption_certificate = "relied-on"'),
        ("receiver.signing_certificates", "signing_certificates", 'signing_certificates = ["a.pem", "relied-on"]'),
        ("protection.roots", "[journal]", '[protection]\nroots = ["relied-on"]\n[journal]'),
        ("bus.ca_file", "host", 'host = "tb.nhn.no"\nca_file = "relied-on"'),
        ("registry.ca_file", "[journal]", '[registry]\nca_file = "relied-on"\n[journal]'),
        (
            "pkcs11_module",
            "pkcs12",
            'pkcs11_module = "relied-on"\nslot = 1\nkey_label = "a"\npin_env = "PIN"',
        ),
    ],
)
def test_g7_each_file_that_decides_whom_we_trust_must_be_ours(
    tmp_path: Path, key: str, line: str, replacement: str
) -> None:
    text = changed(line, replacement)
    if key == "pkcs11_module":
        text = text.replace('passphrase_env = "SIGNING"\n', "")
    (tmp_path / "relied-on").touch(0o644)
    assert load_text(tmp_path, text).environment is Environment.VALIDERING
    (tmp_path / "relied-on").chmod(0o666)

    with pytest.raises(ConfigInvalid, match="relied-on may be written by everybody") as refused:
        load_text(tmp_path, text)
    assert refused.value.where == f"{tmp_path / 'kpr.toml'}: {key}"


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_g7_a_configuration_that_others_may_write_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "kpr.toml"
    path.write_text("this is no TOML")
    path.chmod(0o666)
    for environment in set(Environment) - {Environment.LOKAL}:
        with pytest.raises(ConfigInvalid, match="may be written by everybody"):
            load(path, environment, environ={})
    with pytest.raises(ConfigInvalid, match="not valid TOML"):
        load(path, Environment.LOKAL, environ={})
    path.chmod(0o600)
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigInvalid, match=f"{tmp_path} may be written by everybody"):
        load(path, Environment.PRODUKSJON, environ={})


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "open_to_others", "unwise"),
    [
        pytest.param(KPR, KPR, 0o600, False, False, id="ours alone"),
        pytest.param(ROOT, KPR, 0o640, False, False, id="root's, for our own group"),
        pytest.param(ROOT, ROOT, 0o440, False, False, id="a credential of systemd"),
        pytest.param(KPR, KPR, 0o640, False, True, id="ours, and our own group's"),
        pytest.param(KPR, KPR, 0o604, True, True, id="everybody's"),
        pytest.param(KPR, KPR, 0o602, True, True, id="everybody may write"),
        pytest.param(KPR, SHARED_GROUP, 0o640, True, True, id="a group with others in it"),
        pytest.param(ROOT, SHARED_GROUP, 0o640, True, True, id="root's, for a group with others in it"),
    ],
)
def test_g6_who_else_may_read_a_secret(
    tmp_path: Path,
    users: Callable[[int], None],
    owned: Callable[[Path, int, int, int], None],
    uid: int,
    gid: int,
    mode: int,
    open_to_others: bool,  # noqa: FBT001 - a column
    unwise: bool,  # noqa: FBT001 - the same
) -> None:
    users(KPR)
    file = tmp_path / "password"
    file.write_text("x")
    owned(file, uid, gid, mode)
    assert (bool(exposed(file)), bool(too_open(file))) == (open_to_others, unwise)


def test_on_a_mount_that_nobody_may_write_to_a_mode_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a Kubernetes ConfigMap is mounted: read-only, its folder with mode 0777."""
    folder = tmp_path / "config"
    folder.mkdir(mode=0o700)
    file = folder / "produksjon.toml"
    file.write_text("")
    folder.chmod(0o777)
    with pytest.raises(ConfigInvalid, match="may be written by everybody"):
        require_trusted(file, where="--config")

    real = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((*real(path)[:8], os.ST_RDONLY, 255)))
    require_trusted(file, where="--config")

"""What mounts and containers make of owners and modes, and whom neither of them keeps out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kpr_sender.errors import ConfigInvalid
from kpr_sender.file_owners import file_system, is_network, kind_in
from kpr_sender.settings.file_access import require_trusted
from tests.helpers.repository import ROOT

_MOUNTS = """\
22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /run rw,nosuid - tmpfs tmpfs rw
40 22 0:51 / /mnt/felles rw - nfs4 filer:/vol rw
41 22 0:52 / /mnt/data\\040og\\040mer rw - cifs //filer/data rw
42 22 0:53 / /mnt/fjern rw - fuse.sshfs fjern: rw
43 22 259:3 / /mnt/felles/lokal rw - xfs /dev/sdb1 rw
44 22 0:54 / /over rw - nfs a:/b rw
45 44 259:4 / /over rw - ext4 /dev/sdc1 rw
46 22 0:55 /sub /srv/kpr rw master:1 propagate_from:2 - 9p host rw
broken
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/var/lib/kpr/journal.db", "ext4", False),
        ("/run/kpr/journal.db", "tmpfs", False),
        ("/mnt/felles/journal.db", "nfs4", True),
        ("/mnt/felles/lokal/journal.db", "xfs", False),
        ("/mnt/fellesskap/journal.db", "ext4", False),
        ("/mnt/data og mer/journal.db", "cifs", True),
        ("/mnt/fjern/journal.db", "fuse.sshfs", True),
        ("/over/journal.db", "ext4", False),
        ("/srv/kpr/journal.db", "9p", True),
    ],
)
def test_the_file_system_is_told_by_its_mount(path: str, kind: str, *, network: bool) -> None:
    found = kind_in(_MOUNTS, Path(path))
    assert found == kind
    assert is_network(found) is network


def test_this_machines_own_disk_is_told() -> None:
    assert file_system(Path("/proc/self/status")) == "proc"


_ASK = """
import grp, json, os, pwd, sys
from pathlib import Path
from kpr_sender.errors import ConfigInvalid
from kpr_sender.settings.file_access import exposed, require_trusted, too_open
if sys.argv[1]:  # once all is imported: it may lie where nobody else may look
    os.setgroups([7000]), os.setgid(100), os.setuid(int(sys.argv[1]))
found = {}
for name in sys.argv[2:]:
    path, refused = Path(name), ""
    try:
        require_trusted(path, where="")
    except ConfigInvalid as error:
        refused = error.what
    found[name] = [exposed(path), too_open(path), refused]
print(json.dumps(found))
"""
_ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
_as_root = pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0 or subprocess.call(["unshare", "--mount", "true"]) != 0,
    reason="only root gives files away and makes mounts",
)


def _asked(command: list[str]) -> dict[str, list[str]]:
    ran = subprocess.run(command, cwd=ROOT, env=_ENVIRON, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(ran.stdout)
    return found


_IN_A_POD = """
mount -t tmpfs -o mode=0777 none /mnt
printf x > /mnt/password && chmod 0644 /mnt/password && chown 4713 /mnt/password
mount -o remount,ro /mnt
mount -t tmpfs -o mode=0755 none /media
make() { printf x > "/media/$1" && chmod "$2" "/media/$1" && chown "$3" "/media/$1"; }
make fsgroup 0440 0:7000
make fsgroup-too 0660 0:7000
make own 0640 4711:4711
make root-group 0660 4711:0
make named-group 0640 0:100
make other-group 0660 0:7001
make other-user 0644 4713:7000
make everybody 0604 0:0
exec "$@"
"""


@_as_root
def test_accounts_groups_and_mounts_of_a_container_lock_nobody_out() -> None:
    """As user 4711 of no name, in a group of no name: ``docker run --user``, Kubernetes' ``fsGroup`` and secrets."""
    names = ("fsgroup", "fsgroup-too", "own", "root-group", "named-group", "other-group", "other-user", "everybody")
    paths = ["/mnt/password", *(f"/media/{name}" for name in names)]
    ask = [sys.executable, "-c", _ASK, "4711", *paths]
    found = _asked(["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", _IN_A_POD, "pod", *ask])
    exposed, too_open, refused = (
        {Path(path).name: said[at] for path, said in found.items() if said[at]} for at in range(3)
    )
    assert exposed.keys() == {"other-group", "other-user", "everybody"}
    assert too_open.keys() - exposed.keys() == {"password", "own", "root-group"}
    assert "mount it with mode 0400 or 0440" in too_open["password"]
    assert refused == {
        "other-group": "/media/other-group may be written by group number 7001 (mode 0660).",
        "other-user": "/media/other-user belongs to another user (user number 4713), who may write anything into it.",
    }


@_as_root
def test_an_account_outside_the_container_is_no_other_user_in_it(tmp_path: Path) -> None:
    """A rootless container shows the host's root, and everybody else, as 65534."""
    path = tmp_path / "kpr.toml"
    path.touch(0o644)
    os.chown(path, 4711, 4711)
    with pytest.raises(ConfigInvalid, match=r"another user \(user number 4711\)"):
        require_trusted(path, where="")
    rootless = ["unshare", "--user", "--map-root-user", sys.executable, "-c", _ASK, "", str(path)]
    assert _asked(rootless)[str(path)][2] == ""
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigInvalid, match="another user"):
        require_trusted(path, where="")

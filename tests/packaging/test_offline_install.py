"""The archive for Linux on bare Pythons without a network: installed by root, run by a service's user.

Minutes, and the registry's files: part of ``make nightly``, and by itself ``make test-offline``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from packaging.markers import Marker

from tests.helpers.debian_folder import DebianFolder
from tests.helpers.debian_packages import NotToBeHad, unpacked
from tools.offline import proton
from tools.offline.__main__ import make
from tools.offline.pins import LINUX, PYTHONS, WINDOWS, System, locked, pins_of
from tools.offline.wheels import CACHE

# Together in one process: what is made first serves all. In parts, as a test that takes five minutes counts as hanging.
pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("offline")]

# Python and what is on every machine: no pip, no compiler, no OpenSSL headers.
_BARE: Final = ("python3", "findutils", "grep", "procps", "util-linux")
_NO_NETWORK: Final = ("unshare", "--user", "--map-root-user", "--net")[:: 1 if os.getuid() else 3]
_LOOPBACK: Final = """
import fcntl, os, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
    fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sH", b"lo", IFF_UP))
os.execv(sys.argv[1], sys.argv[1:])
"""
_MAIN_JOB: Final = """
test "$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')" = lo
if python3 -m pip --version 2>/dev/null; then exit 9; fi
umask 077
sh {archive}/install.sh --prefix {prefix}
cd {home}
as_service() {{ setpriv --reuid={user} --regid={user} --clear-groups env HOME={home} "$@"; }}
as_service {prefix}/bin/kpr-send --lang en demo
as_service {prefix}/bin/kpr-send --lang nb demo
as_service {prefix}/current/bin/python -c 'import {extras}'
"""


@pytest.fixture(scope="module")
def wheel_of_proton() -> Path:
    (pin,) = (pin for pin in pins_of(LINUX, PYTHONS[0], locked(with_extras=False)) if pin.name == proton.NAME)
    return proton.wheel(pin, CACHE)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that another user may enter."""
    with tempfile.TemporaryDirectory(prefix="kpr-offline-", dir="/var/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def linux(place: Path, wheel_of_proton: Path) -> Path:
    """The archive for Linux, unpacked."""
    shutil.unpack_archive(make(LINUX, place / "archives"), place / LINUX.name, filter="data")
    (unpacked_to,) = (place / LINUX.name).iterdir()
    return unpacked_to


@pytest.fixture(scope="module")
def windows(place: Path) -> Path:
    """The archive for Windows, unpacked."""
    shutil.unpack_archive(make(WINDOWS, place / "archives"), place / WINDOWS.name)
    (unpacked_to,) = (place / WINDOWS.name).iterdir()
    return unpacked_to


def test_protons_wheel_is_one_for_all_and_needs_nothing_but_an_old_c_library(wheel_of_proton: Path) -> None:
    assert wheel_of_proton.name.endswith(f"-cp311-abi3-manylinux_{proton.GLIBC.replace('.', '_')}_x86_64.whl")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel_of_proton) as zipped:
        library = zipped.extract("cproton_ffi.abi3.so", folder)
        dynamic = subprocess.run(["readelf", "-d", "-W", library], capture_output=True, text=True, check=True).stdout
    needed = [line.rpartition("[")[2].rstrip("]") for line in dynamic.splitlines() if "(NEEDED)" in line]
    assert needed == ["libc.so.6"]


@pytest.mark.parametrize("system", [LINUX, WINDOWS], ids=lambda system: system.name)
def test_pip_finds_every_wheel_in_the_archive_and_nowhere_else(
    request: pytest.FixtureRequest, tmp_path: Path, system: System
) -> None:
    """By pip's own resolver, for systems that are not this one: which wheels fit, and that their digests are right."""
    archive: Path = request.getfixturevalue("linux" if system is LINUX else "windows")
    for python in PYTHONS:
        text = (archive / "requirements-all.txt").read_text(encoding="utf-8").replace(" \\\n", " ")
        asked = tmp_path / f"{python}.txt"
        asked.write_text("".join(_applying(text, system.environment(python))), encoding="utf-8")
        dry = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--isolated", "install", "--dry-run", "--no-index", "--no-deps", "-q"),
                *("--ignore-installed", "--require-hashes", "--only-binary", ":all:", "-r", str(asked)),
                *("--find-links", str(archive / "wheels"), "--target", str(tmp_path / "target")),
                *("--implementation", "cp", "--python-version", python),
                *(part for platform in system.platforms for part in ("--platform", platform)),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={"PIP_CONFIG_FILE": "/dev/null", "PATH": "/usr/bin:/bin"},
        )
        assert dry.returncode == 0, dry.stderr


def test_the_script_names_the_oldest_c_library(linux: Path) -> None:
    assert f"glibc='{proton.GLIBC}'" in (linux / "install.sh").read_text(encoding="utf-8")


def _applying(text: str, environment: dict[str, str]) -> Iterator[str]:
    """Yield the requirements of a system without markers, which pip reads for the one that it runs on."""
    for line in text.splitlines():
        requirement, _, digests = line.partition("    --hash")
        name, _, marker = requirement.partition(" ; ")
        if not marker.strip() or Marker(marker.strip()).evaluate(environment):
            yield f"{name.strip()} --hash{digests}\n"


@pytest.mark.parametrize(
    ("suite", "version"), [("bookworm", "3.11"), ("trixie", "3.13"), ("forky", "3.14")], ids=lambda one: one
)
def test_runs_the_main_job_on_a_bare_python_without_a_network(linux: Path, suite: str, version: str) -> None:
    try:
        debian = unpacked(suite, name="bare-python", packages=_BARE)
    except NotToBeHad as error:
        pytest.skip(f"NOT TESTED: Python {version}: {error}")
    with tempfile.TemporaryDirectory(prefix="kpr-offline-", dir="/var/tmp") as made:
        place, user = Path(made), 0 if os.getuid() else 65534
        place.chmod(0o755)
        (place / "home").mkdir()
        os.chown(place / "home", user, user)
        script = _MAIN_JOB.format(
            archive=linux, prefix=place / "prefix", home=place / "home", user=user,
            extras="pkcs11, joserfc, apprise, prometheus_client",
        )  # fmt: skip
        job = ("/bin/sh", "-e", "-u", "-c", script)
        command = debian.command(("/usr/bin/python3", "-c", _LOOPBACK, *job), shared=place, also=[linux.parent])
        ran = subprocess.run(
            [*_NO_NETWORK, *command],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": DebianFolder.PATH},
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert f"Installing kpr-sender 0.1.0 with Python {version} in {place}/prefix" in ran.stdout
        assert ran.stdout.count("(status 1)") == 4
        assert "Both shipments are delivered" in ran.stdout

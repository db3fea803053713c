"""Small wheels made on the spot: what installs an archive is the same whatever is in it."""

from __future__ import annotations

import base64
import ensurepip
import hashlib
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path


def tiny_wheel(folder: Path, name: str, version: str, files: Mapping[str, str], metadata: str = "") -> Path:
    """Write a wheel of pure Python, the same bytes of the same texts; return its path.

    Args:
        folder: Where.
        name: The package's.
        version: The package's.
        files: Their texts by name; those in ``.dist-info`` begin with ``*``.
        metadata: More lines for METADATA.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    information = f"{stem}.dist-info"
    texts = {key.replace("*", information): text for key, text in files.items()}
    texts[f"{information}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}"
    texts[f"{information}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = [f"{key},sha256={_digest(text)},{len(text.encode())}\n" for key, text in texts.items()]
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for key, text in texts.items():
            wheel.writestr(zipfile.ZipInfo(key), text)  # dated by the format's first day, not by this moment
        wheel.writestr(zipfile.ZipInfo(f"{information}/RECORD"), "".join([*record, f"{information}/RECORD,,\n"]))
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def tiny_product(folder: Path, version: str) -> Path:
    """Write a stand-in for kpr-sender: a command that prints its version, by a module of another wheel."""
    program = "import tiny_dependency\ndef main() -> None:\n    print('kpr-send, version', tiny_dependency.version)\n"
    points = "[console_scripts]\nkpr-send = kpr_sender:main\n"
    files = {"kpr_sender/__init__.py": program, "*/entry_points.txt": points}
    return tiny_wheel(folder, "kpr-sender", version, files, "Requires-Dist: tiny-dependency\n")


def pips_wheel() -> Path:
    """Return the wheel of pip that this Python comes with, which it makes virtual environments with."""
    debian = sysconfig.get_config_var("WHEEL_PKG_DIR")
    folders = [*([Path(debian)] if debian else []), Path(ensurepip.__file__).parent / "_bundled"]
    return next(wheel for folder in folders for wheel in folder.glob("pip-*.whl"))

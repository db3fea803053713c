"""The official schemas as oracles, and the payloads of the shared synthetic messages. No network, compiled once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from lxml import etree

from tests.helpers.shared import SHARED

_APPREC: Final = {"1.0": "apprec-v1.0.xsd", "1.1": "apprec-v1.1.xsd"}


def kpr_schema() -> etree.XMLSchema:
    """Hodemelding 1.2 with both payloads inside (its Content is strict)."""
    return _schema(SHARED / "schemas" / "drivers" / "kpr-driver.xsd")


def apprec_schema(version: str) -> etree.XMLSchema:
    """AppRec 1.0 or 1.1."""
    return _schema(SHARED / "schemas" / "msghead-apprec" / _APPREC[version])


@cache
def _schema(path: Path) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(path, etree.XMLParser(no_network=True)))


def assert_valid(schema: etree.XMLSchema, xml: bytes) -> None:
    """Fail with the schema's own words."""
    document = etree.fromstring(xml)
    assert schema.validate(document), str(schema.error_log)


@cache
def payload(name: str) -> bytes:
    """The payload of a shared synthetic message: ``kpr_ipl``, ``kpr_ide_53_1_2`` or ``kpr_ide_53_1_3``.

    With an XML declaration, as EPJ systems write it.
    """
    message = (SHARED / "samples" / "synthetic" / f"{name}_hodemelding_SYNTHETIC.xml").read_bytes()
    inside = message.partition(b"<Content>")[2].rpartition(b"</Content>")[0].strip()
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + inside + b"\n"

"""The official schemas as oracles, and the payloads of the shared synthetic messages. No network, compiled once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from lxml import etree

from tests.helpers.shared import SHARED

_PAYLOAD: Final = {
    "kpr_ipl": "iplos-3.x/iplos_2019.xsd",
    "kpr_ide_53_1_2": "xpr-53.1.2/XPR(ide).xsd",
    "kpr_ide_53_1_3": "xpr-53.1.3/XPR(ide).xsd",
}
_APPREC: Final = {"1.0": "apprec-v1.0.xsd", "1.1": "apprec-v1.1.xsd"}


def kpr_schema() -> etree.XMLSchema:
    """Hodemelding 1.2 with both payloads inside (its Content is strict)."""
    return _schema(SHARED / "schemas" / "drivers" / "kpr-driver.xsd")


def payload_schema(name: str) -> etree.XMLSchema:
    """One payload's own schema, by the name that ``payload`` knows it by."""
    return _schema(SHARED / "schemas" / "kpr" / _PAYLOAD[name])


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

"""HITS 1172's rules 267 to 270: whether the schema that an envelope names is known, and is that of its content.

The published list of schemas has none of KPR's. The list here is what FHI takes in this sandbox: the formats of its
reporting years. The standard names no answer for these rules: they are noted.
"""

from __future__ import annotations

from collections.abc import Iterable

from lxml import etree

from kpr_sender.ebxml.versions import content_schema
from kpr_sender.model import MessageType
from kpr_sender.profiles import Profile
from kpr_sender.sandbox.edi_letter import EB, Letter
from kpr_sender.sandbox.edi_rules import EbxmlRule, Reply


def version_rules(profiles: Iterable[Profile], content: bytes) -> tuple[EbxmlRule, ...]:
    """Return the rules about eb:Schema. A message that names none, or not all of it, breaks others: 265, 266, 279.

    Args:
        profiles: Of the reporting years whose formats are known.
        content: What was sealed, opened.
    """
    known = {
        (each.namespace, each.version, type_)
        for profile in profiles
        for type_, formats in profile.formats.items()
        for each in formats
    }

    def is_known(letter: Letter) -> bool:
        return schema_in(letter)[0] in {"", *(location for location, _, _ in known)}

    def go_together(letter: Letter) -> bool:
        location, version = schema_in(letter)
        versions = {one for namespace, one, _ in known if namespace == location}
        return not version or not versions or version in versions

    def fits(letter: Letter) -> bool:
        types = {type_ for location, _, type_ in known if location == schema_in(letter)[0]}
        return not types or (letter.named("Service"), letter.action) in map(_names, types)

    def is_of_content(letter: Letter) -> bool:
        named = schema_in(letter)
        return not all(named) or content_schema([content]) in {None, named}

    return (
        EbxmlRule("267", Reply.NOTE, "Schema is a known one", is_known),
        EbxmlRule("268", Reply.NOTE, "its version is one of that schema's", go_together),
        EbxmlRule("269", Reply.NOTE, "Service and Action fit the schema", fits),
        EbxmlRule("270", Reply.NOTE, "the content is of that schema and version", is_of_content),
    )


def schema_in(letter: Letter) -> tuple[str, str]:
    """Return location and version of eb:Schema; empty where they are not there."""
    manifest = letter.block("Manifest")
    schema: etree._Element | None = None if manifest is None else manifest.find(f"{EB}Reference/{EB}Schema")
    return ("", "") if schema is None else (schema.get(f"{EB}location", ""), schema.get(f"{EB}version", ""))


def _names(type_: MessageType) -> tuple[str, str]:
    """Return Service and Action of a message type (HISD 1209)."""
    return f"S-{type_}", str(type_)

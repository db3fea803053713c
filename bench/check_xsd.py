"""``python -m bench.check_xsd SCHEMA FILE``: their side: lxml reads a fagmelding and validates it, nothing more."""

from __future__ import annotations

import sys

from lxml import etree


def main(schema: str, file: str) -> None:
    """Validate."""
    validator = etree.XMLSchema(etree.parse(schema, etree.XMLParser(no_network=True)))
    if not validator.validate(etree.parse(file, etree.XMLParser(no_network=True, huge_tree=True))):
        raise RuntimeError(f"{file} is not valid")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What a schema says of one block, made ready for those who judge."""

from __future__ import annotations

from collections.abc import Mapping

from kpr_sender.preflight.catalogue.fields import Block, Catalogue, Field
from kpr_sender.preflight.schema.lexical import Predicate, predicate


class Model:
    """What a schema says of one block, made ready.

    Attributes:
        block: As in the catalogue.
        places: Where each child stands in the sequence.
        values: The test of each child that has a simple value.
        attributes: The test of each attribute.
        unique: For each child, its attributes that must differ from those of the others.
    """

    def __init__(self, block: Block, catalogue: Catalogue) -> None:
        self.block = block
        self.places = {child.name: at for at, child in enumerate(block.children)}
        self.values: Mapping[str, Predicate] = {
            child.name: predicate(child) for child in block.children if child.kind == "element"
        }
        self.attributes: Mapping[str, Predicate] = {
            name: predicate(attribute) for name, attribute in block.attributes.items()
        }
        self.unique = {
            child.name: names
            for child in block.children
            if child.kind == "block"
            and (
                names := [
                    name
                    for name, attribute in catalogue.blocks[child.name].attributes.items()
                    if attribute.facets.get("unique") == block.name
                ]
            )
        }

    def child(self, name: str) -> Field:
        """Return what is said of a child."""
        return self.block.children[self.places[name]]


def models(catalogue: Catalogue) -> Mapping[str, Model]:
    """Return every block's, by name."""
    return {name: Model(block, catalogue) for name, block in catalogue.blocks.items()}

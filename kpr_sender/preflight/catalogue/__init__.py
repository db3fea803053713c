"""The published facts, as data: fields, code lists, tjenestetyper, municipalities. Each file says its sources."""

"""Numbers that name persons and organisations: what they must look like, and which belong to nobody."""

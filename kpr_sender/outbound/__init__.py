"""From two files to the bus: hash, check, build, seal, publish once."""

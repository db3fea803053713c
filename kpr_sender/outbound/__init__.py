"""The engine: the only place that joins journal, bus and registry, one step at a time."""

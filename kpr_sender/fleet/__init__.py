"""Many municipalities at once: the fleet file, a run of each in its own process, drop folders."""

"""What tells others of a run: notices, pings and a file of metrics. None of it decides anything."""

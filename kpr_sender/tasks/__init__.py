"""The engine of a fleet on several machines: tasks in the journal's database, and who takes them."""

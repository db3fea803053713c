"""Every screen, every object of ``--json`` and every page, as text; printed elsewhere."""

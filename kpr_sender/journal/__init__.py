"""The journal: the one durable thing. ``port`` says what it promises, ``sqlite`` keeps it, ``lock`` keeps it alone."""

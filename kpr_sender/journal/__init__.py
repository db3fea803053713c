"""The journal: the one durable thing. ``port`` says what it promises, ``sqlite`` stores it, ``lock`` guards it."""

"""CMS: seals what is sent and opens what is received. Pure: bytes, keys and values in, bytes and values out.

``write`` seals, ``read`` opens with ``read_signed`` for the inner layer, ``port`` is what a key must be able to do and
how a message is refused. Nothing is imported here: whoever needs only the exceptions does not load the cryptography.
"""

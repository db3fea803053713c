"""Our own keys: what the rest of the program asks of them, and the files and tokens they are in."""

"""What the official schema would say of a file, from the catalogue alone."""

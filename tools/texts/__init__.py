"""The texts in both languages: found in the code, written to catalogues, checked and compiled."""

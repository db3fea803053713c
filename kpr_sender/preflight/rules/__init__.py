"""The rules: what FHI's published texts say about values, rows, persons, files and the pair."""

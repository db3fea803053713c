"""What ``kpr-send doctor`` looks at, one function for each line. Nothing is sent, and nothing but a cache is written.

Each returns what it saw. What must be mended is raised, as everywhere else.
"""

"""Reads the files: the fast way where that is certain to be right, the general way everywhere else."""

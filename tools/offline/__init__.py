"""Archives that install kpr-sender on a machine without internet: ``python -m tools.offline``."""

"""What watching the engine may show: redacted log lines."""

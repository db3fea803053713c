"""Configuration: one table of keys, TOML files in, checked and typed values out."""

from kpr_sender.settings.read import load

__all__ = ["load"]

"""Bytes to episodes and back: one file a format, found through entry points."""

"""MCAP logs: our own in both directions, anybody's as far as their encodings can be read."""

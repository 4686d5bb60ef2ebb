"""The command line: parses, calls one verb, prints; no SQL and no logic."""

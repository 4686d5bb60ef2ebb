"""Name failures, group them, put them in order, and say what to collect."""

"""Path A: logs and a table of trials in, one page out; no workspace."""

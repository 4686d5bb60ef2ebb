"""What data is worth: what to collect next, for what, at which price, and whether choosing was worth it."""

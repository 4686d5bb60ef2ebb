"""Choose what teaches: spans, weights, and what must never be in a dataset version."""

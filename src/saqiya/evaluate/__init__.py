"""Compare a candidate with the champion, and let only evidence ship it."""

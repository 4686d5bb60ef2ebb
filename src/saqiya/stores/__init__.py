"""The two truths, the catalog (SQL) and the immutable objects, and what is checked about them."""

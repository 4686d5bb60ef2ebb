"""Let an operator show the right way, from shortly before a failure or from its start."""

"""What formats of named arrays share: clocks, names, claims, tries."""

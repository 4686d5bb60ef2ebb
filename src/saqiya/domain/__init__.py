"""The nouns and the interfaces: standard library and numpy only, no input or output."""

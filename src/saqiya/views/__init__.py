"""How stored streams become samples: alignment on read, picture decoding, and which sample comes when."""

"""The JSON interface, one file a group of nouns: `/api/v1/...`."""

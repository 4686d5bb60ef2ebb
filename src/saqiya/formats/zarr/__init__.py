"""Zarr stores, v2 and v3."""

"""Recordings for Rerun."""

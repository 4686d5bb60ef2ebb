"""Learned parts that several stages share."""

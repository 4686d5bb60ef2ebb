"""Corrections that were made elsewhere: request packs out and in, and what LeRobot recorded."""

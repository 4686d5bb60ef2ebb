"""Find where a try went wrong: runtime signals, their calibrated thresholds, and incidents."""

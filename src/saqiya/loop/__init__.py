"""Wires the stages into one wheel: configuration, rollouts, the verbs, and what follows what in a turn."""

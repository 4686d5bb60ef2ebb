"""Saqiya, the robot data flywheel: failures in, the smallest set of corrections out, shipped on evidence."""

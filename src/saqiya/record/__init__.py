"""Record on the robot: a log that survives its own process, and the step that mends a cut one."""

"""From a dataset version to a policy: trainers, and the shell that stores what they make."""

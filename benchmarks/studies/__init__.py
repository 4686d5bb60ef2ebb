"""Long studies: does what is chosen by novelty make better policies? `make study`, or `make study ONLY=novelty`."""

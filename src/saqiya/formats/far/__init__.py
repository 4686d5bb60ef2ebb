"""Libraries that damage can hang or crash, in a child process with limits."""

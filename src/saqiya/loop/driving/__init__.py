"""A person drives: from a lease to a process, its journal, and the submission that comes of it."""

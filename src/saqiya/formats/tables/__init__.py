"""Tables of numbers through a declared mapping, and drafts of one."""

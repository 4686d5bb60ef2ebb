"""One try and many: who wants what at each step, who watches, and what is written."""

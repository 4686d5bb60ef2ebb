"""The same examples every time, so that a failure can be repeated."""

from hypothesis import settings

settings.register_profile("evaluate", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("evaluate")

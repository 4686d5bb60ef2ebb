"""Benchmarks: each module's `run(quick)` yields the figures that PROTOCOL.md froze before the method ran."""

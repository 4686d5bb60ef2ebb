"""A clock that moves only when it is told to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ManualClock"]


@dataclass
class ManualClock:
    """Stands wherever `saqiya.domain.ids.Clock` is asked for: calling it returns int64 ns since the Unix epoch."""

    now_ns: int = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        """Return now."""
        return self.now_ns

    def advance(self, *, ns: int = 0, s: int = 0) -> None:
        """Move on by `s` seconds and `ns` nanoseconds; time never goes back.

        Raises:
            ValueError: the step is negative.
        """
        step_ns = ns + s * 1_000_000_000
        if step_ns < 0:
            raise ValueError(f"a clock does not go back ({step_ns} ns)")
        self.now_ns += step_ns

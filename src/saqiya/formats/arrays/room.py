"""How much one try may claim: a few bytes of file can declare terabytes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Room"]

MOST_RATIO = 250
"""Real data shrink a hundredfold at best; what claims more for each stored byte, and much in all, is not there."""
MOST_UNSTORED_BYTES = 1 << 28
MOST_ARRAY_BYTES = 1 << 33
MOST_TRY_BYTES = 1 << 35


@dataclass
class Room:
    """What is left for the arrays of one try."""

    unstored: int = MOST_UNSTORED_BYTES
    whole: int = MOST_TRY_BYTES

    def refuses(self, claimed: int, stored: int) -> str:
        """Say why an array of `claimed` bytes with `stored` bytes of file is not read; "" and take it when it is."""
        unstored = max(0, claimed - stored * MOST_RATIO)
        if claimed > min(MOST_ARRAY_BYTES, self.whole):
            return f"it claims {claimed} bytes, more than this reader takes"
        if unstored > self.unstored:
            return f"it claims {claimed} bytes, and {stored} are stored"
        self.unstored -= unstored
        self.whole -= claimed
        return ""

"""How quickly somebody does a sort of work, and how much of it is kept, beside everybody who does it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SHRINK_N", "Tally", "kept", "pace"]

SHRINK_N = 5.0
"""Pieces after which what somebody did counts as much as what everybody does; triage shrinks minutes alike."""


@dataclass(frozen=True)
class Tally:
    """What was handed in of one sort of work.

    Attributes:
        pieces: how many.
        steps: a person's control steps in all of them, tries that they began anew counted in.
        decided: how many a reviewer decided or sent back; `kept` of them were accepted.
    """

    pieces: int = 0
    steps: float = 0.0
    decided: int = 0
    kept: int = 0

    def handed(self, steps: float) -> Tally:
        """Return it with one more piece."""
        return Tally(self.pieces + 1, self.steps + steps, self.decided, self.kept)

    def judged(self, *, good: bool) -> Tally:
        """Return it with one more word of a reviewer."""
        return Tally(self.pieces, self.steps, self.decided + 1, self.kept + good)


def pace(own: Tally, every: Tally) -> float:
    """Return somebody's minutes for a piece, in everybody's: 1 as long as nothing is known, 0.5 for twice as quick.

    Own pieces are mixed with `SHRINK_N` of everybody's (empirical Bayes, a fixed weight): one quick piece moves little.
    """
    if not every.pieces or not every.steps > 0.0:
        return 1.0
    mean = every.steps / every.pieces
    return (own.steps + SHRINK_N * mean) / ((own.pieces + SHRINK_N) * mean)


def kept(own: Tally, every: Tally) -> float:
    """Return how much more of somebody's work is accepted than of everybody's: 1 as long as nothing is known."""
    share = (every.kept + 1.0) / (every.decided + 2.0)
    return (own.kept + SHRINK_N * share) / ((own.decided + SHRINK_N) * share)

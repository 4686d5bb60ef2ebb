"""Detectors that judge each instant by itself: a row of what the robot sees and does, and one number for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.smoothing import Smoother, smooth
from saqiya.domain.contracts import Row, Seen, Vector
from saqiya.models.replay import reason_at
from saqiya.models.rows import Latest, side_by_side

__all__ = ["Judge", "Rowwise", "channel"]


class Judge(Protocol):
    """What was learned of normal rows."""

    @property
    def names(self) -> tuple[str, ...]:
        """The streams side by side in a row."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Their columns."""

    def strangeness(self, rows: Vector) -> Vector:
        """Return float64 (t,) for rows float64 (t, D), higher is worse; each row by itself."""

    def apart(self, row: Vector) -> tuple[Vector, str]:
        """Return how far each channel (D,) is, in typical spreads, and from what, in words."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what makes it again."""


@dataclass(frozen=True)
class Rowwise:
    """A fitted detector: a judge's word on each row, smoothed over the last few."""

    judge: Judge

    def score(self, seen: Seen) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (t,) and smoothed scores (t,), one for each row of the last stream.

        Raises:
            InvalidEpisode: a stream that normal tries had is missing, or never finite.
        """
        stamps, rows = side_by_side(seen.streams, self.judge.names)
        return stamps, smooth(self.judge.strangeness(rows))

    def reason(self, seen: Seen, t_ns: int) -> str:
        """Name the channel that is farthest from normal."""
        return reason_at(self.watch(), seen, self.judge.names, t_ns)

    def watch(self) -> RowWatch:
        """Begin a try."""
        return RowWatch(self.judge)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was learned."""
        return self.judge.arrays()


class RowWatch:
    """`Rowwise` on one try as it happens."""

    def __init__(self, judge: Judge) -> None:
        """Begin a try."""
        self._judge, self._smoother = judge, Smoother()
        self._latest = Latest(judge.names, judge.widths)
        self._row: Vector | None = None

    def see(self, t_ns: int, row: Row, events: Sequence[str]) -> float | None:  # noqa: ARG002 - it reads streams
        """Return the smoothed score of this instant."""
        values = self._latest.take(row)
        if values is None:
            return None
        self._row = values
        return self._smoother.add(float(self._judge.strangeness(values[None])[0]))

    def reason(self) -> str:
        """Name the channel that is farthest from normal."""
        if self._row is None:
            return ""
        apart, what = self._judge.apart(self._row)
        worst = int(np.abs(apart).argmax())
        place = channel(self._judge.names, self._judge.widths, worst)
        return f"{place} is {self._row[worst]:.4g}, {abs(float(apart[worst])):.1f} typical spreads from {what}"


def channel(names: Sequence[str], widths: Sequence[int], column: int) -> str:
    """Return the name of a row's column: its stream, and its place there."""
    for name, width in zip(names, widths, strict=True):
        if column < width:
            return f"{name}[{column}]"
        column -= width
    raise IndexError(column)

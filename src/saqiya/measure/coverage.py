"""How far the start of a try lies from the starts that training covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saqiya.domain.streams import Start
from saqiya.models.starts import encode, nearest_distance, spacing

__all__ = ["StartCoverage", "start_coverage"]


@dataclass(frozen=True)
class StartCoverage:
    """Distance to the nearest training start, and how far apart training starts lie, in shares of the factor ranges."""

    distance: float
    spacing: float

    @property
    def covered(self) -> bool:
        """The start lies no farther from training than training starts lie from one another."""
        return self.distance <= self.spacing


def start_coverage(
    starts: Sequence[Start], training: Sequence[Start], ranges: Mapping[str, tuple[float, float]]
) -> tuple[StartCoverage, ...]:
    """Measure each start against the starts of the training episodes.

    Numbers are scaled by the factor's full range where the site declares it, words are equal or not. With fewer than
    two training starts the spacing is infinite: nothing can be called uncovered.

    Raises:
        UsageError: starts have different factors or none.
    """
    places = encode([*starts, *training], ranges)
    known = places[len(starts) :]
    apart = spacing(known)
    return tuple(StartCoverage(float(far), apart) for far in nearest_distance(places[: len(starts)], known))

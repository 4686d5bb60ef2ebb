"""Two tries side by side: how a moment of one reads on the other, by time since the start or by the phases of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saqiya.domain.nouns import Episode
from saqiya.models.scene import PHASE

__all__ = ["Paired", "paired"]


@dataclass(frozen=True)
class Paired:
    """How a moment of one try reads on another, as knots (ns of one, ns of the other) with straight lines between them.

    Attributes:
        same_start: both began at equal factors.
        by_time: by the time since the start.
        by_phase: by the phases that both reached in the same order; () where they share none.
        phases: their names.
    """

    a: str
    b: str
    same_start: bool
    by_time: tuple[tuple[int, int], ...]
    by_phase: tuple[tuple[int, int], ...]
    phases: tuple[str, ...]


def paired(a: Episode, b: Episode) -> Paired:
    """Say how two tries are laid over one another; all moments count from the beginning of each."""
    common = _common(_reached(a), _reached(b))
    ends = (a.end_ns - a.start_ns, b.end_ns - b.start_ns)
    return Paired(
        a.id,
        b.id,
        same_start=a.start is not None and b.start is not None and a.start.key == b.start.key,
        by_time=((0, 0), (max(ends), max(ends))),
        by_phase=_knots([(one, two) for _, one, two in common], ends),
        phases=tuple(name for name, _, _ in common),
    )


def _reached(episode: Episode) -> dict[str, int]:
    """Return when each phase was first reached, from the episode's beginning."""
    found: dict[str, int] = {}
    for event in episode.events:
        if event.name.startswith(PHASE):
            found.setdefault(event.name.removeprefix(PHASE), event.t_ns - episode.start_ns)
    return found


def _common(a: Mapping[str, int], b: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """Return the phases that both reached, in the order of the first, as far as the other kept to that order."""
    found: list[tuple[str, int, int]] = []
    for name, at_ns in sorted(a.items(), key=lambda one: one[1]):
        if name in b and (not found or (at_ns > found[-1][1] and b[name] > found[-1][2])):
            found.append((name, at_ns, b[name]))
    return found


def _knots(common: Sequence[tuple[int, int]], ends: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return the knots of the map; after the last phase both run at one pace."""
    inner = [one for one in common if one[0] > 0 and one[1] > 0]
    if not inner:
        return ()
    knots = [(0, 0), *inner]
    rest = max(ends[0] - knots[-1][0], ends[1] - knots[-1][1], 1)
    return (*knots, (knots[-1][0] + rest, knots[-1][1] + rest))

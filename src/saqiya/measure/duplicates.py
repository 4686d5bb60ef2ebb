"""Which episodes repeat an earlier one: equal numbers, or the same way at another speed, rate, length or precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from saqiya.domain.logged import Episode
from saqiya.measure.near import near_copies
from saqiya.measure.outline import Outline, compared

__all__ = ["EXACT", "NEAR", "Copy", "Found", "find_copies"]

EXACT, NEAR = "exact", "near"


@dataclass(frozen=True)
class Copy:
    """An episode that repeats an earlier one; see `saqiya.domain.worth.Duplicate`."""

    episode: str
    of: str
    how: str
    distance: float
    spacing: float | None


@dataclass(frozen=True)
class Found:
    """What a search gave.

    Attributes:
        copies: each names the earliest of its group.
        compared_n: pairs of episodes whose ways were compared, of n (n - 1) / 2.
        alone: ids of episodes that hold nothing to compare (pictures alone): only equal numbers were looked for.
    """

    copies: tuple[Copy, ...]
    compared_n: int
    alone: tuple[str, ...]


def find_copies(
    episodes: Sequence[Episode], outline_of: Callable[[Episode, Sequence[str]], Outline | None], *, seed: int = 0
) -> Found:
    """Find the episodes that repeat an earlier one of them.

    Equal numbers are found by the digests of ingest (`prints`), whatever streams and files are called. Ways are
    compared among tries of one embodiment with the same streams; task, site, format and clock may differ.

    Args:
        episodes: the earliest first.
        outline_of: reads an episode's outline by the named streams.
        seed: of the index.
    """
    alone: list[str] = []
    comparable: dict[tuple[str, tuple[tuple[str, int], ...]], list[Episode]] = {}
    equal: dict[str, list[Episode]] = {}
    first: dict[tuple[str, ...], Episode] = {}
    for one in episodes:
        leader = first.setdefault(one.prints or (one.streams,), one)
        if leader is not one:
            equal.setdefault(leader.id, []).append(one)
        elif table := compared(one.infos):
            comparable.setdefault((one.embodiment, table), []).append(one)
        else:
            alone.append(one.id)
    compared_n = 0
    of: dict[str, Copy] = {}
    spacing_of: dict[str, float | None] = {}
    for (_, table), tries in comparable.items():
        drawn = [(one, outline_of(one, [name for name, _ in table])) for one in tries]
        alone += [one.id for one, shape in drawn if shape is None]
        held = [(one, shape) for one, shape in drawn if shape is not None]
        found = near_copies([shape for _, shape in held], seed=seed)
        compared_n += found.compared_n
        spacing_of |= {one.id: found.spacing for one, _ in held}
        for pair in found.pairs:
            own, earlier = held[pair.second][0].id, held[pair.first][0].id
            of[own] = Copy(own, earlier, NEAR, pair.distance, found.spacing)
    copies = list(of.values())
    for leader_id, others in equal.items():
        via = of.get(leader_id, Copy(leader_id, leader_id, EXACT, 0.0, spacing_of.get(leader_id)))
        copies += [Copy(one.id, via.of, via.how, via.distance, via.spacing) for one in others]
    return Found(tuple(sorted(copies, key=lambda one: one.episode)), compared_n, tuple(sorted(alone)))

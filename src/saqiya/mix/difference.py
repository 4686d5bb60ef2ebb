"""What changed between two dataset versions: which episodes, which spans of time, which weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from saqiya.domain.nouns import DatasetEntry, DatasetVersion

__all__ = ["Change", "Difference", "Total", "difference"]

Held = tuple[tuple[float, str], ...]
"""What a version says of one instant: weight and role of each entry that covers it, in order."""


@dataclass(frozen=True)
class Change:
    """A range of an episode that two versions treat differently; an empty tuple says that one of them lacks it."""

    episode: str
    start_ns: int
    end_ns: int
    before: Held
    after: Held


@dataclass(frozen=True)
class Total:
    """One group in both versions.

    Attributes:
        by: what groups ("role", "task", "mode", or "all").
        name: the group.
        episodes, seconds: how much of it is in each version: (before, after).
        weighted_s: seconds times weight: (before, after).
        share: of the version's weighted seconds: (before, after).
    """

    by: str
    name: str
    episodes: tuple[int, int]
    seconds: tuple[float, float]
    weighted_s: tuple[float, float]
    share: tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """What changed from one version to another.

    Attributes:
        added, removed: episodes that only one of them has, in order of their ids.
        spans: ranges that were added to or taken from episodes that both have.
        weights: ranges that both have, with other weights or roles.
        totals: all of it, then by role, then by each label that was given.
        same: contents and weights are equal.
    """

    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    spans: tuple[Change, ...]
    weights: tuple[Change, ...]
    totals: tuple[Total, ...]

    @property
    def same(self) -> bool:
        """Whether nothing changed."""
        return not (self.added or self.removed or self.spans or self.weights)

    def lines(self) -> list[str]:
        """Say it in a few sentences, the totals aside."""
        if self.same:
            return ["Nothing changed: the same spans with the same weights."]
        grown = [one for one in self.spans if not one.before]
        shrunk = [one for one in self.spans if not one.after]
        roles = [one for one in self.weights if _roles(one.before) != _roles(one.after)]
        both = len({one.episode for one in self.spans})
        said = [f"{len(self.added)} episodes added, {len(self.removed)} removed."]
        if self.spans:
            said.append(
                f"In {both} that both have: {_seconds(grown):.1f} s added in {len(grown)} ranges, "
                f"{_seconds(shrunk):.1f} s taken out in {len(shrunk)}."
            )
        if self.weights:
            said.append(f"{_seconds(self.weights):.1f} s in {len(self.weights)} ranges have another weight or role.")
        if roles:
            moved = sorted({f"{_roles(one.before)} to {_roles(one.after)}" for one in roles})
            said.append(f"Roles: {', '.join(moved)}.")
        return said


def difference(
    before: DatasetVersion, after: DatasetVersion, *, labels: Mapping[str, Mapping[str, str]] | None = None
) -> Difference:
    """Compare two versions instant by instant.

    Entries of an episode may overlap: an instant then has several weights, and they are compared as they are.

    Args:
        before: the older version.
        after: the newer one.
        labels: ways to group episodes in the totals: name of the grouping -> episode id -> group.
    """
    old, new = _by_episode(before.entries), _by_episode(after.entries)
    changes = [one for episode in sorted(old.keys() & new.keys()) for one in _changes(episode, old, new)]
    return Difference(
        before=before.id,
        after=after.id,
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        spans=tuple(one for one in changes if not (one.before and one.after)),
        weights=tuple(one for one in changes if one.before and one.after),
        totals=tuple(_totals((before.entries, after.entries), labels or {})),
    )


def _by_episode(entries: Iterable[DatasetEntry]) -> dict[str, list[DatasetEntry]]:
    found: defaultdict[str, list[DatasetEntry]] = defaultdict(list)
    for entry in entries:
        found[entry.episode].append(entry)
    return dict(found)


def _changes(
    episode: str, old: Mapping[str, Sequence[DatasetEntry]], new: Mapping[str, Sequence[DatasetEntry]]
) -> list[Change]:
    found: list[Change] = []
    edges = sorted({t for entry in (*old[episode], *new[episode]) for t in (entry.start_ns, entry.end_ns)})
    was, now = _steps(old[episode], edges), _steps(new[episode], edges)
    for start_ns, end_ns, before, after in zip(edges, edges[1:], was, now, strict=False):
        if before == after:
            continue
        last = found[-1] if found else None
        if last and (last.end_ns, last.before, last.after) == (start_ns, before, after):
            found[-1] = Change(episode, last.start_ns, end_ns, before, after)
        else:
            found.append(Change(episode, start_ns, end_ns, before, after))
    return found


def _steps(entries: Sequence[DatasetEntry], edges: Sequence[int]) -> list[Held]:
    """Return what holds from each edge to the next; every entry begins and ends at an edge."""
    begins: defaultdict[int, list[tuple[float, str]]] = defaultdict(list)
    ends: defaultdict[int, list[tuple[float, str]]] = defaultdict(list)
    for entry in entries:
        if entry.end_ns > entry.start_ns:
            begins[entry.start_ns].append((entry.weight, str(entry.role)))
            ends[entry.end_ns].append((entry.weight, str(entry.role)))
    held: list[tuple[float, str]] = []
    found = []
    for edge in edges[:-1]:
        for one in ends[edge]:
            held.remove(one)
        held += begins[edge]
        found.append(tuple(sorted(held)))
    return found


def _totals(
    versions: tuple[Sequence[DatasetEntry], Sequence[DatasetEntry]], labels: Mapping[str, Mapping[str, str]]
) -> list[Total]:
    found = []
    for by in ("all", "role", *labels):
        sums: defaultdict[str, list[_Sum]] = defaultdict(lambda: [_Sum(), _Sum()])
        for side, entries in enumerate(versions):
            for entry in entries:
                sums[_group(by, entry, labels)][side].add(entry)
        whole = [sum(pair[side].weighted_s for pair in sums.values()) or 1.0 for side in (0, 1)]
        for name, (was, now) in sorted(sums.items()):
            found.append(
                Total(
                    by=by,
                    name=name,
                    episodes=(len(was.episodes), len(now.episodes)),
                    seconds=(was.seconds, now.seconds),
                    weighted_s=(was.weighted_s, now.weighted_s),
                    share=(was.weighted_s / whole[0], now.weighted_s / whole[1]),
                )
            )
    return found


def _group(by: str, entry: DatasetEntry, labels: Mapping[str, Mapping[str, str]]) -> str:
    if by in labels:
        return labels[by].get(entry.episode, "")
    return str(entry.role) if by == "role" else by


class _Sum:
    """What one version holds of one group."""

    def __init__(self) -> None:
        self.episodes: set[str] = set()
        self.seconds = self.weighted_s = 0.0

    def add(self, entry: DatasetEntry) -> None:
        """Count an entry."""
        seconds = (entry.end_ns - entry.start_ns) / 1e9
        self.episodes.add(entry.episode)
        self.seconds += seconds
        self.weighted_s += seconds * entry.weight


def _roles(held: Held) -> str:
    return "+".join(sorted({role for _, role in held}))


def _seconds(changes: Iterable[Change]) -> float:
    return sum(one.end_ns - one.start_ns for one in changes) / 1e9

"""Runtime signal: how likely the try is to fail, as learned from tries that ended well and tries that did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.conformal import success_horizon
from saqiya.detect.person import touches
from saqiya.detect.smoothing import Smoother, smooth
from saqiya.domain.contracts import FittedDetector, Row, Seen, Vector, Watch
from saqiya.errors import TooLittle
from saqiya.models.prefixes import Prefixes, learn_prefixes
from saqiya.models.replay import reason_at
from saqiya.models.trees import Trees, grow

__all__ = ["LABELLED_N", "Outlook"]

LABELLED_N = 60
LEAST_N = 10
MOMENTS_N = 16
REASONS_N = 2


class Outlook:
    """Log-odds that the try fails, given what has passed of it: boosted trees on prefixes, smoothed.

    It learns from labelled tries of the policy (as Gu et al. 2025, SAFE, but on any robot's streams, and as ActProbe
    2026 on a black box): each try is looked at at `MOMENTS_N` moments up to the success horizon, no matter how long it
    went on failing: every try weighs the same. No number it is given tells how much time has
    passed, or it would learn that failures last until their time-out. Tries that a person drove throughout teach
    nothing about the policy and are left out, and so is what came after a person took over: that would be the label.
    """

    name = "outlook"
    version = "1"

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:
        """Learn from both kinds.

        Raises:
            TooLittle: fewer than `LABELLED_N` tries of the policy, or than `LEAST_N` of one kind.
        """
        good, bad = ([own for one in tries if (own := _of_policy(one)) is not None] for tries in (normal, failed))
        if len(good) + len(bad) < LABELLED_N or min(len(good), len(bad)) < LEAST_N:
            raise TooLittle(
                f"{len(good)} good and {len(bad)} failed tries of the policy are too few to learn how failures begin",
                remedy=f"Label {LABELLED_N} rollouts, at least {LEAST_N} of each kind.",
            )
        tries, fails = [*good, *bad], np.arange(len(good) + len(bad)) >= len(good)
        prefixes = learn_prefixes(tries, (~fails).tolist(), duration=False)
        clocks = [one.streams[prefixes.streams[-1]].t_ns for one in tries]
        horizon_s = success_horizon([float(t_ns[-1] - t_ns[0]) / 1e9 for t_ns in clocks[: len(good)]])
        rows = [prefixes.rows(one, _moments(t_ns, horizon_s))[1] for one, t_ns in zip(tries, clocks, strict=True)]
        return _Learned(prefixes, grow(np.concatenate(rows), np.repeat(fails, MOMENTS_N)))

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
        """Make the detector again from its arrays."""
        prefixes, trees = (
            {name.removeprefix(part): array for name, array in arrays.items() if name.startswith(part)}
            for part in ("prefixes/", "trees/")
        )
        return _Learned(Prefixes.of_arrays(prefixes), Trees.of_arrays(trees))


def _of_policy(seen: Seen) -> Seen | None:
    """Return what passed before a person's first hand on it; None where that is nothing, as in a demonstration."""
    author = seen.streams.get("author")
    if author is not None and bool(author.values.size) and bool(np.all(author.values == 1)):
        return None
    hands = touches(seen.events, seen.streams)
    if not hands:
        return seen
    own = seen.until(hands[0].t_ns - 1)
    lost = any(stream.t_ns.size and not own.streams[name].t_ns.size for name, stream in seen.streams.items())
    return None if lost else own


def _moments(t_ns: NDArray[np.int64], horizon_s: float) -> NDArray[np.int64]:
    """Return which instants are looked at: evenly spaced up to the horizon, or to the end if that is nearer."""
    until_ns = min(round(horizon_s * 1e9), int(t_ns[-1] - t_ns[0]))
    times = t_ns[0] + np.linspace(0, until_ns, MOMENTS_N).astype(np.int64)
    moments: NDArray[np.int64] = np.searchsorted(t_ns, times, side="right") - 1
    return moments


@dataclass(frozen=True)
class _Learned:
    prefixes: Prefixes
    trees: Trees

    def score(self, seen: Seen) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (t,) and smoothed log-odds of failure (t,), one for each sample of the quickest stream.

        Raises:
            InvalidEpisode: a stream that the labelled tries had is missing or has another width.
        """
        stamps, rows = self.prefixes.rows(seen)
        return stamps, smooth(self.trees.log_odds(rows))

    def reason(self, seen: Seen, t_ns: int) -> str:
        """Name what speaks most for a failure."""
        return reason_at(self.watch(), seen, self.prefixes.streams, t_ns)

    def watch(self) -> Watch:
        """Begin a try."""
        return _Watch(self)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was learned."""
        parts = {"prefixes": self.prefixes.arrays(), "trees": self.trees.arrays()}
        return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}


class _Watch:
    def __init__(self, learned: _Learned) -> None:
        self._learned, self._smoother = learned, Smoother()
        self._following = learned.prefixes.follow()
        self._row: Vector | None = None

    def see(self, t_ns: int, row: Row, events: Sequence[str]) -> float | None:
        """Return the smoothed log-odds of failure, None between two samples of the quickest stream."""
        told = self._following.see(t_ns, row, events)
        if told is None:
            return None
        self._row = told
        return self._smoother.add(float(self._learned.trees.log_odds(told[None])[0]))

    def reason(self) -> str:
        """Name what speaks most for a failure."""
        if self._row is None:
            return ""
        shares = self._learned.trees.shares(self._row)
        most = [index for index in np.argsort(-shares)[:REASONS_N] if shares[index] > 0.0]
        named = ", ".join(f"{self._learned.prefixes.names[i]} {self._row[i]:.3g}" for i in most)
        return f"tries that failed looked like this: {named}" if named else ""

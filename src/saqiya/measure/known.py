"""What a set of episodes already says: where its states lie, what was done there, and how far apart tries lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.errors import TooLittle
from saqiya.measure.scales import resolved
from saqiya.measure.surprisal import FLOOR, surprise
from saqiya.measure.taught import Taught
from saqiya.models.normaliser import RESOLUTION
from saqiya.models.scaling import Scale

__all__ = ["Known", "kernel", "known_by", "thinned", "tree_of"]

T = TypeVar("T", bound=np.generic)

REACH = 0.5
"""How far one state speaks of another: the width of a kernel; 1.0 is a typical spread over all channels."""
SIGNAL_TO_NOISE = 10.0
"""How much of what is done in a state is no chance, as variances, where nothing is known of it."""
MOST_ROWS_N = 1000
MOST_STEPS_N = 250
KEPT_ROWS_N = 50_000
ASKED_N = 32
"""Episodes that are left out in turn, where something is asked of the reference itself."""
ALIKE_N = 3
STRANGE_SPACINGS = 4.0


@dataclass(frozen=True)
class Known:
    """The steps of the reference's episodes, scaled.

    Attributes:
        scale: of states.
        states: float64 (n, D), scaled; `actions` float64 (n, d) in their own units.
        episode: int64 (n,), which episode each comes from.
        spread: float64 (d,), standard deviation of the actions, never below the resolution.
    """

    scale: Scale
    states: Vector
    actions: Vector
    episode: NDArray[np.int64]
    spread: Vector

    def distance(self, one: Taught) -> Vector:
        """Return how far each step's state is from the nearest known one, float64 (t,)."""
        found: Vector = self._tree.query(self.scale.apply(one.state))[0]
        return found

    def surprisal(self, one: Taught) -> Vector:
        """Return bits of each step, float64 (t,): how surprising its state is to the known ones (`surprise`)."""
        return surprise(self.distance(one), self.spacing)

    def strangeness(self, one: Taught) -> Vector:
        """Return how new each step's place is, float64 (t,): 0 at a known one, 1 from four times the spacing on."""
        share: Vector = self.distance(one) / (STRANGE_SPACINGS * max(self.spacing, FLOOR))
        return np.minimum(1.0, share)

    def nearest(self, one: Taught) -> int:
        """Return the number of the reference's episode that is most like this one: nearest to most of its steps."""
        _, near = self._tree.query(self.scale.apply(one.state))
        return int(np.bincount(self.episode[near]).argmax())

    def information(self, one: Taught) -> float:
        """Return the bits that the episode's steps bring about what to do, given the known ones: its coverage in bits.

        The mutual information between the actions and a smooth function of the state, a Gaussian process with a
        squared exponential kernel: half log2 det(I + posterior covariance / noise). Steps that repeat each other or
        known ones bring nothing twice, so length alone brings little (submodular, as in Krause et al. 2008).
        """
        rows = thinned(self.scale.apply(one.state), MOST_STEPS_N)
        lower, places = self._factor
        part = np.linalg.solve(lower, kernel(places, rows))
        left = kernel(rows, rows) - part.T @ part
        left[np.diag_indices(len(rows))] += 1.0 / SIGNAL_TO_NOISE
        _, logdet = np.linalg.slogdet(left * SIGNAL_TO_NOISE)
        return max(0.0, float(0.5 * logdet / np.log(2.0)))

    def predicted(self, one: Taught) -> Vector:
        """Return what is done in the nearest known states, float64 (t, d): a black box's own answer is not at hand."""
        _, near = self._tree.query(self.scale.apply(one.state), k=min(ALIKE_N, len(self.states)))
        found: Vector = self.actions[near.reshape(len(one.state), -1)].mean(axis=1)
        return found

    @cached_property
    def noise(self) -> Vector:
        """How wrong `predicted` is on an episode that it does not know, root mean square, float64 (d,)."""
        missed = []
        for number in self._some:
            own = self.episode == number
            _, near = tree_of(self.states[~own]).query(self.states[own], k=min(ALIKE_N, int((~own).sum())))
            missed.append(self.actions[~own][near.reshape(int(own.sum()), -1)].mean(axis=1) - self.actions[own])
        wrong: Vector = np.maximum(np.sqrt((np.concatenate(missed) ** 2).mean(axis=0)), RESOLUTION)
        return wrong

    @cached_property
    def spacing(self) -> float:
        """The median distance from a state to the nearest one of another episode."""
        apart = []
        for number in self._some:
            own = self.episode == number
            apart.append(tree_of(self.states[~own]).query(self.states[own])[0])
        return float(np.median(np.concatenate(apart)))

    @cached_property
    def _some(self) -> NDArray[np.int64]:
        return thinned(np.unique(self.episode), ASKED_N)

    @cached_property
    def _tree(self) -> Any:  # noqa: ANN401 - scipy has no types
        return tree_of(self.states)

    @cached_property
    def _factor(self) -> tuple[Vector, Vector]:
        places = thinned(self.states, MOST_ROWS_N)
        gram = kernel(places, places)
        gram[np.diag_indices(len(places))] += 1.0 / SIGNAL_TO_NOISE
        return np.asarray(np.linalg.cholesky(gram), dtype=np.float64), places


def known_by(episodes: Sequence[Taught]) -> Known:
    """Learn what episodes already say.

    Raises:
        TooLittle: fewer than two episodes: how far apart tries usually lie is unknown.
    """
    if len(episodes) < 2:
        raise TooLittle(
            f"{len(episodes)} episodes to compare with", remedy="Give a dataset version of two episodes or more."
        )
    each_n = max(1, KEPT_ROWS_N // len(episodes))
    states = np.concatenate([thinned(one.state, each_n) for one in episodes])
    actions = np.concatenate([thinned(one.action, each_n) for one in episodes])
    scale = resolved(states, episodes[0].widths)
    number = np.repeat(np.arange(len(episodes)), [min(len(one.state), each_n) for one in episodes])
    return Known(scale, scale.apply(states), actions, number, np.maximum(actions.std(axis=0), RESOLUTION))


def thinned(rows: NDArray[T], most_n: int) -> NDArray[T]:
    """Return at most so many rows, evenly spaced."""
    return rows if len(rows) <= most_n else rows[np.linspace(0, len(rows) - 1, most_n).astype(np.intp)]


def kernel(a: Vector, b: Vector) -> Vector:
    """Return how much the states a (t, D) and b (n, D), scaled, say of one another, float64 (t, n), at most 1."""
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2.0 * (a @ b.T)
    near: Vector = np.exp(np.maximum(square, 0.0) / (-2.0 * REACH**2))
    return near


def tree_of(rows: Vector) -> Any:  # noqa: ANN401 - scipy has no types
    """Return scaled states, to be asked for the nearest."""
    from scipy.spatial import cKDTree

    return cKDTree(rows)
